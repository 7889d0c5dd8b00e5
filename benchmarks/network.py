"""What does it cost to price, generate and simulate a collective, and to replay it in plain Python?

A search prices thousands of collectives before it starts, on wafers of tens of dies and on clusters
of ten thousand devices; a score simulates single ones, flow by flow.

    python benchmarks/network.py
"""

import os
import platform
import time
from collections.abc import Callable

import numba
import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.hardware import system
from waferloom.hardware.spec import SwitchedSpec
from waferloom.network import (
    SIMULATORS,
    Topology,
    build_topology,
    collective_traffic,
    profile_collective,
)
from waferloom.network.simulators import _bound_reference, _fluid_reference, _queue_reference

SIZE = 64e6


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the least time of `repeats` calls, after one that may compile."""
    call()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def price(name: str, topology: Topology, groups: np.ndarray, kind: CollectiveKind) -> None:
    taken = seconds(lambda: profile_collective(topology, groups, kind), repeats=20)
    chosen = profile_collective(topology, groups, kind).algorithm
    print(f"  {name:34} {kind:15} {chosen:17} {taken * 1e6:10.0f} us")


def prices() -> None:
    print("profile_collective, best algorithm at 64 MB")
    wafer = build_topology(system("temp-6x8"))
    grid = np.arange(48).reshape(6, 8)
    blocks = grid.reshape(3, 2, 2, 4).transpose(0, 2, 1, 3).reshape(6, 8)
    for kind in (CollectiveKind.ALL_REDUCE, CollectiveKind.ALL_TO_ALL):
        price("48 dies, six rows of 8", wafer, grid, kind)
        price("48 dies, six blocks of 2x4", wafer, blocks, kind)
        price("48 dies, one group", wafer, grid.reshape(1, 48), kind)
    gpus = system("dgx-h100")
    assert isinstance(gpus.interconnect, SwitchedSpec)
    many = gpus.interconnect.model_copy(update={"num_nodes": 1400})
    cluster = build_topology(gpus.model_copy(update={"interconnect": many}))
    devices = np.arange(11_200)
    for kind in (CollectiveKind.ALL_REDUCE, CollectiveKind.ALL_TO_ALL):
        price("11,200 GPUs, one group", cluster, devices[None, :], kind)
        price("11,200 GPUs, 1400 nodes of 8", cluster, devices.reshape(1400, 8), kind)
        price("11,200 GPUs, 8 groups of 1400", cluster, devices.reshape(1400, 8).T, kind)


def simulations() -> None:
    print("simulators, flows per second (64 MB on 48 dies)")
    wafer = build_topology(system("temp-6x8"))
    for kind, algorithm in (
        (CollectiveKind.ALL_REDUCE, "ring"),
        (CollectiveKind.ALL_REDUCE, "two_dimensional"),
        (CollectiveKind.ALL_TO_ALL, "direct"),
    ):
        dies = np.arange(48)[None, :]
        start = time.perf_counter()
        traffic = collective_traffic(wafer, dies, kind, SIZE, algorithm=algorithm)
        made = time.perf_counter() - start
        print(f"  {kind} {algorithm}: {traffic.num_flows} flows made in {made * 1e3:.1f} ms")
        for name, model in SIMULATORS.items():
            taken = seconds(lambda: model.run(wafer, traffic), repeats=2)  # noqa: B023
            duration_us = model.run(wafer, traffic).duration_s * 1e6
            rate = traffic.num_flows / taken
            print(
                f"    {name:8} {taken * 1e3:9.1f} ms {rate:12.0f} flows/s -> {duration_us:7.2f} us"
            )


def references() -> None:
    print("kernels beside their plain twins (all-to-all of 16 MB on 12 dies)")
    wafer = build_topology(system("temp-6x8"))
    dies = np.arange(12)[None, :]
    traffic = collective_traffic(wafer, dies, CollectiveKind.ALL_TO_ALL, 16e6, algorithm="direct")
    twins: dict[str, Callable[[], object]] = {
        "bound": lambda: _bound_reference.bound_s(wafer, traffic),
        "queue": lambda: _queue_reference.arrivals(wafer, traffic),
        "fluid": lambda: _fluid_reference.arrivals(wafer, traffic),
    }
    for name, twin in twins.items():
        compiled = seconds(lambda: SIMULATORS[name].run(wafer, traffic), repeats=5)  # noqa: B023
        plain = seconds(twin, repeats=1)
        print(f"    {name:8} compiled {compiled * 1e3:7.2f} ms, plain {plain * 1e3:9.1f} ms")


def main() -> None:
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, numba {numba.__version__}"
    )
    prices()
    simulations()
    references()


if __name__ == "__main__":
    main()
