"""What a pipeline schedule is: how many micro-batches are alive, what time is lost, in which order."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Pass(StrEnum):
    """A unit of work of a stage: forward, backward (whole, or only the input gradient), weight gradient."""

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
        """Return the largest number of (micro-batch, chunk) activations alive on `rank`."""
        ...

    def fill_s(self, times: StageTimes, v: int) -> float:
        """Return what one rank other than the slowest adds to the step: its share of the bubble."""
        ...

    def order(self, rank: int, p: int, n: int, v: int) -> tuple[Task, ...]:
        """Return every task of `rank` in the order it runs.

        Raises:
            ValueError: The schedule is undefined for these counts.
        """
        ...
