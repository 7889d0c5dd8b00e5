"""Every interconnect becomes the links that its specification promises, less what is dead."""

import networkx as nx
import numpy as np
import pytest
from network_systems import EVERY_SYSTEM, LINK, SLOW_LINK, mesh, switched, torus, wafers

from waferloom.errors import SpecError
from waferloom.hardware.spec import DefectMap
from waferloom.network.topology import (
    LinkKind,
    Port,
    Topology,
    build_topology,
    components,
    largest_component,
)


def pairs(topology: Topology) -> set[tuple[int, int]]:
    return set(zip(topology.source_L.tolist(), topology.destination_L.tolist(), strict=True))


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (1, 6), (4, 5), (8, 8)])
def test_a_mesh_joins_exactly_the_neighbours(rows: int, cols: int):
    graph = nx.grid_2d_graph(rows, cols)
    expected = {
        (a[0] * cols + a[1], b[0] * cols + b[1])
        for edge in graph.edges
        for a, b in (edge, edge[::-1])
    }
    assert pairs(build_topology(mesh(rows, cols))) == expected


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (2, 4), (1, 8), (3, 4, 5), (4, 2, 1)])
def test_a_torus_wraps_every_dimension_of_more_than_two(shape: tuple[int, ...]):
    topology = build_topology(torus(*shape))
    rows, cols, depth = (*shape, 1)[:3]
    number = {
        (r, c, z): (z * rows + r) * cols + c
        for r in range(rows)
        for c in range(cols)
        for z in range(depth)
    }
    expected = set()
    for (r, c, z), die in number.items():
        for place, size in ((0, rows), (1, cols), (2, depth)):
            step = [r, c, z]
            step[place] = (step[place] + 1) % size
            if tuple(step) != (r, c, z):
                expected |= {(die, number[tuple(step)]), (number[tuple(step)], die)}
    assert pairs(topology) == expected
    assert topology.num_links == len(expected)


def test_slices_are_joined_by_one_port_per_chip():
    topology = build_topology(torus(2, 4, num_slices=3))
    fabric = topology.source_L == topology.num_nodes - 1
    assert topology.num_nodes == 3 * 8 + 1
    assert fabric.sum() == 24
    assert (topology.kind_L[fabric] == LinkKind.SLICE).all()
    assert (topology.kind_L == LinkKind.TORUS).sum() == 3 * build_topology(torus(2, 4)).num_links


def test_links_between_wafers_are_slower_and_lie_on_the_seams():
    topology = build_topology(wafers(2, 2, 2, 3))
    seam = topology.kind_L == LinkKind.WAFER
    differs = topology.domain_D[topology.source_L] != topology.domain_D[topology.destination_L]
    assert (seam == differs).all()
    assert seam.sum() == 2 * (2 * 3 + 2 * 2)  # six columns and four rows cross a seam
    assert set(topology.bandwidth_bytes_per_s_L[seam]) == {SLOW_LINK.bandwidth_bytes_per_s}
    assert set(topology.bandwidth_bytes_per_s_L[~seam]) == {LINK.bandwidth_bytes_per_s}


def test_a_device_has_a_port_to_its_node_and_one_to_the_fabric():
    topology = build_topology(switched(3, 4))
    assert topology.num_nodes == 12 + 3 + 1
    assert topology.num_links == 4 * 12
    ports = topology.port_link_DP
    assert (ports[:, : Port.NODE_UP] == -1).all()
    up, down = ports[:, Port.FABRIC_UP], ports[:, Port.FABRIC_DOWN]
    assert (topology.destination_L[up] == 15).all()
    assert (topology.source_L[down] == 15).all()
    through = topology.latency_s_L[up] + topology.latency_s_L[down]
    assert through == pytest.approx(np.full(12, SLOW_LINK.latency_s))


@pytest.mark.parametrize("name", EVERY_SYSTEM)
def test_ports_name_the_links_that_leave_and_enter(name: str):
    topology = build_topology(EVERY_SYSTEM[name])
    for die in range(topology.num_dies):
        for port in Port:
            link = topology.port_link_DP[die, port]
            if link >= 0:
                enters = port in (Port.NODE_DOWN, Port.FABRIC_DOWN)
                end = topology.destination_L[link] if enters else topology.source_L[link]
                assert end == die
    assert (np.diff(topology.source_L) >= 0).all()


@pytest.mark.parametrize("name", EVERY_SYSTEM)
def test_dead_dies_have_no_links_and_dead_links_are_gone(name: str):
    system = EVERY_SYSTEM[name]
    topology = build_topology(system)
    cols = system.grid_shape[1]
    found = pairs(topology)
    for row, col in system.defects.dead_dies:
        assert not any(row * cols + col in pair for pair in found)
    for (ra, ca), (rb, cb) in system.defects.dead_links:
        a, b = ra * cols + ca, rb * cols + cb
        assert not {(a, b), (b, a)} & found
    assert topology.is_live_D.sum() == system.num_live_dies


@pytest.mark.parametrize("name", EVERY_SYSTEM)
def test_components_agree_with_networkx(name: str):
    topology = build_topology(EVERY_SYSTEM[name])
    graph = nx.Graph()
    graph.add_nodes_from(np.flatnonzero(topology.is_live_D).tolist())
    graph.add_edges_from(pairs(topology))
    expected = sorted(
        (
            sorted(n for n in part if n < topology.num_dies)
            for part in nx.connected_components(graph)
        ),
        key=lambda part: (-len(part), part[0]),
    )
    assert [part.tolist() for part in components(topology)] == expected


def test_a_cut_off_corner_is_not_in_the_largest_component():
    corner = DefectMap(dead_links=(((0, 0), (0, 1)), ((0, 0), (1, 0))))
    topology = build_topology(mesh(3, 3, corner))
    assert largest_component(topology).tolist() == list(range(1, 9))
    assert components(topology)[1].tolist() == [0]


@pytest.mark.parametrize(
    ("defects", "message"),
    [
        (DefectMap(dead_dies=((3, 0),)), r"die \(3, 0\).*rows 0\.\.2"),
        (DefectMap(dead_links=(((0, 0), (1, 1)),)), "joins no such neighbours"),
        (
            DefectMap(dead_dies=tuple((r, c) for r in range(3) for c in range(3))),
            "all 9 dies are dead",
        ),
    ],
)
def test_impossible_defects_are_refused_in_one_sentence(defects: DefectMap, message: str):
    with pytest.raises(SpecError, match=message):
        build_topology(mesh(3, 3, defects))
