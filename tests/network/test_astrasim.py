"""The queueing simulator against ASTRA-sim's congestion-aware analytical backend, row by row.

The rows lie in the data directory. Their model is ours with store-and-forward switching and 10 ns
per message at the receiver. Congestion-unaware rows are a case for the bound instead: they are
faster than the links allow.
"""

import csv
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from network_systems import system_of

from waferloom.communication import CollectiveKind
from waferloom.errors import SpecError
from waferloom.hardware.spec import LinkSpec, MeshSpec, SwitchedSpec, TorusSpec
from waferloom.network.collectives import COLLECTIVES, Collective, Exchange
from waferloom.network.collectives.double_binary_tree import DoubleBinaryTree
from waferloom.network.routing import Routes
from waferloom.network.routing.dimension_order import XY
from waferloom.network.simulators import SIMULATORS, Switching
from waferloom.network.simulators.queue import QueueModel
from waferloom.network.topology import IntArray, LinkKind, Topology, build_topology
from waferloom.network.traffic import Traffic, TrafficBuilder
from waferloom.studies.data_directory import find_data

MODEL = QueueModel(switching=Switching.STORE_AND_FORWARD, overhead_s=10e-9)
ROUTING = replace(XY, balances_ties=False)
TOLERANCE = 0.01

Row = dict[str, str]


def rows() -> list[Row]:
    try:
        with (find_data() / "net_reference_astrasim.csv").open() as table:
            return list(csv.DictReader(table))
    except (SpecError, FileNotFoundError):
        return []


def label(row: Row) -> str:
    names = ("topology", "collective", "algorithm_per_dimension", "size_MiB", "link_GiB_per_s")
    return " ".join(row[name] for name in names)


ALL = rows()
AWARE = [row for row in ALL if "congestion-aware" in row["backend"]]
# The local-memory term of one row is outside the network.
COMPARED = [row for row in AWARE if float(row["local_memory_GB_per_s"]) >= 1e6]
ONE_DIMENSION = [row for row in COMPARED if "2D" not in row["topology"]]
TWO_DIMENSIONS = [row for row in COMPARED if "2D" in row["topology"]]

needs_data = pytest.mark.skipif(not ALL, reason="the data directory has no ASTRA-sim table")


@cache
def topology_of(shape: str, num_npus: int, bandwidth: float, latency_s: float) -> Topology:
    link = LinkSpec(bandwidth_bytes_per_s=bandwidth, latency_s=latency_s)
    side = int(num_npus**0.5)
    kind = shape.split()[0].split("(")[0]
    if kind == "Mesh2D":
        return build_topology(system_of(MeshSpec(kind="mesh", rows=side, cols=side, link=link)))
    if kind == "Torus2D":
        return build_topology(system_of(TorusSpec(kind="torus", shape=(side, side), link=link)))
    if kind == "Ring":
        return build_topology(system_of(TorusSpec(kind="torus", shape=(1, num_npus), link=link)))
    if kind == "Switch":
        port = LinkSpec(bandwidth_bytes_per_s=bandwidth, latency_s=2 * latency_s)
        return build_topology(
            system_of(
                SwitchedSpec(kind="switched", num_nodes=1, devices_per_node=num_npus, link=port)
            )
        )
    assert kind == "FullyConnected"
    ring = topology_of("Ring", num_npus, bandwidth, latency_s)
    source, destination = np.divmod(np.arange(num_npus**2), num_npus)
    apart = source != destination
    num_links = int(apart.sum())
    return replace(
        ring,
        source_L=source[apart],
        destination_L=destination[apart],
        bandwidth_bytes_per_s_L=np.full(num_links, bandwidth),
        latency_s_L=np.full(num_links, latency_s),
        energy_j_per_byte_L=np.zeros(num_links),
        kind_L=np.full(num_links, LinkKind.D2D),
    )


def topology_for(row: Row) -> Topology:
    return topology_of(
        row["topology"],
        int(row["num_npus"]),
        float(row["link_GiB_per_s"]) * 2**30,
        float(row["link_latency_ns"]) * 1e-9,
    )


def algorithm_for(row: Row) -> Collective:
    if row["algorithm_per_dimension"] == "ring":
        return COLLECTIVES["relay" if row["collective"] == "all_to_all" else "one_way_ring"]
    return {
        "direct": COLLECTIVES["direct"],
        "halvingDoubling": COLLECTIVES["halving_doubling"],
        "doubleBinaryTree": DoubleBinaryTree(num_trees=1, num_chunks=1),
    }[row["algorithm_per_dimension"]]


def one_dimension(row: Row) -> tuple[Topology, Traffic]:
    topology = topology_for(row)
    n = int(row["num_npus"])
    kind = CollectiveKind(row["collective"])
    size = float(row["size_MiB"]) * 2**20 * (n if kind is CollectiveKind.ALL_GATHER else 1)
    exchange = Exchange(
        topology=topology,
        policy=ROUTING,
        groups_GN=np.arange(n)[None, :],
        kind=kind,
        reference_bytes=size,
        reorder=False,
    )
    if not row["topology"].startswith("FullyConnected"):
        traffic = algorithm_for(row).traffic(exchange, size)
        assert traffic is not None
        return topology, traffic
    assert row["algorithm_per_dimension"] == "direct"
    builder = TrafficBuilder(topology)
    builder.add(topology.source_L, topology.destination_L, size / n)
    links = np.arange(topology.num_links)
    routes = Routes(first_F1=np.arange(topology.num_links + 1), link_H=links)
    return topology, builder.build_with(routes, num_slots=0)


def lines_of(topology: Topology) -> tuple[list[IntArray], list[IntArray]]:
    side = int(topology.num_dies**0.5)
    grid = np.arange(topology.num_dies).reshape(side, side)
    return list(grid), list(grid.T)


def send_round(builder: TrafficBuilder, dies: IntArray, size: float, wait: IntArray) -> IntArray:
    """Everyone sends to the next of its line; return the flow into each."""
    return np.roll(builder.add(dies, np.roll(dies, -1), size, depends=wait), 1)


def ring_steps(
    builder: TrafficBuilder, lines: list[IntArray], count: int, size: float, wait_D: IntArray
) -> None:
    for dies in lines:
        wait = wait_D[dies]
        for _ in range(count):
            wait = send_round(builder, dies, size, wait)
        wait_D[dies] = wait


def exchange_directly(
    builder: TrafficBuilder, lines: list[IntArray], size: float, wait_D: IntArray
) -> None:
    """Everyone sends to all others of its line, nearest first, and waits for all of them."""
    for dies in lines:
        turns = range(1, dies.size)
        into = np.stack(
            [
                np.roll(builder.add(dies, np.roll(dies, -t), size, depends=wait_D[dies]), t)
                for t in turns
            ],
            axis=1,
        )
        wait_D[dies] = [builder.join(int(d), into[p]) for p, d in enumerate(dies)]


def two_dimensions(row: Row) -> tuple[Topology, Traffic]:
    """Rows, then columns, each die going on as soon as its own part is done."""
    topology = topology_for(row)
    rows_and_columns = lines_of(topology)
    k = rows_and_columns[0][0].size
    size = float(row["size_MiB"]) * 2**20
    builder = TrafficBuilder(topology, ROUTING)
    wait_D = np.full(topology.num_dies, -1)
    along_rows, along_columns = rows_and_columns
    match row["collective"], row["algorithm_per_dimension"]:
        case "all_reduce", "ring":
            ring_steps(builder, along_rows, k - 1, size / k, wait_D)
            ring_steps(builder, along_columns, 2 * (k - 1), size / k**2, wait_D)
            ring_steps(builder, along_rows, k - 1, size / k, wait_D)
        case "all_gather", "ring":
            ring_steps(builder, along_rows, k - 1, size, wait_D)
            ring_steps(builder, along_columns, k - 1, k * size, wait_D)
        case "all_to_all", "ring":
            for lines in rows_and_columns:
                ring_steps(builder, lines, k * (k - 1) // 2, size / k, wait_D)
        case "all_to_all", "direct":
            for lines in rows_and_columns:
                exchange_directly(builder, lines, size / k, wait_D)
        case unknown:
            raise AssertionError(unknown)
    return topology, builder.build(num_slots=0)


@needs_data
def test_the_table_has_the_rows_that_are_compared():
    assert len(AWARE) - len(COMPARED) == 1
    assert len(ONE_DIMENSION) > 40
    assert len(TWO_DIMENSIONS) > 20


@needs_data
@pytest.mark.parametrize("row", ONE_DIMENSION, ids=label)
def test_one_dimension_agrees_within_a_percent(row: Row):
    topology, traffic = one_dimension(row)
    found_ns = MODEL.run(topology, traffic).duration_s * 1e9
    assert found_ns == pytest.approx(float(row["last_finish_ns"]), rel=TOLERANCE)


@needs_data
@pytest.mark.parametrize("row", TWO_DIMENSIONS, ids=label)
def test_two_dimensions_agree_within_a_percent(row: Row):
    topology, traffic = two_dimensions(row)
    found_ns = MODEL.run(topology, traffic).duration_s * 1e9
    assert found_ns == pytest.approx(float(row["last_finish_ns"]), rel=TOLERANCE)


@needs_data
@pytest.mark.parametrize("row", COMPARED, ids=label)
def test_the_bound_is_below_what_astrasim_found(row: Row):
    build = two_dimensions if row in TWO_DIMENSIONS else one_dimension
    topology, traffic = build(row)
    bound_ns = SIMULATORS["bound"].run(topology, traffic).duration_s * 1e9
    assert bound_ns <= float(row["last_finish_ns"]) * (1 + 1e-3)  # its nanoseconds are integers


@needs_data
def test_the_bound_flags_the_congestion_unaware_all_to_all():
    flagged = [
        row
        for row in ALL
        if "unaware" in row["backend"]
        and row["algorithm_per_dimension"] == "direct"
        and row["topology"].startswith("Ring ")
    ]
    assert flagged
    for row in flagged:
        topology, traffic = one_dimension(row)
        bound_ns = SIMULATORS["bound"].run(topology, traffic).duration_s * 1e9
        assert bound_ns > 1.5 * float(row["last_finish_ns"])
