"""Ring: all pieces go round a closed tour one way, one hop per round.

The least traffic any schedule can have, `N (N - 1)` piece-hops, and two pieces in transit; it needs
a tour of single hops, which every block with two rows, two columns and an even number of dies has.
"""

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
class Ring:
    """Position `d` multiplies piece `d - t` in round `t` and passes it to `d + 1`."""

    name: str = "ring"
    arrangement: Arrangement = Arrangement.CYCLE

    def table(self, num_positions: int, rows: int = 1) -> StreamTable:
        """Return `N` rounds of one-hop sends."""
        check_positions(num_positions, rows)
        return StreamTable(
            num_positions=num_positions,
            arrangement=self.arrangement,
            work=ring_work(tuple(range(num_positions))),
            sends=ring_sends(tuple(range(num_positions))),
        )

    def traits(self, num_positions: int, rows: int = 1) -> StreamTraits:
        """Return half of the directed links of the tour busy: the other direction is idle."""
        check_positions(num_positions, rows)
        n = num_positions
        return StreamTraits(
            num_rounds=n,
            piece_hops=n * (n - 1),
            max_hops=1,
            max_link_pieces=1.0,
            serial_pieces=n - 1.0,
            chain_hops=n - 1,
            transient_pieces=ring_transient_pieces(n),
        )


def ring_transient_pieces(n: int) -> float:
    """Return the pieces in transit: one that is multiplied and one that arrives meanwhile."""
    return 1.0 if n == 2 else 2.0


def ring_work(tour: tuple[int, ...]) -> Work:
    """Return the pieces multiplied when every position passes on to the next one of a tour."""
    n = len(tour)
    place = {position: index for index, position in enumerate(tour)}
    return tuple(tuple((tour[(place[d] - t) % n],) for d in range(n)) for t in range(n))


def ring_sends(tour: tuple[int, ...], part: int = 0) -> tuple[Send, ...]:
    """Return the sends of one way round a tour."""
    n = len(tour)
    return in_order(
        Send(t, tour[i], tour[(i + 1) % n], tour[(i - t) % n], part)
        for t in range(n - 1)
        for i in range(n)
    )


RING: Final = Ring()
