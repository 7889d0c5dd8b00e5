"""Every policy's routes are connected paths of live links; dimension order is what it says."""

import itertools

import networkx as nx
import numpy as np
import pytest
from network_systems import EVERY_SYSTEM, mesh, switched, torus

from waferloom.errors import RoutingError
from waferloom.hardware.spec import DefectMap
from waferloom.network.routing import ROUTING
from waferloom.network.topology import LinkKind, Topology, build_topology, components


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
    routes = ROUTING[policy].routes(topology, source, destination)
    for flow in range(source.size):
        links = routes.links(flow)
        nodes = [int(source[flow]), *topology.destination_L[links].tolist()]
        assert topology.source_L[links].tolist() == nodes[:-1]
        assert nodes[-1] == destination[flow]
        assert len(set(nodes)) == len(nodes)


@pytest.mark.parametrize("policy", ["xy", "yx"])
@pytest.mark.parametrize("name", EVERY_SYSTEM)
def test_dimension_order_routes_are_as_short_as_any_inside_a_lattice(name: str, policy: str):
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
