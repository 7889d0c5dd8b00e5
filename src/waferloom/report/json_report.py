"""Results as plain dictionaries for `--json`: stable names, SI units in the names, no NaN.

A document says what it is (`format`, `version`), what wrote it (`versions`), what was asked (`plan`
holds job and system, resolved) and what came out. Fields are added within a version; one that is
renamed or removed raises it.
"""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from pydantic import BaseModel

from waferloom.bounds.records import Bound, gap, tightest
from waferloom.hardware.spec import SystemSpec
from waferloom.mapping.plan import Plan
from waferloom.report.terminal import Contender
from waferloom.search.solution import Solution
from waferloom.simulate.records import LinkLoads, StepReport
from waferloom.simulate.training_cost import TrainingCost
from waferloom.workload.model import ModelConfig
from waferloom.workload.parameters import count_parameters

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

VERSION: Final = 1

Json = dict[str, Any]


def solution_json(solution: Solution, *, cost: TrainingCost | None = None) -> Json:
    """Return a search result.

    Args:
        solution: What the search returned.
        cost: Of a whole training run, where the caller knows its tokens.
    """
    document = report_json(solution.plan, solution.report, bounds=solution.bounds, cost=cost)
    return {
        **document,
        "format": "waferloom-solution",
        "alternatives": _plain(solution.alternatives),
        "statistics": _plain(solution.statistics),
    }


def report_json(
    plan: Plan,
    report: StepReport,
    *,
    bounds: Sequence[Bound] = (),
    cost: TrainingCost | None = None,
) -> Json:
    """Return the report of one plan.

    Args:
        plan: What was scored.
        report: How it scored.
        bounds: What no plan can beat, where the caller knows it.
        cost: Of a whole training run, where the caller knows its tokens.
    """
    known = tuple(bounds)
    has_bound = bool(known) and tightest(known).step_s > 0
    return {
        "format": "waferloom-report",
        "version": VERSION,
        "versions": versions(),
        "plan": json.loads(plan.to_json()),
        "report": _report(report),
        "bounds": _plain(known),
        "tightest_bound": tightest(known).name.value if known else None,
        "gap": _plain(gap(report.step_s, known)) if has_bound else None,
        "training_cost": None if cost is None else _cost(cost),
    }


def comparison_json(
    contenders: Sequence[Contender], *, costs: Sequence[TrainingCost | None] = ()
) -> Json:
    """Return contenders side by side, in the order given.

    Args:
        contenders: What was scored.
        costs: Of a whole training run, one per contender or none at all.
    """
    prices = [*costs, *[None] * (len(contenders) - len(costs))]
    return {
        "format": "waferloom-comparison",
        "version": VERSION,
        "versions": versions(),
        "contenders": [
            {
                "name": each.name,
                "plan": json.loads(each.plan.to_json()),
                "report": _report(each.report),
                "training_cost": None if price is None else _cost(price),
            }
            for each, price in zip(contenders, prices, strict=True)
        ],
    }


def validation_json(found: "DataclassInstance") -> Json:
    """Return how models compare with measurements, field by field as the study has them."""
    return {
        "format": "waferloom-validation",
        "version": VERSION,
        "versions": versions(),
        "result": _with_properties(found),
    }


def system_json(system: SystemSpec) -> Json:
    """Return every value of a system."""
    return cast("Json", _plain(system))


def model_json(model: ModelConfig) -> Json:
    """Return every value of a model, and its parameters counted."""
    return {**cast("Json", _plain(model)), "parameters": _plain(count_parameters(model))}


def versions() -> dict[str, str | None]:
    """Return what wrote a document; the commit is known where pip installed from a repository."""
    return {
        "waferloom": version("waferloom"),
        "commit": _commit(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _commit() -> str | None:
    try:
        text = distribution("waferloom").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    if text is None:
        return None
    return json.loads(text).get("vcs_info", {}).get("commit_id")


def _report(report: StepReport) -> Json:
    return {
        "is_feasible": report.is_feasible,
        "step_s": _plain(report.step_s),
        "tokens_per_s": _plain(report.tokens_per_s),
        "mfu": _plain(report.mfu),
        "hfu": _plain(report.hfu),
        "power_w": _plain(report.power_w),
        **{
            field.name: _plain(getattr(report, field.name))
            for field in fields(report)
            if field.name not in ("step_s", "links", "stages")
        },
        "stages": [
            {
                **cast("Json", _plain(stage)),
                "memory_bytes": {**cast("Json", _plain(stage.memory)), "total": stage.memory.total},
            }
            for stage in report.stages
        ],
        "links": _links(report.links),
    }


def _links(links: LinkLoads) -> Json:
    return {
        "source": links.topology.source_L.tolist(),
        "destination": links.topology.destination_L.tolist(),
        "bandwidth_bytes_per_s": links.topology.bandwidth_bytes_per_s_L.tolist(),
        "load_bytes": links.bytes_L.tolist(),
        "num_dies": links.topology.num_dies,
    }


def _cost(cost: TrainingCost) -> Json:
    return {**cast("Json", _plain(cost)), "total_cost": _plain(cost.total_cost)}


def _with_properties(value: object) -> Any:
    """Return a record with what its properties say, all the way down."""
    if isinstance(value, list | tuple):
        return [_with_properties(each) for each in cast("Sequence[object]", value)]
    if not is_dataclass(value) or isinstance(value, type):
        return _plain(value)
    names = [field.name for field in fields(value)]
    names += [name for name, each in vars(type(value)).items() if isinstance(each, property)]
    return {name: _with_properties(getattr(value, name)) for name in names}


def _plain(value: object) -> Any:
    """Return a value as JSON has it; a number that is not finite is null."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {str(_plain(key)): _plain(each) for key, each in pairs}
    if isinstance(value, np.ndarray):
        return _plain(cast("list[object]", value.tolist()))
    if isinstance(value, list | tuple):
        return [_plain(each) for each in cast("Sequence[object]", value)]
    msg = f"{type(value).__name__} has no form in JSON"
    raise TypeError(msg)
