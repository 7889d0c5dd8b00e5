"""ZB-H1: weight gradients fill the bubble at the peak memory of 1F1B (Qi et al. 2023).

arXiv 2401.10241, section 2.
"""

from dataclasses import dataclass

from waferloom.parallel.pipelines.base import Pass, StageTimes, Task


@dataclass(frozen=True, slots=True)
class ZeroBubble:
    """Backward is cut in two; weight gradients wait. The bubble is `(p - 1) (F + B - W)`.

    `B` is the input-gradient part here. The formula holds for `n >= p` and `W <= min(F, B)`: fewer
    micro-batches leave less weight work to postpone, and of longer weight passes only the length of
    the shortest pass fits into the gaps of this fixed order.
    """

    def in_flight(self, rank: int, p: int, n: int, v: int) -> int:
        """`min(p, n)`: rank `s` keeps `s` micro-batches more than 1F1B, for weight gradients.

        The paper's `(p - s) M_B + s M_W`, with `M_W`, what a weight gradient reads, taken to be all
        that is saved; in a transformer layer with flash attention it is nearly that.
        """
        return min(p, n)

    def fill_s(self, times: StageTimes, *, p: int, n: int, v: int) -> float:
        """What the weight gradients do not fill: `F + B - min(W, F, B) min(1, (n - 1) / (p - 1))`.

        Exact for equal ranks with `W <= min(F, B)`, an upper bound for any other equal ranks.
        """
        if p == 1:
            return 0.0
        postponed = min(1.0, (n - 1) / (p - 1))
        shortest_s = min(times.weight_s, times.forward_s, times.backward_s)
        return times.forward_s + times.backward_s - postponed * shortest_s

    def order(self, rank: int, p: int, n: int, v: int) -> tuple[Task, ...]:
        """1F1B, weight gradients `rank` micro-batches late, the rest drained after backwards."""
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
