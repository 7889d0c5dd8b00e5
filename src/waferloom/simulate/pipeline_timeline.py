"""A pipeline schedule run task by task: when every pass starts and ends, and the true step.

Each rank works through its fixed order; a pass starts once its rank is free and its input has
arrived. The result is the longest path through these dependencies, so it does not depend on how
ties are broken. Messages are delays behind compute: links between stages are never full here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from waferloom.errors import PlanError
from waferloom.parallel.pipelines import Pass, PipelineSchedule, StageTimes, Task

PASSES: Final = tuple(Pass)
"""What the numbers of `Timeline.pass_E` mean."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """Every pass of a pipeline step.

    Axis: E events, rank by rank, each rank in the order it works.

    Attributes:
        num_ranks: Pipeline ranks.
        num_micro_batches: Micro-batches.
        num_chunks: Model chunks per rank.
        rank_E: Pipeline rank.
        pass_E: Index into `PASSES`.
        micro_batch_E: Micro-batch.
        chunk_E: Model chunk of the rank.
        start_s_E: Start.
        end_s_E: End.
    """

    num_ranks: int
    num_micro_batches: int
    num_chunks: int
    rank_E: NDArray[np.int64]
    pass_E: NDArray[np.int64]
    micro_batch_E: NDArray[np.int64]
    chunk_E: NDArray[np.int64]
    start_s_E: NDArray[np.float64]
    end_s_E: NDArray[np.float64]

    @property
    def makespan_s(self) -> float:
        """Start of the first pass to the end of the last."""
        return float(self.end_s_E.max())

    @property
    def busy_s_R(self) -> NDArray[np.float64]:
        """Seconds that each rank works."""
        duration_s_E = self.end_s_E - self.start_s_E
        busy_s_R = np.zeros(self.num_ranks)
        np.add.at(busy_s_R, self.rank_E, duration_s_E)
        return busy_s_R

    @property
    def bubble(self) -> float:
        """Share of all ranks' time in which they wait, 0 to 1."""
        if self.makespan_s == 0:
            return 0.0
        busy = float(self.busy_s_R.sum()) / (self.num_ranks * self.makespan_s)
        return max(0.0, 1.0 - busy)  # the two sums of a pipeline without gaps round differently


def timeline(
    schedule: PipelineSchedule,
    stage_times: Sequence[StageTimes],
    *,
    n: int,
    v: int = 1,
    message_s: float = 0.0,
) -> Timeline:
    """Run `n` micro-batches through the pipeline.

    A chunk takes `1 / v` of its rank's times. Where a schedule has no passes of their own for
    weight gradients, they belong to the backward pass.

    Args:
        schedule: Says in which order each rank works.
        stage_times: One entry per pipeline rank.
        n: Micro-batches, at least 1.
        v: Model chunks per rank, at least 1.
        message_s: From the end of a pass until its result is on the rank that needs it.

    Raises:
        ValueError: A count is below 1, or the schedule is undefined for these counts.
        PlanError: The orders wait for each other in a circle, or run a task twice.

    Example:
        >>> from waferloom.parallel.pipelines import SCHEDULES
        >>> uniform = [StageTimes(forward_s=1.0, backward_s=1.0, weight_s=1.0)] * 4
        >>> timeline(SCHEDULES["1f1b"], uniform, n=8).makespan_s  # (8 + 4 - 1) * 3
        33.0
    """
    p = len(stage_times)
    for name, count in (("pipeline ranks", p), ("n", n), ("v", v)):
        if count < 1:
            msg = f"{name} must be at least 1, found {count}"
            raise ValueError(msg)
    orders = [schedule.order(rank, p, n, v) for rank in range(p)]
    durations = [
        _durations(times, order, v) for times, order in zip(stage_times, orders, strict=True)
    ]
    end_s = _run(orders, durations, v, message_s)
    tasks = [(rank, task) for rank, order in enumerate(orders) for task in order]
    end_s_E = np.array([end_s[rank, task] for rank, task in tasks])
    duration_s_E = np.array([durations[rank][task.kind] for rank, task in tasks])
    return Timeline(
        num_ranks=p,
        num_micro_batches=n,
        num_chunks=v,
        rank_E=np.array([rank for rank, _ in tasks], dtype=np.int64),
        pass_E=np.array([PASSES.index(task.kind) for _, task in tasks], dtype=np.int64),
        micro_batch_E=np.array([task.micro_batch for _, task in tasks], dtype=np.int64),
        chunk_E=np.array([task.chunk for _, task in tasks], dtype=np.int64),
        start_s_E=end_s_E - duration_s_E,
        end_s_E=end_s_E,
    )


def _durations(times: StageTimes, order: Sequence[Task], v: int) -> dict[Pass, float]:
    """Return the seconds of one pass of one chunk."""
    has_weight_passes = any(task.kind is Pass.WEIGHT for task in order)
    backward_s = times.backward_s + (0.0 if has_weight_passes else times.weight_s)
    return {
        Pass.FORWARD: times.forward_s / v,
        Pass.BACKWARD: backward_s / v,
        Pass.WEIGHT: times.weight_s / v,
    }


def _run(
    orders: Sequence[Sequence[Task]],
    durations: Sequence[dict[Pass, float]],
    v: int,
    message_s: float,
) -> dict[tuple[int, Task], float]:
    """Return when every task ends; each rank advances as far as its inputs allow, in turn."""
    p = len(orders)
    end_s: dict[tuple[int, Task], float] = {}
    position = [0] * p
    free_s = [0.0] * p
    has_advanced = True
    while has_advanced:
        has_advanced = False
        for rank, order in enumerate(orders):
            while position[rank] < len(order):
                task = order[position[rank]]
                inputs = list(_inputs(rank, task, p, v))
                if any(needed not in end_s for needed in inputs):
                    break
                if (rank, task) in end_s:
                    msg = f"pipeline rank {rank} runs {_name(task)} twice; correct its order"
                    raise PlanError(msg)
                arrived_s = [
                    end_s[needed] + (message_s if needed[0] != rank else 0.0) for needed in inputs
                ]
                free_s[rank] = max(free_s[rank], *arrived_s, 0.0) + durations[rank][task.kind]
                end_s[rank, task] = free_s[rank]
                position[rank] += 1
                has_advanced = True
    waiting = [
        f"rank {rank} waits to run {_name(order[position[rank]])}"
        for rank, order in enumerate(orders)
        if position[rank] < len(order)
    ]
    if waiting:
        msg = f"the pipeline schedule is deadlocked: {', '.join(waiting)}; correct its order"
        raise PlanError(msg)
    return end_s


def _inputs(rank: int, task: Task, p: int, v: int) -> Iterator[tuple[int, Task]]:
    """Yield the (rank, task) pairs whose results a task needs.

    Chunk `c` of rank `r` is virtual stage `c p + r`; forwards come from the stage before, backwards
    from the stage after.
    """
    virtual = task.chunk * p + rank
    match task.kind:
        case Pass.FORWARD:
            if virtual > 0:
                yield _at(Pass.FORWARD, task.micro_batch, virtual - 1, p)
        case Pass.BACKWARD:
            yield rank, Task(Pass.FORWARD, task.micro_batch, task.chunk)
            if virtual < p * v - 1:
                yield _at(Pass.BACKWARD, task.micro_batch, virtual + 1, p)
        case Pass.WEIGHT:
            yield rank, Task(Pass.BACKWARD, task.micro_batch, task.chunk)


def _at(kind: Pass, micro_batch: int, virtual: int, p: int) -> tuple[int, Task]:
    chunk, rank = divmod(virtual, p)
    return rank, Task(kind, micro_batch, chunk)


def _name(task: Task) -> str:
    return f"{task.kind} of micro-batch {task.micro_batch}, chunk {task.chunk}"
