"""Fit the efficiencies of the GPU presets on measured operators, and say how well they generalise.

    python scripts/fit_operators.py [--data DIR] [--quick]

Few parameters per device, none per row: the lines of `[die.efficiency]` and `[die.cores]` that
result are printed as TOML, to be copied into the presets by hand. What is fitted on which rows:

- matmul, tile_fill, noc_bandwidth_bytes_per_s, launch_s, matmul_dram, split_k_s, burst_s and
  throttled_clock: the bf16 rows of `gemm_aiconfigurator.csv`. A100 shows neither a power limit nor
  a cost of splitting, so it keeps the defaults there; GB200 has the cores of B200;
- dram: STREAM in `microbench_public.csv`; B200, which has none, from `attention_decode_*.csv`;
- attention_launch_s: `attention_decode_aiconfigurator.csv`;
- attention_forward, attention_fill and softmax_flops: `attention_prefill_aiconfigurator.csv` (A100
  has no heads narrower than 128 there, which softmax_flops would need, so it keeps the default),
  and attention_tail for B200, whose kernel deals its work out beforehand;
- vector_dram: norm, rotary embedding and activation above 10 us of `layer_ops_vidur.csv`;
- sustained_clock: the sustained matmuls of 4096 and more a side in `microbench_public.csv`.

The loss is the mean absolute log ratio of model to measurement; matmuls below 50 us weigh a
quarter, since what a plan is made of lasts longer. Leave-one-group-out: the fit is repeated without
every row of one value of m, of n and of k in turn, and the error is that of the rows left out.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import differential_evolution

from waferloom.hardware.library import system
from waferloom.hardware.spec import CoreArraySpec, EfficiencySpec
from waferloom.simulate.operator_time import DieParameters, die_parameters, matmul_costs
from waferloom.studies.data_directory import find_data
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
from waferloom.studies.validate_operators import attention_durations_s, matmul_durations_s

Floats = NDArray[np.float64]
Values = Mapping[str, float]

LONG_S = 50e-6
SHORT_WEIGHT = 0.25
RANGES = {
    "matmul": (0.5, 1.0),
    "tile_fill": (1.0, 500.0),
    "noc_bandwidth_bytes_per_s": (1e10, 5e11),
    "launch_s": (1e-6, 8e-6),
    "matmul_dram": (0.5, 0.97),
    "split_k_s": (1e-8, 2e-5),
    "burst_s": (1e-4, 5e-3),
    "throttled_clock": (0.4, 1.0),
    "dram": (0.8, 1.0),
    "attention_launch_s": (3e-6, 3e-5),
    "attention_forward": (0.3, 1.0),
    "attention_fill": (0.1, 10.0),
    "attention_tail": (0.1, 3.0),
    "softmax_flops": (4.0, 100.0),
}
"""Every fitted parameter, searched on a logarithmic scale."""
CLOCK = ("burst_s", "throttled_clock")
MATMUL = ("matmul", "launch_s", "matmul_dram", "split_k_s", *CLOCK)
CORES = ("tile_fill", "noc_bandwidth_bytes_per_s")
MATMUL_KNOBS = {
    "a100_sxm": ("matmul", "launch_s", "matmul_dram", *CORES),
    "h100_sxm": (*MATMUL, *CORES),
    "b200_sxm": (*MATMUL, *CORES),
    "gb200": MATMUL,
}
ASSUMED = {"b200_sxm": {"vector_dram": 0.55}, "gb200": {"vector_dram": 0.55}}
"""What no table measures: between A100 and H100."""
PREFILL_KNOBS = {
    "a100_sxm": ("attention_forward", "attention_fill"),
    "h100_sxm": ("attention_forward", "attention_fill", "softmax_flops"),
    "b200_sxm": ("attention_forward", "attention_fill", "softmax_flops", "attention_tail"),
}


def with_values(preset: str, values: Values, dtype: str = "bf16") -> DieParameters:
    """Return a short-run die: the preset's silicon, ideal but for `values`."""
    die = system(preset).die
    cores = {k: v for k, v in values.items() if k in CoreArraySpec.model_fields}
    efficiency = {k: v for k, v in values.items() if k in EfficiencySpec.model_fields}
    changed = die.model_copy(
        update={
            "cores": die.cores.model_copy(update=cores),
            "efficiency": EfficiencySpec(**efficiency),
        }
    )
    return die_parameters(changed, dtype, is_sustained=False)


def search(
    loss: Callable[[Values], float], knobs: Sequence[str], iterations: int
) -> dict[str, float]:
    """Return the knob values of the least loss found."""
    found = differential_evolution(
        lambda logs: loss(dict(zip(knobs, np.exp(logs), strict=True))),
        [tuple(np.log(RANGES[knob])) for knob in knobs],
        maxiter=iterations,
        popsize=8,
        seed=0,
        tol=1e-7,
        polish=False,
    )
    return dict(zip(knobs, map(float, np.exp(found.x)), strict=True))


def measured_s(rows: Sequence[MatmulRow | AttentionRow | VectorRow]) -> Floats:
    """Return the measured seconds."""
    return np.array([row.duration_s for row in rows])


def fit_matmul(
    preset: str, rows: Sequence[MatmulRow], knobs: Sequence[str], known: Values, iterations: int
) -> dict[str, float]:
    """Return the matmul knobs that fit `rows`."""
    sizes = [np.array([float(getattr(row, axis)) for row in rows]) for axis in "mnk"]
    measured = measured_s(rows)
    weight = np.where(measured > LONG_S, 1.0, SHORT_WEIGHT)

    def loss(values: Values) -> float:
        model = matmul_costs(with_values(preset, {**known, **values}), *sizes).duration_s
        return float(np.average(np.abs(np.log(model / measured)), weights=weight))

    return search(loss, knobs, iterations)


def long_errors(preset: str, values: Values, rows: Sequence[MatmulRow]) -> Floats:
    """Return the relative error of every row of more than 50 us."""
    rows = [row for row in rows if row.duration_s > LONG_S]
    return matmul_durations_s(with_values(preset, values), rows) / measured_s(rows) - 1


def left_out_errors(
    preset: str,
    rows: Sequence[MatmulRow],
    knobs: Sequence[str],
    known: Values,
    axis: str,
    iterations: int,
) -> Floats:
    """Return the errors of rows that their own fit has not seen, one value of `axis` at a time."""
    errors: list[Floats] = []
    for value in sorted({getattr(row, axis) for row in rows}):
        seen = [row for row in rows if getattr(row, axis) != value]
        unseen = [row for row in rows if getattr(row, axis) == value]
        if any(row.duration_s > LONG_S for row in unseen):
            values = fit_matmul(preset, seen, knobs, known, iterations)
            errors.append(long_errors(preset, {**known, **values}, unseen))
    return np.concatenate(errors)


def fit_attention(
    preset: str, rows: Sequence[AttentionRow], knobs: Sequence[str], known: Values
) -> dict[str, float]:
    """Return the attention knobs that fit `rows`."""
    measured = measured_s(rows)

    def loss(values: Values) -> float:
        model = attention_durations_s(with_values(preset, {**known, **values}), rows)
        return float(np.abs(np.log(model / measured)).mean())

    return search(loss, knobs, 60)


def vector_share(preset: str, rows: Sequence[VectorRow], launch_s: float) -> float:
    """Return the median share of the memory's peak that the rows reach."""
    rates = np.array([row.num_bytes for row in rows]) / (measured_s(rows) - launch_s)
    return float(np.median(rates) / system(preset).die.memory.bandwidth_bytes_per_s)


def sustained_clock(preset: str, rows: Sequence[MatmulRow], values: Values) -> float:
    """Return the sustained rate over what short runs would reach."""
    short = {key: value for key, value in values.items() if key not in CLOCK}
    ratios = [
        matmul_durations_s(with_values(preset, short, row.dtype), [row])[0] / row.duration_s
        for row in rows
    ]
    return float(np.median(ratios))


def report(title: str, errors: Floats) -> None:
    """Print errors as a comment."""
    size = np.abs(errors)
    print(
        f"#   {title}, {errors.size} rows: mean error {errors.mean():+.3f},"
        f" mean absolute {size.mean():.3f}, 90th percentile {np.percentile(size, 90):.3f}"
    )


def show(values: Values) -> None:
    """Print values as TOML."""
    for name, value in values.items():
        print(f"{name} = {value:.3g}")


def main() -> None:
    """Fit every device and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="directory of the measured tables")
    parser.add_argument("--quick", action="store_true", help="skip leave-one-group-out")
    options = parser.parse_args()
    data = find_data(options.data)
    gemm = [row for row in read_gemm(data) if row.dtype == "bf16"]
    _, layer_vectors = read_layer_operators(data)
    micro_matmuls, streams = read_microbenchmarks(data)
    prefill, decode = read_attention_prefill(data), read_attention_decode(data)
    cores: dict[str, float] = {}
    for name, knobs in MATMUL_KNOBS.items():
        preset = PRESET_OF[name]
        rows = [row for row in gemm if row.system == name]
        known = {key: value for key, value in cores.items() if key not in knobs}
        values = known | fit_matmul(preset, rows, knobs, known, 120)
        cores = {key: values[key] for key in CORES}
        print(f"\n# {preset}")
        show(values)
        report("matmuls above 50 us", long_errors(preset, values, rows))
        if not options.quick:
            for axis in "mnk":
                unseen = left_out_errors(preset, rows, knobs, known, axis, 60)
                report(f"leaving out one {axis} at a time", unseen)
        more = dict(ASSUMED.get(name, {}))
        vectors = [
            row
            for row in layer_vectors
            if PRESET_OF[row.system] == preset and not row.is_stream and row.duration_s > 10e-6
        ]
        if vectors:
            more["vector_dram"] = vector_share(preset, vectors, values["launch_s"])
        mine = [row for row in streams if PRESET_OF[row.system] == preset]
        if mine:
            more["dram"] = vector_share(preset, mine, 0.0)
        kept = [row for row in decode if row.system == name]
        if kept:
            free = ["attention_launch_s"] + ([] if mine else ["dram"])
            more |= fit_attention(preset, kept, free, values | more)
            error = attention_durations_s(with_values(preset, values | more), kept)
            report("decoding", error / measured_s(kept) - 1)
        prompts = [row for row in prefill if row.system == name]
        if prompts:
            more |= fit_attention(preset, prompts, PREFILL_KNOBS[name], values | more)
            error = attention_durations_s(with_values(preset, values | more), prompts)
            report("prompts", error / measured_s(prompts) - 1)
        settled = [
            row
            for row in micro_matmuls
            if PRESET_OF[row.system] == preset
            and row.is_sustained
            and min(row.m, row.n, row.k) >= 4096
            and row.dtype != "fp4"
        ]
        if settled:
            more["sustained_clock"] = sustained_clock(preset, settled, values)
        show(more)


if __name__ == "__main__":
    main()
