"""Stream schedules on dies: every send becomes a flow, every product a use of a buffer.

A gather copies pieces from buffer to buffer; a reduce adds accumulators. What a position multiplies
(or adds) in a round is written down too, as a flow from the die to itself that takes no time: it
copies the visiting piece to a slot of its own (or adds the die's share to the accumulator). The
interpreter can so show that every position really had the right piece at hand, and, with `reuse`,
that few buffers are enough whatever the timing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import numpy as np

from waferloom.errors import RoutingError
from waferloom.geometry import (
    Die,
    grid_dies,
    hamiltonian_cycle,
    has_hamiltonian_cycle,
    serpentine,
)
from waferloom.network.routing import Routes, RoutingPolicy
from waferloom.network.topology import Topology
from waferloom.network.traffic import NOTHING, Action, Traffic, TrafficBuilder
from waferloom.parallel.streams import Arrangement, Movement, StreamTable, StreamTrace, trace
from waferloom.parallel.streams.trace import sends_by_round


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSlots:
    """Where things lie in the buffer of every die; a slot has room for one part of a piece.

    In a gather the own slots hold a position's piece at the start, and the work slots all pieces at
    the end. In a reduce the work slots hold the position's share of every piece at the start, all
    others are zero, and the own slots hold the sum at the end.

    Attributes:
        num_positions: Positions, and pieces.
        num_parts: Of a piece.
        num_transient: Slots for visiting and arriving parts.
    """

    num_positions: int
    num_parts: int
    num_transient: int

    def own(self, part: int = 0) -> int:
        """Return the slot of a part of the die's own piece or sum."""
        return part

    def transient(self, index: int) -> int:
        """Return a slot of what is in transit."""
        return self.num_parts + index

    def work(self, piece: int, part: int = 0) -> int:
        """Return the slot of what was multiplied, or of the share to be added."""
        return self.num_parts + self.num_transient + piece * self.num_parts + part

    @property
    def zero(self) -> int:
        """A slot that stays zero, to clear others with."""
        return self.work(self.num_positions)

    @property
    def num_slots(self) -> int:
        """All of them."""
        return self.zero + 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreamTraffic:
    """A stream as flows.

    Attributes:
        traffic: The flows; phases `stream`, `work` and `barrier`.
        slots: What their payload means.
    """

    traffic: Traffic
    slots: StreamSlots


def stream_positions(arrangement: Arrangement, rows: int, cols: int) -> tuple[Die, ...] | None:
    """Return the positions of a stream in a block of dies, or None where it has no such order.

    A path is the snake, a cycle the one-hop ring (which blocks of odd area or one row lack), a grid
    the block row by row.

    Example:
        >>> [tuple(die) for die in stream_positions(Arrangement.PATH, 2, 2)]
        [(0, 0), (0, 1), (1, 1), (1, 0)]
        >>> stream_positions(Arrangement.CYCLE, 3, 3) is None
        True
    """
    match arrangement:
        case Arrangement.PATH:
            return serpentine(rows, cols)
        case Arrangement.GRID:
            return grid_dies(rows, cols)
        case Arrangement.CYCLE:
            if rows * cols == 2:
                return grid_dies(rows, cols)
            return hamiltonian_cycle(rows, cols) if has_hamiltonian_cycle(rows, cols) else None


def lower_stream(
    topology: Topology,
    dies: Sequence[int],
    table: StreamTable,
    piece_bytes: float,
    *,
    routing: RoutingPolicy | None = None,
    barrier_per_round: bool = False,
    reuse: bool = False,
) -> StreamTraffic:
    """Return the flows of a stream schedule, gather or reduce.

    Args:
        topology: Where.
        dies: The die of every position, in the order of `table`.
        table: The schedule.
        piece_bytes: Bytes of a whole piece.
        routing: Routes of the sends; if absent, they go from position to position, each of which
            must be linked to the next.
        barrier_per_round: Every send waits for all sends of the round before. Without it, a send
            waits for what it passes on and leaves after the one before it on the same way.
        reuse: Buffers of pieces in transit are used again, and sends wait for them; without it
            every copy has a slot of its own.

    Raises:
        ValueError: The dies do not match the table, or a size is negative.
        RoutingError: Two positions that must be neighbours are not linked.
    """
    _check(topology, dies, table, piece_bytes)
    gather = table if table.movement is Movement.GATHER else table.reversed()
    history = trace(gather)
    if history.faults:
        msg = f"the schedule cannot be run: {'; '.join(history.faults[:3])}"
        raise ValueError(msg)
    buffers = _buffers(gather, history, reuse=reuse)
    slots = StreamSlots(
        num_positions=table.num_positions,
        num_parts=table.num_parts,
        num_transient=buffers.num_transient,
    )
    lowering = _Lowering(
        dies=tuple(int(die) for die in dies),
        gather=gather,
        history=history,
        buffers=buffers,
        slots=slots,
        part_bytes=piece_bytes / table.num_parts,
        has_barriers=barrier_per_round,
    )
    if table.movement is Movement.GATHER:
        lowering.add_gather()
    else:
        lowering.add_reduce()
    builder = TrafficBuilder(topology) if routing is None else TrafficBuilder(topology, routing)
    lowering.flush(builder)
    if routing is not None:
        return StreamTraffic(traffic=builder.build(slots.num_slots), slots=slots)
    routes = _routes_over_positions(topology, lowering.flows)
    return StreamTraffic(traffic=builder.build_with(routes, slots.num_slots), slots=slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Buffers:
    """The transient slot of every copy, and which copies had it before and have it after."""

    index: list[int]
    before: list[int | None]
    after: list[int | None]
    num_transient: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flow:
    source: int
    destination: int
    via: tuple[int, ...]
    size_bytes: float
    depends: list[int]
    previous: int
    read: int
    write: int
    action: Action
    phase: str


@dataclass(slots=True, kw_only=True)
class _Lowering:
    """Lists the flows of one stream, rounds in order of time."""

    dies: tuple[int, ...]
    gather: StreamTable
    history: StreamTrace
    buffers: _Buffers
    slots: StreamSlots
    part_bytes: float
    has_barriers: bool
    flows: list[_Flow] = field(default_factory=list[_Flow])
    last_sent: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])

    def add_gather(self) -> None:
        """A copy depends on the one it was made from, and on the last use of its buffer."""
        sends = self.gather.sends
        arrival = [NOTHING] * len(sends)
        readers: list[list[int]] = [[] for _ in sends]
        barrier = NOTHING
        for t, sends_of_round in enumerate(sends_by_round(self.gather)):
            sent: list[int] = []
            for s, send in sends_of_round:
                copy, before = self.history.parent[s], self.buffers.before[s]
                depends = [barrier] if copy is None else [barrier, arrival[copy]]
                arrival[s] = self._send(
                    send.source,
                    send.destination,
                    depends if before is None else depends + readers[before],
                    read=self._slot(copy, send.part),
                    write=self._slot(s, send.part),
                    action=Action.COPY,
                )
                sent.append(arrival[s])
                if copy is not None:
                    readers[copy].append(arrival[s])
            for d, part, piece in self._work_of(t):
                copy = self.history.used[t, d, part]
                use = self._stay(
                    d,
                    [] if copy is None else [arrival[copy]],
                    read=self._slot(copy, part),
                    write=self.slots.work(piece, part),
                    action=Action.COPY,
                )
                if copy is not None:
                    readers[copy].append(use)
            barrier = self._barrier(sent)

    def add_reduce(self) -> None:
        """The same backwards: an accumulator leaves once all its children and the share are in."""
        sends = self.gather.sends
        departure = [NOTHING] * len(sends)
        cleared = [NOTHING] * len(sends)
        inputs: list[list[int]] = [[] for _ in sends]
        barrier = NOTHING
        first_written: list[list[int]] = [[] for _ in range(self.gather.num_rounds)]
        for s, last_use in enumerate(self.history.last_use):
            if last_use is not None:
                first_written[last_use].append(s)
        rounds = sends_by_round(self.gather)
        for t in reversed(range(self.gather.num_rounds)):
            for s in first_written[t]:
                after = self.buffers.after[s]
                if after is not None:
                    cleared[s] = self._stay(
                        sends[s].destination,
                        [departure[after]],
                        read=self.slots.zero,
                        write=self._slot(s, sends[s].part),
                        action=Action.COPY,
                    )
            for d, part, piece in self._work_of(t):
                copy = self.history.used[t, d, part]
                share = self._stay(
                    d,
                    [] if copy is None else [cleared[copy]],
                    read=self.slots.work(piece, part),
                    write=self._slot(copy, part),
                    action=Action.REDUCE,
                )
                if copy is not None:
                    inputs[copy].append(share)
            sent: list[int] = []
            for s, send in rounds[t]:
                copy = self.history.parent[s]
                departure[s] = self._send(
                    send.destination,
                    send.source,
                    [barrier, *inputs[s], NOTHING if copy is None else cleared[copy]],
                    read=self._slot(s, send.part),
                    write=self._slot(copy, send.part),
                    action=Action.REDUCE,
                )
                sent.append(departure[s])
                if copy is not None:
                    inputs[copy].append(departure[s])
            barrier = self._barrier(sent)

    def flush(self, builder: TrafficBuilder) -> None:
        """Hand the flows to a builder, runs of one kind at a time."""
        for (phase, action), run in groupby(self.flows, key=lambda flow: (flow.phase, flow.action)):
            flows = list(run)
            widest = max(1, *(len(flow.depends) for flow in flows))
            builder.add(
                [flow.source for flow in flows],
                [flow.destination for flow in flows],
                [flow.size_bytes for flow in flows],
                depends=[flow.depends + [NOTHING] * (widest - len(flow.depends)) for flow in flows],
                previous=[flow.previous for flow in flows],
                read=[flow.read for flow in flows],
                write=[flow.write for flow in flows],
                action=action,
                phase=phase,
            )

    def _slot(self, copy: int | None, part: int) -> int:
        return part if copy is None else self.slots.transient(self.buffers.index[copy])

    def _work_of(self, t: int) -> list[tuple[int, int, int]]:
        return [
            (d, part, piece)
            for d, parts in enumerate(self.gather.work[t])
            for part, piece in enumerate(parts)
            if piece is not None
        ]

    def _send(
        self,
        source: int,
        destination: int,
        depends: list[int],
        *,
        read: int,
        write: int,
        action: Action,
    ) -> int:
        via = tuple(self.dies[position] for position in self.gather.route(source, destination))
        previous = self.last_sent.get((source, destination), NOTHING)
        self.last_sent[source, destination] = len(self.flows)
        return self._list(
            _Flow(
                source=via[0],
                destination=via[-1],
                via=via,
                size_bytes=self.part_bytes,
                depends=sorted({flow for flow in depends if flow != NOTHING}),
                previous=previous,
                read=read,
                write=write,
                action=action,
                phase="stream",
            )
        )

    def _stay(
        self, position: int, depends: list[int], *, read: int, write: int, action: Action
    ) -> int:
        die = self.dies[position]
        return self._list(
            _Flow(
                source=die,
                destination=die,
                via=(die,),
                size_bytes=0.0,
                depends=sorted({flow for flow in depends if flow != NOTHING}),
                previous=NOTHING,
                read=read,
                write=write,
                action=action,
                phase="work" if read != NOTHING else "barrier",
            )
        )

    def _barrier(self, sent: list[int]) -> int:
        if not self.has_barriers or not sent:
            return NOTHING
        return self._stay(0, sent, read=NOTHING, write=NOTHING, action=Action.COPY)

    def _list(self, flow: _Flow) -> int:
        self.flows.append(flow)
        return len(self.flows) - 1


def _buffers(gather: StreamTable, history: StreamTrace, *, reuse: bool) -> _Buffers:
    """Give every copy a slot: one of its own, or the first that is free when it is sent."""
    sends = gather.sends
    index = [0] * len(sends)
    before: list[int | None] = [None] * len(sends)
    after: list[int | None] = [None] * len(sends)
    occupants: list[list[int]] = [[] for _ in range(gather.num_positions)]  # last copy of each slot
    for s, send in enumerate(sends):
        slots = occupants[send.destination]
        free = (i for i, copy in enumerate(slots) if _is_free(history, copy, send.round))
        index[s] = next(free, len(slots)) if reuse else len(slots)
        if index[s] == len(slots):
            slots.append(s)
            continue
        before[s] = slots[index[s]]
        after[slots[index[s]]] = s
        slots[index[s]] = s
    return _Buffers(index=index, before=before, after=after, num_transient=max(map(len, occupants)))


def _is_free(history: StreamTrace, copy: int, t: int) -> bool:
    last_use = history.last_use[copy]
    return last_use is not None and last_use < t


def _routes_over_positions(topology: Topology, flows: Sequence[_Flow]) -> Routes:
    pairs = [pair for flow in flows for pair in pairwise(flow.via)]
    key_L = topology.source_L * topology.num_nodes + topology.destination_L
    key_H = np.array([a * topology.num_nodes + b for a, b in pairs], dtype=np.int64)
    link_H = np.minimum(np.searchsorted(key_L, key_H), topology.num_links - 1)
    missing = np.flatnonzero(key_L[link_H] != key_H)
    if missing.size:
        a, b = pairs[int(missing[0])]
        msg = (
            f"no live link joins {topology.die_name(a)} and {topology.die_name(b)}, which are "
            "neighbours in the stream; choose another order of the dies, or give a routing policy"
        )
        raise RoutingError(msg)
    hops = [len(flow.via) - 1 for flow in flows]
    return Routes(first_F1=np.concatenate([[0], np.cumsum(hops)]), link_H=link_H)


def _check(topology: Topology, dies: Sequence[int], table: StreamTable, piece_bytes: float) -> None:
    faults: list[str] = []
    if len(dies) != table.num_positions:
        faults.append(f"the schedule has {table.num_positions} positions, found {len(dies)} dies")
    if len(set(dies)) != len(dies):
        faults.append("a die is named twice")
    unknown = [die for die in dies if not 0 <= die < topology.num_dies]
    if unknown:
        faults.append(f"die {unknown[0]} is not one of the {topology.num_dies} of {topology.name}")
    dead = [die for die in set(dies) - set(unknown) if not topology.is_live_D[die]]
    if dead:
        faults.append(f"{topology.die_name(min(dead))} is dead")
    if not piece_bytes >= 0:
        faults.append(f"a piece has at least 0 bytes, found {piece_bytes!r}")
    if faults:
        raise ValueError("; ".join(faults))
