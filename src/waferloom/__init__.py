"""Plan, simulate and execute large language models on wafer-scale chips.

Example:
    >>> import waferloom as wl
    >>> job = wl.Training(wl.model("llama2-7b"), global_batch_size=128, seq_len=4096)
    >>> solution = wl.plan(job, wl.system("temp-6x8"))
    >>> solution.report.is_feasible
    True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from waferloom.errors import (
        PlanError,
        RoutingError,
        SolverError,
        SpecError,
        WaferloomError,
    )
    from waferloom.hardware import read_defects, system, with_defects
    from waferloom.mapping.plan import Plan, load_plan
    from waferloom.mapping.scenario import Scenario
    from waferloom.parallel.software import CollectiveLibrary, Software
    from waferloom.parallel.strategy import (
        OverlapPolicy,
        ParallelDegrees,
        Recompute,
        ScheduleName,
        Strategy,
    )
    from waferloom.report.html import save_report
    from waferloom.search.planner import make_plan, plan
    from waferloom.search.solution import Solution
    from waferloom.simulate.records import StepReport
    from waferloom.simulate.step import simulate_plan
    from waferloom.workload.job import Inference, Precision, Training
    from waferloom.workload.library import model

__all__ = [
    "CollectiveLibrary",
    "Inference",
    "OverlapPolicy",
    "ParallelDegrees",
    "Plan",
    "PlanError",
    "Precision",
    "Recompute",
    "RoutingError",
    "Scenario",
    "ScheduleName",
    "Software",
    "Solution",
    "SolverError",
    "SpecError",
    "StepReport",
    "Strategy",
    "Training",
    "WaferloomError",
    "load_plan",
    "make_plan",
    "model",
    "plan",
    "read_defects",
    "save_report",
    "simulate_plan",
    "system",
    "with_defects",
]

_HOME: Final = {
    **dict.fromkeys(
        ("PlanError", "RoutingError", "SolverError", "SpecError", "WaferloomError"), "errors"
    ),
    **dict.fromkeys(("read_defects", "system", "with_defects"), "hardware"),
    **dict.fromkeys(("Plan", "load_plan"), "mapping.plan"),
    "Scenario": "mapping.scenario",
    **dict.fromkeys(("CollectiveLibrary", "Software"), "parallel.software"),
    **dict.fromkeys(
        ("OverlapPolicy", "ParallelDegrees", "Recompute", "ScheduleName", "Strategy"),
        "parallel.strategy",
    ),
    "save_report": "report.html",
    **dict.fromkeys(("make_plan", "plan"), "search.planner"),
    "Solution": "search.solution",
    "StepReport": "simulate.records",
    "simulate_plan": "simulate.step",
    **dict.fromkeys(("Inference", "Precision", "Training"), "workload.job"),
    "model": "workload.library",
}
"""Where each public name lives; nothing is imported before it is asked for: `--help` is quick."""


def __getattr__(name: str) -> object:
    """Import a public name on first use."""
    if name not in _HOME:
        msg = f"module 'waferloom' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"waferloom.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
