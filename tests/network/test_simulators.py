"""Kernels equal their plain twins; the bound is below everything; closed forms hold."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_systems import EVERY_SYSTEM, LINK, mesh

from waferloom.communication import CollectiveKind
from waferloom.network.profile import algorithms_for, collective_traffic
from waferloom.network.simulators import SIMULATORS, Switching
from waferloom.network.simulators import _fluid_reference as fluid_reference
from waferloom.network.simulators import _queue_reference as queue_reference
from waferloom.network.simulators.fluid import FluidModel
from waferloom.network.simulators.packet import PacketModel
from waferloom.network.simulators.queue import QueueModel
from waferloom.network.topology import Topology, build_topology, largest_component
from waferloom.network.traffic import Traffic, TrafficBuilder

TOPOLOGIES = {name: build_topology(system) for name, system in EVERY_SYSTEM.items()}
# Coarse flits keep the packet simulator quick on random traffic of a byte to megabytes.
MODELS = {**SIMULATORS, "packet": PacketModel(flit_bytes=20_000.0)}
ALPHA, BETA = LINK.latency_s, LINK.bandwidth_bytes_per_s


@st.composite
def traffics(draw: st.DrawFn, max_flows: int = 12) -> tuple[Topology, Traffic]:
    """Draw flows with random sizes and dependencies, zero-byte and self-addressed ones included."""
    topology = TOPOLOGIES[draw(st.sampled_from(sorted(TOPOLOGIES)))]
    dies = largest_component(topology).tolist()
    builder = TrafficBuilder(topology)
    last_of_channels: list[int] = []
    for flow in range(draw(st.integers(1, max_flows))):
        earlier = draw(st.lists(st.integers(0, flow - 1), max_size=3)) if flow else []
        in_front = draw(st.sampled_from([-1, *last_of_channels]))
        builder.add(
            np.array([draw(st.sampled_from(dies))]),
            draw(st.sampled_from(dies)),
            float(draw(st.sampled_from([0, 1, 1000, 300_000, 1_000_000, 7_654_321]))),
            depends=np.array([sorted(set(earlier)) or [-1]]),
            previous=in_front,
        )
        last_of_channels = [flow, *(last for last in last_of_channels if last != in_front)]
    return topology, builder.build(num_slots=0)


@given(traffics())
def test_fluid_arrivals_equal_exact_fractions(case: tuple[Topology, Traffic]):
    topology, traffic = case
    expected = [float(time) for time in fluid_reference.arrivals(topology, traffic)]
    found = SIMULATORS["fluid"].run(topology, traffic).finish_s_F
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-18)


@given(traffics(max_flows=30), st.sampled_from([1e-3, 0.1]))
def test_a_coarse_resolution_is_never_below_the_bound(
    case: tuple[Topology, Traffic], resolution: float
):
    topology, traffic = case
    coarse = FluidModel(resolution=resolution).run(topology, traffic)
    bound = SIMULATORS["bound"].run(topology, traffic)
    assert (coarse.finish_s_F >= bound.finish_s_F * (1 - 1e-9)).all()
    assert coarse.duration_s >= bound.duration_s * (1 - 1e-9)


@pytest.mark.parametrize("resolution", [1e-3, 1e-2])
def test_a_coarse_resolution_is_late_by_little(resolution: float):
    topology = TOPOLOGIES["mesh 4x5"]
    dies = np.arange(20)[None, :]
    traffic = collective_traffic(topology, dies, CollectiveKind.ALL_TO_ALL, 20e6)
    sizes = traffic.size_bytes_F * np.random.default_rng(0).uniform(0.5, 1.5, traffic.num_flows)
    uneven = replace(traffic, size_bytes_F=sizes)
    exact = SIMULATORS["fluid"].run(topology, uneven).duration_s
    coarse = FluidModel(resolution=resolution).run(topology, uneven).duration_s
    assert exact * (1 - 1e-9) <= coarse <= exact * (1 + 3 * resolution)


@given(traffics(), st.sampled_from([0.0, 10e-9]), st.sampled_from(Switching))
def test_queue_arrivals_equal_the_plain_twin_exactly(
    case: tuple[Topology, Traffic], overhead_s: float, switching: Switching
):
    topology, traffic = case
    expected = queue_reference.arrivals(
        topology,
        traffic,
        overhead_s=overhead_s,
        stores=switching is Switching.STORE_AND_FORWARD,
    )
    model = QueueModel(switching=switching, overhead_s=overhead_s)
    assert model.run(topology, traffic).finish_s_F.tolist() == expected


@pytest.mark.parametrize("name", [name for name in SIMULATORS if name != "bound"])
@settings(max_examples=300)
@given(case=traffics(max_flows=30))
def test_nothing_is_faster_than_the_bound(name: str, case: tuple[Topology, Traffic]):
    topology, traffic = case
    bound = MODELS["bound"].run(topology, traffic)
    found = MODELS[name].run(topology, traffic)
    assert found.duration_s >= bound.duration_s * (1 - 1e-9)
    assert (found.finish_s_F >= bound.finish_s_F * (1 - 1e-9)).all()
    assert (found.finish_s_F >= found.start_s_F).all()


@given(traffics(max_flows=30))
def test_store_and_forward_is_never_below_the_bound_either(case: tuple[Topology, Traffic]):
    topology, traffic = case
    bound = SIMULATORS["bound"].run(topology, traffic)
    found = QueueModel(switching=Switching.STORE_AND_FORWARD).run(topology, traffic)
    assert found.duration_s >= bound.duration_s * (1 - 1e-9)


@pytest.mark.parametrize("name", SIMULATORS)
@pytest.mark.parametrize("kind", CollectiveKind)
def test_every_simulator_finishes_every_collective(name: str, kind: CollectiveKind):
    topology = TOPOLOGIES["damaged mesh"]
    dies = largest_component(topology)
    groups = dies[:20].reshape(10, 2) if kind is CollectiveKind.POINT_TO_POINT else dies[None, :8]
    for algorithm in algorithms_for(kind):
        try:
            traffic = collective_traffic(topology, groups, kind, 1e6, algorithm=algorithm)
        except ValueError:
            continue
        if (name, algorithm) == ("packet", "multicast_tree"):
            with pytest.raises(ValueError, match="no multicasts"):
                SIMULATORS[name].run(topology, traffic)
            continue
        times = SIMULATORS[name].run(topology, traffic)
        assert name == "bound" or times.duration_s == times.finish_s_F.max()
        assert np.isfinite(times.finish_s_F).all()
        for flow in range(traffic.num_flows):
            waits = traffic.dependencies(flow)
            arrived = times.finish_s_F[waits].max(initial=0.0)
            if name == "bound" or traffic.previous_F[flow] < 0:
                assert times.start_s_F[flow] == arrived
            else:
                assert times.start_s_F[flow] >= arrived


@pytest.mark.parametrize("name", ["bound", "queue", "fluid"])
def test_one_message_takes_its_latency_and_its_bytes(name: str):
    topology = build_topology(mesh(1, 5))
    builder = TrafficBuilder(topology)
    builder.add(np.array([0]), 4, 8e6)
    times = SIMULATORS[name].run(topology, builder.build(0))
    assert times.duration_s == pytest.approx(4 * ALPHA + 8e6 / BETA, rel=1e-9)


def test_two_streams_through_one_link_take_half_of_it_each():
    topology = build_topology(mesh(1, 4))
    builder = TrafficBuilder(topology)
    builder.add(np.array([0, 1]), np.array([2, 3]), np.array([4e6, 1e6]))
    times = SIMULATORS["fluid"].run(topology, builder.build(0))
    # The short one needs 2 us at half rate; the long one has then 3 MB left for 3 us at full rate.
    assert times.finish_s_F == pytest.approx([5e-6 + 2 * ALPHA, 2e-6 + 2 * ALPHA], rel=1e-9)


def test_a_stream_takes_what_a_narrower_one_leaves():
    topology = build_topology(EVERY_SYSTEM["2x2 wafers of 2x3"])
    builder = TrafficBuilder(topology)
    # Columns 0..5 in row 0: the seam between columns 2 and 3 has a quarter of the bandwidth.
    builder.add(np.array([1, 1]), np.array([3, 2]), np.array([1e6, 3e6]))
    times = SIMULATORS["fluid"].run(topology, builder.build(0))
    assert times.finish_s_F[0] == pytest.approx(1e6 / 0.25e12 + 100e-9 + 700e-9, rel=1e-9)
    assert times.finish_s_F[1] == pytest.approx(3e6 / 0.75e12 + 100e-9, rel=1e-9)


@pytest.mark.parametrize("name", ["queue", "fluid"])
@pytest.mark.parametrize(("rows", "cols"), [(2, 2), (2, 4), (4, 4), (3, 6)])
def test_a_two_way_ring_on_a_block_meets_its_closed_form(name: str, rows: int, cols: int):
    topology = build_topology(mesh(rows, cols))
    n, size = rows * cols, 64e6
    traffic = collective_traffic(
        topology, np.arange(n)[None, :], CollectiveKind.ALL_REDUCE, size, algorithm="ring"
    )
    expected = 2 * (n - 1) * (ALPHA + size / (2 * n * BETA))
    assert SIMULATORS[name].run(topology, traffic).duration_s == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["queue", "fluid"])
@pytest.mark.parametrize("n", [2, 3, 8])
def test_a_gather_along_a_line_meets_its_closed_form(name: str, n: int):
    topology = build_topology(mesh(1, n))
    traffic = collective_traffic(
        topology, np.arange(n)[None, :], CollectiveKind.ALL_GATHER, 8e6, algorithm="line"
    )
    # The end dies' neighbours pass on n - 1 shards; the first of them is already there.
    last_link = (n - 1) * 8e6 / n / BETA + ALPHA
    furthest = (n - 1) * (ALPHA + 8e6 / n / BETA)
    found = SIMULATORS[name].run(topology, traffic).duration_s
    assert max(last_link, furthest) * (1 - 1e-9) <= found
    assert SIMULATORS["bound"].run(topology, traffic).duration_s == pytest.approx(
        max(last_link, furthest), rel=1e-9
    )


@settings(max_examples=30)
@given(case=traffics(max_flows=20))
def test_without_latency_twice_the_bandwidth_halves_the_time(case: tuple[Topology, Traffic]):
    topology, traffic = case
    slow = replace(topology, latency_s_L=np.zeros(topology.num_links))
    fast = replace(slow, bandwidth_bytes_per_s_L=2 * slow.bandwidth_bytes_per_s_L)
    for model in MODELS.values():
        once, twice = (model.run(t, traffic).duration_s for t in (slow, fast))
        assert twice == pytest.approx(once / 2, rel=1e-9)
