"""Every block up to 12 x 12 that has a ring of single hops gets one, as geometry and on a mesh."""

import numpy as np
import pytest
from network_systems import mesh

from waferloom.communication import CollectiveKind
from waferloom.geometry.cycles import closed_tour, has_hamiltonian_cycle
from waferloom.network.profile import profile_collective
from waferloom.network.ring_order import ring_order
from waferloom.network.routing import ROUTING
from waferloom.network.topology import build_topology

SIDES = range(1, 13)
TOPOLOGY = build_topology(mesh(13, 14))


@pytest.mark.parametrize("rows", SIDES)
@pytest.mark.parametrize("cols", SIDES)
def test_a_block_has_a_ring_of_single_hops_unless_its_area_is_odd_or_it_is_a_strip(
    rows: int, cols: int
):
    # A closed walk of single hops visits black and white places in turn, so as many of each; and
    # the ends of a strip have one neighbour only.
    possible = rows * cols % 2 == 0 and min(rows, cols) > 1
    assert has_hamiltonian_cycle(rows, cols) == possible
    block = (np.arange(1, rows + 1)[:, None] * 14 + np.arange(2, cols + 2)).ravel()
    shuffled = np.random.default_rng(rows * 13 + cols).permutation(block)
    tour = np.array([(die.row + 1) * 14 + die.col + 2 for die in closed_tour(rows, cols)])
    for order in (ring_order(TOPOLOGY, shuffled), tour):
        assert sorted(order.tolist()) == block.tolist()
        hops = ROUTING["xy"].routes(TOPOLOGY, order, np.roll(order, -1)).hops_F
        if rows * cols == 2:
            assert hops.tolist() == [1, 1]
        elif rows * cols > 2:
            assert (set(hops.tolist()) == {1}) == possible


@pytest.mark.parametrize(("rows", "cols"), [(2, 2), (5, 6), (12, 12), (11, 12), (2, 12)])
def test_a_ring_of_single_hops_loads_every_link_it_uses_once(rows: int, cols: int):
    block = (np.arange(rows)[:, None] * 14 + np.arange(cols)).reshape(1, -1)
    profile = profile_collective(TOPOLOGY, block, CollectiveKind.ALL_GATHER, algorithm="ring")
    n = rows * cols
    loads = profile.link_bytes_L[profile.link_bytes_L > 0]
    assert loads.size == 2 * n
    assert loads == pytest.approx((n - 1) / n / 2, rel=1e-12)
