"""How many distinct feasible strategies per second does one core score, and the scalar oracle?

Two models of 96 layers on the 48 dies of temp-6x8: GPT-3 175B, whose state leaves few strategies
that fit, and the same layers at a third of the width, where most fit. Every degree, placement and
option of the exhaustive solver, link loads included, nothing pruned. Only strategies that fit in
memory count as feasible. The oracle is `simulate.step.step_report`, on a random sample of the same
ones.

    python benchmarks/search.py [--samples N]
"""

import argparse
import os
import platform
import time
from dataclasses import replace

os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np

from waferloom.hardware import system
from waferloom.mapping.layout import network_of
from waferloom.mapping.scenario import Scenario
from waferloom.search.space import Space
from waferloom.simulate.score import NOT_DISTINCT, scorer
from waferloom.simulate.step import Setting, step_report
from waferloom.workload.job import Training
from waferloom.workload.library import model
from waferloom.workload.model import ModelConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100, help="strategies for the oracle")
    samples = parser.parse_args().samples
    print(
        f"machine: {platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}"
    )
    whole = model("gpt3-175b")
    third = replace(
        whole, name="gpt3-175b at a third of its width", hidden_size=4096, ffn_size=16384
    )
    third = replace(third, num_heads=32, num_kv_heads=32)
    for config in (whole, third):
        measure(config, samples)


def measure(config: ModelConfig, samples: int) -> None:
    job = Training(config, global_batch_size=128, seq_len=2048)
    scenario = Scenario(job=job, system=system("temp-6x8"))
    network = network_of(scenario.system)
    space = Space()
    placed = [(p, d) for d in space.degrees(job, network.num_dies) for p in space.placements]
    options = space.options(job)
    every = np.arange(len(placed))

    start = time.perf_counter()
    tables = scorer(scenario, network, placed, options, space.overlap)
    tables.tables_of(every)  # collectives are worked out once and kept
    table_s = time.perf_counter() - start
    tables.score(every[:4])  # compiles, or loads what was compiled before

    start = time.perf_counter()
    score_RO2, num_feasible = tables.score(every)
    score_s = time.perf_counter() - start
    is_strategy_RO = score_RO2[..., 0] != NOT_DISTINCT

    rng = np.random.default_rng(0)
    fits = np.argwhere(np.isfinite(score_RO2[..., 0]) & is_strategy_RO)
    chosen = fits[rng.choice(len(fits), size=samples, replace=False)]
    start = time.perf_counter()
    worst = 0.0
    for row, option in chosen:
        placement, degrees = placed[row]
        strategy = options[option].strategy(degrees, space.overlap)
        layout = network.layout(placement, degrees)
        report = step_report(
            Setting(scenario=scenario, strategy=strategy, network=network, layout=layout)
        )
        worst = max(worst, abs(report.step_s / score_RO2[row, option, 0] - 1))
    oracle_s = time.perf_counter() - start

    num_strategies = int(np.count_nonzero(is_strategy_RO))
    rate, oracle_rate = num_feasible / score_s, samples / oracle_s
    print(f"\n{config.name}: {config.num_layers} layers on {network.num_dies} dies")
    print(f"  strategies: {num_strategies:,}, of which {num_feasible:,} fit")
    print(f"  tables: {table_s:.2f} s, once per scenario ({network.topology.num_links} links)")
    print(f"  vectorised: {rate:,.0f} distinct feasible strategies/s on one core ({score_s:.2f} s)")
    print(f"  vectorised: {num_strategies / score_s:,.0f} distinct strategies/s, fitting or not")
    print(f"  tables included: {num_feasible / (score_s + table_s):,.0f} feasible strategies/s")
    print(f"  oracle: {oracle_rate:,.0f}/s; ratio {rate / oracle_rate:,.0f}")
    print(f"  largest relative difference over {samples} strategies: {worst:.1e}")


if __name__ == "__main__":
    main()
