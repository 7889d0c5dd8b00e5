"""Scores of whole spaces of strategies: the step time and memory of `step`, many at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from waferloom.mapping.layout import Network
from waferloom.mapping.scenario import Scenario
from waferloom.parallel.strategy import (
    OverlapPolicy,
    ParallelDegrees,
    Recompute,
    ScheduleName,
    Strategy,
)
from waferloom.simulate import _score_kernel as compiled
from waferloom.simulate.die_parameters import die_parameters
from waferloom.simulate.score_tables import (
    RECOMPUTES,
    SCHEDULE_IDS,
    Sharding,
    StageTables,
    block_tables,
    profile_tables,
    sharding_of,
    stage_tables,
)
from waferloom.simulate.step import UPDATE_FLOPS

NOT_DISTINCT: Final = compiled.NOT_DISTINCT


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What a strategy chooses beside its degrees and placement."""

    sequence_parallel: bool
    micro_batch_size: int
    zero: int
    schedule: ScheduleName
    num_model_chunks: int
    recompute: Recompute

    def strategy(self, degrees: ParallelDegrees, overlap: OverlapPolicy) -> Strategy:
        """Return the strategy of these choices."""
        return Strategy(
            degrees=degrees,
            sequence_parallel=self.sequence_parallel,
            zero=self.zero,
            schedule=self.schedule,
            num_model_chunks=self.num_model_chunks,
            micro_batch_size=self.micro_batch_size,
            recompute=self.recompute,
            overlap=overlap,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scorer:
    """The tables of one scenario, ready to score.

    Axes of a score: R placed degrees, O options.

    Attributes:
        placed: `(placement, degrees)` of axis R.
        options: Axis O.
        tables: What the kernel reads.
        rows_R6: Placed degrees as numbers.
        options_O6: Options as numbers.
        injection_s_per_byte_U: For every distinct collective, the least time per byte in which its
            busiest die can send what it must.
    """

    placed: tuple[tuple[str, ParallelDegrees], ...]
    options: tuple[Option, ...]
    tables: compiled.ScoreInput
    rows_R6: NDArray[np.int64]
    options_O6: NDArray[np.int64]
    injection_s_per_byte_U: NDArray[np.float64]

    def score(self, rows: slice | NDArray[np.int64]) -> tuple[NDArray[np.float64], int]:
        """Score all options of some rows.

        Returns:
            Step time and memory of the fullest die, axes (row, option, 2), and how many fit. Time
            is infinite where memory does not fit and `NOT_DISTINCT` where the pair is no strategy
            of its own.
        """
        rows_R6 = np.ascontiguousarray(self.rows_R6[rows])
        tables = self.tables._replace(index_RC=np.ascontiguousarray(self.tables.index_RC[rows]))
        out_RO2 = np.empty((len(rows_R6), len(self.options), 2))
        num_fit = compiled.score(tables, rows_R6, self.options_O6, out_RO2)
        return out_RO2, num_fit

    def relaxed(self, *, is_communication_free: bool) -> "Scorer":
        """Return a scorer of the relaxed problem: its scores bound the real ones from below.

        Memory of all usable dies is pooled, and a collective takes no longer than its busiest die
        needs to send its bytes over all its links, or no time at all.
        """
        pieces_U4 = np.zeros_like(self.tables.pieces_U4)
        if not is_communication_free:
            pieces_U4[:, 1] = self.injection_s_per_byte_U
        tables = self.tables._replace(
            pieces_U4=pieces_U4,
            link_s_per_byte_UL=np.zeros((len(pieces_U4), 1)),
            is_pooled=True,
        )
        return replace(self, tables=tables)

    def compute_bound_s(self) -> NDArray[np.float64]:
        """Return, for every placed degrees, a step time that none of its options beats.

        The slowest stage computes at least as long as the mean stage does.
        """
        t = self.tables
        counts_4 = t.runs_GN5[0, :, :1] * t.runs_GN5[0, :, 1:] if len(t.runs_GN5) else 0
        num_B = np.sum(counts_4, axis=0)
        pass_s_QSM = np.einsum("qsmbj,b->qsm", t.compute_s_QSMB4[..., :3], num_B)
        q, dp, pp = self.rows_R6[:, 0], self.rows_R6[:, 1], self.rows_R6[:, 4]
        num_RM = -(-t.global_batch_size // (dp[:, None] * t.micro_batch_size_M))
        each_RSM = pass_s_QSM[q] * (num_RM / pp[:, None])[:, None, :]
        return np.min(each_RSM, axis=(1, 2))


def scorer(
    scenario: Scenario,
    network: Network,
    placed: Sequence[tuple[str, ParallelDegrees]],
    options: Sequence[Option],
    overlap: OverlapPolicy,
) -> Scorer:
    """Build the tables for every pair of `placed` and `options`.

    Args:
        scenario: Job and system.
        network: Links of the system.
        placed: Placements and degrees; none may need more dies than are usable.
        options: The other choices.
        overlap: What runs behind compute, the same for all.
    """
    job = scenario.job
    die = die_parameters(
        scenario.system.die,
        job.precision.compute,
        dead_core_fraction=scenario.system.defects.dead_core_fraction,
    )
    shardings: dict[Sharding, int] = {}
    for _, degrees in placed:
        shardings.setdefault(sharding_of(degrees), len(shardings))
    sizes = sorted({option.micro_batch_size for option in options})
    chunks = sorted({option.num_model_chunks for option in options})
    pipelines = sorted({degrees.pp for _, degrees in placed})
    stages = stage_tables(job, [(pp, v) for pp in pipelines for v in chunks])
    has_experts = job.model.moe is not None
    blocks = block_tables(job, die, list(shardings), sizes)
    profiles = profile_tables(network, placed, has_experts=has_experts)
    precision = job.precision
    tables = compiled.ScoreInput(
        compute_s_QSMB4=blocks.compute_s_QSMB4,
        saved_bytes_QSMB3=blocks.saved_bytes_QSMB3,
        recomputed_bytes_QSMB3=blocks.recomputed_bytes_QSMB3,
        parameters_QB=blocks.parameters_QB,
        expert_parameters_QB=blocks.expert_parameters_QB,
        tied_copy_Q=blocks.tied_copy_Q,
        exchange_count_QSBPC=blocks.exchange_count_QSBPC,
        exchange_bytes_QSMBPC=blocks.exchange_bytes_QSMBPC,
        message_bytes_QSM=blocks.message_bytes_QSM,
        index_RC=profiles.index_RC,
        pieces_U4=profiles.pieces_U4,
        link_s_per_byte_UL=profiles.link_s_per_byte_UL,
        runs_GN5=stages.runs_GN5,
        stage_row_PV=_stage_rows(stages, max(pipelines, default=1), max(chunks)),
        micro_batch_size_M=np.array(sizes, dtype=np.int64),
        global_batch_size=job.global_batch_size,
        has_tied_head=job.model.is_tied,
        weight_bytes=precision.weight_bytes,
        gradient_bytes=precision.gradient_bytes,
        reduce_bytes=precision.gradient_reduce_bytes,
        optimizer_bytes=precision.master_weight_bytes + precision.optimizer_bytes,
        capacity_bytes=scenario.system.die.memory.capacity_bytes,
        pool_bytes=scenario.system.die.memory.capacity_bytes * network.num_dies,
        is_pooled=False,
        dram_bytes_per_s=die.dram_bytes_per_s,
        vector_flops_per_s=die.vector_flops_per_s,
        launch_s=die.launch_s,
        update_flops=UPDATE_FLOPS,
        overlap_gradients=overlap.gradients,
        overlap_parameters=overlap.parameters,
        overlap_pipeline=overlap.pipeline,
    )
    return Scorer(
        placed=tuple(placed),
        options=tuple(options),
        tables=tables,
        injection_s_per_byte_U=profiles.injection_s_per_byte_U,
        rows_R6=np.array(
            [
                (
                    shardings[sharding_of(d)],
                    d.dp,
                    d.tp,
                    d.cp,
                    d.pp,
                    d.expert_dp if has_experts else 1,
                )
                for _, d in placed
            ],
            dtype=np.int64,
        ).reshape(-1, 6),
        options_O6=np.array(
            [
                (
                    option.sequence_parallel,
                    sizes.index(option.micro_batch_size),
                    option.zero,
                    SCHEDULE_IDS.index(option.schedule),
                    option.num_model_chunks,
                    RECOMPUTES.index(option.recompute),
                )
                for option in options
            ],
            dtype=np.int64,
        ).reshape(-1, 6),
    )


def _stage_rows(stages: StageTables, max_pp: int, max_chunks: int) -> NDArray[np.int64]:
    rows_PV = np.full((max_pp + 1, max_chunks + 1), -1, dtype=np.int64)
    for (pp, chunks), row in stages.row_of.items():
        rows_PV[pp, chunks] = row
    return rows_PV
