"""What a search returns: the best plan, its report and its certificate."""

from dataclasses import dataclass

from waferloom.bounds.records import Bound, gap, tightest
from waferloom.mapping.plan import Plan
from waferloom.parallel.strategy import Strategy
from waferloom.simulate.records import StepReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A scored strategy.

    Attributes:
        strategy: How the work is divided.
        placement: Name of the placement.
        step_s: Time of a step.
        memory_bytes: Of the fullest die.
    """

    strategy: Strategy
    placement: str
    step_s: float
    memory_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStatistics:
    """How much a search looked at.

    Attributes:
        space: The declared space, in words.
        num_strategies: Distinct strategies in the space, (strategy, placement) pairs.
        num_scored: Of these, scored one by one; the rest was pruned by bounds.
        num_feasible: Of the scored, those that fit.
        table_s: Time to build the operator and collective tables.
        score_s: Time to score.
    """

    space: str
    num_strategies: int
    num_scored: int
    num_feasible: int
    table_s: float
    score_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The best plan found.

    Attributes:
        plan: What to run.
        report: What it takes, bottleneck included.
        bounds: What no plan can beat.
        alternatives: Next best strategies, best first, `plan` excluded.
        statistics: Of the search.
    """

    plan: Plan
    report: StepReport
    bounds: tuple[Bound, ...]
    alternatives: tuple[Candidate, ...]
    statistics: SearchStatistics

    @property
    def gap(self) -> float:
        """Distance to the tightest bound, as a fraction of the bound."""
        return gap(self.report.step_s, self.bounds)

    @property
    def tightest_bound(self) -> Bound:
        """The largest lower bound."""
        return tightest(self.bounds)
