"""Exhaustive search with pruning: exact over the declared space for the `bound` network fidelity.

Placed degrees are visited in the order of a bound that no option beats (the mean stage's compute,
every micro-batch). Once that bound exceeds the best score of the last degrees worth showing, the
rest cannot matter and is skipped; so are degrees whose state alone exceeds a die. The same sweep
over the relaxed problem (memory pooled, collectives without contention) gives the lower bound that
certifies the result.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from waferloom.bounds.records import Bound, BoundName
from waferloom.mapping.layout import Network, network_of
from waferloom.mapping.scenario import Scenario
from waferloom.parallel.strategy import ParallelDegrees, Strategy
from waferloom.search.solution import Candidate, SearchStatistics
from waferloom.search.space import Space
from waferloom.simulate.score import NOT_DISTINCT, Relaxation, Scorer, scorer

ROWS_PER_SWEEP: Final = 32
"""Placed degrees scored between two looks at the bound."""

Progress = Callable[[int, int], None]
"""Told how many of how many placed degrees are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a sweep over a space found.

    Attributes:
        best: The fastest candidate that fits; without one, the candidate that needs least memory.
        is_feasible: Whether `best` fits.
        alternatives: The best candidates of other degrees, fastest first.
        bounds: From relaxations of the space.
        statistics: Of the search.
    """

    best: Candidate
    is_feasible: bool
    alternatives: tuple[Candidate, ...]
    bounds: tuple[Bound, ...]
    statistics: SearchStatistics


def exhaustive(
    scenario: Scenario,
    space: Space,
    *,
    network: Network | None = None,
    num_alternatives: int = 5,
    progress: Progress | None = None,
) -> SearchResult:
    """Return the fastest strategy of `space` that fits, next best degrees, and relaxed bounds.

    Deterministic: of equally fast strategies the one declared first wins (fewer stages, less
    sharding, less recomputation, the simpler schedule).

    Args:
        scenario: Job and system.
        space: What may be chosen.
        network: Links of the system, if they are at hand.
        num_alternatives: How many other degrees to report.
        progress: Told about progress.

    Raises:
        SolverError: The space is empty.
    """
    network = network or network_of(scenario.system)
    start = time.perf_counter()
    degrees = space.degrees(scenario.job, network.num_dies)
    placed = _placed(degrees, space)
    options = space.options(scenario.job)
    tables = scorer(scenario, network, placed, options, space.overlap, space.software)
    built = time.perf_counter()
    sweep = _Sweep(tables, num_alternatives + 1)
    sweep.run(progress)
    bounds = (
        _relaxed_bound(tables, space, BoundName.PIPELINE, Relaxation.NO_COMMUNICATION),
        _relaxed_bound(tables, space, BoundName.RELAXED, Relaxation.NO_CONTENTION),
    )
    done = time.perf_counter()
    best, alternatives = sweep.candidates(space)
    return SearchResult(
        best=best,
        is_feasible=sweep.num_feasible > 0,
        alternatives=alternatives,
        bounds=bounds,
        statistics=SearchStatistics(
            space=space.describe(),
            num_strategies=len(placed) * len(options),
            num_scored=sweep.num_scored,
            num_feasible=sweep.num_feasible,
            table_s=built - start,
            score_s=done - built,
        ),
    )


def _placed(
    degrees: tuple[ParallelDegrees, ...], space: Space
) -> tuple[tuple[str, ParallelDegrees], ...]:
    return tuple((placement, each) for each in degrees for placement in space.placements)


class _Sweep:
    """Scores rows in the order of their bound and keeps the best option of every row."""

    def __init__(self, tables: Scorer, num_kept: int) -> None:
        self._tables = tables
        self._num_kept = num_kept
        num_rows = len(tables.placed)
        self._best_s_R = np.full(num_rows, np.inf)
        self._best_option_R = np.zeros(num_rows, dtype=np.int64)
        self._memory_R = np.full(num_rows, np.inf)
        self._least_memory_R = np.full(num_rows, np.inf)
        self._least_memory_option_R = np.zeros(num_rows, dtype=np.int64)
        self._row_of: dict[ParallelDegrees, int] = {}
        self.num_scored = 0
        self.num_feasible = 0

    def run(self, progress: Progress | None) -> None:
        """Score rows until the bound says that the rest cannot matter.

        Where nothing fits, look for the strategy that needs least memory instead.
        """
        num_rows = len(self._tables.placed)
        for done, (rows, bound_s) in enumerate(_sweeps(self._tables)):
            if bound_s > self._last_kept_s():
                break
            self._score(rows)
            if progress is not None:
                progress(min((done + 1) * ROWS_PER_SWEEP, num_rows), num_rows)
        if self.num_feasible == 0:
            self._find_least_memory()

    def _find_least_memory(self) -> None:
        state_R = self._tables.state_bound_bytes()
        order = np.argsort(state_R, kind="stable")
        for first in range(0, len(order), ROWS_PER_SWEEP):
            rows = order[first : first + ROWS_PER_SWEEP]
            if state_R[rows[0]] > np.min(self._least_memory_R):
                break
            self._score(rows)

    def _score(self, rows: NDArray[np.int64]) -> None:
        score_RO2, num_feasible = self._tables.score(rows)
        time_RO, memory_RO = score_RO2[..., 0], score_RO2[..., 1]
        is_strategy_RO = time_RO != NOT_DISTINCT
        self.num_scored += int(np.count_nonzero(is_strategy_RO))
        self.num_feasible += num_feasible
        time_RO = np.where(is_strategy_RO, time_RO, np.inf)
        memory_RO = np.where(is_strategy_RO, memory_RO, np.inf)
        index = np.arange(len(rows))
        option_R, least_R = np.argmin(time_RO, axis=1), np.argmin(memory_RO, axis=1)
        self._best_s_R[rows] = time_RO[index, option_R]
        self._best_option_R[rows] = option_R
        self._memory_R[rows] = memory_RO[index, option_R]
        self._least_memory_R[rows] = memory_RO[index, least_R]
        self._least_memory_option_R[rows] = least_R
        self._keep(rows[np.isfinite(self._best_s_R[rows])])

    def _keep(self, rows: NDArray[np.int64]) -> None:
        """Remember the fastest row of every degrees, as long as it can still be shown."""
        for row in map(int, rows):
            degrees = self._tables.placed[row][1]
            held = self._row_of.get(degrees, row)
            self._row_of[degrees] = min(held, row, key=self._rank_of)
        if len(self._row_of) > 4 * self._num_kept:
            kept = self._fastest_rows()
            self._row_of = {self._tables.placed[row][1]: row for row in kept}

    def _last_kept_s(self) -> float:
        """Return the step time beyond which a row would not be shown."""
        kept = self._fastest_rows()
        return float(self._best_s_R[kept[-1]]) if len(kept) == self._num_kept else np.inf

    def _fastest_rows(self) -> list[int]:
        """Return the fastest row of each of the best degrees, the first declared of equals."""
        return sorted(self._row_of.values(), key=self._rank_of)[: self._num_kept]

    def _rank_of(self, row: int) -> tuple[float, int]:
        return float(self._best_s_R[row]), row

    def candidates(self, space: Space) -> tuple[Candidate, tuple[Candidate, ...]]:
        """Return the best candidate and those of the next best degrees."""
        rows = self._fastest_rows()
        if not rows:
            row = int(np.argmin(self._least_memory_R))
            option = int(self._least_memory_option_R[row])
            memory = float(self._least_memory_R[row])
            return self._candidate(row, option, np.inf, memory, space), ()
        found = [
            self._candidate(
                row,
                int(self._best_option_R[row]),
                float(self._best_s_R[row]),
                float(self._memory_R[row]),
                space,
            )
            for row in rows
        ]
        return found[0], tuple(found[1:])

    def _candidate(
        self, row: int, option: int, step_s: float, memory_bytes: float, space: Space
    ) -> Candidate:
        placement, degrees = self._tables.placed[row]
        strategy: Strategy = self._tables.options[option].strategy(
            degrees, space.overlap, space.software
        )
        return Candidate(
            strategy=strategy, placement=placement, step_s=step_s, memory_bytes=memory_bytes
        )


def _relaxed_bound(tables: Scorer, space: Space, name: BoundName, relaxation: Relaxation) -> Bound:
    relaxed = tables.relaxed(relaxation)
    best_s = np.inf
    for rows, bound_s in _sweeps(relaxed):
        if bound_s >= best_s:
            break
        time_RO = relaxed.score(rows)[0][..., 0]
        best_s = min(best_s, float(np.min(time_RO, initial=np.inf, where=time_RO > 0)))
    what = f"best of the space with real operators and bubbles, {relaxation}, memory pooled"
    return Bound(
        name=name,
        step_s=best_s if np.isfinite(best_s) else 0.0,
        scope=f"the searched space ({space.name})",
        reason=what if np.isfinite(best_s) else "nothing fits, not even in pooled memory",
    )


def _sweeps(tables: Scorer) -> Iterator[tuple[NDArray[np.int64], float]]:
    """Yield rows whose state can fit, by rising bound, with the least bound among them."""
    bound_s_R = tables.bound_s()
    capacity = tables.tables.capacity_bytes
    order = np.argsort(bound_s_R, kind="stable")
    order = order[tables.state_bound_bytes()[order] <= capacity]
    for first in range(0, len(order), ROWS_PER_SWEEP):
        rows = order[first : first + ROWS_PER_SWEEP]
        yield rows, float(bound_s_R[rows[0]])
