"""Published training runs against the simulated step, family by family.

A run is simulated with the printed layout on the preset of its devices, with the numbers of its
stack (`stacks`). What the source leaves open (micro-batch, virtual stages, recomputation) is set by
one rule for all rows: the fastest choice that fits in memory, by the simulator itself.

The yardstick is a constant MFU: per family, `step_s = model FLOPs / (mfu peak devices)` with the
one `mfu` that fits the family best. It knows the family's rows; the simulator knows them only
through the few shared numbers of `stacks.Fitted`. `skill` is the part of its error that the
simulator removes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from waferloom.hardware import system
from waferloom.hardware.spec import Dtype, SwitchedSpec, SystemSpec
from waferloom.mapping.layout import Network, network_of
from waferloom.mapping.scenario import Scenario
from waferloom.parallel.strategy import Recompute, ScheduleName, Strategy
from waferloom.simulate.records import StepReport
from waferloom.simulate.step import Setting, model_flops, step_report
from waferloom.studies.stacks import FITTED, Fitted, Stack, stacks
from waferloom.studies.training_rows import TrainingRow, UnusableRow, read_training_rows
from waferloom.workload.job import Training
from waferloom.workload.parameters import count_parameters

MICRO_BATCH_SIZES: Final = (1, 2, 4, 8)
"""Tried where the micro-batch is not printed."""
SMALLEST_ACCEPTED: Final = 1e9
"""Parameters; smaller models are bound by the host that launches their kernels."""
ACCEPTED_DTYPES: Final = ("bf16", "fp16")
TARGET_MAPE: Final = 0.08
TARGET_SKILL: Final = 0.25
RACK_DEVICES_USED: Final[Mapping[str, int]] = {"gb200-nvl72": 64}
_SEQUENTIAL: Final = "sequential"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResult:
    """One run, simulated.

    Attributes:
        row: As published.
        strategy: As simulated.
        step_s: Simulated.
        is_feasible: Whether it fits in memory, as far as the simulator knows.
        flops_s: Model FLOPs of a step over the peak of its devices.
    """

    row: TrainingRow
    strategy: Strategy
    step_s: float
    is_feasible: bool
    flops_s: float

    @property
    def error(self) -> float:
        """Simulated over measured step time, less 1."""
        return self.step_s / self.row.step_s - 1.0

    @property
    def is_accepted(self) -> bool:
        """Whether the row counts for acceptance: dense, 16 bits, 1B parameters and more, GPUs."""
        row = self.row
        return (
            row.is_dense
            and row.dtype in ACCEPTED_DTYPES
            and not row.device.startswith("tpu")
            and count_parameters(row.model).total >= SMALLEST_ACCEPTED
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyResult:
    """Errors of rows that one constant MFU could describe, or of several such families together.

    Attributes:
        name: Device class, stack and format.
        num_rows: Rows.
        bias: Mean signed error of the step time.
        mape: Mean absolute error.
        rank_correlation: Spearman's, of tokens per second and device; None below three rows.
        constant_mape: Mean absolute error of the best constant MFU of each family.
        num_too_large: Rows that the simulator says do not fit in memory.
    """

    name: str
    num_rows: int
    bias: float
    mape: float
    rank_correlation: float | None
    constant_mape: float
    num_too_large: int

    @property
    def skill(self) -> float | None:
        """Share of the constant's error that is removed; None where the constant has no error."""
        return 1.0 - self.mape / self.constant_mape if self.constant_mape > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingValidation:
    """All runs.

    Attributes:
        rows: One result per row that can be simulated.
        families: By device class, stack and format, all rows.
        accepted: The acceptance rows together, each family against its own constant.
        accepted_families: Their families.
        unusable: Rows left out, with reasons.
    """

    rows: tuple[RowResult, ...]
    families: tuple[FamilyResult, ...]
    accepted: FamilyResult
    accepted_families: tuple[FamilyResult, ...]
    unusable: tuple[UnusableRow, ...]

    @property
    def is_met(self) -> bool:
        """Whether both targets are met."""
        skill = self.accepted.skill
        return self.accepted.mape <= TARGET_MAPE and skill is not None and skill >= TARGET_SKILL

    def worst(self, count: int = 10) -> tuple[RowResult, ...]:
        """Return the acceptance rows with the largest errors."""
        rows = [row for row in self.rows if row.is_accepted]
        return tuple(sorted(rows, key=lambda row: -abs(row.error))[:count])


def validate_training(data_dir: Path, *, fitted: Fitted = FITTED) -> TrainingValidation:
    """Simulate every usable run of the data directory.

    Args:
        data_dir: Directory of the measured tables.
        fitted: Numbers of the stacks.

    Raises:
        SpecError: A table is missing or not as expected.
    """
    rows, unusable = read_training_rows(data_dir)
    runner = Runner(fitted=fitted)
    results = tuple(runner.run(row) for row in rows)
    accepted = [result for result in results if result.is_accepted]
    return TrainingValidation(
        rows=results,
        families=families_of(results),
        accepted=pooled("acceptance rows", accepted),
        accepted_families=families_of(accepted),
        unusable=unusable,
    )


class Runner:
    """Simulates rows, keeping the networks of their systems."""

    def __init__(
        self, *, fitted: Fitted = FITTED, networks: dict[str, Network] | None = None
    ) -> None:
        """Start without networks, or with those of another runner."""
        self._stacks: Mapping[str, Stack] = stacks(fitted)
        self._fitted = fitted
        self._networks = {} if networks is None else networks

    def run(self, row: TrainingRow, choice: Strategy | None = None) -> RowResult:
        """Simulate one row.

        Args:
            row: The run.
            choice: Take micro-batch, chunks and recomputation from this strategy instead of
                searching for what is not printed.
        """
        best: tuple[tuple[bool, float], Strategy, StepReport] | None = None
        job = self._job(row)
        for strategy in self._strategies(row, job) if choice is None else (choice,):
            strategy = replace(strategy, **self._software(row))
            report = self._report(row, job, strategy)
            rank = not report.is_feasible, report.step_s
            if best is None or rank < best[0]:
                best = rank, strategy, report
        assert best is not None, "a micro-batch of one sequence always divides"
        _, strategy, report = best
        scenario = Scenario(job=job, system=system_of(row))
        peak = scenario.system.die.peak_flops_per_s[Dtype(_dtype(row))]
        return RowResult(
            row=row,
            strategy=strategy,
            step_s=report.step_s,
            is_feasible=report.is_feasible,
            flops_s=model_flops(job) / (peak * row.num_devices),
        )

    def _job(self, row: TrainingRow) -> Training:
        stack = self._stacks[row.stack]
        return Training(
            model=row.model,
            global_batch_size=row.global_batch_size,
            seq_len=row.seq_len,
            precision=replace(stack.precision, compute=_dtype(row)),
            attention=stack.attention,
        )

    def _software(self, row: TrainingRow) -> Mapping[str, object]:
        stack = self._stacks[row.stack]
        software = stack.software(system(row.system).die, self._fitted)
        return {"overlap": stack.overlap, "software": software}

    def _report(self, row: TrainingRow, job: Training, strategy: Strategy) -> StepReport:
        spec = system_of(row)
        if row.system not in self._networks:
            self._networks[row.system] = network_of(spec)
        network = self._networks[row.system]
        return step_report(
            Setting(
                scenario=Scenario(job=job, system=spec),
                strategy=strategy,
                network=network,
                layout=network.layout(_SEQUENTIAL, strategy.degrees),
            )
        )

    def _strategies(self, row: TrainingRow, job: Training) -> Iterator[Strategy]:
        """Yield every choice of what is not printed."""
        per_stage = row.model.num_layers // row.degrees.pp
        sizes = MICRO_BATCH_SIZES if row.micro_batch_size is None else (row.micro_batch_size,)
        chunks = (
            tuple(v for v in range(1, per_stage + 1) if per_stage % v == 0)
            if row.num_model_chunks is None
            # 126 layers in 16 x 8 virtual stages count embedding and head, which we do not
            else (min(row.num_model_chunks, per_stage),)
        )
        recomputes = tuple(Recompute) if row.recompute is None else (row.recompute,)
        per_rank = -(-row.global_batch_size // row.degrees.dp)
        for size, num_chunks, recompute in product(sizes, chunks, recomputes):
            is_interleaved = num_chunks > 1 and row.degrees.pp > 1
            strategy = Strategy(
                degrees=row.degrees,
                sequence_parallel=row.sequence_parallel,
                zero=row.zero,
                schedule=ScheduleName.INTERLEAVED if is_interleaved else ScheduleName.ONE_F_ONE_B,
                num_model_chunks=num_chunks if is_interleaved else 1,
                micro_batch_size=min(size, per_rank),
                recompute=recompute,
            )
            fits_rounds = strategy.num_micro_batches(job) % row.degrees.pp == 0
            if not is_interleaved or fits_rounds or row.num_model_chunks is not None:
                yield strategy


def system_of(row: TrainingRow) -> SystemSpec:
    """Return the system of a run.

    A run on several racks of 72 uses 64 of each, so that its groups do not straddle racks.
    """
    spec = system(row.system)
    net = spec.interconnect
    per_node = RACK_DEVICES_USED.get(row.device)
    if per_node is None or not isinstance(net, SwitchedSpec) or net.num_nodes == 1:
        return spec
    nodes = -(-row.num_devices // per_node)
    resized = net.model_copy(update={"num_nodes": nodes, "devices_per_node": per_node})
    return spec.model_copy(update={"interconnect": resized})


def _dtype(row: TrainingRow) -> str:
    return "bf16" if row.dtype == "fp16" else row.dtype  # one rate on every device here


def families_of(results: Sequence[RowResult]) -> tuple[FamilyResult, ...]:
    """Return the errors by family, in the order of the rows."""
    names = dict.fromkeys(result.row.family for result in results)
    return tuple(
        pooled(name, [result for result in results if result.row.family == name]) for name in names
    )


def pooled(name: str, results: Sequence[RowResult]) -> FamilyResult:
    """Return the errors of some rows together; the constants are those of their families."""
    errors = np.array([result.error for result in results])
    constant: list[float] = []
    for family in dict.fromkeys(result.row.family for result in results):
        members = [result for result in results if result.row.family == family]
        constant += constant_mfu_errors(members)
    return FamilyResult(
        name=name,
        num_rows=len(results),
        bias=float(np.mean(errors)) if results else 0.0,
        mape=float(np.mean(np.abs(errors))) if results else 0.0,
        rank_correlation=_rank_correlation(results),
        constant_mape=float(np.mean(np.abs(constant))) if constant else 0.0,
        num_too_large=sum(not result.is_feasible for result in results),
    )


def constant_mfu_errors(results: Sequence[RowResult]) -> list[float]:
    """Return the signed errors of the constant MFU that fits these rows best.

    The constant `k` that minimises `sum |k a_i - 1|` is the median of `1 / a_i` weighted by `a_i`,
    with `a_i` the step time at full peak over the measured one.
    """
    ratios = sorted((result.flops_s / result.row.step_s for result in results), reverse=True)
    half, reached, best = sum(ratios) / 2, 0.0, 1.0
    for ratio in ratios:
        reached += ratio
        best = 1.0 / ratio
        if reached >= half:
            break
    return [best * result.flops_s / result.row.step_s - 1.0 for result in results]


def _rank_correlation(results: Sequence[RowResult]) -> float | None:
    if len(results) < 3:
        return None
    measured = [result.row.tokens_per_s_per_device for result in results]
    simulated = [result.row.tokens_per_s_per_device / (1.0 + result.error) for result in results]
    if len(set(measured)) == 1 or len(set(simulated)) == 1:
        return None
    # Pearson's of the ranks, ties sharing their mean rank
    return float(np.corrcoef(_ranks(measured), _ranks(simulated))[0, 1])


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) - 1) / 2 for value in values]
