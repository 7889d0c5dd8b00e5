"""One suite over every algorithm: right values, and profiles equal to the bound of the flows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_systems import EVERY_SYSTEM

from waferloom.communication import CollectiveKind
from waferloom.network.collectives import COLLECTIVES, Exchange
from waferloom.network.collectives.base import profile_of_traffic
from waferloom.network.interpreter import interpret
from waferloom.network.profile import algorithms_for, collective_traffic
from waferloom.network.routing import ROUTING
from waferloom.network.simulators import SIMULATORS
from waferloom.network.simulators._bound_reference import bound_s
from waferloom.network.simulators.bound import bound_parts
from waferloom.network.topology import IntArray, Topology, build_topology, largest_component
from waferloom.network.traffic import Traffic

TOPOLOGIES = {name: build_topology(system) for name, system in EVERY_SYSTEM.items()}
CASES = [(kind, name) for kind in CollectiveKind for name in algorithms_for(kind)]
SIZE = 3.7e6


def groupings(topology: Topology) -> dict[str, IntArray]:
    """Groups of several shapes among the dies that are connected."""
    dies = largest_component(topology)
    half = dies.size // 2
    uneven = np.full((2, dies.size - half), -1)
    uneven[0, :half] = dies[:half]
    uneven[1] = dies[half:]
    rows = [dies[topology.row_D[dies] == r].tolist() for r in sorted(set(topology.row_D.tolist()))]
    widest = max(len(row) for row in rows)
    return {
        "all in one": dies[None, :],
        "shuffled": np.random.default_rng(3).permutation(dies)[None, : max(2, dies.size - 3)],
        "two uneven halves": uneven,
        "rows": np.array([row + [-1] * (widest - len(row)) for row in rows if row]),
        "pairs": dies[: 2 * half].reshape(half, 2),
        "alone": dies[:1][None, :],
    }


EXCHANGES = [
    pytest.param(system, grouping, id=f"{system}, {grouping}")
    for system, topology in TOPOLOGIES.items()
    for grouping in groupings(topology)
]


def exchange_of(topology: Topology, groups: IntArray, kind: CollectiveKind) -> Exchange:
    return Exchange(
        topology=topology,
        policy=ROUTING["xy"],
        groups_GN=np.ascontiguousarray(groups),
        kind=kind,
        reference_bytes=SIZE,
    )


def check_values(
    kind: CollectiveKind,
    traffic: Traffic,
    groups: IntArray,
    num_dies: int,
    rng: np.random.Generator,
) -> None:
    """Replay on random numbers, in a random order, and compare with what the kind promises."""
    start = rng.integers(-1000, 1000, size=(num_dies, traffic.num_slots))
    start_kept = start.copy()
    slots = traffic.num_slots
    if kind is CollectiveKind.ALL_TO_ALL:
        slots = math.lcm(*((row >= 0).sum() for row in groups))
    for row in groups:
        members = row[row >= 0]
        part = slots // members.size
        if kind is CollectiveKind.ALL_GATHER:
            for i, die in enumerate(members):
                own = start[die, i * part : (i + 1) * part].copy()
                start[die] = -7777
                start[die, i * part : (i + 1) * part] = own
                start_kept[die] = start[die]
    end = interpret(traffic, start, order=rng)
    assert (start == start_kept).all()
    for row in groups:
        members = row[row >= 0]
        part = slots // members.size
        parts = [slice(i * part, (i + 1) * part) for i in range(members.size)]
        total = start[members].sum(axis=0)
        for i, die in enumerate(members):
            match kind:
                case CollectiveKind.ALL_REDUCE:
                    assert (end[die] == total).all()
                case CollectiveKind.REDUCE_SCATTER:
                    assert (end[die, parts[i]] == total[parts[i]]).all()
                case CollectiveKind.ALL_GATHER:
                    for j, owner in enumerate(members):
                        assert (end[die, parts[j]] == start[owner, parts[j]]).all()
                case CollectiveKind.ALL_TO_ALL:
                    for j, sender in enumerate(members):
                        if j != i:
                            landed = slots + j * part
                            got = end[die, landed : landed + part]
                            assert (got == start[sender, parts[i]]).all()
                case _:
                    assert (end[die] == start[members[0]]).all()


@pytest.mark.parametrize(("kind", "algorithm"), CASES)
@pytest.mark.parametrize(("system", "grouping"), EXCHANGES)
def test_values_are_right_and_the_profile_is_the_bound_of_the_flows(
    system: str, grouping: str, kind: CollectiveKind, algorithm: str
):
    topology = TOPOLOGIES[system]
    groups = groupings(topology)[grouping]
    if kind is CollectiveKind.POINT_TO_POINT and grouping != "pairs":
        groups = groups[:, :2]
    exchange = exchange_of(topology, groups, kind)
    traffic = COLLECTIVES[algorithm].traffic(exchange, SIZE)
    profile = COLLECTIVES[algorithm].profile(exchange)
    assert (traffic is None) == (profile is None)
    if traffic is None or profile is None:
        return
    check_values(kind, traffic, groups, topology.num_dies, np.random.default_rng(1))

    oracle = profile_of_traffic(exchange, algorithm, traffic, SIZE)
    bound = SIMULATORS["bound"].run(topology, traffic).duration_s
    assert profile.duration_s(SIZE) == pytest.approx(bound, rel=1e-9)
    assert profile.link_bytes_L == pytest.approx(oracle.link_bytes_L, rel=1e-9, abs=1e-12)
    assert profile.injected_bytes == pytest.approx(oracle.injected_bytes, rel=1e-9)
    path = profile.path_latency_s + SIZE * profile.path_s_per_byte
    assert path == pytest.approx(oracle.path_latency_s + SIZE * oracle.path_s_per_byte, rel=1e-9)
    link = profile.link_latency_s + SIZE * profile.link_s_per_byte
    assert link == pytest.approx(oracle.link_latency_s + SIZE * oracle.link_s_per_byte, rel=1e-9)


@pytest.mark.parametrize(("kind", "algorithm"), CASES)
@pytest.mark.parametrize("system", ["mesh 4x5", "damaged mesh", "three nodes of four"])
def test_at_other_sizes_the_profile_never_exceeds_the_bound(
    system: str, kind: CollectiveKind, algorithm: str
):
    topology = TOPOLOGIES[system]
    grouping = "pairs" if kind is CollectiveKind.POINT_TO_POINT else "all in one"
    exchange = exchange_of(topology, groupings(topology)[grouping], kind)
    profile = COLLECTIVES[algorithm].profile(exchange)
    for size in (1.0, 1e4, 1e9):
        traffic = COLLECTIVES[algorithm].traffic(exchange, size)
        if traffic is None or profile is None:
            assert traffic is profile
            return
        bound = SIMULATORS["bound"].run(topology, traffic).duration_s
        assert profile.duration_s(size) <= bound * (1 + 1e-9)


@pytest.mark.parametrize("system", ["mesh 4x5", "torus 3x4x2", "damaged mesh", "2x2 wafers of 2x3"])
@pytest.mark.parametrize("kind", CollectiveKind)
def test_the_bound_kernel_equals_its_plain_reference(system: str, kind: CollectiveKind):
    topology = TOPOLOGIES[system]
    for grouping in ("rows", "pairs"):
        groups = groupings(topology)[grouping]
        if kind is CollectiveKind.POINT_TO_POINT and grouping != "pairs":
            continue
        for algorithm in algorithms_for(kind):
            try:
                traffic = collective_traffic(topology, groups, kind, SIZE, algorithm=algorithm)
            except ValueError:
                continue
            if traffic.num_flows > 2000:
                continue
            chain, link = bound_s(topology, traffic)
            parts = bound_parts(topology, traffic)
            assert sum(parts.chain_2) == pytest.approx(chain, rel=1e-12)
            assert sum(parts.link_2) == pytest.approx(link, rel=1e-12)


@settings(max_examples=40)
@given(data=st.data())
def test_any_groups_on_a_damaged_mesh_get_right_values_whatever_the_timing(data: st.DataObject):
    topology = TOPOLOGIES["damaged mesh"]
    dies = data.draw(st.permutations(largest_component(topology).tolist()))
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    rows = [[dies.pop() for _ in range(size)] for size in sizes]
    groups = np.array([row + [-1] * (max(sizes) - len(row)) for row in rows])
    kind, algorithm = data.draw(
        st.sampled_from([case for case in CASES if case[0] is not CollectiveKind.POINT_TO_POINT])
    )
    try:
        traffic = collective_traffic(topology, groups, kind, SIZE, algorithm=algorithm)
    except ValueError:
        return
    seed = data.draw(st.integers(0, 1000))
    check_values(kind, traffic, groups, topology.num_dies, np.random.default_rng(seed))
