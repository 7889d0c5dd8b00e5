"""Dependency graphs are what networkx finds, and no policy leaves a circle in them."""

import itertools
import re
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from network_systems import EVERY_SYSTEM, mesh, switched, torus

from waferloom.errors import RoutingError
from waferloom.hardware.spec import DefectMap
from waferloom.network.routing import ROUTING, Routes, assign_channels, check_deadlock_freedom
from waferloom.network.routing.channel_dependencies import all_pairs, channel_dependencies
from waferloom.network.routing.dimension_order import XY
from waferloom.network.routing.up_down import up_down_rank
from waferloom.network.topology import IntArray, Topology, build_topology, components

NEEDED_ON_ANY_MESH = {"up_down": 1, "fault_aware": 2}


def dependency_graph(routes: Routes, channel_H: IntArray) -> nx.DiGraph:
    """Build the graph the plain way, straight from its definition."""
    graph = nx.DiGraph()
    for flow in range(routes.hops_F.size):
        hops = range(int(routes.first_F1[flow]), int(routes.first_F1[flow + 1]))
        channels = [(int(routes.link_H[h]), int(channel_H[h])) for h in hops]
        graph.add_edges_from(itertools.pairwise(channels))
    return graph


def is_acyclic(routes: Routes, channel_H: IntArray) -> bool:
    return nx.is_directed_acyclic_graph(dependency_graph(routes, channel_H))


@st.composite
def damaged_meshes(draw: st.DrawFn) -> Topology:
    rows, cols = draw(st.integers(2, 6)), draw(st.integers(2, 6))
    dies = [(row, col) for row in range(rows) for col in range(cols)]
    links = [(a, b) for a in dies for b in ((a[0] + 1, a[1]), (a[0], a[1] + 1)) if b in dies]
    dead_links = draw(st.lists(st.sampled_from(links), max_size=6, unique=True))
    dead_dies = draw(st.lists(st.sampled_from(dies), max_size=min(4, len(dies) - 2), unique=True))
    defects = DefectMap(dead_dies=tuple(dead_dies), dead_links=tuple(dead_links))
    return build_topology(mesh(rows, cols, defects))


@st.composite
def wandering_routes(draw: st.DrawFn) -> tuple[Topology, Routes]:
    """Paths without sense: any next link that leads to a node not yet visited."""
    topology = build_topology(mesh(3, 4))
    paths: list[list[int]] = []
    for _ in range(draw(st.integers(1, 25))):
        node = draw(st.integers(0, 11))
        visited, path = {node}, list[int]()
        for _ in range(draw(st.integers(0, 9))):
            ways = np.flatnonzero(topology.source_L == node).tolist()
            ways = [link for link in ways if int(topology.destination_L[link]) not in visited]
            if not ways:
                break
            path.append(draw(st.sampled_from(ways)))
            node = int(topology.destination_L[path[-1]])
            visited.add(node)
        paths.append(path)
    first = np.concatenate([[0], np.cumsum([len(path) for path in paths])])
    links = np.array([link for path in paths for link in path], dtype=np.int64)
    return topology, Routes(first_F1=first, link_H=links)


@settings(max_examples=200)
@given(wandering_routes())
def test_dependencies_and_circles_are_those_of_networkx(case: tuple[Topology, Routes]):
    topology, routes = case
    graph = channel_dependencies(topology, routes)
    plain = dependency_graph(routes, np.zeros(routes.link_H.size, dtype=np.int64))
    found = set(zip(graph.before_E.tolist(), graph.after_E.tolist(), strict=True))
    assert found == {(a[0], b[0]) for a, b in plain.edges}
    circle = graph.circle()
    assert (circle is None) == nx.is_directed_acyclic_graph(plain)
    if circle is not None:
        assert len(set(circle.tolist())) == circle.size
        assert set(zip(circle.tolist(), np.roll(circle, -1).tolist(), strict=True)) <= found


@settings(max_examples=200)
@given(wandering_routes())
def test_assigned_channels_leave_no_circle_whatever_the_routes(case: tuple[Topology, Routes]):
    topology, routes = case
    assigned = assign_channels(topology, routes)
    assert is_acyclic(routes, assigned.channel_H)
    assert assigned.num_virtual_channels == assigned.channel_H.max(initial=0) + 1
    bare = np.zeros(routes.link_H.size, dtype=np.int64)
    assert (assigned.num_virtual_channels == 1) == is_acyclic(routes, bare)
    for flow in range(routes.hops_F.size):  # a layer is kept for the whole route
        hops = slice(int(routes.first_F1[flow]), int(routes.first_F1[flow + 1]))
        assert len(set(assigned.channel_H[hops].tolist())) <= 1


@pytest.mark.parametrize("name", [name for name in ROUTING if name != "switched"])
@settings(max_examples=60)
@given(topology=damaged_meshes())
def test_every_policy_is_free_of_deadlock_on_damaged_meshes_or_names_the_pair_cut_off(
    name: str, topology: Topology
):
    policy = ROUTING[name]
    parts = components(topology)
    if len(parts) > 1:
        with pytest.raises(RoutingError, match="no route from die") as caught:
            check_deadlock_freedom(policy, topology)
        one, other = map(int, re.findall(r"die (\d+) at", str(caught.value)))
        part_of = {int(die): i for i, part in enumerate(parts) for die in part}
        assert part_of[one] != part_of[other]
        return
    check = check_deadlock_freedom(policy, topology)
    assert check.is_deadlock_free
    source, destination = all_pairs(topology)
    routes = policy.routes(topology, source, destination)
    prescribed = policy.channels(topology, source, destination, routes)
    channel_H = assign_channels(topology, routes, prescribed).channel_H
    assert is_acyclic(routes, channel_H)
    assert len(set(zip(routes.link_H, channel_H, strict=True))) <= (
        topology.num_links * check.num_virtual_channels
    )
    if name in NEEDED_ON_ANY_MESH:
        assert check.num_virtual_channels <= NEEDED_ON_ANY_MESH[name]
        assert is_acyclic(routes, prescribed)


@settings(max_examples=60)
@given(topology=damaged_meshes())
def test_no_route_uses_a_dead_die_and_up_down_never_goes_up_again(topology: Topology):
    assume(len(components(topology)) == 1)
    rank = up_down_rank(topology)
    source, destination = all_pairs(topology)
    for name in ROUTING:
        if name == "switched":
            continue
        routes = ROUTING[name].routes(topology, source, destination)
        ends = np.concatenate(
            [topology.source_L[routes.link_H], topology.destination_L[routes.link_H]]
        )
        assert topology.is_live_D[ends].all()
        if name == "up_down":
            for flow in range(source.size):
                links = routes.links(flow)
                up = rank[topology.destination_L[links]] < rank[topology.source_L[links]]
                assert up.tolist() == sorted(up.tolist(), reverse=True)


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("xy", 1),
        ("yx", 1),
        ("o1turn", 2),
        ("west_first", 1),
        ("odd_even", 1),
        ("up_down", 1),
        ("fault_aware", 1),
    ],
)
def test_a_healthy_mesh_needs_as_many_channels_as_the_literature_says(name: str, needed: int):
    topology = build_topology(mesh(6, 7))
    check = check_deadlock_freedom(ROUTING[name], topology)
    assert check.is_deadlock_free
    assert check.num_virtual_channels == needed
    bare = check_deadlock_freedom(ROUTING[name], topology, num_virtual_channels=1)
    assert bare.is_deadlock_free == (needed == 1)


@pytest.mark.parametrize("shape", [(5, 3), (1, 6), (4, 8), (5, 5, 5)])
def test_dimension_order_on_a_torus_is_cyclic_on_bare_links_and_free_with_a_dateline(
    shape: tuple[int, ...],
):
    topology = build_topology(torus(*shape))
    for name in ("xy", "yx"):
        bare = check_deadlock_freedom(ROUTING[name], topology, num_virtual_channels=1)
        assert bare.circle is not None
        ends = [*bare.circle, bare.circle[0]]
        assert all(a[1] == b[0] for a, b in itertools.pairwise(ends))
        check = check_deadlock_freedom(ROUTING[name], topology)
        assert check.is_deadlock_free
        assert check.num_virtual_channels == 2


def test_on_rings_of_four_it_depends_on_the_ties_whether_bare_links_can_deadlock():
    topology = build_topology(torus(4, 4))
    # Two hops clockwise from even places and anticlockwise from odd ones close no circle.
    assert check_deadlock_freedom(XY, topology, num_virtual_channels=1).is_deadlock_free
    one_way = replace(XY, balances_ties=False)
    assert not check_deadlock_freedom(one_way, topology, num_virtual_channels=1).is_deadlock_free
    assert check_deadlock_freedom(one_way, topology).is_deadlock_free


@pytest.mark.parametrize("policy", ROUTING)
@pytest.mark.parametrize("name", EVERY_SYSTEM)
def test_every_policy_is_free_of_deadlock_on_every_system(name: str, policy: str):
    topology = build_topology(EVERY_SYSTEM[name])
    if policy == "switched" and topology.has_lattice:
        return
    check = check_deadlock_freedom(ROUTING[policy], topology)
    assert check.is_deadlock_free
    if not topology.has_lattice:
        assert check.num_virtual_channels == 1


def test_a_large_switched_cluster_is_checked_in_no_time():
    check = check_deadlock_freedom(ROUTING["switched"], build_topology(switched(16, 8)))
    assert (check.is_deadlock_free, check.num_virtual_channels) == (True, 1)
    assert check.num_dependencies == 16 * 8 * 7 + 128 * 120  # every pair turns once, at a switch


def test_only_bare_links_or_as_many_channels_as_needed_can_be_checked():
    with pytest.raises(ValueError, match="must be 1 or None, found 3"):
        check_deadlock_freedom(ROUTING["xy"], build_topology(mesh(2, 2)), num_virtual_channels=3)
