"""What any right stream schedule satisfies, and what one costs, read from its table."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from waferloom.parallel.streams.base import Movement, StreamTable, StreamTraits
from waferloom.parallel.streams.trace import StreamTrace, trace

Needed = Callable[[int, int, int], bool]


def everything(position: int, piece: int, part: int) -> bool:
    """Whether `position` needs a part of a piece: always, unless something is masked."""
    return True


def faults_of(
    table: StreamTable, needed: Needed = everything, promised: StreamTraits | None = None
) -> tuple[str, ...]:
    """Return one sentence per rule that a schedule breaks, gather or reduce.

    - there are as many rounds as positions, and none of them uses two pieces at a position;
    - every position uses every part it needs exactly once, and no other;
    - nothing is used or sent before it has arrived;
    - every copy that arrives is used or passed on;
    - no directed link carries more than one whole piece in a round;
    - nothing is sent in the last round (of a gather);
    - no send is longer and no position holds more than promised.

    Args:
        table: The schedule.
        needed: Which (position, piece, part) take part, for masked products.
        promised: Longest send and buffers; without it, both are free.
    """
    gather = table if table.movement is Movement.GATHER else table.reversed()
    history = trace(gather)
    return (
        *_round_faults(gather),
        *history.faults,
        *_use_faults(gather, needed),
        *_copy_faults(gather, history),
        *_link_faults(gather),
        *([] if promised is None else _promise_faults(gather, promised)),
    )


def traits_of(table: StreamTable) -> StreamTraits:
    """Return what a schedule costs, counted in its table."""
    gather = table if table.movement is Movement.GATHER else table.reversed()
    loads = _link_loads(gather)
    hops = [len(gather.route(send.source, send.destination)) - 1 for send in gather.sends]
    busiest: Counter[int] = Counter()
    for (t, _, _), num_parts in loads.items():
        busiest[t] = max(busiest[t], num_parts)
    history = trace(gather)
    return StreamTraits(
        num_rounds=gather.num_rounds,
        piece_hops=sum(hops) / gather.num_parts,
        max_hops=max(hops),
        max_link_pieces=max(loads.values()) / gather.num_parts,
        serial_pieces=sum(busiest.values()) / gather.num_parts,
        chain_hops=_longest_chain(history, hops),
        transient_pieces=max(
            visiting + arriving for visiting, arriving in held_pieces(gather).values()
        ),
    )


def held_pieces(table: StreamTable) -> dict[tuple[int, int], tuple[float, float]]:
    """Return the (visiting, arriving) pieces of every (round, position) of a gather.

    A copy visits from the round after it was sent to its last use; own pieces do not count.
    """
    visiting: Counter[tuple[int, int]] = Counter()
    arriving: Counter[tuple[int, int]] = Counter()
    for send, last_use in zip(table.sends, trace(table).last_use, strict=True):
        arriving[send.round, send.destination] += 1
        for t in range(send.round + 1, (send.round if last_use is None else last_use) + 1):
            visiting[t, send.destination] += 1
    return {
        place: (visiting[place] / table.num_parts, arriving[place] / table.num_parts)
        for place in visiting | arriving
    }


def _round_faults(table: StreamTable) -> list[str]:
    n, num_rounds = table.num_positions, table.num_rounds
    faults = [] if num_rounds == n else [f"{num_rounds} rounds for {n} positions"]
    late = sum(send.round >= num_rounds - 1 for send in table.sends)
    if late:
        faults.append(f"{late} sends in the last round, where nobody can use them")
    return faults


def _use_faults(table: StreamTable, needed: Needed) -> list[str]:
    uses = Counter(
        (d, piece, part)
        for row in table.work
        for d, parts in enumerate(row)
        for part, piece in enumerate(parts)
        if piece is not None
    )
    n = table.num_positions
    everywhere = (
        (d, j, part) for d in range(n) for j in range(n) for part in range(table.num_parts)
    )
    return [
        f"position {d} uses part {part} of piece {j} {uses[d, j, part]} times, not {int(wanted)}"
        for d, j, part in everywhere
        if uses[d, j, part] != (wanted := needed(d, j, part))
    ]


def _copy_faults(table: StreamTable, history: StreamTrace) -> list[str]:
    return [
        f"round {send.round}: piece {send.piece} goes to position {send.destination} for nothing"
        for send, last_use in zip(table.sends, history.last_use, strict=True)
        if last_use is None
    ]


def _link_faults(table: StreamTable) -> list[str]:
    return [
        f"round {t}: {num_parts / table.num_parts:g} pieces from position {a} to {b}"
        for (t, a, b), num_parts in _link_loads(table).items()
        if num_parts > table.num_parts
    ]


def _promise_faults(table: StreamTable, promised: StreamTraits) -> list[str]:
    lengths = ((send, len(table.route(send.source, send.destination)) - 1) for send in table.sends)
    return [
        f"round {send.round}: {hops} hops from position {send.source} to {send.destination}, "
        f"not {promised.max_hops}"
        for send, hops in lengths
        if hops > promised.max_hops
    ] + [
        f"round {t}: position {d} holds {visiting + arriving:g} pieces in transit, "
        f"not {promised.transient_pieces:g}"
        for (t, d), (visiting, arriving) in held_pieces(table).items()
        if visiting + arriving > promised.transient_pieces
    ]


def _link_loads(table: StreamTable) -> Counter[tuple[int, int, int]]:
    """Return the parts on every (round, from, to) between neighbours."""
    return Counter(
        (send.round, a, b)
        for send in table.sends
        for a, b in pairwise(table.route(send.source, send.destination))
    )


def _longest_chain(history: StreamTrace, hops: list[int]) -> int:
    chain: list[int] = []
    for parent, own in zip(history.parent, hops, strict=True):
        chain.append(own if parent is None else chain[parent] + own)
    return max(chain)
