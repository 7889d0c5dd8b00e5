"""ZB-H1: weight gradients fill the bubble at the memory of 1F1B (Qi et al. 2023, arXiv 2401.10241)."""

from dataclasses import dataclass

from waferloom.parallel.pipelines.base import Pass, StageTimes, Task


@dataclass(frozen=True, slots=True)
class ZeroBubble:
    """Backward is cut in two; weight gradients wait. The bubble is `(p - 1) (F + B - W)`.

    `B` is the input-gradient part here. The formula holds while `W <= F + B`; with more weight work than
    that nothing is left of the bubble.
    """

    def in_flight(self, rank: int, p: int, n: int, v: int) -> int:
        """As 1F1B, `min(p - rank, n)`: the bound under which ZB-H1 postpones weight gradients."""
        return min(p - rank, n)

    def fill_s(self, times: StageTimes, v: int) -> float:
        """What the weight gradients do not fill."""
        return max(0.0, times.forward_s + times.backward_s - times.weight_s)

    def order(self, rank: int, p: int, n: int, v: int) -> tuple[Task, ...]:
        """1F1B with weight gradients delayed by `rank` micro-batches, then drained between backwards."""
        warm_up = min(p - 1 - rank, n)
        tasks = [Task(Pass.FORWARD, i) for i in range(warm_up)]
        next_weight = 0
        for i in range(n):
            if warm_up + i < n:
                tasks.append(Task(Pass.FORWARD, warm_up + i))
            tasks.append(Task(Pass.BACKWARD, i))
            if i >= rank or warm_up + i >= n:
                tasks.append(Task(Pass.WEIGHT, next_weight))
                next_weight += 1
        tasks += [Task(Pass.WEIGHT, i) for i in range(next_weight, n)]
        return tuple(tasks)
