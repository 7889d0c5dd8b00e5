"""Measured collectives on GPUs against our switched topologies, family by family.

The bytes on every port come from the topology and the algorithm; what a library makes of the ports
is in the few numbers of `collective_library.LIBRARIES`. Beside them stands what the training step
uses, `stacks.COLLECTIVES`: a share of the links and a start-up time, fitted where training moves
its bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from waferloom.hardware import system
from waferloom.studies.collective_library import LIBRARIES, Library, duration_s, work_of
from waferloom.studies.collective_rows import CollectiveRow, UnusableRows, read_collectives
from waferloom.studies.stacks import COLLECTIVES
from waferloom.units import MIB

TARGET_MAPE: Final = 0.12
FITTED_FROM_BYTES: Final = 1.0 * MIB
"""Rows below are not fitted: there the host that launches kernels counts for more than links."""
NOT_FITTED: Final = frozenset({"Vidur a100_dgx", "Vidur h100_dgx", "NCCL inside GB300"})
"""Families that use the numbers of another."""

Floats = NDArray[np.float64]


class SizeBand(StrEnum):
    """Sizes that are reported together."""

    SMALL = "<1 MiB"
    MEDIUM = "1-16 MiB"
    LARGE = ">=16 MiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveResult:
    """One row, timed.

    Attributes:
        row: As measured.
        model_s: By the library's law.
        step_s: By what the training step uses; None where it knows no library for the device.
    """

    row: CollectiveRow
    model_s: float
    step_s: float | None

    @property
    def error(self) -> float:
        """Model over measurement, less 1."""
        return self.model_s / self.row.duration_s - 1.0

    @property
    def band(self) -> SizeBand:
        """Band of its size."""
        return band_of(self.row.size_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveFamily:
    """Errors of the rows of one system and library.

    Attributes:
        name: Of the family, or of several together.
        num_rows: Rows.
        mape: Mean absolute error by band; bands without rows are absent.
        bias: Mean signed error at 16 MiB and more; None without such rows.
        step_mape: Error there of what the training step uses; None where it has nothing.
        is_fitted: Whether its own rows were used in a fit.
    """

    name: str
    num_rows: int
    mape: Mapping[SizeBand, float]
    bias: float | None
    step_mape: float | None
    is_fitted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveValidation:
    """All tables.

    Attributes:
        families: In the order of the tables.
        tables: The same rows by table, those alone that were measured within the NCCL tests, the
            DeepEP and TensorRT-LLM kernels, and so on.
        pooled: All rows together.
        results: Every row.
        unusable: What was left out, and why.
    """

    families: tuple[CollectiveFamily, ...]
    tables: tuple[CollectiveFamily, ...]
    pooled: CollectiveFamily
    results: tuple[CollectiveResult, ...]
    unusable: tuple[UnusableRows, ...]

    @property
    def is_met(self) -> bool:
        """Whether every table's error at 16 MiB and more is within the target."""
        return all(table.mape.get(SizeBand.LARGE, 0.0) <= TARGET_MAPE for table in self.tables)

    def worst(self, count: int = 10) -> tuple[CollectiveResult, ...]:
        """Return the rows of 16 MiB and more with the largest errors."""
        large = [result for result in self.results if result.band is SizeBand.LARGE]
        return tuple(sorted(large, key=lambda result: -abs(result.error))[:count])


def validate_collectives(
    data_dir: Path, *, libraries: Mapping[str, Library] = LIBRARIES
) -> CollectiveValidation:
    """Time every usable row of the communication tables.

    Args:
        data_dir: Directory of the measured tables.
        libraries: What is known of the libraries.

    Raises:
        SpecError: A table is missing.
    """
    rows, unusable = read_collectives(data_dir)
    results = tuple(
        CollectiveResult(
            row=row,
            model_s=duration_s(libraries[row.library], work_of(row), row),
            step_s=_step_s(row),
        )
        for row in rows
    )
    families = dict.fromkeys(result.row.family for result in results)
    tables = dict.fromkeys(result.row.table for result in results)
    return CollectiveValidation(
        families=tuple(
            pooled(name, [each for each in results if each.row.family == name]) for name in families
        ),
        tables=tuple(
            pooled(name, [each for each in results if each.row.table == name]) for name in tables
        ),
        pooled=pooled("all rows", results),
        results=results,
        unusable=unusable,
    )


def band_of(size_bytes: float) -> SizeBand:
    """Return the band of a size."""
    if size_bytes < MIB:
        return SizeBand.SMALL
    return SizeBand.MEDIUM if size_bytes < 16 * MIB else SizeBand.LARGE


def pooled(name: str, results: Sequence[CollectiveResult]) -> CollectiveFamily:
    """Return the errors of some rows together."""
    by_band = {band: [each for each in results if each.band is band] for band in SizeBand}
    large = by_band[SizeBand.LARGE]
    step = [each.step_s / each.row.duration_s - 1 for each in large if each.step_s is not None]
    return CollectiveFamily(
        name=name,
        num_rows=len(results),
        mape={
            band: float(np.mean([abs(each.error) for each in members]))
            for band, members in by_band.items()
            if members
        },
        bias=float(np.mean([each.error for each in large])) if large else None,
        step_mape=float(np.mean(np.abs(step))) if step else None,
        is_fitted=name not in NOT_FITTED,
    )


def _step_s(row: CollectiveRow) -> float | None:
    """Return the time by the affine library of the training step, for rows of NCCL."""
    library = COLLECTIVES.get(system(row.preset).die.name)
    if library is None or not row.library.startswith("nccl"):
        return None
    work = work_of(row)
    is_across = work.across_s_per_byte > 0
    share = library.across_efficiency if is_across else library.inside_efficiency
    start_s = library.across_latency_s if is_across else library.inside_latency_s
    inside_s, across_s = work.inside_s_per_byte, work.across_s_per_byte
    return work.path_latency_s + start_s + row.size_bytes * max(inside_s, across_s) / share
