"""Folded ring: a ring over a line that goes out over its even places and back over its odd ones.

No send is longer than two hops and every directed link carries one piece per round, at the price of
the traffic of a naive ring.
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
class Folded:
    """The ring's rounds on the tour 0, 2, 4, ..., 5, 3, 1 of a path."""

    name: str = "folded"
    arrangement: Arrangement = Arrangement.PATH

    def table(self, num_positions: int, rows: int = 1) -> StreamTable:
        """Return `N` rounds of sends of one or two hops."""
        check_positions(num_positions, rows)
        tour = folded_tour(num_positions)
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
            max_hops=min(2, n - 1),
            max_link_pieces=1.0,
            serial_pieces=n - 1.0,
            chain_hops=2 * n - 3,
            transient_pieces=ring_transient_pieces(n),
        )


def folded_tour(n: int) -> tuple[int, ...]:
    """Return the positions in the order in which pieces visit them.

    Example:
        >>> folded_tour(6)
        (0, 2, 4, 5, 3, 1)
    """
    return (*range(0, n, 2), *reversed(range(1, n, 2)))


FOLDED: Final = Folded()
