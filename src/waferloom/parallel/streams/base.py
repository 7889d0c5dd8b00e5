"""What a stream schedule is: a table of who multiplies which piece when, and who passes what on.

One operand of a GEMM is resident, the other is cut into as many pieces as there are positions, and
piece `j` belongs to position `j`. In a *gather* every piece visits every position, which multiplies
it with what it holds. In a *reduce* an accumulator of every piece collects the share of every
position and ends at its owner; it is the gather run backwards in time.

Rounds are numbered from 0. The sends of a round run together with its products; what is sent in
round `t` can be used or passed on from round `t + 1`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, Protocol


class Arrangement(StrEnum):
    """Which positions are neighbours.

    On a path, consecutive ones; on a cycle, the last and the first as well; on a grid, those beside
    each other in a block numbered row by row.
    """

    PATH = "path"
    CYCLE = "cycle"
    GRID = "grid"


class Movement(StrEnum):
    """What travels: pieces that are read on their way, or accumulators that are added to."""

    GATHER = "gather"
    REDUCE = "reduce"


class Send(NamedTuple):
    """One part of a piece, or of its accumulator, on its way in one round."""

    round: int
    source: int
    destination: int
    piece: int
    part: int = 0


Work = tuple[tuple[tuple[int | None, ...], ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTable:
    """A schedule written out.

    Attributes:
        num_positions: Dies that take part, and pieces.
        arrangement: Which positions are neighbours.
        rows: Of a grid; 1 for paths and cycles.
        num_parts: Equal parts that a piece travels in.
        movement: Gather or reduce.
        work: `work[round][position][part]` is the piece whose part is multiplied (gather) or added
            to (reduce), None for nothing.
        sends: In order of round, source, destination, piece and part.
    """

    num_positions: int
    arrangement: Arrangement
    rows: int = 1
    num_parts: int = 1
    movement: Movement = Movement.GATHER
    work: Work
    sends: tuple[Send, ...]

    @property
    def num_rounds(self) -> int:
        """Rounds, each of one product per position."""
        return len(self.work)

    def reversed(self) -> "StreamTable":
        """Return the schedule run backwards, which turns a gather into a reduce and back.

        A send in round `t` from `a` to `b` becomes one in round `R - 1 - t` from `b` to `a`, and a
        product in round `t` a share added in round `R - 1 - t`. What is sent in the last round of a
        reduce is added after it: one addition more than the gather has products.
        """
        last = self.num_rounds - 1
        flipped = Movement.REDUCE if self.movement is Movement.GATHER else Movement.GATHER
        return replace(
            self,
            movement=flipped,
            work=self.work[::-1],
            sends=in_order(
                Send(last - send.round, send.destination, send.source, send.piece, send.part)
                for send in self.sends
            ),
        )

    def route(self, source: int, destination: int) -> tuple[int, ...]:
        """Return the positions from one to another, both included, over neighbours.

        Example:
            >>> from waferloom.parallel.streams import STREAMS
            >>> STREAMS["ring"].table(4).route(3, 0)
            (3, 0)
            >>> STREAMS["naive_ring"].table(4).route(3, 0)
            (3, 2, 1, 0)
        """
        match self.arrangement:
            case Arrangement.PATH:
                return _walk(source, destination)
            case Arrangement.CYCLE:
                n = self.num_positions
                ahead = (destination - source) % n
                if ahead <= n - ahead:
                    return tuple((source + step) % n for step in range(ahead + 1))
                return tuple((source - step) % n for step in range(n - ahead + 1))
            case Arrangement.GRID:
                cols = self.num_positions // self.rows
                (row, col), (last_row, last_col) = divmod(source, cols), divmod(destination, cols)
                along = [row * cols + c for c in _walk(col, last_col)]
                return (*along, *(r * cols + last_col for r in _walk(row, last_row)[1:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTraits:
    """What a schedule costs, without its table.

    Attributes:
        num_rounds: Rounds of one product per position.
        piece_hops: Pieces times links crossed, whole pieces.
        max_hops: Links of the longest send.
        max_link_pieces: Largest number of pieces (a fraction where they travel in parts) on a
            directed link in one round.
        serial_pieces: The same, of the busiest link of each round, summed over rounds: how many
            piece times a schedule bound by its links takes.
        chain_hops: Longest chain of dependent hops: latencies that cannot overlap if sends do not
            wait for the end of a round.
        transient_pieces: Most pieces that a position has to hold beside its own, visiting ones and
            those being received together.
    """

    num_rounds: int
    piece_hops: float
    max_hops: int
    max_link_pieces: float
    serial_pieces: float
    chain_hops: int
    transient_pieces: float


class StreamSchedule(Protocol):
    """A way to bring every piece to every position."""

    @property
    def name(self) -> str:
        """The schedule's key in `STREAMS`."""
        ...

    @property
    def arrangement(self) -> Arrangement:
        """How positions must lie."""
        ...

    def table(self, num_positions: int, rows: int = 1) -> StreamTable:
        """Return the schedule of a gather.

        Args:
            num_positions: At least 2.
            rows: Of the block that positions fill row by row; only grids look at it.

        Raises:
            ValueError: Fewer than 2 positions, or rows that do not divide them.
        """
        ...

    def traits(self, num_positions: int, rows: int = 1) -> StreamTraits:
        """Return what the table would show, in closed form.

        Raises:
            ValueError: As for `table`.
        """
        ...


def in_order(sends: Iterable[Send]) -> tuple[Send, ...]:
    """Return sends in the order a table lists them."""
    return tuple(sorted(sends))


def check_positions(num_positions: int, rows: int = 1) -> None:
    """Raise if no stream can run on so many positions.

    Raises:
        ValueError: Fewer than 2 positions, or rows that do not divide them.
    """
    if num_positions < 2:
        msg = (
            f"a stream needs at least 2 positions, found {num_positions}; leave the operator whole"
        )
        raise ValueError(msg)
    if rows < 1 or num_positions % rows:
        msg = f"{num_positions} positions do not fill {rows} rows; choose a divisor as rows"
        raise ValueError(msg)


def _walk(first: int, last: int) -> tuple[int, ...]:
    step = 1 if last >= first else -1
    return tuple(range(first, last + step, step))
