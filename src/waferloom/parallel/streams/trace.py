"""Which copy of a piece every send passes on and every product uses.

A position may see a piece more than once, as the line's turned copies do. A copy is named by the
send that delivered it; a position passes on and multiplies the newest copy it has. Per piece and
part the copies form a tree whose root is the owner's, which is why the schedule can be run
backwards: every accumulator is then sent once, to its parent.
"""

from dataclasses import dataclass

from waferloom.parallel.streams.base import Movement, Send, StreamTable


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTrace:
    """The copies of a gather. Copy `s` was delivered by send `s`; None is the owner's.

    Attributes:
        parent: For every send, the copy it passes on.
        used: For every (round, position, part) with work, the copy multiplied.
        last_use: For every send, the last round in which its copy is passed on or multiplied; None
            where that never happens.
        faults: Sends and products of pieces that are not there, in words.
    """

    parent: tuple[int | None, ...]
    used: dict[tuple[int, int, int], int | None]
    last_use: tuple[int | None, ...]
    faults: tuple[str, ...]


def trace(table: StreamTable) -> StreamTrace:
    """Follow every piece of a gather round by round.

    Raises:
        ValueError: The table is that of a reduce; trace what `reversed` returns.
    """
    if table.movement is not Movement.GATHER:
        msg = "only a gather can be traced; ask for the trace of table.reversed()"
        raise ValueError(msg)
    held: dict[tuple[int, int, int], int | None] = {
        (owner, owner, part): None
        for owner in range(table.num_positions)
        for part in range(table.num_parts)
    }
    parent: list[int | None] = [None] * len(table.sends)
    last_use: list[int | None] = [None] * len(table.sends)
    used: dict[tuple[int, int, int], int | None] = {}
    faults: list[str] = []
    sends_of = sends_by_round(table)
    for t in range(table.num_rounds):
        for s, send in sends_of[t]:
            key = (send.source, send.piece, send.part)
            if key not in held:
                faults.append(f"round {t}: position {send.source} sends {_name(send)}, not there")
                continue
            parent[s] = held[key]
            _note_use(last_use, parent[s], t)
        for d, parts in enumerate(table.work[t]):
            for part, piece in enumerate(parts):
                if piece is None:
                    continue
                if (d, piece, part) not in held:
                    faults.append(f"round {t}: position {d} uses piece {piece}, not there")
                    continue
                used[t, d, part] = held[d, piece, part]
                _note_use(last_use, used[t, d, part], t)
        for s, send in sends_of[t]:
            held[send.destination, send.piece, send.part] = s
    return StreamTrace(
        parent=tuple(parent), used=used, last_use=tuple(last_use), faults=tuple(faults)
    )


def sends_by_round(table: StreamTable) -> list[list[tuple[int, Send]]]:
    """Return for every round the sends with their numbers."""
    rounds: list[list[tuple[int, Send]]] = [[] for _ in range(table.num_rounds)]
    for number, send in enumerate(table.sends):
        rounds[send.round].append((number, send))
    return rounds


def _note_use(last_use: list[int | None], copy: int | None, t: int) -> None:
    if copy is not None:
        last_use[copy] = t


def _name(send: Send) -> str:
    return f"piece {send.piece}" if send.part == 0 else f"piece {send.piece} (part {send.part})"
