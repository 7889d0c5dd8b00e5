"""The network simulators against other simulators and against each other.

- `queue` against the congestion-aware rows of ASTRA-sim, the same messages on both sides; and
  `bound` below them, and above those congestion-unaware rows that beat the links.
- `packet` against BookSim: latency below saturation, and the load at which it saturates.
- `fluid`, the default for scores, against `packet`, the judge, on the traffic plans are made of;
  with `queue` beside them, and the efficiency of the packets: the bound over their time.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.errors import SpecError
from waferloom.hardware.spec import LinkSpec
from waferloom.network import (
    SIMULATORS,
    Topology,
    Traffic,
    TrafficBuilder,
    build_topology,
    collective_traffic,
)
from waferloom.network.simulators.packet import PacketModel
from waferloom.network.synchronisation import with_barriers
from waferloom.studies.astrasim_rows import MODEL, AstrasimRow, astrasim_traffic, read_astrasim
from waferloom.studies.network_spelling import network_system
from waferloom.studies.traffic_curve import load_curve
from waferloom.units import GB, MB, NS

QUEUE_TOLERANCE: Final = 0.01
BOOKSIM_TOLERANCE: Final = 0.05
BELOW_SATURATION: Final = 0.8
BOOKSIM_TABLE: Final = "net_reference_booksim.csv"
ROUNDING_S: Final = 1 * NS
"""ASTRA-sim prints whole nanoseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueResult:
    """One row of ASTRA-sim.

    Attributes:
        row: As it was published.
        queue_s: Ours, with its switching and its overhead.
        bound_s: The least any network needs for these messages.
    """

    row: AstrasimRow
    queue_s: float
    bound_s: float

    @property
    def error(self) -> float:
        """Ours over theirs, less 1."""
        return self.queue_s / self.row.duration_s - 1.0

    @property
    def beats_the_links(self) -> bool:
        """Whether their time is below what the links allow."""
        return self.row.duration_s < self.bound_s - ROUNDING_S


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksimResult:
    """One rate of BookSim.

    Attributes:
        mesh_k: Dies on a side.
        rate: Offered, in flits per die and cycle.
        booksim_cycles: Its mean latency; None where it did not settle.
        packet_cycles: Ours.
        booksim_accepted: Its accepted load; None where it did not settle.
        packet_accepted: Ours.
        is_compared: Whether the latency counts: below 80 % of the load at which BookSim saturates.
    """

    mesh_k: int
    rate: float
    booksim_cycles: float | None
    packet_cycles: float
    booksim_accepted: float | None
    packet_accepted: float
    is_compared: bool

    @property
    def error(self) -> float | None:
        """Latency, ours over theirs, less 1."""
        if self.booksim_cycles is None:
            return None
        return self.packet_cycles / self.booksim_cycles - 1.0


class CaseFamily(StrEnum):
    """Traffic of one kind; each has its own target."""

    RING = "ring"
    NEIGHBOUR = "neighbours"
    TWO_DIMENSIONAL = "two-dimensional"
    SHIFTED = "shift-scheduled all-to-all"
    UNSCHEDULED = "unscheduled all-to-all"
    PIPELINE = "pipelined chain and line"


TARGETS: Final[Mapping[CaseFamily, float | None]] = {
    CaseFamily.RING: 0.05,
    CaseFamily.NEIGHBOUR: 0.05,
    CaseFamily.TWO_DIMENSIONAL: 0.05,
    CaseFamily.SHIFTED: 0.15,
    CaseFamily.UNSCHEDULED: 0.30,
    CaseFamily.PIPELINE: None,
}
"""How far `fluid` may be from `packet`; pipelines are reported without a target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FidelityCase:
    """Traffic on a network.

    Attributes:
        family: Kind of traffic.
        name: For tables.
        mesh: As `network_spelling` reads it.
        size_bytes: Of what each die holds, or of each message of neighbours.
        build: Makes the flows.
    """

    family: CaseFamily
    name: str
    mesh: str
    size_bytes: float
    build: Callable[[Topology, float], Traffic]


@dataclass(frozen=True, slots=True, kw_only=True)
class FidelityResult:
    """A case in every simulator.

    Attributes:
        case: What was timed.
        bound_s: By `bound`.
        queue_s: By `queue`.
        fluid_s: By `fluid`.
        packet_s: By `packet`.
        flit_bytes: Of its flits.
    """

    case: FidelityCase
    bound_s: float
    queue_s: float
    fluid_s: float
    packet_s: float
    flit_bytes: float

    @property
    def fluid_error(self) -> float:
        """Fluid over packet, less 1."""
        return self.fluid_s / self.packet_s - 1.0

    @property
    def queue_error(self) -> float:
        """Queue over packet, less 1."""
        return self.queue_s / self.packet_s - 1.0

    @property
    def efficiency(self) -> float:
        """Share of the time that the bound accounts for."""
        return self.bound_s / self.packet_s

    @property
    def is_within(self) -> bool:
        """Whether fluid is as close to packet as its family asks."""
        target = TARGETS[self.case.family]
        return target is None or abs(self.fluid_error) <= target


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkValidation:
    """All three comparisons.

    Attributes:
        queue: Rows of ASTRA-sim.
        booksim: Rows of BookSim.
        fidelities: Cases of our own.
    """

    queue: tuple[QueueResult, ...]
    booksim: tuple[BooksimResult, ...]
    fidelities: tuple[FidelityResult, ...]

    @property
    def worst_queue_error(self) -> float:
        """Largest error of a congestion-aware row."""
        return max(abs(each.error) for each in self.queue if each.row.is_congestion_aware)

    @property
    def worst_latency_error(self) -> float:
        """Largest error of a latency that counts."""
        return max(
            abs(each.error) for each in self.booksim if each.is_compared and each.error is not None
        )

    @property
    def saturation(self) -> tuple[float, float]:
        """Highest accepted load of 8x8 dies, BookSim's and ours."""
        large = [each for each in self.booksim if each.mesh_k == 8]
        theirs = max(each.booksim_accepted or 0.0 for each in large)
        return theirs, max(each.packet_accepted for each in large)

    @property
    def is_met(self) -> bool:
        """Whether every target is met."""
        theirs, ours = self.saturation
        return (
            self.worst_queue_error <= QUEUE_TOLERANCE
            and self.worst_latency_error <= BOOKSIM_TOLERANCE
            and abs(ours / theirs - 1.0) <= BOOKSIM_TOLERANCE
            and all(each.is_within for each in self.fidelities)
        )


def validate_network(data_dir: Path) -> NetworkValidation:
    """Run all comparisons; some two minutes.

    Args:
        data_dir: Directory of the reference tables.

    Raises:
        SpecError: A table is missing.
    """
    return NetworkValidation(
        queue=compare_with_astrasim(data_dir),
        booksim=compare_with_booksim(data_dir),
        fidelities=tuple(run_case(case) for case in CASES),
    )


def compare_with_astrasim(data_dir: Path) -> tuple[QueueResult, ...]:
    """Time every row of ASTRA-sim; of congestion-unaware ones the bound alone means something."""
    results: list[QueueResult] = []
    for row in read_astrasim(data_dir):
        topology, traffic = astrasim_traffic(row)
        results.append(
            QueueResult(
                row=row,
                queue_s=MODEL.run(topology, traffic).duration_s,
                bound_s=SIMULATORS["bound"].run(topology, traffic).duration_s,
            )
        )
    return tuple(results)


def compare_with_booksim(data_dir: Path) -> tuple[BooksimResult, ...]:
    """Offer the same loads to routers with the same parameters.

    Raises:
        SpecError: The table is missing.
    """
    path = data_dir / BOOKSIM_TABLE
    if not path.is_file():
        msg = f"{data_dir} has no {BOOKSIM_TABLE}; name the directory that holds the tables"
        raise SpecError(msg)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    results: list[BooksimResult] = []
    for mesh_k in sorted({int(row["mesh_k"]) for row in rows}):
        mine = [row for row in rows if int(row["mesh_k"]) == mesh_k]
        accepted = [_number(row["accepted_flits_per_node_cycle"]) for row in mine]
        # where no run failed to settle, saturation lies above all rates
        all_settled = all(each is not None for each in accepted)
        highest = float("inf") if all_settled else max(each or 0.0 for each in accepted)
        unit = LinkSpec(bandwidth_bytes_per_s=1.0, latency_s=0.0)
        topology = build_topology(network_system(f"{mesh_k}x{mesh_k}", unit))
        rates = [float(row["injection_rate_flits_per_node_cycle"]) for row in mine]
        curve = load_curve(topology, "uniform", rates)
        for row, rate, point in zip(mine, rates, curve.points, strict=True):
            results.append(
                BooksimResult(
                    mesh_k=mesh_k,
                    rate=rate,
                    booksim_cycles=_number(row["avg_packet_latency_cycles"]),
                    packet_cycles=point.latency_cycles,
                    booksim_accepted=_number(row["accepted_flits_per_node_cycle"]),
                    packet_accepted=point.accepted,
                    is_compared=rate <= BELOW_SATURATION * highest,
                )
            )
    return tuple(results)


def _number(text: str) -> float | None:
    return float(text) if text else None


LINK: Final = LinkSpec(bandwidth_bytes_per_s=1000 * GB, latency_s=100 * NS)
"""Of the cases: between the links of published wafers. An assumption; errors depend on the ratio
of size to latency times bandwidth (100 kB) alone."""
_FLITS_PER_MESSAGE: Final = 256
"""So that filling a router's pipeline, a few flits, counts as little as with real flits."""
_LEAST_FLIT_BYTES: Final = 64.0


def run_case(case: FidelityCase, link: LinkSpec = LINK) -> FidelityResult:
    """Time a case in every simulator.

    A flit is a 256th of the smallest message: much larger than a real one, and small enough that
    the few cycles which a router adds per hop stay below what is compared.
    """
    topology = build_topology(network_system(case.mesh, link))
    traffic = case.build(topology, case.size_bytes)
    moved_F = traffic.size_bytes_F[np.diff(traffic.first_link_F1) > 0]
    flit_bytes = max(_LEAST_FLIT_BYTES, float(moved_F[moved_F > 0].min()) / _FLITS_PER_MESSAGE)
    coarse = {
        name: SIMULATORS[name].run(topology, traffic).duration_s
        for name in ("bound", "queue", "fluid")
    }
    packet = replace(PacketModel(), flit_bytes=flit_bytes)
    return FidelityResult(
        case=case,
        bound_s=coarse["bound"],
        queue_s=coarse["queue"],
        fluid_s=coarse["fluid"],
        packet_s=packet.run(topology, traffic).duration_s,
        flit_bytes=flit_bytes,
    )


def _collective(kind: CollectiveKind, algorithm: str) -> Callable[[Topology, float], Traffic]:
    def build(topology: Topology, size_bytes: float) -> Traffic:
        everyone = np.arange(topology.num_dies)[None, :]
        return collective_traffic(topology, everyone, kind, size_bytes, algorithm=algorithm)

    return build


def _neighbours(topology: Topology, size_bytes: float) -> Traffic:
    """Every die sends to every die beside it, at once."""
    builder = TrafficBuilder(topology)
    builder.add(topology.source_L, topology.destination_L, size_bytes)
    return builder.build(num_slots=0)


def _in_turns(topology: Topology, size_bytes: float) -> Traffic:
    """Turn by turn, every die sends to the die `turn` places on, when its last message is there."""
    n = topology.num_dies
    dies = np.arange(n)
    builder = TrafficBuilder(topology)
    wait = np.full(n, -1)
    for turn in range(1, n):
        wait = builder.add(dies, np.roll(dies, -turn), size_bytes / n, depends=wait)
    return builder.build(num_slots=0)


def _in_rounds(topology: Topology, size_bytes: float) -> Traffic:
    """The same, but every turn waits for all messages of the turn before."""
    return with_barriers(_in_turns(topology, size_bytes)).traffic


def _cases() -> tuple[FidelityCase, ...]:
    reduce, gather = CollectiveKind.ALL_REDUCE, CollectiveKind.ALL_GATHER
    exchange, broadcast = CollectiveKind.ALL_TO_ALL, CollectiveKind.BROADCAST
    listed: list[tuple[CaseFamily, str, Callable[[Topology, float], Traffic], tuple[float, ...]]]
    listed = [
        (CaseFamily.RING, "ring all-reduce", _collective(reduce, "ring"), (1 * MB, 16 * MB)),
        (CaseFamily.RING, "ring all-gather", _collective(gather, "ring"), (16 * MB,)),
        (CaseFamily.NEIGHBOUR, "messages to neighbours", _neighbours, (1 * MB, 16 * MB)),
        (
            CaseFamily.TWO_DIMENSIONAL,
            "two-dimensional all-reduce",
            _collective(reduce, "two_dimensional"),
            (1 * MB, 16 * MB),
        ),
        (
            CaseFamily.TWO_DIMENSIONAL,
            "two-dimensional all-gather",
            _collective(gather, "two_dimensional"),
            (16 * MB,),
        ),
        (CaseFamily.SHIFTED, "all-to-all, barriers", _in_rounds, (1 * MB, 16 * MB)),
        (CaseFamily.SHIFTED, "all-to-all, in turns", _in_turns, (1 * MB, 16 * MB)),
        (
            CaseFamily.UNSCHEDULED,
            "all-to-all, at once",
            _collective(exchange, "direct"),
            (1 * MB, 16 * MB),
        ),
        (
            CaseFamily.PIPELINE,
            "chain broadcast",
            _collective(broadcast, "chain"),
            (16 * MB,),
        ),
        (CaseFamily.PIPELINE, "line all-reduce", _collective(reduce, "line"), (16 * MB,)),
    ]
    return tuple(
        FidelityCase(family=family, name=name, mesh=mesh, size_bytes=size, build=build)
        for family, name, build, sizes in listed
        for mesh in ("4x4", "8x8")
        for size in sizes
    )


CASES: Final = _cases()
"""What plans are made of, on two meshes."""
