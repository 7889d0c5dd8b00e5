"""`waferloom simulate`: score a saved plan, or one's own layout."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from waferloom.cli.options import (
    DEFAULT_SYSTEM,
    AsJson,
    CostOptions,
    DefectsFile,
    JobOptions,
    LayoutOptions,
    SystemName,
    system_of,
)

Network = Literal["bound"]


def simulate(
    plan: str,
    *,
    system: SystemName = DEFAULT_SYSTEM,
    job: JobOptions = JobOptions(),  # noqa: B008 - frozen
    layout: LayoutOptions = LayoutOptions(),  # noqa: B008
    cost: CostOptions = CostOptions(),  # noqa: B008
    defects: DefectsFile = None,
    network: Network = "bound",
    out: Path | None = None,
    as_json: AsJson = False,
    verbose: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Score a saved plan, or a layout of your own given by options.

    A saved plan carries its job, system and layout, and takes no options that describe them; they
    are for where PLAN is a model. What is not given is 1, none or off.

    Example: `waferloom simulate llama3-70b --tensor-parallel 8 --pipeline-parallel 6 --zero 1`

    Args:
        plan: A plan.json or its folder, or a model: a preset, a config.json or its folder.
        system: A preset, or a system file.
        job: What is trained.
        layout: How it is divided.
        cost: What a whole run costs.
        defects: A file of dead dies and links.
        network: Fidelity of the communication times.
        out: Write plan.json, report.json and report.html here.
        as_json: Print the report as JSON.
        verbose: Print the assumptions behind the system.
    """
    from dataclasses import replace

    from waferloom.bounds.traffic import traffic_bounds
    from waferloom.bounds.work import work_bounds
    from waferloom.cli.output import json_text, print_view, save_files
    from waferloom.mapping.plan import load_plan
    from waferloom.mapping.scenario import Scenario
    from waferloom.report.html import plan_html
    from waferloom.report.json_report import report_json
    from waferloom.report.terminal import report_view
    from waferloom.search.planner import make_plan
    from waferloom.simulate.sensitivity import bottleneck
    from waferloom.simulate.step import simulate_plan

    del network  # one choice so far
    saved = _plan_file(Path(plan))
    if saved is not None:
        _refuse_options(saved, system=system, defects=defects, job=job, layout=layout)
        chosen = load_plan(saved)
    else:
        scenario = Scenario(job=job.job(plan), system=system_of(system, defects))
        chosen = make_plan(scenario, layout.strategy(scenario.system), layout.placement)
    report = simulate_plan(chosen)
    report = replace(report, bottleneck=bottleneck(chosen, report.step_s))
    chosen = replace(chosen, collectives=dict(report.collectives))
    bounds = (
        *work_bounds(chosen.scenario, chosen.strategy.software),
        *traffic_bounds(chosen.scenario),
    )
    price = cost.cost(report, chosen.system.num_dies)
    document = report_json(chosen, report, bounds=bounds, cost=price)
    if out is not None:
        save_files(
            out,
            {
                "plan.json": chosen.to_json(),
                "report.json": json_text(document),
                "report.html": plan_html(chosen, report, bounds=bounds, cost=price),
            },
        )
    if as_json:
        print(json_text(document))
    else:
        print_view(report_view(chosen, report, bounds=bounds, cost=price, is_verbose=verbose))
    return 0 if report.is_feasible else 1


def _plan_file(path: Path) -> Path | None:
    """Return the file that is meant as a plan, or None where a model is meant."""
    if path.is_dir() and not (path / "config.json").exists():
        path = path / "plan.json"
        return path if path.exists() else None
    if path.suffix != ".json":
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None if path.name == "config.json" else path  # `load_plan` says what is wrong
    return path if isinstance(content, dict) and "format" in content else None


def _refuse_options(
    saved: Path, *, system: str, defects: Path | None, job: JobOptions, layout: LayoutOptions
) -> None:
    """Refuse options that a saved plan would not heed.

    Raises:
        SpecError: There are some.
    """
    from waferloom.errors import SpecError

    given = [] if system == DEFAULT_SYSTEM else ["--system"]
    given += [] if defects is None else ["--defects"]
    for options in (job, layout):
        plain = type(options)()
        given += [
            f"--{field.name.replace('_', '-')}"
            for field in fields(options)
            if getattr(options, field.name) != getattr(plain, field.name)
        ]
    if given:
        msg = (
            f"{saved} states its job, system and layout, so {', '.join(given)} would change "
            "nothing; leave that out, or give a model instead of a plan"
        )
        raise SpecError(msg)
