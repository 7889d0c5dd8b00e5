"""The pipeline of a step as a Gantt chart: every pass of every micro-batch, run task by task."""

from dataclasses import dataclass
from typing import Final

from waferloom.mapping.plan import Plan
from waferloom.parallel.pipelines import SCHEDULES, Pass
from waferloom.parallel.strategy import ScheduleName
from waferloom.report.html.markup import Markup, element, ink_on, join, raw, title, words
from waferloom.report.wording import percent, plural, seconds
from waferloom.simulate.pipeline_timeline import PASSES, Timeline, timeline
from waferloom.simulate.records import StepReport, TimePart

WIDTH: Final = 1100.0
_LABEL_WIDTH: Final = 64.0
_MAX_BARS_PER_RANK: Final = 144
"""More would be narrower than a finger or a pointer can pick."""
_MAX_BARS: Final = 1500
_MAX_TASKS: Final = 40_000
"""Larger schedules are drawn in part, but not run in full."""
_SAME: Final = 5e-5
"""Times that differ by less are said to be the same."""
PASS_COLOURS: Final = {Pass.FORWARD: "#4c86d8", Pass.BACKWARD: "#3f9069", Pass.WEIGHT: "#c9a227"}
_NAMES: Final = {
    Pass.FORWARD: "forward",
    Pass.BACKWARD: "backward",
    Pass.WEIGHT: "weight gradient",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRun:
    """A schedule at a size that can be drawn, and what running all of it takes.

    Attributes:
        shown: What is drawn.
        num_micro_batches: Of the plan.
        message_s: Delay of a stage message.
        executed_s: Of all micro-batches, run task by task; None where they are too many.
        charged_s: What the report charges for passes, messages and bubble.
    """

    shown: Timeline
    num_micro_batches: int
    message_s: float
    executed_s: float | None
    charged_s: float


def pipeline_run(plan: Plan, report: StepReport) -> PipelineRun | None:
    """Run the schedule of a plan; None without a pipeline, or where it cannot run or be drawn."""
    strategy = plan.strategy
    p, n, v = strategy.degrees.pp, report.num_micro_batches, strategy.num_model_chunks
    if p == 1 or any(violation.what == "schedule" for violation in report.violations):
        return None
    schedule = SCHEDULES[strategy.schedule]
    passes = 3 if strategy.schedule is ScheduleName.ZERO_BUBBLE else 2
    num_shown = min(n, _MAX_BARS_PER_RANK // (passes * v), _MAX_BARS // (passes * v * p))
    if strategy.schedule is ScheduleName.INTERLEAVED:
        num_shown -= num_shown % p
    if num_shown < 1:
        return None
    times = [stage.times for stage in report.stages]
    message_s = 0.0
    if strategy.overlap.pipeline:
        message_s = report.parts_s.get(TimePart.PP, 0.0) / (2 * (p - 1))
    executed_s = None
    if p * n * v * passes <= _MAX_TASKS:
        executed_s = timeline(schedule, times, n=n, v=v, message_s=message_s).makespan_s
    outside = (TimePart.DP, TimePart.OPTIMIZER, TimePart.STRAGGLERS)
    return PipelineRun(
        shown=timeline(schedule, times, n=num_shown, v=v, message_s=message_s),
        num_micro_batches=n,
        message_s=message_s,
        executed_s=executed_s,
        charged_s=report.step_s - sum(report.parts_s.get(part, 0.0) for part in outside),
    )


def pipeline_chart(run: PipelineRun) -> Markup:
    """Return the chart, its legend, and how it compares with what the report charges."""
    shown = run.shown
    row_height = 30.0 if shown.num_ranks <= 16 else 16.0 if shown.num_ranks <= 48 else 9.0
    height = shown.num_ranks * row_height + 26.0
    scale = (WIDTH - _LABEL_WIDTH) / shown.makespan_s
    drawn = [_row(rank, row_height) for rank in range(shown.num_ranks)]
    for event in range(shown.rank_E.size):
        drawn.append(_bar(shown, event, scale, row_height))
    drawn += _axis(shown.makespan_s, height)
    chart = element(
        "svg",
        title(f"Pipeline of {plural(shown.num_micro_batches, 'micro-batch', 'micro-batches')}"),
        join(drawn),
        attributes={"role": "img", "viewBox": f"0 0 {WIDTH:g} {height:g}"},
        css="gantt",
    )
    drawn_passes = set(shown.pass_E.tolist())
    kinds: list[Pass] = [kind for i, kind in enumerate(PASSES) if i in drawn_passes]
    legend = element("ul", join(_legend(kind) for kind in kinds), css="legend")
    return join((element("div", chart, css="scroll"), legend, _words(run)))


def _row(rank: int, row_height: float) -> Markup:
    y = rank * row_height
    lane: dict[str, str | float] = {
        "x": _LABEL_WIDTH,
        "y": y + 1,
        "width": WIDTH - _LABEL_WIDTH,
        "height": row_height - 2,
    }
    parts = [element("rect", title(f"stage {rank} waits"), attributes=lane, css="lane")]
    if row_height > 10 or rank % 8 == 0:
        place = {"x": 0.0, "y": y + row_height / 2}
        parts.append(element("text", words(f"stage {rank}"), attributes=place, css="rank"))
    return join(parts)


def _bar(shown: Timeline, event: int, scale: float, row_height: float) -> Markup:
    kind = PASSES[int(shown.pass_E[event])]
    start_s, end_s = float(shown.start_s_E[event]), float(shown.end_s_E[event])
    rank, micro_batch = int(shown.rank_E[event]), int(shown.micro_batch_E[event])
    chunk = f", chunk {shown.chunk_E[event]}" if shown.num_chunks > 1 else ""
    hover = (
        f"stage {rank}{chunk}, {_NAMES[kind]} of micro-batch {micro_batch}: "
        f"{seconds(end_s - start_s)} from {seconds(start_s)}"
    )
    x, width = _LABEL_WIDTH + start_s * scale, (end_s - start_s) * scale
    box = {
        "x": x,
        "y": rank * row_height + 2,
        "width": max(width - 0.6, 0.4),
        "height": row_height - 4,
        "fill": PASS_COLOURS[kind],
    }
    if shown.num_chunks > 1 and shown.chunk_E[event] % 2:
        box["fill-opacity"] = 0.7
    parts = [title(hover), element("rect", attributes=box)]
    label = str(micro_batch)
    if width > 7 * len(label) + 3 and row_height > 10:
        place = {
            "x": x + width / 2,
            "y": rank * row_height + row_height / 2,
            "fill": ink_on(PASS_COLOURS[kind]),
        }
        parts.append(element("text", words(label), attributes=place))
    return element("g", *parts)


def _axis(makespan_s: float, height: float) -> list[Markup]:
    ticks = 5
    marks: list[Markup] = []
    for i in range(ticks):
        share_of_width = i / (ticks - 1)
        anchor = "start" if i == 0 else "end" if i == ticks - 1 else "middle"
        place: dict[str, str | float] = {
            "x": _LABEL_WIDTH + share_of_width * (WIDTH - _LABEL_WIDTH),
            "y": height - 8,
            "style": f"text-anchor:{anchor}",
        }
        text = seconds(share_of_width * makespan_s)
        marks.append(element("text", words(text), attributes=place, css="tick"))
    return marks


def _legend(kind: Pass) -> Markup:
    style = {"style": f"background-color:{PASS_COLOURS[kind]}"}
    return element(
        "li", element("i", attributes=style, css="swatch"), words(f"{_NAMES[kind]} ({kind})")
    )


def _charge(run: PipelineRun) -> str:
    difference = run.charged_s / (run.executed_s or run.charged_s) - 1
    if abs(difference) < _SAME:
        return "the same"
    side = "more" if difference > 0 else "less"
    return f"{seconds(run.charged_s)}, {percent(abs(difference), digits=2)} {side}"


def _words(run: PipelineRun) -> Markup:
    shown = run.shown
    lines: list[str] = []
    if shown.num_micro_batches < run.num_micro_batches:
        lines.append(
            f"The same schedule with {shown.num_micro_batches} of the "
            f"{run.num_micro_batches} micro-batches, so that its passes can be told apart."
        )
    lines.append(
        f"Numbers are micro-batches; stages wait {percent(shown.bubble, digits=2)} of this chart."
    )
    if shown.num_chunks > 1:
        lines.append("Passes of odd chunks are paler.")
    if run.executed_s is not None:
        lines.append(
            f"Run task by task, all {run.num_micro_batches} micro-batches take "
            f"{seconds(run.executed_s)}; the closed form of the report charges {_charge(run)}."
        )
    return element("p", raw(" ".join(words(line) for line in lines)), css="note")
