"""Grid: a two-dimensional gather; half of every piece goes along rows first, half along columns.

In an `a x b` block the first half of a piece is passed along its row in both directions, then every
row's `b` halves are passed along the columns, one per link and round; the second half does the same
with rows and columns exchanged. A corner, which has two links, receives a whole piece per round, so
the gather takes the least time any can, `(N - 1) / 2` piece times, on a square block; on others the
halves share the links of the longer side for `|a - b|` rounds. Dependent hops are only `a + b - 2`
instead of `N - 1`, which is what counts for small pieces.

Pieces arrive early in the middle of the block and are kept until they have been multiplied and
passed on: `held_pieces` counts up to 9 of them on 4x4; buffers for the whole gather always do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from waferloom.parallel.streams.base import (
    Arrangement,
    Send,
    StreamTable,
    StreamTraits,
    Work,
    check_positions,
    in_order,
)


@dataclass(frozen=True, slots=True)
class Grid:
    """The gather of halves along both axes of a block; pieces are multiplied as they arrive."""

    name: str = "grid"
    arrangement: Arrangement = Arrangement.GRID

    def table(self, num_positions: int, rows: int = 1) -> StreamTable:
        """Return `N` rounds of one-hop sends of half pieces."""
        check_positions(num_positions, rows)
        a, b = rows, num_positions // rows
        rows_first = [
            Send(t, r * b + c, s * b + e, q * b + k) for t, (r, c), (s, e), (q, k) in _half(a, b)
        ]
        columns_first = [
            Send(t, r * b + c, s * b + e, q * b + k, 1) for t, (c, r), (e, s), (k, q) in _half(b, a)
        ]
        sends = in_order((*rows_first, *columns_first))
        return StreamTable(
            num_positions=num_positions,
            arrangement=self.arrangement,
            rows=rows,
            num_parts=2,
            work=_as_they_arrive(num_positions, sends),
            sends=sends,
        )

    def traits(self, num_positions: int, rows: int = 1) -> StreamTraits:
        """Return the traffic of a ring; `transient_pieces` is room for the whole gather."""
        check_positions(num_positions, rows)
        n, a, b = num_positions, rows, num_positions // rows
        return StreamTraits(
            num_rounds=n,
            piece_hops=n * (n - 1),
            max_hops=1,
            max_link_pieces=0.5 if a == b else 1.0,
            serial_pieces=(n - 1 + abs(a - b)) / 2,
            chain_hops=a + b - 2,
            transient_pieces=n - 1.0,
        )


Place = tuple[int, int]


def _half(a: int, b: int) -> Iterator[tuple[int, Place, Place, Place]]:
    """Yield (round, from, to, owner) of the half that goes along rows first."""
    places = [(r, c) for r in range(a) for c in range(b)]
    for r, c in places:
        for step in (-1, 1):
            if 0 <= c + step < b:
                owners = range(c, b) if step < 0 else range(c, -1, -1)
                for t, owner in enumerate(owners):
                    yield t, (r, c), (r, c + step), (r, owner)
            if 0 <= r + step < a:
                bundles = range(r, a) if step < 0 else range(r, -1, -1)
                passed_on = [(bundle, k) for bundle in bundles for k in range(b)]
                for t, owned_at in enumerate(passed_on, start=b - 1):
                    yield t, (r, c), (r + step, c), owned_at


def _as_they_arrive(n: int, sends: tuple[Send, ...]) -> Work:
    """Return the work that takes one half of each kind per round, own first, then by arrival."""
    queues = [[[d], [d]] for d in range(n)]
    for send in sends:
        queues[send.destination][send.part].append(send.piece)
    return tuple(tuple((queues[d][0][t], queues[d][1][t]) for d in range(n)) for t in range(n))


GRID: Final = Grid()
