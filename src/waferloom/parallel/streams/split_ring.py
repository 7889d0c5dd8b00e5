"""Split ring: the halves of every piece go round a closed tour in opposite directions.

A directed link carries half a piece per round, so a schedule bound by its links takes half the time
of a one-way ring; traffic and buffers are the same.
"""

from dataclasses import dataclass
from typing import Final

from waferloom.parallel.streams.base import (
    Arrangement,
    StreamTable,
    StreamTraits,
    check_positions,
    in_order,
)
from waferloom.parallel.streams.ring import ring_sends, ring_transient_pieces


@dataclass(frozen=True, slots=True)
class SplitRing:
    """In round `t` position `d` multiplies one half of piece `d - t` and the other of `d + t`."""

    name: str = "split_ring"
    arrangement: Arrangement = Arrangement.CYCLE

    def table(self, num_positions: int, rows: int = 1) -> StreamTable:
        """Return `N` rounds of one-hop sends of half pieces."""
        check_positions(num_positions, rows)
        n = num_positions
        tour = tuple(range(n))
        return StreamTable(
            num_positions=n,
            arrangement=self.arrangement,
            num_parts=2,
            work=tuple(tuple(((d - t) % n, (d + t) % n) for d in range(n)) for t in range(n)),
            sends=in_order((*ring_sends(tour), *ring_sends(tour[::-1], part=1))),
        )

    def traits(self, num_positions: int, rows: int = 1) -> StreamTraits:
        """Return the traffic of a ring, on twice as many links; two dies have but one each way."""
        check_positions(num_positions, rows)
        n = num_positions
        share = 1.0 if n == 2 else 0.5
        return StreamTraits(
            num_rounds=n,
            piece_hops=n * (n - 1),
            max_hops=1,
            max_link_pieces=share,
            serial_pieces=share * (n - 1),
            chain_hops=n - 1,
            transient_pieces=ring_transient_pieces(n),
        )


SPLIT_RING: Final = SplitRing()
