"""The page: sections put together, and everything it needs written into one file."""

import os
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template

from waferloom.bounds.records import Bound
from waferloom.errors import PlanError
from waferloom.mapping.plan import Plan
from waferloom.report.html.charts import hatch_definition
from waferloom.report.html.markup import Markup, element, join, raw, words
from waferloom.report.html.sections import Content, sections
from waferloom.report.json_report import versions
from waferloom.report.wording import job_words, plan_title, system_words, verdict
from waferloom.search.solution import Solution
from waferloom.simulate.records import StepReport
from waferloom.simulate.training_cost import TrainingCost


def save_report(
    result: Solution | tuple[Plan, StepReport],
    path: str | Path,
    *,
    bounds: Sequence[Bound] = (),
    cost: TrainingCost | None = None,
) -> None:
    """Write a result as one HTML file that needs no network; an existing file is replaced whole.

    Args:
        result: What a search returned, or a plan and its report.
        path: Of the file.
        bounds: What no plan can beat; a `Solution` carries its own.
        cost: Of a whole training run, where the caller knows its tokens.

    Raises:
        PlanError: The file cannot be written.
    """
    if isinstance(result, Solution):
        text = report_html(result, cost=cost)
    else:
        text = plan_html(*result, bounds=bounds, cost=cost)
    _write(Path(path), text)


def report_html(solution: Solution, *, cost: TrainingCost | None = None) -> str:
    """Return a search result as the text of an HTML file.

    Args:
        solution: What the search returned.
        cost: Of a whole training run, where the caller knows its tokens.
    """
    return _page(
        Content(
            plan=solution.plan,
            report=solution.report,
            bounds=solution.bounds,
            alternatives=solution.alternatives,
            statistics=solution.statistics,
            cost=cost,
        )
    )


def plan_html(
    plan: Plan,
    report: StepReport,
    *,
    bounds: Sequence[Bound] = (),
    cost: TrainingCost | None = None,
) -> str:
    """Return the report of one plan as the text of an HTML file.

    Args:
        plan: What was scored.
        report: How it scored.
        bounds: What no plan can beat, where the caller knows it.
        cost: Of a whole training run, where the caller knows its tokens.
    """
    return _page(Content(plan=plan, report=report, bounds=tuple(bounds), cost=cost))


def _page(content: Content) -> str:
    plan, report = content.plan, content.report
    shown = sections(content)
    links = join(
        element("a", words(part.short), attributes={"href": f"#{part.identity}"})
        for part in shown
        if part.short
    )
    lead = f"{job_words(plan.job)}. {system_words(plan.system, plan.job.precision.compute)}."
    made_by = versions()
    return Template(_resource("page.html")).substitute(
        title=words(plan_title(plan)),
        heading=words(plan_title(plan)),
        verdict=words(verdict(report)),
        verdict_css="good" if report.is_feasible else "bad",
        lead=words(lead[:1].upper() + lead[1:]),
        generator=words(f"waferloom {made_by['waferloom']}"),
        navigation=links,
        body=join(part.markup for part in shown),
        footer=_footer(plan, made_by),
        hatch=hatch_definition(),
        style=_resource("style.css"),
        script=_resource("script.js"),
        # "</" and "<!" would end the script element; JSON has an escape of its own for "<"
        plan_json=plan.to_json().replace("<", "\\u003c"),
    )


def _footer(plan: Plan, made_by: dict[str, str | None]) -> Markup:
    button = element(
        "button",
        words("Download plan.json"),
        attributes={"type": "button", "data-save": "plan-json", "data-name": "plan.json"},
    )
    written = ", ".join(f"{name} {number}" for name, number in made_by.items() if number)
    provenance = f"Solver {plan.provenance.solver}"
    if plan.provenance.seed is not None:
        provenance += f", seed {plan.provenance.seed}"
    line = element("p", words(f"{written}. {provenance}."))
    return join((element("p", button), line, raw("")))


@cache
def _resource(name: str) -> str:
    return files("waferloom.report.html").joinpath(name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    """Write beside the file and then replace it, so that a reader never sees half of it."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}; choose a folder that exists"
        raise PlanError(msg) from None
