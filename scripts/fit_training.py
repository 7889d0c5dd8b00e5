"""Fit the shared numbers of the training stacks, and print what rows left out would get.

    python scripts/fit_training.py [--data DIR]                 `studies.stacks.Fitted`
    python scripts/fit_training.py --collectives [--data DIR]   `studies.stacks.COLLECTIVES`

Stacks: least squares on the logarithm of simulated over measured step time, with a soft absolute
loss, over the acceptance rows of `studies.validate_training`: dense models of 1B parameters and
more in 16 bits on A100 and H100. Every number is drawn weakly towards its start, so that few rows
move it little: an e-fold change costs as much as one row that is wrong by a fifth. Then, group by
group (a group is a model of a table; and again, a whole family), the numbers are fitted without the
group, by one Gauss-Newton step from the fit of all rows, and the group's error is printed.

Collectives: mean absolute logarithmic error, on a grid.
"""

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from waferloom.communication import CollectiveKind
from waferloom.hardware import system
from waferloom.network.profile import profile_collective
from waferloom.network.topology import build_topology
from waferloom.parallel.strategy import Strategy
from waferloom.studies.data_directory import find_data
from waferloom.studies.stacks import Fitted
from waferloom.studies.training_rows import TrainingRow
from waferloom.studies.validate_training import (
    RowResult,
    Runner,
    constant_mfu_errors,
    validate_training,
)

Floats = NDArray[np.float64]

START = Fitted(
    triton_a100=0.45,
    triton_h100=0.3,
    flash2_a100=0.55,
    flash2_h100=0.45,
    backward=0.75,
    traffic_amp=1.5,
    traffic_pure=1.0,
    traffic_eager=1.2,
    traffic_compiled=0.6,
    traffic_megatron=1.0,
    traffic_megascale=0.6,
    overlap_megascale=0.5,
    overlap_async=0.7,
    interference=0.2,
    jitter=0.01,
)
"""Where the fit starts, and what it is drawn towards: kernel rates somewhat below the best ones
that the FlashAttention papers print, tensors counted by hand, and guesses for the rest."""
LOSS_SCALE = 0.05
PRIOR_SPREAD = 1.0
PRIOR_WEIGHT = 0.2
NAMES = tuple(field.name for field in fields(Fitted))


class Task(NamedTuple):
    """A row with its strategy, which stays fixed while numbers are fitted."""

    row: TrainingRow
    strategy: Strategy


def fitted_of(logs: Floats) -> Fitted:
    """Return the record behind logarithms; shares stay below 1."""
    values = dict(zip(NAMES, np.exp(logs).tolist(), strict=True))
    for name in ("overlap_megascale", "overlap_async"):
        values[name] = min(1.0, values[name])
    return Fitted(**values)


def logs_of(fitted: Fitted) -> Floats:
    """Return the logarithms of a record."""
    return np.log(np.array(list(asdict(fitted).values())))


def residuals(logs: Floats, tasks: Sequence[Task]) -> Floats:
    """Return log(simulated / measured) of every row."""
    runner = Runner(fitted=fitted_of(logs), networks=_NETWORKS)
    return np.array([np.log(runner.run(t.row, t.strategy).step_s / t.row.step_s) for t in tasks])


_NETWORKS: dict = {}


def fit(tasks: Sequence[Task], start: Floats) -> tuple[Floats, Floats]:
    """Return fitted logarithms, and the Jacobian there."""
    prior = logs_of(START)

    def all_residuals(logs: Floats) -> Floats:
        pulls = PRIOR_WEIGHT * (logs - prior) / PRIOR_SPREAD
        return np.concatenate([residuals(logs, tasks), pulls])

    found = least_squares(
        all_residuals, start, loss="soft_l1", f_scale=LOSS_SCALE, diff_step=0.02, max_nfev=8
    )
    return found.x, found.jac[: len(tasks)]


def without(group: NDArray[np.bool_], logs: Floats, errors: Floats, jacobian: Floats) -> Floats:
    """Return the errors of a group after one Gauss-Newton step that does not see it."""
    kept = ~group
    weights = 1.0 / np.sqrt(1.0 + (errors[kept] / LOSS_SCALE) ** 2)
    rows = jacobian[kept] * np.sqrt(weights)[:, None]
    target = errors[kept] * np.sqrt(weights)
    pull = np.eye(len(logs)) * PRIOR_WEIGHT / PRIOR_SPREAD
    system_matrix = np.vstack([rows, pull])
    right = np.concatenate([target, pull @ (logs - logs_of(START))])
    step = np.linalg.lstsq(system_matrix, -right, rcond=None)[0]
    return errors[group] + jacobian[group] @ step


def report_left_out(
    title: str,
    key: Callable[[TrainingRow], str],
    tasks: Sequence[Task],
    logs: Floats,
    errors: Floats,
    jacobian: Floats,
) -> None:
    """Print the error of every group, fitted with and without it."""
    names = np.array([key(task.row) for task in tasks])
    pooled: list[float] = []
    print(f"\n{title:48s} rows  fitted  left out")
    for name in dict.fromkeys(names.tolist()):
        group = names == name
        left_out = np.abs(np.expm1(without(group, logs, errors, jacobian)))
        pooled += left_out.tolist()
        inside = np.mean(np.abs(np.expm1(errors[group])))
        print(f"{name:48s} {group.sum():4d}  {inside:6.1%}  {np.mean(left_out):6.1%}")
    print(
        f"{'all':48s} {len(tasks):4d}  {np.mean(np.abs(np.expm1(errors))):6.1%}"
        f"  {np.mean(pooled):6.1%}"
    )


def fit_stacks(data_dir: Path) -> None:
    """Fit and print `Fitted`."""
    logs = logs_of(Fitted())
    jacobian = np.empty(0)
    tasks: list[Task] = []
    for _ in range(2):  # what is not printed is chosen by the simulator, so choose again once
        results = validate_training(data_dir, fitted=fitted_of(logs)).rows
        tasks = [Task(r.row, r.strategy) for r in results if r.is_accepted]
        logs, jacobian = fit(tasks, logs)
        print(f"mape {np.mean(np.abs(np.expm1(residuals(logs, tasks)))):.2%}", flush=True)
    print("Fitted(")
    for name, value in asdict(fitted_of(logs)).items():
        print(f"    {name}={value:.3g},")
    print(")")
    results = [r for r in validate_training(data_dir, fitted=fitted_of(logs)).rows if r.is_accepted]
    errors = np.log([r.step_s / r.row.step_s for r in results])
    by_model = "left out: a model of a table"
    report_left_out(by_model, lambda r: f"{r.table} {r.model.name}", tasks, logs, errors, jacobian)
    report_left_out("left out: a family", lambda r: r.family, tasks, logs, errors, jacobian)
    print(f"\nconstant MFU per family, fitted to it: {constant_error(results):.1%}")


def constant_error(results: Sequence[RowResult]) -> float:
    """Return the error of the yardstick."""
    families = dict.fromkeys(result.row.family for result in results)
    errors: list[float] = []
    for family in families:
        errors += constant_mfu_errors([r for r in results if r.row.family == family])
    return float(np.mean(np.abs(errors)))


KINDS = {
    "all_gather": CollectiveKind.ALL_GATHER,
    "reduce_scatter": CollectiveKind.REDUCE_SCATTER,
    "all_reduce": CollectiveKind.ALL_REDUCE,
    "alltoall": CollectiveKind.ALL_TO_ALL,
}
SMALLEST_BYTES = 2**23


def fit_collectives(data_dir: Path) -> None:
    """Fit and print what NCCL reaches, inside nodes and across."""
    inside = data_dir / "comm_nccl_intranode.csv"
    for preset, name in (("dgx-a100", "A100"), ("dgx-h100", "H100"), ("dgx-b200", "B200-SXM")):
        rows = [
            (r["op"], int(r["n_gpus"]), int(r["bytes_nccltests_size"]), float(r["latency_us"]))
            for r in read(inside)
            if name in r["system"]
        ]
        report_collectives(f"{preset} inside", preset, rows)
    across = data_dir / "comm_nccl_multinode.csv"
    for preset, name, fabric in (("dgx-a100:8", "A100", ""), ("dgx-h100:8", "H100-80GB", "400Gb")):
        rows = [
            (
                r["op"],
                int(r["n_gpus"]),
                int(r["bytes_nccltests_size"]),
                float(r["out_of_place_time_us"]),
            )
            for r in read(across)
            if name in r["system"]
            and fabric in r["fabric"]
            and int(r["n_gpus"]) <= 64
            and r["out_of_place_time_us"]
        ]
        report_collectives(f"{preset} across", preset, rows)


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def report_collectives(
    title: str, preset: str, rows: Sequence[tuple[str, int, int, float]]
) -> None:
    """Print the best efficiency and start-up latency."""
    topology = build_topology(system(preset))
    pieces: list[tuple[float, float, float, float, float]] = []
    for op, num_devices, size, measured_us in rows:
        if op not in KINDS or size < SMALLEST_BYTES:
            continue
        profile = profile_collective(topology, np.arange(num_devices)[None, :], KINDS[op])
        pieces.append(
            (
                profile.path_latency_s,
                profile.path_s_per_byte * size,
                profile.link_latency_s,
                profile.link_s_per_byte * size,
                1e-6 * measured_us,
            )
        )
    table = np.array(pieces)

    def error(efficiency: float, start_s: float) -> float:
        path_s = table[:, 0] + table[:, 1] / efficiency
        link_s = table[:, 2] + table[:, 3] / efficiency
        return float(np.mean(np.abs(np.log((np.maximum(path_s, link_s) + start_s) / table[:, 4]))))

    best = min(
        (error(efficiency, start_s), efficiency, start_s)
        for efficiency in np.arange(0.4, 1.001, 0.02)
        for start_s in np.arange(0, 200e-6, 2e-6)
    )
    print(
        f"{title}: {len(table)} rows, efficiency {best[1]:.2f}, start {best[2] * 1e6:.0f} us, "
        f"error {best[0]:.1%} (ideal links: {error(1.0, 0.0):.1%})"
    )


def main() -> int:
    """Fit what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=None, help="directory of the tables")
    parser.add_argument("--collectives", action="store_true", help="fit collectives instead")
    asked = parser.parse_args()
    data_dir = find_data(asked.data)
    (fit_collectives if asked.collectives else fit_stacks)(data_dir)
    return 0


if __name__ == "__main__":
    sys.exit(main())
