"""Tours visit each member once and are as short as the members' shape allows."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_systems import mesh, switched, torus

from waferloom.hardware.spec import DefectMap
from waferloom.network.ring_order import hop_table, order_groups, ring_order
from waferloom.network.routing import ROUTING
from waferloom.network.topology import IntArray, Topology, build_topology

BIG = build_topology(mesh(9, 9))
DAMAGED = build_topology(mesh(9, 9, DefectMap(dead_links=(((0, 0), (0, 1)), ((4, 4), (5, 4))))))


def hops(topology: Topology, order: IntArray, *, closed: bool) -> list[int]:
    after = np.roll(order, -1)
    found = ROUTING["xy"].routes(topology, order, after).hops_F.tolist()
    return found if closed else found[:-1]


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("a", range(2, 9))
@pytest.mark.parametrize("b", range(2, 9))
def test_blocks_have_a_hamiltonian_cycle_or_one_edge_of_two_hops(a: int, b: int, row: int):
    block = (np.arange(row, row + a)[:, None] * 9 + np.arange(1, b + 1)).ravel()
    order = ring_order(BIG, np.random.default_rng(0).permutation(block))
    assert sorted(order.tolist()) == block.tolist()
    longest = [1] * (a * b - 1) + [1 if a * b % 2 == 0 else 2]
    assert sorted(hops(BIG, order, closed=True)) == longest


@pytest.mark.parametrize("a", range(1, 6))
@pytest.mark.parametrize("b", range(1, 6))
def test_the_open_path_of_a_block_has_only_neighbours(a: int, b: int):
    block = (np.arange(a)[:, None] * 9 + np.arange(b)).ravel()
    order = order_groups(BIG, block[None, :]).line_GN[0]
    assert sorted(order.tolist()) == block.tolist()
    assert set(hops(BIG, order, closed=False)) <= {1}


def test_every_second_row_and_column_gives_a_cycle_of_equal_steps():
    members = (np.arange(0, 8, 2)[:, None] * 9 + np.arange(0, 6, 2)).ravel()
    assert set(hops(BIG, ring_order(BIG, members), closed=True)) == {2}


def test_a_full_row_of_a_torus_closes_with_one_hop():
    topology = build_topology(torus(4, 6))
    assert set(hops(topology, ring_order(topology, np.arange(6)), closed=True)) == {1}


def test_blocks_of_a_3d_torus_have_a_hamiltonian_cycle():
    topology = build_topology(torus(4, 4, 4))
    order = ring_order(topology, np.arange(64))
    assert sorted(order.tolist()) == list(range(64))
    assert set(hops(topology, order, closed=True)) == {1}


def test_members_behind_a_switch_are_taken_node_by_node():
    topology = build_topology(switched(3, 4))
    order = ring_order(topology, np.array([9, 1, 5, 0, 8, 4]))
    assert topology.domain_D[order].tolist() == [0, 0, 1, 1, 2, 2]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 80), unique=True, min_size=1, max_size=12), st.booleans())
def test_any_members_are_visited_once_and_no_reversed_stretch_would_be_shorter(
    members: list[int], damaged: bool
):
    topology = DAMAGED if damaged else BIG
    orders = order_groups(topology, np.array([members]))
    distance = hop_table(topology)
    for order, closed in ((orders.ring_GN[0].tolist(), True), (orders.line_GN[0].tolist(), False)):
        assert sorted(order) == sorted(members)

        def length(tour: list[int], closed: bool = closed) -> int:
            ends = [*tour, tour[0]] if closed else tour
            return sum(int(distance[a, b]) for a, b in pairwise(ends))

        for i, j in combinations(range(len(order) + 1), 2):
            stretch_reversed = order[:i] + order[i:j][::-1] + order[j:]
            assert length(order) <= length(stretch_reversed)


def test_padding_stays_at_the_end_of_uneven_groups():
    orders = order_groups(BIG, np.array([[0, 1, 9, 10], [5, 4, -1, -1]]))
    assert orders.ring_GN.tolist() == [[0, 1, 10, 9], [4, 5, -1, -1]]
