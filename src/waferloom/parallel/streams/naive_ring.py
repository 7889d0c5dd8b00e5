"""Naive ring: a logical ring over a line, whose last edge goes back over all of its links.

The baseline that stream partitioning without regard to the mesh would use: every round has one send
of `N - 1` hops. How much that costs depends on switching and synchronisation; see `latency`.
"""

from dataclasses import dataclass
from typing import Final

from waferloom.parallel.streams.base import (
    Arrangement,
    StreamTable,
    StreamTraits,
    check_positions,
)
from waferloom.parallel.streams.ring import ring_sends, ring_transient_pieces, ring_work


@dataclass(frozen=True, slots=True)
class NaiveRing:
    """The ring's rounds on a path: position `N - 1` sends to position 0 over all others."""

    name: str = "naive_ring"
    arrangement: Arrangement = Arrangement.PATH

    def table(self, num_positions: int, rows: int = 1) -> StreamTable:
        """Return `N` rounds, each with one send across the whole line."""
        check_positions(num_positions, rows)
        tour = tuple(range(num_positions))
        return StreamTable(
            num_positions=num_positions,
            arrangement=self.arrangement,
            work=ring_work(tour),
            sends=ring_sends(tour),
        )

    def traits(self, num_positions: int, rows: int = 1) -> StreamTraits:
        """Return every directed link of the line busy in every round."""
        check_positions(num_positions, rows)
        n = num_positions
        return StreamTraits(
            num_rounds=n,
            piece_hops=2 * (n - 1) ** 2,
            max_hops=n - 1,
            max_link_pieces=1.0,
            serial_pieces=n - 1.0,
            chain_hops=2 * n - 3,
            transient_pieces=ring_transient_pieces(n),
        )


NAIVE_RING: Final = NaiveRing()
