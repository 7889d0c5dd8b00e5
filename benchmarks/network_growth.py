"""How does the cost of simulating a collective grow with the mesh, from 8x8 to 64x64 dies?

For every mesh and traffic: flows, seconds to generate them, and seconds of each simulator. What
would take longer than `--budget` by the growth so far is left out and says so.

    python benchmarks/network_growth.py [--budget SECONDS] [--plot FILE.png]
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.hardware.spec import LinkSpec
from waferloom.network import (
    SIMULATORS,
    Topology,
    build_topology,
    collective_traffic,
    profile_collective,
)
from waferloom.network.simulators.packet import PacketModel
from waferloom.studies.network_spelling import network_system

SIDES = (8, 12, 16, 24, 32, 48, 64)
LINK = LinkSpec(bandwidth_bytes_per_s=1e12, latency_s=100e-9)
SIZE = 16e6
MOST_FLOWS = 2_500_000
"""About half a gigabyte of flows with their routes."""
FLIT_HOPS = 2e6
"""Of every packet run, by the size of its flits: the growth is then that of cycles and routers."""


class Task(NamedTuple):
    name: str
    kind: CollectiveKind
    algorithm: str
    flows: Callable[[int], float]  # of n dies, roughly


TASKS = (
    Task(
        "two-dimensional all-reduce",
        CollectiveKind.ALL_REDUCE,
        "two_dimensional",
        lambda n: 8 * n**1.5,
    ),
    Task(
        "halving-doubling all-reduce",
        CollectiveKind.ALL_REDUCE,
        "halving_doubling",
        lambda n: 2 * n * np.log2(n),
    ),
    Task("ring all-reduce", CollectiveKind.ALL_REDUCE, "ring", lambda n: 4.0 * n * n),
    Task("all-to-all at once", CollectiveKind.ALL_TO_ALL, "direct", lambda n: float(n * n)),
)


class Measured(NamedTuple):
    task: str
    model: str
    num_dies: int
    seconds: float


def taken(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def warm_up() -> None:
    """Compile everything, so that the smallest mesh does not pay for it."""
    topology = build_topology(network_system("2x2", LINK))
    group = np.arange(4)[None, :]
    for task in TASKS:
        traffic = collective_traffic(topology, group, task.kind, SIZE, algorithm=task.algorithm)
        profile_collective(topology, group, task.kind, algorithm=task.algorithm)
        for model in SIMULATORS.values():
            model.run(topology, traffic)


def too_slow(found: Sequence[Measured], task: Task, model: str, n: int, budget_s: float) -> bool:
    """Return whether a run is past the budget, by the growth of the last two meshes."""
    mine = [m for m in found if m.task == task.name and m.model == model]
    if len(mine) < 2:
        return False
    (n1, s1), (n2, s2) = ((m.num_dies, m.seconds) for m in mine[-2:])
    exponent = max(np.log(s2 / s1) / np.log(n2 / n1), 0.0)
    return s2 * (n / n2) ** exponent > budget_s


def measure(task: Task, side: int, budget_s: float, found: list[Measured]) -> None:
    n = side * side
    topology: Topology = build_topology(network_system(f"{side}x{side}", LINK))
    group = np.arange(n)[None, :]
    options = {"algorithm": task.algorithm}
    line = f"  {side:2}x{side:<2}"
    if not too_slow(found, task, "profile", n, budget_s):
        price = lambda: profile_collective(topology, group, task.kind, **options)  # noqa: E731
        found.append(Measured(task.name, "profile", n, taken(price)))
        line += f" profile {found[-1].seconds:8.4f} s"
    if task.flows(n) > MOST_FLOWS:
        print(f"{line}  {task.flows(n):.1e} flows: left out")
        return
    start = time.perf_counter()
    traffic = collective_traffic(topology, group, task.kind, SIZE, **options)
    line += f" {traffic.num_flows:8} flows made in {time.perf_counter() - start:7.3f} s"
    moved = float((traffic.size_bytes_F * np.diff(traffic.first_link_F1)).sum())
    for name, model in SIMULATORS.items():
        if too_slow(found, task, name, n, budget_s):
            line += f" {name} left out"
            continue
        chosen = PacketModel(flit_bytes=moved / FLIT_HOPS) if name == "packet" else model
        run = lambda: chosen.run(topology, traffic)  # noqa: E731, B023
        found.append(Measured(task.name, name, n, taken(run)))
        line += f" {name} {found[-1].seconds:8.4f} s"
    print(line, flush=True)


def plot(found: Sequence[Measured], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), dpi=150)
    axes = figure.subplots(2, 2, sharex=True)
    for place, task in zip(axes.ravel(), TASKS, strict=True):
        for model in ("profile", *SIMULATORS):
            mine = [m for m in found if m.task == task.name and m.model == model]
            if mine:
                place.loglog(
                    [m.num_dies for m in mine], [m.seconds for m in mine], "o-", label=model
                )
        place.set(title=task.name, xlabel="dies", ylabel="seconds")
        place.grid(alpha=0.3)
        place.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    print(f"drawn into {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=20.0, help="seconds of one run")
    parser.add_argument("--plot", type=Path, help="draw the growth into this file")
    asked = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, numba {numba.__version__}, {time.strftime('%Y-%m-%d')}"
    )
    warm_up()
    found: list[Measured] = []
    for task in TASKS:
        print(task.name)
        for side in SIDES:
            measure(task, side, asked.budget, found)
    if asked.plot is not None:
        plot(found, asked.plot)


if __name__ == "__main__":
    main()
