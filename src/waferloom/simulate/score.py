"""Scores of whole spaces of strategies: the step time and memory of `step`, many at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from waferloom.communication import CollectiveKind
from waferloom.mapping.layout import CP, EP, EXPERT_TP, TP, Axes, Network
from waferloom.mapping.scenario import Scenario
from waferloom.parallel.software import IDEAL, IDEAL_LIBRARY, CollectiveLibrary, Software
from waferloom.parallel.strategy import (
    OverlapPolicy,
    ParallelDegrees,
    Recompute,
    ScheduleName,
    Strategy,
)
from waferloom.simulate import _score_kernel as compiled
from waferloom.simulate.score_tables import (
    CHANNELS,
    NUM_INNER_CHANNELS,
    RECOMPUTES,
    SCHEDULE_IDS,
    Sharding,
    StageTables,
    block_tables,
    injection_bytes_per_s,
    profile_tables,
    sharding_of,
    stage_tables,
)
from waferloom.simulate.step import UPDATE_FLOPS, die_of

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

    def strategy(
        self, degrees: ParallelDegrees, overlap: OverlapPolicy, software: Software = IDEAL
    ) -> Strategy:
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
            software=software,
        )


class Relaxation(StrEnum):
    """Which costs of the real problem a scorer leaves out; memory is pooled in all but NONE."""

    NONE = "none"
    NO_CONTENTION = "collectives limited by the links of their members and the cuts of the grid"
    NO_COMMUNICATION = "communication free"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scorer:
    """The tables of one scenario, ready to score.

    Operator tables are built once for all rows; collective tables are built for the rows that are
    scored, since pruning leaves most rows out.

    Axes of a score: R placed degrees, O options.

    Attributes:
        network: Links of the system.
        placed: `(placement, degrees)` of axis R.
        options: Axis O.
        slowest_of_R: Step time of the slowest device over the mean.
        tables: What the kernel reads, without collectives.
        rows_R6: Placed degrees as numbers.
        options_O6: Options as numbers.
        sharding_Q4: tp, cp, ep and expert_tp of every sharding.
        has_experts: Whether expert axes matter.
        library: What collectives reach of the links.
        relaxation: What is left out.
    """

    network: Network
    placed: tuple[tuple[str, ParallelDegrees], ...]
    options: tuple[Option, ...]
    slowest_of_R: NDArray[np.float64]
    tables: compiled.ScoreInput
    rows_R6: NDArray[np.int64]
    options_O6: NDArray[np.int64]
    sharding_Q4: NDArray[np.int64]
    has_experts: bool
    library: CollectiveLibrary = IDEAL_LIBRARY
    relaxation: Relaxation = Relaxation.NONE

    def score(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], int]:
        """Score all options of some rows.

        Returns:
            Step time and memory of the fullest die, axes (row, option, 2), and how many fit. Time
            is infinite where memory does not fit and `NOT_DISTINCT` where the pair is no strategy
            of its own.
        """
        rows_R6 = np.ascontiguousarray(self.rows_R6[rows])
        out_RO2 = np.empty((len(rows_R6), len(self.options), 2))
        num_fit = compiled.score(self.tables_of(rows), rows_R6, self.options_O6, out_RO2)
        times_RO = out_RO2[:, :, 0]
        np.multiply(
            times_RO, self.slowest_of_R[rows, None], out=times_RO, where=times_RO > NOT_DISTINCT
        )
        return out_RO2, num_fit

    def tables_of(self, rows: NDArray[np.int64]) -> compiled.ScoreInput:
        """Return the tables with the collectives of some rows."""
        if self.relaxation is Relaxation.NO_COMMUNICATION:
            return self.tables._replace(
                index_RC=np.zeros((len(rows), len(CHANNELS)), dtype=np.int64),
                pieces_U4=np.zeros((1, 4)),
                link_s_per_byte_UL=np.zeros((1, 1)),
                is_pooled=True,
            )
        profiles = profile_tables(
            self.network,
            [self.placed[int(row)] for row in rows],
            has_experts=self.has_experts,
            library=self.library,
        )
        tables = self.tables._replace(
            index_RC=profiles.index_RC,
            pieces_U4=profiles.pieces_U4,
            link_s_per_byte_UL=profiles.link_s_per_byte_UL,
        )
        if self.relaxation is Relaxation.NONE:
            return tables
        pieces_U4 = np.zeros_like(profiles.pieces_U4)
        pieces_U4[:, 1] = profiles.floor_s_per_byte_U
        return tables._replace(
            pieces_U4=pieces_U4,
            link_s_per_byte_UL=np.zeros((len(pieces_U4), 1)),
            is_pooled=True,
        )

    def relaxed(self, relaxation: Relaxation) -> "Scorer":
        """Return a scorer of a relaxed problem: its scores bound the real ones from below.

        Memory of all usable dies is pooled, and a collective takes no longer than its members need
        for their bytes on their own links and cuts of the grid let through, or no time at all.
        """
        return replace(self, relaxation=relaxation)

    def state_bound_bytes(self) -> NDArray[np.float64]:
        """Return, for every placed degrees, bytes per die that none of its options goes below.

        Weights, gradients and optimizer state of the mean stage at the highest ZeRO stage offered;
        the fullest die holds at least as much. Pooled memory is compared with the same mean.
        """
        t = self.tables
        num_B = self._num_blocks()
        q, pp = self.rows_R6[:, 0], self.rows_R6[:, 4]
        dense_R = (t.parameters_QB @ num_B)[q] / pp
        expert_R = (t.expert_parameters_QB @ num_B)[q] / pp
        replicas_R = self.rows_R6[:, 1] * self.rows_R6[:, 3]
        sharded_R = dense_R / replicas_R + expert_R / self.rows_R6[:, 5]
        zero = int(np.max(self.options_O6[:, 2], initial=0))
        held_R = np.zeros(len(q))
        for bytes_each, stage in (
            (t.weight_bytes, 3),
            (t.gradient_bytes, 2),
            (t.optimizer_bytes, 1),
        ):
            held_R += bytes_each * (sharded_R if zero >= stage else dense_R + expert_R)
        return held_R

    def _num_blocks(self) -> NDArray[np.float64]:
        """Return how many blocks of each kind the model has; axis B."""
        runs_N5 = self.tables.runs_GN5[0]
        return np.sum(runs_N5[:, :1] * runs_N5[:, 1:], axis=0).astype(np.float64)

    def bound_s(self) -> NDArray[np.float64]:
        """Return, for every placed degrees, a step time that none of its options beats.

        The slowest stage takes at least as long as the mean stage, and that at least its compute
        and what its exposed collectives need for injection alone.
        """
        t = self.tables
        num_B = self._num_blocks()
        pass_s_QSM = np.einsum("qsmbj,b->qsm", t.compute_s_QSMB4[..., :3], num_B)
        if self.relaxation is not Relaxation.NO_COMMUNICATION:
            pass_s_QSM += self._injection_s_QSM(num_B)
        q, dp, pp = self.rows_R6[:, 0], self.rows_R6[:, 1], self.rows_R6[:, 4]
        num_RM = -(-t.global_batch_size // (dp[:, None] * t.micro_batch_size_M))
        each_RSM = pass_s_QSM[q] * (num_RM / pp[:, None])[:, None, :]
        return np.min(each_RSM, axis=(1, 2))

    def _injection_s_QSM(self, num_B: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the least time of all exposed collectives of one micro-batch.

        Together the `n` members send at least `(n - 1)` times the vector, or twice that to reduce
        and spread it, so the busiest sends at least the n-th part.
        """
        t = self.tables
        bytes_per_s = injection_bytes_per_s(self.network)
        total_QSM = np.zeros(t.message_bytes_QSM.shape)
        for c, (kind, axes) in enumerate(CHANNELS[:NUM_INNER_CHANNELS]):
            degree_Q = self.sharding_Q4[:, _DEGREE_COLUMN[axes]]
            share_Q = (degree_Q - 1) / degree_Q / bytes_per_s
            if axes == TP:
                share_Q = (1.0 - t.overlap_tensor) * share_Q  # what is hidden adds nothing
            if kind is CollectiveKind.ALL_REDUCE:
                share_Q = 2 * share_Q
            sent_QSM = np.einsum(
                "qsbp,qsmbp,b->qsm",
                t.exchange_count_QSBPC[..., c],
                t.exchange_bytes_QSMBPC[..., c],
                num_B,
            )
            total_QSM += share_Q[:, None, None] * sent_QSM
        return total_QSM


_DEGREE_COLUMN: Final[Mapping[Axes, int]] = {TP: 0, CP: 1, EP: 2, EXPERT_TP: 3}
"""Column of `Scorer.sharding_Q4` that holds the size of a group."""


def scorer(
    scenario: Scenario,
    network: Network,
    placed: Sequence[tuple[str, ParallelDegrees]],
    options: Sequence[Option],
    overlap: OverlapPolicy,
    software: Software = IDEAL,
) -> Scorer:
    """Build the tables for every pair of `placed` and `options`.

    Args:
        scenario: Job and system.
        network: Links of the system.
        placed: Placements and degrees; none may need more dies than are usable.
        options: The other choices.
        overlap: What runs behind compute, the same for all.
        software: What the training stack costs, the same for all.
    """
    job = scenario.job
    die = die_of(scenario, software)
    gathered = software.gather_bytes
    shardings: dict[Sharding, int] = {}
    for _, degrees in placed:
        shardings.setdefault(sharding_of(degrees), len(shardings))
    sizes = sorted({option.micro_batch_size for option in options})
    chunks = sorted({option.num_model_chunks for option in options})
    pipelines = sorted({degrees.pp for _, degrees in placed})
    stages = stage_tables(job, [(pp, v) for pp in pipelines for v in chunks])
    has_experts = job.model.moe is not None
    blocks = block_tables(job, die, list(shardings), sizes, software)
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
        gathered_kv_bytes_QSM=blocks.gathered_kv_bytes_QSM,
        index_RC=np.zeros((0, len(CHANNELS)), dtype=np.int64),
        pieces_U4=np.zeros((1, 4)),
        link_s_per_byte_UL=np.zeros((1, 1)),
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
        overlap_tensor=overlap.tensor,
        gather_bytes=precision.weight_bytes if gathered is None else gathered,
        interference=software.interference,
    )
    return Scorer(
        network=network,
        sharding_Q4=np.array(list(shardings), dtype=np.int64).reshape(-1, 4),
        has_experts=has_experts,
        library=software.collectives,
        placed=tuple(placed),
        options=tuple(options),
        slowest_of_R=np.array([software.slowest_of(d.num_ranks) for _, d in placed]),
        tables=tables,
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
