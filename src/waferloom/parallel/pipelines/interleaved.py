"""Interleaved 1F1B: `v` chunks per rank shrink the bubble `v` times (Narayanan et al. 2021).

arXiv 2104.04473, section 2.2.2.
"""

from dataclasses import dataclass

from waferloom.parallel.pipelines.base import Pass, StageTimes, Task


@dataclass(frozen=True, slots=True)
class Interleaved:
    """Micro-batches go through the chunks in rounds of `p`; needs `n` divisible by `p`.

    The bubble is `(p - 1) (F + B) / v`, and rank 0 holds `p v + p - 1` chunk activations:
    `1 + (p - 1) / (p v)` times those of 1F1B.
    """

    def in_flight(self, rank: int, p: int, n: int, v: int) -> int:
        """Warm-up chunks and the running one, `2 (p - rank - 1) + (v - 1) p + 1`, at most `n v`."""
        return min(2 * (p - rank - 1) + (v - 1) * p + 1, n * v)

    def fill_s(self, times: StageTimes, *, p: int, n: int, v: int) -> float:
        """One chunk of a micro-batch."""
        return times.total_s / v

    def order(self, rank: int, p: int, n: int, v: int) -> tuple[Task, ...]:
        """Warm up over the first chunks, then alternate a forward chunk and a backward chunk."""
        if n % p != 0:
            msg = f"the interleaved schedule needs micro-batches divisible by pp, found {n} and {p}"
            raise ValueError(msg)
        total = n * v
        warm_up = min(2 * (p - rank - 1) + (v - 1) * p, total)
        tasks = [_task(Pass.FORWARD, i, p, v) for i in range(warm_up)]
        for i in range(total - warm_up):
            tasks += [_task(Pass.FORWARD, warm_up + i, p, v), _task(Pass.BACKWARD, i, p, v)]
        tasks += [_task(Pass.BACKWARD, i, p, v) for i in range(total - warm_up, total)]
        return tuple(tasks)


def _task(kind: Pass, index: int, p: int, v: int) -> Task:
    round_index, inside = divmod(index, p * v)
    chunk, offset = divmod(inside, p)
    if kind is Pass.BACKWARD:
        chunk = v - 1 - chunk
    return Task(kind, round_index * p + offset, chunk)
