"""What no algorithm undercuts: below every profile, and equal to hand counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_scenarios import SYSTEMS, network_named

from waferloom.bounds.collectives import floor_s_per_byte, ports_of
from waferloom.communication import CollectiveKind
from waferloom.hardware import system
from waferloom.network.profile import profile_collective
from waferloom.network.topology import build_topology

KINDS = [
    CollectiveKind.ALL_REDUCE,
    CollectiveKind.ALL_GATHER,
    CollectiveKind.REDUCE_SCATTER,
    CollectiveKind.ALL_TO_ALL,
]


@settings(deadline=None, max_examples=200)
@given(
    name=st.sampled_from(SYSTEMS),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32 - 1),
    num_members=st.integers(2, 12),
    num_groups=st.integers(1, 4),
)
def test_no_profile_is_below_the_floor(
    name: str, kind: CollectiveKind, seed: int, num_members: int, num_groups: int
) -> None:
    network = network_named(name)
    dies = network.grid.live_dies
    num_members = min(num_members, len(dies) // num_groups)
    if num_members < 2:
        return
    rng = np.random.default_rng(seed)
    groups_GN = rng.permutation(dies)[: num_groups * num_members].reshape(num_groups, num_members)
    profile = profile_collective(network.topology, groups_GN, kind)
    floor = floor_s_per_byte(ports_of(network.topology), kind, groups_GN, profile.injected_bytes)
    for size in (1e3, 1e6, 1e9):
        assert profile.duration_s(size) >= floor * size * (1 - 1e-9)


@pytest.mark.parametrize(("name", "side"), [("moentwine-4x4", 4), ("moentwine-8x8", 8)])
def test_an_all_to_all_of_the_whole_mesh_is_bound_by_its_middle(name: str, side: int) -> None:
    """A quarter of all bytes crosses the middle each way: side / 4 vectors per link."""
    topology = build_topology(system(name))
    everyone = np.arange(side * side)[None, :]
    ports = ports_of(topology)
    floor = floor_s_per_byte(ports, CollectiveKind.ALL_TO_ALL, everyone, 0.0)
    assert floor == pytest.approx(side / 4 / 225e9, rel=1e-12)


def test_a_corner_sends_through_two_links() -> None:
    topology = build_topology(system("moentwine-4x4"))
    corner_and_centre = np.array([[0, 5]])
    floor = floor_s_per_byte(
        ports_of(topology), CollectiveKind.REDUCE_SCATTER, corner_and_centre, 0.5
    )
    assert floor == pytest.approx(0.5 / (2 * 225e9), rel=1e-12)
