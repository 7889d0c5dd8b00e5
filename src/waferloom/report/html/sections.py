"""The sections of a page, top to bottom; one that has nothing to say is left out."""

from collections.abc import Iterator
from dataclasses import dataclass

from waferloom.bounds.records import Bound, gap, tightest
from waferloom.mapping.plan import Plan
from waferloom.report.html.charts import (
    ENERGY_COLOURS,
    TIME_COLOURS,
    Segment,
    comparison_bars,
    memory_bars,
    stacked_bar,
)
from waferloom.report.html.markup import (
    Markup,
    element,
    facts,
    join,
    raw,
    section,
    table,
    words,
)
from waferloom.report.html.pipeline_chart import pipeline_chart, pipeline_run
from waferloom.report.html.wafer_map import wafer_map
from waferloom.report.wording import (
    ENERGY_PART_LABELS,
    cost_rows,
    device_noun,
    energy_per_token,
    num_bytes,
    number,
    percent,
    plural,
    route_words,
    seconds,
    sensitivity_words,
    share,
    strategy_words,
    time_parts,
    verdict,
    violation_lines,
)
from waferloom.search.solution import Candidate, SearchStatistics
from waferloom.simulate.records import StepReport, TimePart
from waferloom.simulate.training_cost import TrainingCost
from waferloom.units import Dimension, format_quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a page shows.

    Attributes:
        plan: The plan.
        report: How it scored.
        bounds: What no plan can beat.
        alternatives: Next best strategies.
        statistics: Of the search that found the plan, if one did.
        cost: Of a whole training run, if its tokens are known.
    """

    plan: Plan
    report: StepReport
    bounds: tuple[Bound, ...] = ()
    alternatives: tuple[Candidate, ...] = ()
    statistics: SearchStatistics | None = None
    cost: TrainingCost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A section and how it is linked to.

    Attributes:
        identity: Its `id`.
        short: In the navigation; empty where it has no place there.
        markup: The section.
    """

    identity: str
    short: str
    markup: Markup


def sections(content: Content) -> tuple[Part, ...]:
    """Return every section that has something to say."""
    return tuple(_sections(content))


def _sections(content: Content) -> Iterator[Part]:
    plan, report = content.plan, content.report
    if report.violations:
        yield Part(identity="violations", short="", markup=_violations(report))
    yield Part(identity="figures", short="", markup=_figures(content))
    yield Part(identity="strategy", short="Plan", markup=_strategy(plan))
    yield Part(identity="time", short="Time", markup=_time(report))
    yield Part(identity="memory", short="Memory", markup=_memory(plan, report))
    yield Part(identity="map", short="Map", markup=_map(plan, report))
    run = pipeline_run(plan, report)
    if run is not None:
        chart = section("pipeline", "Pipeline", pipeline_chart(run))
        yield Part(identity="pipeline", short="Pipeline", markup=chart)
    if content.bounds:
        yield Part(identity="bounds", short="Bounds", markup=_bounds(report, content.bounds))
    if report.bottleneck:
        yield Part(identity="bottleneck", short="Bottleneck", markup=_bottleneck(report))
    if sum(report.energy_j.values()) > 0:
        yield Part(identity="energy", short="Energy", markup=_energy(report))
    if content.cost is not None:
        yield Part(identity="cost", short="Time to train", markup=_cost(content.cost))
    if content.statistics is not None:
        markup = _alternatives(content.alternatives, content.statistics, report)
        yield Part(identity="alternatives", short="Alternatives", markup=markup)
    yield Part(identity="assumptions", short="Assumptions", markup=_assumptions(plan))
    yield Part(identity="sources", short="Sources", markup=_sources(plan))


def _violations(report: StepReport) -> Markup:
    lines = join(element("li", words(line)) for line in violation_lines(report, limit=8))
    return section(
        "violations",
        f"Infeasible: {verdict(report)}",
        element("ul", lines, css="plain"),
        note="The figures below are what a step would take if it could run.",
        css="alert",
    )


def _figures(content: Content) -> Markup:
    report = content.report
    held = report.peak_memory.memory.total / report.memory_capacity_bytes
    tiles = [
        _tile("step time", seconds(report.step_s), plural(report.tokens_per_step, "token")),
        _tile("tokens per second", number(report.tokens_per_s), _per_die(content)),
        _tile("model FLOPs utilization", percent(report.mfu), f"hardware {percent(report.hfu)}"),
        _tile(
            "memory of the fullest die",
            percent(held, digits=2),
            f"{num_bytes(report.peak_memory.memory.total)} of "
            f"{num_bytes(report.memory_capacity_bytes)}",
            css="" if held <= 1 else "bad",
        ),
    ]
    per_token = energy_per_token(report)
    if per_token is not None:
        power = format_quantity(report.power_w, Dimension.POWER)
        tiles.append(_tile("mean power", power, per_token))
    if content.bounds and tightest(content.bounds).step_s > 0:
        above = gap(report.step_s, content.bounds)
        name = tightest(content.bounds).name
        tiles.append(_tile("above the lower bound", percent(above, digits=2), f"bound: {name}"))
    return element("dl", join(tiles), attributes={"id": "figures"}, css="figures")


def _per_die(content: Content) -> str:
    system = content.plan.system
    each = content.report.tokens_per_s / system.num_live_dies
    return f"{number(each)} per {device_noun(system)}"


def _tile(name: str, value: str, below: str, *, css: str = "") -> Markup:
    inner = element("dd", words(value), element("small", words(below)))
    return element("div", element("dt", words(name)), inner, css=css)


def _strategy(plan: Plan) -> Markup:
    system = plan.system
    noun = device_noun(system)
    used = plan.strategy.degrees.num_ranks
    idle = system.num_live_dies - used
    place = f"{plan.placement} placement on {used} of {plural(system.num_live_dies, noun)}"
    if idle:
        place += f", {idle} not used"
    how = join(
        element("li", words(phrase[:1].upper() + phrase[1:]))
        for phrase in strategy_words(plan.strategy, plan.job)
    )
    pairs = [
        ("In short", element("code", words(str(plan.strategy)))),
        ("In words", element("ul", how, css="plain")),
        ("Where", words(f"{place}; {route_words(plan)}")),
    ]
    if plan.collectives:
        chosen = "; ".join(f"{name}: {by}" for name, by in sorted(plan.collectives.items()))
        pairs.append(("Collectives", words(chosen.replace("_", " "))))
    return section("strategy", "How the work is divided", facts(pairs))


def _time(report: StepReport) -> Markup:
    segments = [
        Segment(
            label=label,
            value=seconds(duration_s),
            share=duration_s / report.step_s,
            colour=TIME_COLOURS[part],
            is_hatched=part in (TimePart.BUBBLE, TimePart.STRAGGLERS),
        )
        for part, label, duration_s in time_parts(report)
    ]
    micro_batches = plural(report.num_micro_batches, "micro-batch", "micro-batches")
    return section(
        "time",
        f"Time of a step: {seconds(report.step_s)}",
        stacked_bar(segments, name="Time of a step", unit="time"),
        note=f"Along the critical pipeline rank, with {micro_batches} per replica. Communication "
        f"times are of fidelity {report.network}.",
    )


def _memory(plan: Plan, report: StepReport) -> Markup:
    capacity = num_bytes(report.memory_capacity_bytes)
    each = "at the peak of every pipeline rank" if len(report.stages) > 1 else "at the peak"
    return section(
        "memory",
        f"Memory of a {device_noun(plan.system)}",
        memory_bars(report.stages, report.memory_capacity_bytes),
        note=f"Bytes on one {device_noun(plan.system)} {each}, of {capacity}.",
    )


def _map(plan: Plan, report: StepReport) -> Markup:
    heading = "Wafer map" if plan.system.is_wafer else "Map of the system"
    return section("map", heading, wafer_map(plan, report))


def _bounds(report: StepReport, bounds: tuple[Bound, ...]) -> Markup:
    best = tightest(bounds)
    rows = [
        (
            element("strong", words(f"{bound.name} (tightest)"))
            if bound is best
            else words(bound.name),
            bound.step_s / report.step_s,
            seconds(bound.step_s),
            f"{bound.name}: {seconds(bound.step_s)}, {share(bound.step_s / report.step_s)} of the "
            f"step. Holds for {bound.scope}.",
        )
        for bound in bounds
    ]
    rows.append((words("this plan"), 1.0, seconds(report.step_s), "the step as simulated"))
    reasons = join(
        element(
            "li", element("strong", words(bound.name)), words(f" ({bound.scope}): {bound.reason}")
        )
        for bound in bounds
    )
    why = element(
        "details",
        element("summary", words("Why no plan is faster")),
        element("ul", reasons, css="plain"),
    )
    if best.step_s > 0:
        above = percent(gap(report.step_s, bounds), digits=2)
        heading = f"How good: {above} above the lower bound"
    else:
        heading = "How good"
    return section("bounds", heading, comparison_bars(rows, colour="#3f9069"), why, css="half")


def _bottleneck(report: StepReport) -> Markup:
    largest = max((each.speedup - 1 for each in report.bottleneck), default=0.0)
    scale = max(largest, 0.01)
    rows = [
        (
            words(change),
            max(each.speedup - 1, 0.0) / scale,
            effect,
            f"{change}: {effect}, a step of {seconds(each.step_s)}",
        )
        for each in report.bottleneck
        for change, effect in [sensitivity_words(each)]
    ]
    return section(
        "bottleneck",
        "What would help",
        comparison_bars(rows, colour="#e08a3c"),
        note="One resource improved, everything else and the plan unchanged.",
        css="half",
    )


def _energy(report: StepReport) -> Markup:
    total_j = sum(report.energy_j.values())
    segments = [
        Segment(
            label=label,
            value=format_quantity(report.energy_j[part], Dimension.ENERGY),
            share=report.energy_j[part] / total_j,
            colour=ENERGY_COLOURS[part],
        )
        for part, label in ENERGY_PART_LABELS.items()
        if report.energy_j.get(part, 0.0) > 0
    ]
    total = format_quantity(total_j, Dimension.ENERGY)
    return section(
        "energy",
        f"Energy of a step: {total}",
        stacked_bar(segments, name="Energy of a step", unit="energy"),
        note=f"{energy_per_token(report)}. Cooling and power conversion are not included.",
        css="half",
    )


def _cost(cost: TrainingCost) -> Markup:
    rows = [(words(name), words(value)) for name, value in cost_rows(cost)]
    return section(
        "cost",
        "Time to train",
        table(("", ""), rows),
        note="Equal steps, without restarts, checkpoints or evaluation.",
        css="half",
    )


def _alternatives(
    alternatives: tuple[Candidate, ...], statistics: SearchStatistics, report: StepReport
) -> Markup:
    rows = [
        (
            element("code", words(str(each.strategy))),
            words(each.placement),
            words(seconds(each.step_s)),
            words(f"{each.step_s / report.step_s - 1:+.1%}".replace("%", " %")),
            words(num_bytes(each.memory_bytes)),
        )
        for each in alternatives
    ]
    listing = (
        table(("strategy", "placement", "step", "slower", "memory"), rows, text_columns=2)
        if rows
        else element("p", words("Nothing else of the searched space fits."))
    )
    return section(
        "alternatives",
        "Next best",
        listing,
        note=f"Search space: {statistics.space}; {statistics.num_strategies:,} strategies, of "
        f"which {statistics.num_scored:,} were scored and {statistics.num_feasible:,} fit, in "
        f"{seconds(statistics.table_s + statistics.score_s)}.",
    )


def _assumptions(plan: Plan) -> Markup:
    system = plan.system
    body: list[Markup] = []
    if system.flags:
        flags = join(element("li", words(flag)) for flag in system.flags)
        body.append(element("ul", flags, css="plain warnings"))
    if system.assumptions:
        pairs = (
            element("div", element("dt", element("code", words(key))), element("dd", words(why)))
            for key, why in system.assumptions.items()
        )
        body.append(element("dl", join(pairs), css="facts wide columns"))
    else:
        body.append(element("p", words(f"{system.name} states no assumptions.")))
    return section("assumptions", f"Assumptions about {system.name}", *body)


def _sources(plan: Plan) -> Markup:
    items: list[Markup] = []
    for source in plan.system.source:
        note = element("dd", words(source.note)) if source.note else raw("")
        where = element("dd", element("code", words(source.url))) if source.url else raw("")
        items.append(element("div", element("dt", words(source.title)), note, where))
    model = plan.job.model
    notes = join(element("dd", words(note)) for note in model.notes)
    family = element("dd", words(f"model of class {model.architecture}"))
    items.append(element("div", element("dt", words(model.name)), family, notes))
    listing = element("dl", join(items), css="facts wide columns")
    return section("sources", "Sources", listing)
