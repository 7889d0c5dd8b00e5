"""What a pipeline schedule is: how many micro-batches are alive, what time is lost, what order."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Pass(StrEnum):
    """A unit of work of a stage.

    Forward, backward (whole, or only the input gradient), weight gradient.
    """

    FORWARD = "F"
    BACKWARD = "B"
    WEIGHT = "W"


@dataclass(frozen=True, slots=True)
class Task:
    """One pass of one micro-batch through one model chunk of a pipeline rank."""

    kind: Pass
    micro_batch: int
    chunk: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """Seconds of one micro-batch on one pipeline rank, all of its chunks together.

    Attributes:
        forward_s: Forward pass.
        backward_s: Backward pass without the weight gradients, recomputation included.
        weight_s: Weight gradients.
    """

    forward_s: float
    backward_s: float
    weight_s: float

    @property
    def total_s(self) -> float:
        """All passes of one micro-batch."""
        return self.forward_s + self.backward_s + self.weight_s


class PipelineSchedule(Protocol):
    """A schedule of `n` micro-batches over `p` pipeline ranks with `v` chunks each."""

    def in_flight(self, rank: int, p: int, n: int, v: int) -> int:
        """Return the largest number of (micro-batch, chunk) activations alive on `rank`.

        Alive means that forward has run and the last pass that reads them has not: the backward
        pass, or the weight gradient where that is a pass of its own.
        """
        ...

    def fill_s(self, times: StageTimes, *, p: int, n: int, v: int) -> float:
        """Return what one rank other than the slowest adds to the step: its share of the bubble.

        With equal ranks, `n times.total_s + (p - 1) fill_s` is how long the schedule takes when it
        is run task by task, as `simulate.pipeline_timeline` does.
        """
        ...

    def order(self, rank: int, p: int, n: int, v: int) -> tuple[Task, ...]:
        """Return every task of `rank` in the order it runs.

        Raises:
            ValueError: The schedule is undefined for these counts.
        """
        ...
