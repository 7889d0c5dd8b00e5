"""TATP on a line: two opposite flows whose pieces are turned round, one hop per send.

Let `m = ceil(N / 2)`. Positions below `m` multiply pieces in the order of a ring that runs left,
`d, d + 1, ..., N - 1, 0, ..., d - 1`, the others in that of a ring that runs right. Every piece
travels both ways from its owner until the end of the line. A piece from the other end arrives by
the direct flow long before ring order asks for it; instead of being kept, it is sent back from
where it arrives in time, and meets every position of its half in the round in which that one
multiplies it. With odd N it waits one round at the turn.

Such a schedule holds two visiting pieces where keeping them would hold `N / 2`, for
`(N - 2)^2 / 2` piece-hops more (even N).

Source:
    The idea is TEMP's (arXiv 2512.14256, section V). The exact rules are ours: they have every
    property reported of its Algorithm 1; that they are equal to it is not proven.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from waferloom.parallel.streams.base import (
    Arrangement,
    Send,
    StreamTable,
    StreamTraits,
    check_positions,
    in_order,
)


@dataclass(frozen=True, slots=True)
class Line:
    """The reflecting dual stream, on any simple path."""

    name: str = "line"
    arrangement: Arrangement = Arrangement.PATH

    def table(self, num_positions: int, rows: int = 1) -> StreamTable:
        """Return `N` rounds of one-hop sends."""
        check_positions(num_positions, rows)
        n = num_positions
        return StreamTable(
            num_positions=n,
            arrangement=self.arrangement,
            work=tuple(tuple((line_piece(n, t, d),) for d in range(n)) for t in range(n)),
            sends=in_order(send for t in range(n) for d in range(n) for send in _sends(n, t, d)),
        )

    def traits(self, num_positions: int, rows: int = 1) -> StreamTraits:
        """Return about three quarters of all directed links busy, and four pieces in transit."""
        check_positions(num_positions, rows)
        n = num_positions
        twice_hops = 3 * n * n - 6 * n + 4 if n % 2 == 0 else 3 * n * n - 7 * n + 6
        return StreamTraits(
            num_rounds=n,
            piece_hops=twice_hops // 2,
            max_hops=1,
            max_link_pieces=1.0,
            serial_pieces=n - 1.0,
            chain_hops=n - 1,
            transient_pieces=float(_TRANSIENT_PIECES.get(n, 4)),
        )


_TRANSIENT_PIECES: Final = {2: 1, 3: 2, 4: 3}
"""Lines too short for two visiting and two arriving pieces at once."""


def line_piece(n: int, t: int, d: int) -> int:
    """Return the piece that position `d` multiplies in round `t`."""
    return (d + t) % n if d < lower_half(n) else (d - t) % n


def lower_half(n: int) -> int:
    """Return how many positions multiply in leftward ring order; also the first turning round."""
    return (n + 1) // 2


def _sends(n: int, t: int, d: int) -> Iterator[Send]:
    m = lower_half(n)
    if d >= 1 and d + t <= n - 1:
        yield Send(t, d, d - 1, d + t)
    if d <= n - 2 and d - t >= 0:
        yield Send(t, d, d + 1, d - t)
    if t < m:
        return
    low, high = d + t - n, n + d - t
    if 0 <= low <= m - 2 and d - 1 >= low + 1:
        yield Send(t, d, d - 1, low)
    if m + 1 <= high <= n - 1 and d + 1 <= high - 1:
        yield Send(t, d, d + 1, high)


LINE: Final = Line()
