"""A lower bound: its value, what it rests on, and over which plans it holds."""

from dataclasses import dataclass
from enum import StrEnum


class BoundName(StrEnum):
    """The components of a certificate."""

    FLOPS = "compute"
    DRAM = "dram traffic"
    WORK = "compute and dram"
    INJECTION = "injection"
    BISECTION = "bisection"
    PIPELINE = "pipeline"
    RELAXED = "relaxed optimum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """No plan of `scope` takes less than `step_s`.

    Attributes:
        name: Which argument.
        step_s: Seconds; 0 where the argument says nothing.
        scope: The plans it holds for, such as `any plan` or `the searched space`.
        reason: The argument in one sentence, with its numbers.
    """

    name: BoundName
    step_s: float
    scope: str
    reason: str


def tightest(bounds: tuple[Bound, ...]) -> Bound:
    """Return the largest bound; the first of equals."""
    return max(bounds, key=lambda bound: bound.step_s)


def gap(step_s: float, bounds: tuple[Bound, ...]) -> float:
    """Return how far `step_s` is above the tightest bound, as a fraction of the bound."""
    best = tightest(bounds).step_s
    return (step_s - best) / best
