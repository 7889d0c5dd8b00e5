"""Fit what libraries of collectives reach of the links, and say how well it generalises.

    python scripts/fit_collectives.py [--data DIR] [--quick]

Prints `studies.collective_library.LIBRARIES`. Each library has two to four numbers, fitted on the
rows of 1 MiB and more of its families by the least mean absolute logarithm of model over
measurement:

- NCCL inside a node (`comm_nccl_intranode.csv`; 2, 4 or 8 devices, four collectives): chunk_s,
  port_share, idle_peers, and switch_share where the switch adds up (A100 nodes cannot);
- NCCL across nodes (`comm_nccl_multinode.csv`): chunk_s and across_share; inside as above;
- DeepEP, normal: chunk_s, port_share, multiprocessor_bytes_per_s; low latency: chunk_s, port_share;
- TensorRT-LLM in a rack: chunk_s, port_share, token_s.

`Vidur`'s all-reduces and the GB300 rows are fitted nowhere: they test the numbers of A100, H100 and
GB200. Leave-one-group-out: the fit is repeated without each group in turn (a collective and number
of devices, a log of one user, a number of multiprocessors, a model, a number of devices), and the
error is that of the rows left out, at 16 MiB and more.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import differential_evolution

from waferloom.studies.collective_library import Library, duration_s, work_of
from waferloom.studies.collective_rows import CollectiveRow, read_collectives
from waferloom.studies.data_directory import find_data
from waferloom.studies.validate_collectives import FITTED_FROM_BYTES, NOT_FITTED, SizeBand, band_of

Floats = NDArray[np.float64]

RANGES: Mapping[str, tuple[float, float]] = {
    "chunk_s": (5e-7, 2e-3),
    "port_share": (0.2, 1.0),
    "idle_peers": (0.01, 2.0),
    "switch_share": (0.2, 1.0),
    "token_s": (1e-9, 2e-7),
    "multiprocessor_bytes_per_s": (5e9, 5e10),
    "across_share": (0.2, 1.0),
}
"""Every fitted number, searched on a logarithmic scale."""
INSIDE = ("chunk_s", "port_share", "idle_peers")
PIPELINED = Library(chunk_s=1e-5, port_share=1.0, is_pipelined=True)
PLAIN = Library(chunk_s=1e-5, port_share=1.0)


def knobs_of(name: str) -> tuple[str, ...]:
    """Return what is fitted of a library."""
    if name.startswith("nccl"):
        if name.count("-") == 2:
            return ("chunk_s", "across_share")
        return INSIDE if name == "nccl-a100" else (*INSIDE, "switch_share")
    if name.startswith("deepep-normal"):
        return ("chunk_s", "port_share", "multiprocessor_bytes_per_s")
    if name.startswith("trtllm"):
        return ("chunk_s", "port_share", "token_s")
    return ("chunk_s", "port_share")


def start_of(name: str, libraries: Mapping[str, Library]) -> Library:
    """Return what a fit starts from: across nodes, the numbers inside."""
    if name.startswith("nccl"):
        return libraries.get("-".join(name.split("-")[:2]), PIPELINED)
    return PLAIN


def errors_of(library: Library, rows: Sequence[CollectiveRow]) -> Floats:
    """Return model over measurement of every row."""
    return np.array([duration_s(library, work_of(row), row) / row.duration_s for row in rows])


def fit(
    start: Library, knobs: Sequence[str], rows: Sequence[CollectiveRow], iterations: int
) -> Library:
    """Return the library of the least error."""

    def library(logs: Floats) -> Library:
        return replace(start, **dict(zip(knobs, map(float, np.exp(logs)), strict=True)))

    found = differential_evolution(
        lambda logs: float(np.abs(np.log(errors_of(library(logs), rows))).mean()),
        [tuple(np.log(RANGES[knob])) for knob in knobs],
        maxiter=iterations,
        popsize=6,
        seed=0,
        polish=False,
        x0=[_inside(getattr(start, knob), *np.log(RANGES[knob])) for knob in knobs],
    )
    return library(found.x)


def _inside(value: float | None, low: float, high: float) -> float:
    """Return the logarithm of a start within its range, or the middle."""
    return float(np.clip(np.log(value), low, high)) if value else (low + high) / 2


def large_mape(library: Library, rows: Sequence[CollectiveRow]) -> float | None:
    """Return the mean absolute error of the rows of 16 MiB and more."""
    large = [row for row in rows if band_of(row.size_bytes) is SizeBand.LARGE]
    return float(np.abs(errors_of(library, large) - 1).mean()) if large else None


def left_out_mape(
    start: Library, knobs: Sequence[str], rows: Sequence[CollectiveRow], iterations: int
) -> float | None:
    """Return the error of rows that their own fit has not seen, one group at a time."""
    errors: list[float] = []
    for group in dict.fromkeys(row.group for row in rows):
        seen = [row for row in rows if row.group != group]
        unseen = [
            row for row in rows if row.group == group and band_of(row.size_bytes) is SizeBand.LARGE
        ]
        if seen and unseen:
            found = fit(start, knobs, seen, iterations)
            errors += np.abs(errors_of(found, unseen) - 1).tolist()
    return float(np.mean(errors)) if errors else None


def shown(library: Library) -> str:
    """Return a library as source text, three digits each."""
    default = Library(chunk_s=0.0, port_share=0.0)
    parts = [
        f"{field.name}={value}" if isinstance(value, bool) else f"{field.name}={value:.3g}"
        for field in fields(Library)
        if (value := getattr(library, field.name)) != getattr(default, field.name)
    ]
    return f"Library({', '.join(parts)})"


def percent(fraction: float | None) -> str:
    """Return a share in words."""
    return "-" if fraction is None else f"{fraction:.1%}"


def main() -> None:
    """Fit every library and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="directory of the measured tables")
    parser.add_argument("--quick", action="store_true", help="skip leave-one-group-out")
    options = parser.parse_args()
    rows, _ = read_collectives(find_data(options.data))
    fitted = [
        row for row in rows if row.family not in NOT_FITTED and row.size_bytes >= FITTED_FROM_BYTES
    ]
    libraries: dict[str, Library] = {}
    for name in dict.fromkeys(row.library for row in fitted):
        mine = [row for row in fitted if row.library == name]
        start, knobs = start_of(name, libraries), knobs_of(name)
        libraries[name] = fit(start, knobs, mine, 60)
        error = percent(large_mape(libraries[name], mine))
        unseen = "skipped"
        if not options.quick:
            unseen = percent(left_out_mape(start, knobs, mine, 30))
        print(f'    "{name}": {shown(libraries[name])},')
        print(f"    # {len(mine)} rows, at 16 MiB and more {error}, groups left out {unseen}")


if __name__ == "__main__":
    main()
