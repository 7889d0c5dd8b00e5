"""Compare the compiled score with the plain-Python step over many random scenarios.

The tests draw a dozen; this draws as many as asked for, and stops at nothing:

    python scripts/check_score.py --seeds 500

Exit code 1 if a strategy differs by more than the tolerance.
"""

import argparse
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "simulate"))

from random_scenarios import Comparison, compare


def difference(each: Comparison) -> float:
    """Return the larger relative difference of time and memory."""
    memory = abs(each.memory_bytes / each.oracle_memory_bytes - 1)
    if not each.is_feasible:
        return memory if math.isinf(each.step_s) else math.inf
    return max(memory, abs(each.step_s / each.oracle_step_s - 1))


def main() -> int:
    """Run the comparison and print the worst."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200, help="scenarios to draw")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--tolerance", type=float, default=1e-9, help="relative")
    asked = parser.parse_args()
    worst, num_strategies, num_feasible, num_wrong = 0.0, 0, 0, 0
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        for each in compare(seed):
            num_strategies += 1
            num_feasible += each.is_feasible
            apart = difference(each)
            worst = max(worst, apart)
            if not apart <= asked.tolerance:
                num_wrong += 1
                print(f"{apart:.1e} apart: {each}")
    print(
        f"{num_strategies} strategies of {asked.seeds} scenarios, {num_feasible} feasible: "
        f"{num_wrong} beyond {asked.tolerance:g}, worst {worst:.1e}"
    )
    return 1 if num_wrong or not num_feasible else 0


if __name__ == "__main__":
    sys.exit(main())
