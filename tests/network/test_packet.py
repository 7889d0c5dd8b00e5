"""The packet simulator equals its plain twin, conserves flits, and reports deadlock."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_systems import EVERY_SYSTEM, mesh

from waferloom.communication import CollectiveKind
from waferloom.errors import RoutingError, SpecError
from waferloom.hardware.spec import LinkSpec
from waferloom.network.profile import collective_traffic
from waferloom.network.routing import Routes
from waferloom.network.simulators import SIMULATORS
from waferloom.network.simulators import _packet_reference as reference
from waferloom.network.simulators.packet import LocalPorts, PacketModel
from waferloom.network.topology import Topology, build_topology, largest_component
from waferloom.network.traffic import Traffic, TrafficBuilder
from waferloom.studies.data_directory import find_data

TOPOLOGIES = {name: build_topology(system) for name, system in EVERY_SYSTEM.items()}


@st.composite
def traffics(draw: st.DrawFn) -> tuple[Topology, Traffic]:
    topology = TOPOLOGIES[draw(st.sampled_from(sorted(TOPOLOGIES)))]
    dies = largest_component(topology).tolist()
    builder = TrafficBuilder(topology)
    last_of_channels: list[int] = []
    for flow in range(draw(st.integers(1, 10))):
        earlier = draw(st.lists(st.integers(0, flow - 1), max_size=2)) if flow else []
        in_front = draw(st.sampled_from([-1, *last_of_channels]))
        builder.add(
            np.array([draw(st.sampled_from(dies))]),
            draw(st.sampled_from(dies)),
            float(draw(st.sampled_from([0, 20_000, 60_000, 210_000]))),
            depends=np.array([sorted(set(earlier)) or [-1]]),
            previous=in_front,
        )
        last_of_channels = [flow, *(last for last in last_of_channels if last != in_front)]
    return topology, builder.build(num_slots=0)


@settings(max_examples=60)
@given(
    case=traffics(),
    num_vcs=st.sampled_from([2, 3]),
    packet_flits=st.sampled_from([1, 3]),
    buffer_flits=st.sampled_from([1, 4]),
    ports=st.sampled_from(LocalPorts),
)
def test_the_kernel_equals_its_plain_twin_cycle_by_cycle(
    case: tuple[Topology, Traffic],
    num_vcs: int,
    packet_flits: int,
    buffer_flits: int,
    ports: LocalPorts,
):
    topology, traffic = case
    model = PacketModel(
        num_vcs=num_vcs, packet_flits=packet_flits, buffer_flits=buffer_flits, local_ports=ports
    )
    flit_bytes = 20_000.0  # latencies of 5 and 35 cycles, and four cycles a flit on slow links
    release = np.zeros(traffic.num_flows, dtype=np.int64)
    messages, router = model.inputs(topology, traffic, flit_bytes, release)
    expected = reference.arrivals(messages, router, last_cycle=5000)
    start, finish = model.run_cycles(topology, traffic, flit_bytes, release)
    assert (start.tolist(), finish.tolist()) == expected


@pytest.mark.parametrize("hops", [1, 2, 5])
@pytest.mark.parametrize("num_flits", [1, 7, 40])
def test_an_empty_network_takes_four_cycles_a_hop_and_one_a_flit(hops: int, num_flits: int):
    topology = build_topology(mesh(1, 6, link=LinkSpec(bandwidth_bytes_per_s=1.0, latency_s=0)))
    builder = TrafficBuilder(topology)
    builder.add(np.array([0]), hops, float(num_flits))
    _, finish = PacketModel().run_cycles(topology, builder.build(0), 1.0, np.array([0]))
    assert finish.tolist() == [2 + 4 * hops + 4 + num_flits - 1]


def test_a_link_of_awkward_speed_passes_its_bytes_at_that_speed():
    topology = TOPOLOGIES["2x2 wafers of 2x3"]
    builder = TrafficBuilder(topology)
    builder.add(np.array([2]), 3, 3e6)  # across a seam, at a quarter of the speed
    model = PacketModel(flit_bytes=700.0)
    found = model.run(topology, builder.build(0)).duration_s
    assert found == pytest.approx(3e6 / 0.25e12 + 700e-9, rel=0.01)


@pytest.mark.parametrize("algorithm", ["ring", "line", "two_dimensional"])
@pytest.mark.parametrize("kind", [CollectiveKind.ALL_REDUCE, CollectiveKind.ALL_GATHER])
def test_neighbours_alone_reach_what_streams_reach(kind: CollectiveKind, algorithm: str):
    topology = build_topology(mesh(4, 4))
    traffic = collective_traffic(topology, np.arange(16)[None, :], kind, 16e6, algorithm=algorithm)
    queue, fluid, packet = (
        SIMULATORS[name].run(topology, traffic).duration_s for name in ("queue", "fluid", "packet")
    )
    assert min(queue, fluid) * 0.999 <= packet <= max(queue, fluid) * 1.02


def test_an_all_to_all_loses_throughput_to_blocked_heads():
    topology = build_topology(mesh(4, 4))
    traffic = collective_traffic(
        topology, np.arange(16)[None, :], CollectiveKind.ALL_TO_ALL, 16e6, algorithm="direct"
    )
    fluid, packet = (
        SIMULATORS[name].run(topology, traffic).duration_s for name in ("fluid", "packet")
    )
    assert fluid * 1.1 < packet < fluid * 1.6  # routers of this kind saturate at 60-90 %


def test_routes_that_turn_in_a_circle_deadlock_and_are_reported():
    topology = build_topology(mesh(2, 2, link=LinkSpec(bandwidth_bytes_per_s=1.0, latency_s=0)))
    link = {
        (int(s), int(d)): i
        for i, (s, d) in enumerate(zip(topology.source_L, topology.destination_L, strict=True))
    }
    # Four long packets, each two hops clockwise, with one VC and one flit of buffer.
    corners = [0, 1, 3, 2]
    builder = TrafficBuilder(topology)
    path = []
    for i in range(4):
        a, b, c = (corners[(i + k) % 4] for k in range(3))
        builder.add(np.array([a]), c, 50.0)
        path += [link[a, b], link[b, c]]
    routes = Routes(first_F1=np.arange(0, 9, 2), link_H=np.array(path))
    traffic, at_once = builder.build_with(routes, 0), np.zeros(4, dtype=np.int64)
    model = PacketModel(num_vcs=1, buffer_flits=1, packet_flits=50, avoids_deadlock=False)
    with pytest.raises(RoutingError, match="wait for each other in a circle"):
        model.run_cycles(topology, traffic, 1.0, at_once)
    _, finish = replace(model, avoids_deadlock=True).run_cycles(topology, traffic, 1.0, at_once)
    assert (finish > 50).all()


@pytest.mark.parametrize("name", ["torus 4x4", "torus 3x4x2", "damaged mesh", "damaged torus"])
def test_an_all_to_all_does_not_deadlock_in_the_smallest_buffers(name: str):
    topology = TOPOLOGIES[name]
    dies = largest_component(topology)
    traffic = collective_traffic(
        topology, dies[None, :], CollectiveKind.ALL_TO_ALL, dies.size * 50_000.0
    )
    model = PacketModel(num_vcs=1, buffer_flits=1, packet_flits=16, flit_bytes=5000.0)
    assert model.run(topology, traffic).duration_s > 0


def test_too_many_cycles_end_with_advice():
    topology = build_topology(mesh(1, 2))
    builder = TrafficBuilder(topology)
    builder.add(np.array([0]), 1, 1e6)
    with pytest.raises(ValueError, match="use larger flits"):
        PacketModel(flit_bytes=32.0, max_cycles=1000).run(topology, builder.build(0))


def booksim_rows() -> list[dict[str, str]]:
    try:
        with (find_data() / "net_reference_booksim.csv").open() as table:
            return list(csv.DictReader(table))
    except (SpecError, FileNotFoundError):
        return []


BOOKSIM = booksim_rows()
WARM_UP, MEASURED, COOL_DOWN = 3000, 6000, 1000
needs_data = pytest.mark.skipif(not BOOKSIM, reason="the data directory has no BookSim table")


def load(mesh_k: int, rate: float) -> tuple[float, float]:
    """Return (mean latency, accepted flits per node and cycle) of uniform traffic."""
    unit = LinkSpec(bandwidth_bytes_per_s=1.0, latency_s=0)
    topology = build_topology(mesh(mesh_k, mesh_k, link=unit))
    nodes = mesh_k**2
    rng = np.random.default_rng(42)
    cycle, source = np.nonzero(rng.random((WARM_UP + MEASURED + COOL_DOWN, nodes)) < rate)
    builder = TrafficBuilder(topology)
    builder.add(source, rng.integers(0, nodes, source.size), 1.0)
    model = PacketModel(
        flit_bytes=1.0,
        packet_flits=1,
        num_vcs=8,
        buffer_flits=8,
        local_ports=LocalPorts.PER_DIE,
    )
    _, finish = model.run_cycles(topology, builder.build(0), 1.0, cycle)
    end = WARM_UP + MEASURED
    measured = (cycle >= WARM_UP) & (cycle < end)
    accepted = ((finish >= WARM_UP) & (finish < end)).sum() / MEASURED / nodes
    return float((finish - cycle)[measured].mean()), float(accepted)


@needs_data
@pytest.mark.parametrize(
    "row",
    [row for row in BOOKSIM if float(row["injection_rate_flits_per_node_cycle"]) <= 0.4],
    ids=lambda row: f"{row['mesh_k']}x{row['mesh_k']} {row['injection_rate_flits_per_node_cycle']}",
)
def test_latency_below_saturation_agrees_with_booksim(row: dict[str, str]):
    latency, _ = load(int(row["mesh_k"]), float(row["injection_rate_flits_per_node_cycle"]))
    assert latency == pytest.approx(float(row["avg_packet_latency_cycles"]), rel=0.05)


@needs_data
def test_saturation_of_eight_by_eight_agrees_with_booksim():
    highest = max(
        float(row["accepted_flits_per_node_cycle"])
        for row in BOOKSIM
        if row["mesh_k"] == "8" and row["accepted_flits_per_node_cycle"]
    )
    _, accepted = load(8, 0.46)
    assert accepted == pytest.approx(highest, rel=0.05)
