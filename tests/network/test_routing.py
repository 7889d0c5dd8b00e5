"""Every policy's routes are connected paths of live links; dimension order is what it says."""

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_systems import EVERY_SYSTEM, mesh, switched, torus

from waferloom.errors import RoutingError
from waferloom.hardware.spec import DefectMap
from waferloom.network.routing import ROUTING, link_bytes
from waferloom.network.routing.turn_models import WEST_FIRST, TurnModelRouting
from waferloom.network.topology import LinkKind, Port, Topology, build_topology, components

MINIMAL = ["xy", "yx", "o1turn", "west_first", "odd_even"]
MESH_PORTS = {Port.EAST: "E", Port.WEST: "W", Port.SOUTH: "S", Port.NORTH: "N"}


def all_pairs(topology: Topology) -> tuple[np.ndarray, np.ndarray]:
    found = [
        (s, d) for part in components(topology) for s, d in itertools.product(part, part) if s != d
    ]
    source, destination = np.array(found, dtype=np.int64).T
    return source.copy(), destination.copy()


@pytest.mark.parametrize("policy", ROUTING)
@pytest.mark.parametrize("name", EVERY_SYSTEM)
def test_every_route_is_a_path_of_live_links_from_source_to_destination(name: str, policy: str):
    topology = build_topology(EVERY_SYSTEM[name])
    source, destination = all_pairs(topology)
    if policy == "switched" and topology.has_lattice:
        with pytest.raises(RoutingError, match="joined to their neighbours"):
            ROUTING[policy].routes(topology, source, destination)
        return
    routes = ROUTING[policy].routes(topology, source, destination)
    for flow in range(source.size):
        links = routes.links(flow)
        nodes = [int(source[flow]), *topology.destination_L[links].tolist()]
        assert topology.source_L[links].tolist() == nodes[:-1]
        assert nodes[-1] == destination[flow]
        assert len(set(nodes)) == len(nodes)


@pytest.mark.parametrize("policy", MINIMAL)
@pytest.mark.parametrize("name", EVERY_SYSTEM)
def test_minimal_policies_are_as_short_as_any_inside_a_lattice(name: str, policy: str):
    topology = build_topology(EVERY_SYSTEM[name])
    source, destination = all_pairs(topology)
    hops = ROUTING[policy].routes(topology, source, destination).hops_F
    graph = nx.DiGraph(
        [
            (int(a), int(b))
            for a, b, kind in zip(
                topology.source_L, topology.destination_L, topology.kind_L, strict=True
            )
            if not topology.has_lattice or kind != LinkKind.SLICE
        ]
    )
    shortest = dict(nx.all_pairs_shortest_path_length(graph))
    for s, d, found in zip(source.tolist(), destination.tolist(), hops.tolist(), strict=True):
        assert found == shortest[s].get(d, 2)  # other slices: up to the fabric and down


def test_xy_walks_columns_first_and_yx_rows_first():
    topology = build_topology(mesh(3, 3))
    for policy, middle in (("xy", [1, 2, 5]), ("yx", [3, 6, 7])):
        routes = ROUTING[policy].routes(topology, np.array([0]), np.array([8]))
        assert topology.destination_L[routes.link_H].tolist() == [*middle, 8]


def turns(topology: Topology, policy: str) -> list[tuple[str, int]]:
    """Return every turn of every route on a mesh, such as ("EN", column in which it is made)."""
    source, destination = all_pairs(topology)
    routes = ROUTING[policy].routes(topology, source, destination)
    heading_L = np.empty(topology.num_links, dtype="<U1")
    for port, heading in MESH_PORTS.items():
        links = topology.port_link_DP[:, port]
        heading_L[links[links >= 0]] = heading
    found: set[tuple[str, int]] = set()
    for flow in range(source.size):
        for one, other in itertools.pairwise(routes.links(flow)):
            turn = str(heading_L[one] + heading_L[other])
            if turn[0] != turn[1]:
                found.add((turn, int(topology.col_D[topology.source_L[other]])))
    return sorted(found)


def test_west_first_never_turns_west_and_makes_all_other_turns():
    made = {turn for turn, _ in turns(build_topology(mesh(6, 7)), "west_first")}
    assert made == {"EN", "ES", "NE", "SE", "WN", "WS"}


def test_odd_even_turns_from_east_in_odd_columns_and_to_west_in_even_ones():
    made = turns(build_topology(mesh(6, 7)), "odd_even")
    assert {turn for turn, _ in made} == {"EN", "ES", "NE", "SE", "NW", "SW", "WN", "WS"}
    assert all(column % 2 == 1 for turn, column in made if turn in ("EN", "ES"))
    assert all(column % 2 == 0 for turn, column in made if turn in ("NW", "SW"))


def test_given_loads_turn_packets_away_from_loaded_links():
    topology = build_topology(mesh(6, 6))
    source, destination = all_pairs(topology)
    eastward = topology.port_link_DP[:, Port.EAST]
    load_L = np.zeros(topology.num_links)
    load_L[eastward[eastward >= 0]] = 1.0
    around = TurnModelRouting(name="west_first", rule=WEST_FIRST, load_L=load_L)
    routes = around.routes(topology, source, destination)
    shortest = ROUTING["xy"].routes(topology, source, destination)
    assert (routes.hops_F == shortest.hops_F).all()
    eastbound = topology.col_D[destination] > topology.col_D[source]
    column_first = ROUTING["yx"].routes(topology, source, destination)
    for flow in np.flatnonzero(eastbound):
        assert routes.links(flow).tolist() == column_first.links(flow).tolist()


def test_loads_of_another_topology_are_refused():
    policy = TurnModelRouting(name="west_first", rule=WEST_FIRST, load_L=np.zeros(7))
    with pytest.raises(ValueError, match="7 link loads given, but test system has 14 links"):
        policy.routes(build_topology(mesh(2, 3)), np.array([0]), np.array([5]))


def test_o1turn_sends_half_of_the_pairs_each_way_even_of_a_transpose():
    topology = build_topology(mesh(16, 16))
    row, col = np.divmod(np.arange(256), 16)
    source, destination = all_pairs(topology)
    transpose = row != col
    for one, other in (
        (source, destination),
        ((row * 16 + col)[transpose], (col * 16 + row)[transpose]),
    ):
        routes = ROUTING["o1turn"].routes(topology, one, other)
        way_F = ROUTING["o1turn"].channels(topology, one, other, routes)[routes.first_F1[:-1]]
        deviation = abs(way_F.mean() - 0.5) * 2 * way_F.size**0.5
        assert deviation < 3.0  # standard deviations of a fair coin
        for policy, chosen in (("xy", way_F == 0), ("yx", way_F == 1)):
            expected = ROUTING[policy].routes(topology, one, other)
            for flow in np.flatnonzero(chosen)[:500]:
                assert routes.links(flow).tolist() == expected.links(flow).tolist()


@settings(max_examples=30)
@given(
    rows=st.integers(1, 6),
    cols=st.integers(1, 6),
    pairs=st.lists(st.tuples(st.integers(0, 35), st.integers(0, 35)), min_size=1, max_size=40),
    flips=st.tuples(st.booleans(), st.booleans()),
)
def test_mirroring_the_traffic_mirrors_the_loads_of_xy(
    rows: int, cols: int, pairs: list[tuple[int, int]], flips: tuple[bool, bool]
):
    topology = build_topology(mesh(rows, cols))
    dies = np.arange(rows * cols).reshape(rows, cols)
    mirror = dies[:: -1 if flips[0] else 1, :: -1 if flips[1] else 1].ravel()
    source, destination = np.array(pairs).T % (rows * cols)
    loads = [
        dict(
            zip(
                zip(names[topology.source_L], names[topology.destination_L], strict=True),
                np.bincount(
                    ROUTING["xy"].routes(topology, s, d).link_H, minlength=topology.num_links
                ).tolist(),
                strict=True,
            )
        )
        for names, s, d in (
            (dies.ravel(), source, destination),
            (mirror, mirror[source], mirror[destination]),
        )
    ]
    assert loads[0] == loads[1]


def test_equal_ways_round_a_torus_are_shared_between_directions():
    topology = build_topology(torus(1, 8))
    source = np.arange(8)
    routes = ROUTING["xy"].routes(topology, source, (source + 4) % 8)
    loads = np.bincount(routes.link_H, minlength=topology.num_links)
    assert loads.tolist() == [2] * 16


def test_devices_of_one_node_meet_at_its_switch_and_others_at_the_fabric():
    topology = build_topology(switched(2, 4))
    routes = ROUTING["xy"].routes(topology, np.array([0, 0]), np.array([3, 4]))
    assert topology.kind_L[routes.links(0)].tolist() == [LinkKind.SCALE_UP] * 2
    assert topology.kind_L[routes.links(1)].tolist() == [LinkKind.SCALE_OUT] * 2


@pytest.mark.parametrize("policy", ROUTING)
@pytest.mark.parametrize("name", EVERY_SYSTEM)
def test_link_bytes_are_those_of_the_stored_routes(name: str, policy: str):
    topology = build_topology(EVERY_SYSTEM[name])
    if policy == "switched" and topology.has_lattice:
        return
    source, destination = all_pairs(topology)
    size_bytes = np.random.default_rng(5).integers(1, 1000, source.size).astype(float)
    routes = ROUTING[policy].routes(topology, source, destination)
    expected = np.bincount(
        routes.link_H, size_bytes.repeat(routes.hops_F), minlength=topology.num_links
    )
    found = link_bytes(topology, ROUTING[policy], source, destination, size_bytes)
    assert found.tolist() == expected.tolist()


def test_fault_aware_routes_are_xy_where_that_is_whole():
    defects = DefectMap(dead_dies=((1, 1),), dead_links=(((0, 3), (0, 4)),))
    whole, damaged = build_topology(mesh(5, 6)), build_topology(mesh(5, 6, defects))
    live_links = set(zip(damaged.source_L.tolist(), damaged.destination_L.tolist(), strict=True))
    source, destination = all_pairs(damaged)
    xy = ROUTING["xy"].routes(whole, source, destination)
    found = ROUTING["fault_aware"].routes(damaged, source, destination)
    num_broken = 0
    for flow in range(source.size):
        links = xy.links(flow)
        ends = zip(whole.source_L[links].tolist(), whole.destination_L[links].tolist(), strict=True)
        hops = list(ends)
        if set(hops) <= live_links:
            links = found.links(flow)
            assert damaged.source_L[links].tolist() == [a for a, _ in hops]
        else:
            num_broken += 1
    assert 0 < num_broken < source.size / 3


def test_latency_is_summed_along_the_route():
    topology = build_topology(mesh(3, 3))
    routes = ROUTING["xy"].routes(topology, np.array([0, 4]), np.array([8, 5]))
    assert routes.latency_s_F(topology) == pytest.approx([400e-9, 100e-9])


def test_a_pair_without_a_route_is_named():
    corner = DefectMap(dead_links=(((0, 0), (0, 1)), ((0, 0), (1, 0))))
    topology = build_topology(mesh(3, 3, corner))
    with pytest.raises(RoutingError, match=r"die 0 at \(0, 0\) to die 8 at \(2, 2\)"):
        ROUTING["xy"].routes(topology, np.array([1, 0]), np.array([2, 8]))


def test_a_dead_end_of_a_pair_is_named_as_dead():
    topology = build_topology(mesh(3, 3, DefectMap(dead_dies=((1, 1),))))
    with pytest.raises(RoutingError, match=r"die 4 at \(1, 1\) is dead"):
        ROUTING["xy"].routes(topology, np.array([0]), np.array([4]))
