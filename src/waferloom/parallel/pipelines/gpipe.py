"""GPipe: all forwards, then all backwards (Huang et al. 2019, arXiv 1811.06965)."""

from dataclasses import dataclass

from waferloom.parallel.pipelines.base import Pass, StageTimes, Task


@dataclass(frozen=True, slots=True)
class GPipe:
    """Every micro-batch is alive at the turn; the bubble is `(p - 1) (F + B)`."""

    def in_flight(self, rank: int, p: int, n: int, v: int) -> int:
        """All `n`."""
        return n

    def fill_s(self, times: StageTimes, *, p: int, n: int, v: int) -> float:
        """One whole micro-batch."""
        return times.total_s

    def order(self, rank: int, p: int, n: int, v: int) -> tuple[Task, ...]:
        """Forwards in order, backwards in reverse."""
        forwards = tuple(Task(Pass.FORWARD, i) for i in range(n))
        return forwards + tuple(Task(Pass.BACKWARD, i) for i in reversed(range(n)))
