"""The operator model against measured operators, family by family.

A family is one kind of operator on one system. Beside the errors stands the *skill* over a roofline
that was fitted to the same family: one share of the matrix peak and one of the bandwidth, the best
in hindsight. Skill 0 means that tiles, waves, launches and clocks explain nothing that a roofline
does not; 1 means no error.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from waferloom.hardware.library import system
from waferloom.hardware.spec import DieSpec
from waferloom.simulate.operator_time import (
    DieParameters,
    attention_costs,
    die_parameters,
    matmul_costs,
    vector_costs,
)
from waferloom.studies.operator_rows import (
    PRESET_OF,
    AttentionRow,
    MatmulRow,
    VectorRow,
    read_attention_decode,
    read_attention_prefill,
    read_gemm,
    read_layer_operators,
    read_microbenchmarks,
)

Floats = NDArray[np.float64]
BYTES_PER_ELEMENT: Final = {"bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "fp4": 0.5}
"""Of matmul operands; results are 16 bits wide."""
QUANTISE_BYTES: Final = 5.0
"""Per element rounded to 8 bits: read for the largest value, read again, and written."""
LONG_S: Final = 50e-6
"""Matmuls above this are their own family: what a plan is made of."""
LONG_VECTOR_S: Final = 20e-6
"""Vector operators above this are their own family: the table prints whole microseconds."""
WORST_ROWS: Final = 5
FEWEST_ROWS: Final = 5
"""Fewer say nothing about a roofline of two parameters."""
SHARES: Final = np.linspace(0.3, 1.0, 71)
"""Shares of peak and of bandwidth among which the roofline is fitted."""


TARGET_FAMILY: Final = "matmul bf16 above 50 us"
TARGET_MAPE: Final = 0.10
"""Mean absolute error that bf16 matmuls above 50 us are held to, on every system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorComparison:
    """One measured operator beside the model.

    Attributes:
        label: Such as `4096 x 8192 x 1024`.
        measured_s: By the source.
        model_s: By us.
        source: Of the measurement.
    """

    label: str
    measured_s: float
    model_s: float
    source: str

    @property
    def error(self) -> float:
        """Relative: model over measured, minus 1."""
        return self.model_s / self.measured_s - 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorFamily:
    """All rows of one kind of operator on one system.

    Attributes:
        name: Kind, such as `matmul bf16 above 50 us`.
        system: As the table names it.
        preset: That describes it.
        num_rows: Compared.
        mean_error: Signed, relative.
        mape: Mean absolute relative error.
        p90_error: 90th percentile of the absolute relative error.
        rank_correlation: Spearman's; None below three rows.
        roofline_mape: Of the roofline fitted to this family; None for fewer than 5 rows, which two
            fitted shares would meet by themselves.
        is_fitted: Whether parameters of the preset were fitted on these rows.
        worst: The rows of largest error.
    """

    name: str
    system: str
    preset: str
    num_rows: int
    mean_error: float
    mape: float
    p90_error: float
    rank_correlation: float | None
    roofline_mape: float | None
    is_fitted: bool
    worst: tuple[OperatorComparison, ...]

    @property
    def skill(self) -> float | None:
        """Share of the roofline's error that the model removes; None without a roofline."""
        return 1.0 - self.mape / self.roofline_mape if self.roofline_mape else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorValidation:
    """Every family of the data directory."""

    families: tuple[OperatorFamily, ...]

    @property
    def targets(self) -> tuple[OperatorFamily, ...]:
        """The families that are held to `TARGET_MAPE`: bf16 matmuls long enough to matter."""
        return tuple(family for family in self.families if family.name == TARGET_FAMILY)

    @property
    def is_met(self) -> bool:
        """Whether every family of `targets` is within the target, and there is one."""
        targets = self.targets
        return bool(targets) and all(family.mape <= TARGET_MAPE for family in targets)


def validate_operators(data_dir: Path) -> OperatorValidation:
    """Compare the operator model with every measured operator of a preset's device.

    Args:
        data_dir: Directory of the measured tables.

    Raises:
        SpecError: A table is missing.
    """
    layer_matmuls, layer_vectors = read_layer_operators(data_dir)
    micro_matmuls, streams = read_microbenchmarks(data_dir)
    families = [
        *_matmul_families("matmul", read_gemm(data_dir)),
        *_attention_families("attention prompt", read_attention_prefill(data_dir)),
        *_attention_families("attention decode", read_attention_decode(data_dir)),
        *_matmul_families("layer matmul", layer_matmuls),
        *_vector_families("layer vector", layer_vectors),
        *_matmul_families("sustained matmul", [r for r in micro_matmuls if r.is_sustained]),
        *_matmul_families("best matmul", [r for r in micro_matmuls if not r.is_sustained]),
        *_vector_families("stream", streams),
    ]
    return OperatorValidation(families=tuple(families))


def matmul_durations_s(params: DieParameters, rows: Sequence[MatmulRow]) -> Floats:
    """Return the model's seconds of matmuls of one format, rounding of the input included."""
    products = matmul_costs(
        params,
        [row.m for row in rows],
        [row.n for row in rows],
        [row.k for row in rows],
        bytes_in=BYTES_PER_ELEMENT[rows[0].dtype],
        bytes_out=2.0,
    )
    rounded = [QUANTISE_BYTES * row.m * row.k * row.quantises_input for row in rows]
    return products.duration_s + vector_costs(params, rounded, 0.0).duration_s


def attention_durations_s(params: DieParameters, rows: Sequence[AttentionRow]) -> Floats:
    """Return the model's seconds; a row that writes the cache reads and writes keys and values."""
    fused = attention_costs(
        params,
        num_queries=[row.num_queries for row in rows],
        num_keys=[row.num_keys for row in rows],
        num_heads=[row.num_heads for row in rows],
        num_kv_heads=[row.num_kv_heads for row in rows],
        head_dim_qk=[row.head_dim for row in rows],
        head_dim_v=[row.head_dim for row in rows],
        batch=[row.batch for row in rows],
        is_causal=True,
        is_stored=False,
        is_backward=False,
    )
    written_bytes = [2.0 * row.kv_bytes * row.writes_cache for row in rows]
    return fused.duration_s + vector_costs(params, written_bytes, 0.0).dram_s


def vector_durations_s(params: DieParameters, rows: Sequence[VectorRow]) -> Floats:
    """Return the model's seconds."""
    num_bytes = np.array([row.num_bytes for row in rows])
    smooth = vector_costs(params, num_bytes, 0.0, is_stream=True).duration_s
    uneven = vector_costs(params, num_bytes, 0.0).duration_s
    return np.where([row.is_stream for row in rows], smooth, uneven)


def _matmul_families(name: str, rows: Sequence[MatmulRow]) -> Iterable[OperatorFamily]:
    for device in _systems(rows):
        die = system(PRESET_OF[device]).die
        known = {str(dtype) for dtype in die.peak_flops_per_s}
        for dtype in sorted({row.dtype for row in rows if row.system == device} & known):
            mine = [row for row in rows if row.system == device and row.dtype == dtype]
            # The rows of one table are all short runs or all sustained.
            params = die_parameters(die, dtype, is_sustained=mine[0].is_sustained)
            size = BYTES_PER_ELEMENT[dtype]
            for title, is_long in (
                (f"{name} {dtype} above 50 us", True),
                (f"{name} {dtype}", False),
            ):
                chosen = [row for row in mine if row.duration_s > LONG_S or not is_long]
                if not chosen:
                    continue
                m, n, k = (
                    np.array([float(getattr(row, axis)) for row in chosen]) for axis in "mnk"
                )
                yield _family(
                    title,
                    chosen,
                    matmul_durations_s(params, chosen),
                    [f"{row.m} x {row.n} x {row.k}" for row in chosen],
                    flops=2 * m * n * k,
                    num_bytes=size * (m * k + k * n) + 2 * m * n,
                    peak=die.peak_flops_per_s[params.dtype],
                    is_fitted=name == "matmul" and dtype == "bf16",
                )


def _attention_families(name: str, rows: Sequence[AttentionRow]) -> Iterable[OperatorFamily]:
    for device in _systems(rows):
        die = system(PRESET_OF[device]).die
        params = die_parameters(die, "bf16", is_sustained=False)
        chosen = [row for row in rows if row.system == device]
        yield _family(
            name,
            chosen,
            attention_durations_s(params, chosen),
            [
                f"{row.batch} x {row.num_queries} queries, {row.num_keys} keys,"
                f" {row.num_heads}/{row.num_kv_heads} heads of {row.head_dim}"
                for row in chosen
            ],
            flops=np.array([_attention_flops(row) for row in chosen]),
            num_bytes=np.array(
                [
                    row.kv_bytes + 4.0 * row.batch * row.num_queries * row.num_heads * row.head_dim
                    for row in chosen
                ]
            ),
            peak=die.peak_flops_per_s[params.dtype],
            is_fitted=True,
        )


def _attention_flops(row: AttentionRow) -> float:
    pairs = row.num_queries * row.num_keys - row.num_queries * (row.num_queries - 1) / 2
    return 4.0 * row.batch * row.num_heads * row.head_dim * pairs


def _vector_families(name: str, rows: Sequence[VectorRow]) -> Iterable[OperatorFamily]:
    for device in _systems(rows):
        die = system(PRESET_OF[device]).die
        params = die_parameters(die, next(iter(die.peak_flops_per_s)), is_sustained=False)
        mine = [row for row in rows if row.system == device]
        for title, least_s in ((f"{name} above 20 us", LONG_VECTOR_S), (name, 0.0)):
            chosen = [row for row in mine if row.duration_s > least_s]
            yield _family(
                title,
                chosen,
                vector_durations_s(params, chosen),
                [f"{row.name} of {row.num_bytes / 1e6:.3g} MB" for row in chosen],
                flops=np.zeros(len(chosen)),
                num_bytes=np.array([row.num_bytes for row in chosen]),
                peak=die.vector_flops_per_s,
                is_fitted=True,
            )


def _systems(rows: Sequence[MatmulRow | AttentionRow | VectorRow]) -> list[str]:
    return list(dict.fromkeys(row.system for row in rows))


def _family(
    name: str,
    rows: Sequence[MatmulRow | AttentionRow | VectorRow],
    model_s: Floats,
    labels: Sequence[str],
    *,
    flops: Floats,
    num_bytes: Floats,
    peak: float,
    is_fitted: bool,
) -> OperatorFamily:
    measured_s = np.array([row.duration_s for row in rows])
    errors = model_s / measured_s - 1.0
    preset = PRESET_OF[rows[0].system]
    order = np.argsort(-np.abs(errors))[:WORST_ROWS]
    return OperatorFamily(
        name=name,
        system=rows[0].system,
        preset=preset,
        num_rows=len(rows),
        mean_error=float(errors.mean()),
        mape=float(np.abs(errors).mean()),
        p90_error=float(np.percentile(np.abs(errors), 90)),
        rank_correlation=_rank_correlation(model_s, measured_s),
        roofline_mape=_roofline_mape(measured_s, flops / peak, num_bytes, system(preset).die),
        is_fitted=is_fitted,
        worst=tuple(
            OperatorComparison(
                label=labels[row],
                measured_s=float(measured_s[row]),
                model_s=float(model_s[row]),
                source=rows[row].source,
            )
            for row in map(int, order)
        ),
    )


def _rank_correlation(model_s: Floats, measured_s: Floats) -> float | None:
    """Return Spearman's coefficient: how well the order agrees."""
    if np.unique(model_s).size < 3 or np.unique(measured_s).size < 3:
        return None
    return float(np.corrcoef(_ranks(model_s), _ranks(measured_s))[0, 1])


def _ranks(values: Floats) -> Floats:
    """Return ranks from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2)[inverse]


def _roofline_mape(
    measured_s: Floats, compute_s: Floats, num_bytes: Floats, die: DieSpec
) -> float | None:
    """Return the least error of max(compute / a, memory / b) over the shares a and b."""
    if measured_s.size < FEWEST_ROWS:
        return None
    memory_s = num_bytes / die.memory.bandwidth_bytes_per_s
    return min(
        float(np.abs(np.maximum(compute_s / a, memory_s / b) / measured_s - 1.0).mean())
        for a, b in product(SHARES, SHARES)
    )
