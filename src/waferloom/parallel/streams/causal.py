"""Streams for causal attention: queries stay, keys and values travel only to where they are seen.

`CausalLine` divides tokens in order. Position `d` needs pieces `0..d`, so half a one-way line is
enough, `N (N - 1) / 2` piece-hops, but position `d` works in `d + 1` of `N` rounds only.

`ZigzagLine` cuts tokens into `2 N` chunks and gives position `d` the early chunk `d` and the late
chunk `2 N - 1 - d`, so that every position multiplies two blocks of the mask in every round (blocks
on the diagonal count half). It is the line schedule in two parts: early chunks are needed
everywhere, the late chunk of `j` only at positions up to `j`, which its copies that start left and
those of them that are turned right serve. That leaves three quarters of the line's traffic for even
N.

Source:
    Zigzag order is known from ring attention; putting it on a reflecting line is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from waferloom.parallel.streams.base import (
    Arrangement,
    Send,
    StreamSchedule,
    StreamTable,
    StreamTraits,
    check_positions,
    in_order,
)
from waferloom.parallel.streams.line import LINE, line_piece, lower_half
from waferloom.parallel.streams.ring import ring_transient_pieces


class CausalSchedule(StreamSchedule, Protocol):
    """A stream schedule whose positions skip what the causal mask hides from them."""

    def needs(self, num_positions: int, position: int, piece: int, part: int) -> bool:
        """Return whether any query of `position` sees a key of a part of a piece."""
        ...

    def chunks(self, num_positions: int, position: int) -> tuple[int, ...]:
        """Return the chunks of tokens, in order of the sequence, that each part of a piece is."""
        ...


@dataclass(frozen=True, slots=True)
class CausalLine:
    """Tokens in order: pieces move to later positions only."""

    name: str = "causal_line"
    arrangement: Arrangement = Arrangement.PATH

    def needs(self, num_positions: int, position: int, piece: int, part: int) -> bool:
        """Return whether the piece is not later than the position."""
        return piece <= position

    def chunks(self, num_positions: int, position: int) -> tuple[int, ...]:
        """Return the position itself."""
        return (position,)

    def table(self, num_positions: int, rows: int = 1) -> StreamTable:
        """Return `N` rounds in which position `d` passes piece `d - t` to `d + 1`."""
        check_positions(num_positions, rows)
        n = num_positions
        return StreamTable(
            num_positions=n,
            arrangement=self.arrangement,
            work=tuple(tuple((d - t if d >= t else None,) for d in range(n)) for t in range(n)),
            sends=in_order(Send(t, d, d + 1, d - t) for t in range(n - 1) for d in range(t, n - 1)),
        )

    def traits(self, num_positions: int, rows: int = 1) -> StreamTraits:
        """Return half the traffic of a ring."""
        check_positions(num_positions, rows)
        n = num_positions
        return StreamTraits(
            num_rounds=n,
            piece_hops=n * (n - 1) / 2,
            max_hops=1,
            max_link_pieces=1.0,
            serial_pieces=n - 1.0,
            chain_hops=n - 1,
            transient_pieces=ring_transient_pieces(n),
        )


@dataclass(frozen=True, slots=True)
class ZigzagLine:
    """An early and a late chunk per position: the mask's work is even."""

    name: str = "zigzag_line"
    arrangement: Arrangement = Arrangement.PATH

    def needs(self, num_positions: int, position: int, piece: int, part: int) -> bool:
        """Return True for early chunks, which the late queries of every position see."""
        return part == 0 or position <= piece

    def chunks(self, num_positions: int, position: int) -> tuple[int, ...]:
        """Return the early and the late chunk."""
        return position, 2 * num_positions - 1 - position

    def table(self, num_positions: int, rows: int = 1) -> StreamTable:
        """Return the line's rounds, without the late chunks that nobody sees."""
        check_positions(num_positions, rows)
        n = num_positions

        def late(t: int, d: int) -> int | None:
            piece = line_piece(n, t, d)
            return piece if self.needs(n, d, piece, 1) else None

        sends = LINE.table(n).sends
        return StreamTable(
            num_positions=n,
            arrangement=self.arrangement,
            num_parts=2,
            work=tuple(
                tuple((line_piece(n, t, d), late(t, d)) for d in range(n)) for t in range(n)
            ),
            sends=in_order(
                (*sends, *(send._replace(part=1) for send in sends if _is_seen_late(n, send)))
            ),
        )

    def traits(self, num_positions: int, rows: int = 1) -> StreamTraits:
        """Return the line's traffic for early chunks and, for even N, half of it for late ones."""
        check_positions(num_positions, rows)
        n = num_positions
        line = LINE.traits(n)
        late_hops = n * (n - 1) // 2 + (n - 1 - lower_half(n)) ** 2
        return StreamTraits(
            num_rounds=n,
            piece_hops=(line.piece_hops + late_hops) / 2,
            max_hops=1,
            max_link_pieces=1.0,
            serial_pieces=n - 1.0,
            chain_hops=n - 1,
            transient_pieces=_TRANSIENT_PIECES.get(n, line.transient_pieces),
        )


def _is_seen_late(n: int, send: Send) -> bool:
    """Whether the late chunk takes part: in the direct copy going left, or turned to the right."""
    if send.destination < send.source:
        return send.piece == send.source + send.round
    return send.piece == n + send.source - send.round


_TRANSIENT_PIECES: Final = {4: 2.5, 5: 3.0, 6: 3.0, 7: 3.0, 8: 3.0, 9: 3.5, 10: 3.5}
"""Lines too short for four pieces, half of them early and half of them late, at once."""

CAUSAL_LINE: Final = CausalLine()
ZIGZAG_LINE: Final = ZigzagLine()
CAUSAL_STREAMS: Final[Mapping[str, CausalSchedule]] = {
    schedule.name: schedule for schedule in (CAUSAL_LINE, ZIGZAG_LINE)
}
"""Schedules for causal attention, by name."""
