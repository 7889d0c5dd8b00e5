"""Rows of ASTRA-sim's analytical backends, and the same traffic as flows of ours.

Its model of a network is our queue with store-and-forward switching and 10 ns per message at the
receiver. Collectives on several dimensions run along the rows and then along the columns. Its
messages go the positive way where two ways round a ring are equally long.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.errors import SpecError
from waferloom.hardware.spec import LinkSpec, SwitchedSpec
from waferloom.network import COLLECTIVES, Routes, Switching, Traffic, TrafficBuilder
from waferloom.network.collectives import Collective, Exchange
from waferloom.network.collectives.double_binary_tree import DoubleBinaryTree
from waferloom.network.routing.dimension_order import XY
from waferloom.network.simulators.queue import QueueModel
from waferloom.network.topology import IntArray, LinkKind, Topology, build_topology
from waferloom.studies.network_spelling import network_system
from waferloom.units import GIB, MIB

TABLE: Final = "net_reference_astrasim.csv"
MODEL: Final = QueueModel(switching=Switching.STORE_AND_FORWARD, overhead_s=10e-9)
_ROUTING: Final = replace(XY, balances_ties=False)
_NO_LOCAL_MEMORY: Final = 1e6
"""GB/s from which the table's local-memory term is off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AstrasimRow:
    """One collective, as ASTRA-sim timed it.

    Attributes:
        topology: Such as `Ring 8` or `Mesh2D(4x4)`.
        num_dies: Dies.
        kind: What was done.
        algorithm: Per dimension.
        size_bytes: Per die, as ASTRA-sim counts it: of an all-gather, the shard.
        bandwidth_bytes_per_s: Of a link.
        latency_s: Of a link.
        is_congestion_aware: Whether messages wait for links.
        duration_s: When the last die was done.
    """

    topology: str
    num_dies: int
    kind: CollectiveKind
    algorithm: str
    size_bytes: float
    bandwidth_bytes_per_s: float
    latency_s: float
    is_congestion_aware: bool
    duration_s: float

    @property
    def shape(self) -> str:
        """Name of the topology, without its size."""
        return self.topology.split()[0].split("(")[0]

    @property
    def is_planar(self) -> bool:
        """Whether it has two dimensions."""
        return "2D" in self.shape or "x" in self.shape


def read_astrasim(data: Path) -> tuple[AstrasimRow, ...]:
    """Return the rows without a local-memory term, which is outside the network.

    Raises:
        SpecError: The table is missing.
    """
    path = data / TABLE
    if not path.is_file():
        msg = f"{data} has no {TABLE}; name the directory that holds the measured tables"
        raise SpecError(msg)
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(
            AstrasimRow(
                topology=row["topology"],
                num_dies=int(row["num_npus"]),
                kind=CollectiveKind(row["collective"]),
                algorithm=row["algorithm_per_dimension"],
                size_bytes=float(row["size_MiB"]) * MIB,
                bandwidth_bytes_per_s=float(row["link_GiB_per_s"]) * GIB,
                latency_s=float(row["link_latency_ns"]) * 1e-9,
                is_congestion_aware="unaware" not in row["backend"],
                duration_s=float(row["last_finish_ns"]) * 1e-9,
            )
            for row in csv.DictReader(file)
            if float(row["local_memory_GB_per_s"]) >= _NO_LOCAL_MEMORY
        )


def astrasim_traffic(row: AstrasimRow) -> tuple[Topology, Traffic]:
    """Return the network of a row and its messages."""
    topology = _topology(row.shape, row.num_dies, row.bandwidth_bytes_per_s, row.latency_s)
    return topology, _planar(topology, row) if row.is_planar else _linear(topology, row)


@cache
def _topology(shape: str, num_dies: int, bandwidth: float, latency_s: float) -> Topology:
    link = LinkSpec(bandwidth_bytes_per_s=bandwidth, latency_s=latency_s)
    side = int(num_dies**0.5)
    match shape:
        case "Mesh2D":
            return build_topology(network_system(f"{side}x{side}", link))
        case "Torus2D" | "RingxRing":
            return build_topology(network_system(f"torus:{side}x{side}", link))
        case "Ring":
            return build_topology(network_system(f"torus:1x{num_dies}", link))
        case "Switch":
            # its latency is that of each of the two hops
            port = LinkSpec(bandwidth_bytes_per_s=bandwidth, latency_s=2 * latency_s)
            switched = SwitchedSpec(
                kind="switched", num_nodes=1, devices_per_node=num_dies, link=port
            )
            ring = network_system(f"torus:1x{num_dies}", link)
            return build_topology(ring.model_copy(update={"interconnect": switched}))
        case "FullyConnected":
            return _fully_connected(_topology("Ring", num_dies, bandwidth, latency_s), link)
        case _:
            msg = f"{TABLE} has an unknown topology {shape!r}"
            raise SpecError(msg)


def _fully_connected(ring: Topology, link: LinkSpec) -> Topology:
    """Return the dies of a ring with a link from each to each."""
    source, destination = np.divmod(np.arange(ring.num_dies**2), ring.num_dies)
    apart = source != destination
    num_links = int(apart.sum())
    return replace(
        ring,
        source_L=source[apart],
        destination_L=destination[apart],
        bandwidth_bytes_per_s_L=np.full(num_links, link.bandwidth_bytes_per_s),
        latency_s_L=np.full(num_links, link.latency_s),
        energy_j_per_byte_L=np.zeros(num_links),
        kind_L=np.full(num_links, int(LinkKind.D2D)),
    )


def _algorithm(row: AstrasimRow) -> Collective:
    if row.algorithm == "ring":
        is_exchange = row.kind is CollectiveKind.ALL_TO_ALL
        return COLLECTIVES["relay" if is_exchange else "one_way_ring"]
    known: dict[str, Collective] = {
        "direct": COLLECTIVES["direct"],
        "halvingDoubling": COLLECTIVES["halving_doubling"],
        "doubleBinaryTree": DoubleBinaryTree(num_trees=1, num_chunks=1),
    }
    if row.algorithm not in known:
        msg = f"{TABLE} has an unknown algorithm {row.algorithm!r}"
        raise SpecError(msg)
    return known[row.algorithm]


def _linear(topology: Topology, row: AstrasimRow) -> Traffic:
    n = row.num_dies
    size = row.size_bytes * (n if row.kind is CollectiveKind.ALL_GATHER else 1)
    if row.shape == "FullyConnected":
        builder = TrafficBuilder(topology)
        builder.add(topology.source_L, topology.destination_L, size / n)
        links = np.arange(topology.num_links)
        routes = Routes(first_F1=np.arange(topology.num_links + 1), link_H=links)
        return builder.build_with(routes, num_slots=0)
    exchange = Exchange(
        topology=topology,
        policy=_ROUTING,
        groups_GN=np.arange(n)[None, :],
        kind=row.kind,
        reference_bytes=size,
        reorder=False,
    )
    traffic = _algorithm(row).traffic(exchange, size)
    assert traffic is not None, "these algorithms suit every group"
    return traffic


def _planar(topology: Topology, row: AstrasimRow) -> Traffic:
    """Return rows, then columns, each die going on as soon as its own part is done."""
    side = int(topology.num_dies**0.5)
    grid = np.arange(topology.num_dies).reshape(side, side)
    rows, columns = list(grid), list(grid.T)
    size = row.size_bytes
    builder = TrafficBuilder(topology, _ROUTING)
    wait_D = np.full(topology.num_dies, -1)
    match row.kind, row.algorithm:
        case CollectiveKind.ALL_REDUCE, "ring":
            _ring_steps(builder, rows, side - 1, size / side, wait_D)
            _ring_steps(builder, columns, 2 * (side - 1), size / side**2, wait_D)
            _ring_steps(builder, rows, side - 1, size / side, wait_D)
        case CollectiveKind.ALL_GATHER, "ring":
            _ring_steps(builder, rows, side - 1, size, wait_D)
            _ring_steps(builder, columns, side - 1, side * size, wait_D)
        case CollectiveKind.ALL_TO_ALL, "ring":
            for lines in (rows, columns):
                _ring_steps(builder, lines, side * (side - 1) // 2, size / side, wait_D)
        case CollectiveKind.ALL_TO_ALL, "direct":
            for lines in (rows, columns):
                _exchange_directly(builder, lines, size / side, wait_D)
        case unknown:
            msg = f"{TABLE} has an unknown collective on two dimensions: {unknown}"
            raise SpecError(msg)
    return builder.build(num_slots=0)


def _ring_steps(
    builder: TrafficBuilder,
    lines: Sequence[IntArray],
    count: int,
    size_bytes: float,
    wait_D: IntArray,
) -> None:
    """Add steps in which every die sends to the next of its line; update the flow into each."""
    for dies in lines:
        wait = wait_D[dies]
        for _ in range(count):
            wait = np.roll(builder.add(dies, np.roll(dies, -1), size_bytes, depends=wait), 1)
        wait_D[dies] = wait


def _exchange_directly(
    builder: TrafficBuilder, lines: Sequence[IntArray], size_bytes: float, wait_D: IntArray
) -> None:
    """Add messages from every die to all others of its line, nearest first; update the waits."""
    for dies in lines:
        into = np.stack(
            [
                np.roll(
                    builder.add(dies, np.roll(dies, -turn), size_bytes, depends=wait_D[dies]), turn
                )
                for turn in range(1, dies.size)
            ],
            axis=1,
        )
        wait_D[dies] = [builder.join(int(die), into[place]) for place, die in enumerate(dies)]
