"""How many matmul shapes per second does one core time, compiled and in plain Python?

A search times tens of thousands of shapes before it starts; the plain reference would take minutes.

    python benchmarks/operators.py [--shapes N]
"""

import argparse
import os
import platform
import time

import numpy as np

from waferloom.hardware import system
from waferloom.simulate.operator_time import die_parameters, matmul_cost, matmul_costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=int, default=200_000, help="random shapes per die")
    shapes = parser.parse_args().shapes
    rng = np.random.default_rng(0)
    m_B, n_B, k_B = (rng.integers(1, 40_000, shapes) for _ in range(3))
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    for name in ("temp-6x8", "dgx-h100", "dgx-b200"):
        die = die_parameters(system(name).die, "fp16")
        matmul_costs(die, m_B[:1], n_B[:1], k_B[:1])  # compiles, or loads what was compiled before
        start = time.perf_counter()
        matmul_costs(die, m_B, n_B, k_B)
        compiled_s = time.perf_counter() - start
        few = min(shapes, 500)
        start = time.perf_counter()
        for m, n, k in zip(m_B[:few], n_B[:few], k_B[:few], strict=True):
            matmul_cost(die, m=int(m), n=int(n), k=int(k))
        plain_s = time.perf_counter() - start
        print(
            f"{name:10} compiled {shapes / compiled_s / 1e3:7.0f} thousand shapes/s,"
            f" plain {few / plain_s / 1e3:6.2f}"
        )


if __name__ == "__main__":
    main()
