"""1F1B: the time of GPipe with at most `p` micro-batches alive (PipeDream-Flush).

Narayanan et al. 2021, arXiv 2006.09503.
"""

from dataclasses import dataclass

from waferloom.parallel.pipelines.base import Pass, StageTimes, Task


@dataclass(frozen=True, slots=True)
class OneFOneB:
    """Rank `s` warms up with `p - 1 - s` forwards, then alternates; bubble `(p - 1) (F + B)`."""

    def in_flight(self, rank: int, p: int, n: int, v: int) -> int:
        """`min(p - rank, n)`."""
        return min(p - rank, n)

    def fill_s(self, times: StageTimes, *, p: int, n: int, v: int) -> float:
        """One whole micro-batch."""
        return times.total_s

    def order(self, rank: int, p: int, n: int, v: int) -> tuple[Task, ...]:
        """Warm-up forwards, alternating pairs, remaining backwards."""
        warm_up = min(p - 1 - rank, n)
        tasks = [Task(Pass.FORWARD, i) for i in range(warm_up)]
        for i in range(n - warm_up):
            tasks += [Task(Pass.FORWARD, warm_up + i), Task(Pass.BACKWARD, i)]
        tasks += [Task(Pass.BACKWARD, i) for i in range(n - warm_up, n)]
        return tuple(tasks)
