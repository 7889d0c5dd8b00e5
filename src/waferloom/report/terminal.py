"""Results as rich renderables for a terminal of 80 columns or more; nothing here prints."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.padding import Padding
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from waferloom.bounds.records import Bound, gap, tightest
from waferloom.hardware.spec import SystemSpec
from waferloom.mapping.plan import Plan
from waferloom.parallel.software import IDEAL
from waferloom.report.wording import (
    ENERGY_PART_LABELS,
    MEMORY_LABELS,
    cost_rows,
    device_noun,
    energy_per_token,
    interconnect_words,
    job_words,
    money,
    num_bytes,
    number,
    percent,
    plan_title,
    power_words,
    route_words,
    seconds,
    sensitivity_words,
    share,
    strategy_words,
    system_words,
    time_parts,
    verdict,
    violation_lines,
)
from waferloom.search.solution import Candidate, SearchStatistics, Solution
from waferloom.simulate.records import StepReport
from waferloom.simulate.training_cost import TrainingCost
from waferloom.studies.validate_operators import OperatorValidation
from waferloom.studies.validate_training import TARGET_MAPE, TARGET_SKILL, TrainingValidation
from waferloom.units import Dimension, format_quantity
from waferloom.workload.model import ModelConfig
from waferloom.workload.parameters import count_parameters

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_BAR_WIDTH: Final = 28
_WORST_ROWS: Final = 8
_HEADING: Final = "bold cyan"
_QUIET: Final = "dim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One line of a comparison.

    Attributes:
        name: Such as the system, or a strategy's family.
        plan: What was scored.
        report: How it scored.
    """

    name: str
    plan: Plan
    report: StepReport


@dataclass(frozen=True, slots=True)
class ShareBar:
    """A bar of `share` of the width, in eighths of a character where the terminal can show them."""

    share: float
    style: str = "cyan"
    width: int = _BAR_WIDTH

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the bar; anything above nothing shows at least its thinnest sliver."""
        share = min(max(self.share, 0.0), 1.0)
        eighths = round(share * self.width * 8)
        if share > 0:
            eighths = max(eighths, 1)
        if options.ascii_only or options.legacy_windows:
            drawn = "#" * (-(-eighths // 8))
        else:
            drawn = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
        yield Segment(drawn.ljust(self.width), Style.parse(self.style))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Take the width asked for."""
        return Measurement(self.width, self.width)


def solution_view(
    solution: Solution, *, cost: TrainingCost | None = None, is_verbose: bool = False
) -> RenderableType:
    """Return a search result: the best plan, its report, its certificate and what came next.

    Args:
        solution: What the search returned.
        cost: Of a whole training run, where the caller knows its tokens.
        is_verbose: Write out the assumptions behind the system instead of naming them.
    """
    blocks = [
        *_report_blocks(solution.plan, solution.report),
        *_bounds_blocks(solution.report.step_s, solution.bounds),
        _alternatives_block(solution.alternatives, solution.report.step_s),
        _search_block(solution.statistics),
        *_cost_blocks(cost),
        *_caveat_blocks(solution.plan.system, is_verbose=is_verbose),
    ]
    return Group(*blocks)


def report_view(
    plan: Plan,
    report: StepReport,
    *,
    bounds: Sequence[Bound] = (),
    cost: TrainingCost | None = None,
    is_verbose: bool = False,
) -> RenderableType:
    """Return the report of one plan.

    Args:
        plan: What was scored.
        report: How it scored.
        bounds: What no plan can beat, where the caller knows it.
        cost: Of a whole training run, where the caller knows its tokens.
        is_verbose: Write out the assumptions behind the system instead of naming them.
    """
    return Group(
        *_report_blocks(plan, report),
        *_bounds_blocks(report.step_s, tuple(bounds)),
        *_cost_blocks(cost),
        *_caveat_blocks(plan.system, is_verbose=is_verbose),
    )


def comparison_view(
    contenders: Sequence[Contender], *, costs: Sequence[TrainingCost | None] = ()
) -> RenderableType:
    """Return contenders side by side, in the order given; plans that cannot run say so.

    Args:
        contenders: What was scored.
        costs: Of a whole training run, one per contender or none at all.
    """
    table = _table("", "step", "tokens/s", "per device", "MFU", "tokens/J", "memory")
    strategies = Table.grid(padding=(0, 2))
    for contender in contenders:
        plan, report = contender.plan, contender.report
        held, capacity = report.peak_memory.memory.total, report.memory_capacity_bytes
        has_energy = sum(report.energy_j.values()) > 0
        table.add_row(
            Text(contender.name, style="bold" if report.is_feasible else ""),
            seconds(report.step_s),
            number(report.tokens_per_s),
            number(report.tokens_per_s / plan.system.num_live_dies),
            share(report.mfu),
            number(report.tokens_per_s / report.power_w) if has_energy else "-",
            Text(percent(held / capacity, digits=2), style="bold red" if held > capacity else ""),
            style="" if report.is_feasible else _QUIET,
        )
        words = Text(str(plan.strategy))
        if not report.is_feasible:
            words.append(f"  {verdict(report)}", style="bold red")
        strategies.add_row(Text(contender.name, style="bold"), words)
    parts = [_section("Comparison", table), Padding(strategies, (1, 0, 0, 2))]
    ideal = [each.name for each in contenders if each.plan.strategy.software == IDEAL]
    if 0 < len(ideal) < len(contenders):
        caveat = f"Only {', '.join(ideal)} runs on software that wastes nothing, which favours it."
        parts.append(Padding(Text(caveat, style="yellow"), (1, 0, 0, 2)))
    priced = [(each, cost) for each, cost in zip(contenders, costs, strict=False) if cost]
    if priced:
        parts.append(_section("Time to train", _cost_table(priced)))
    return Group(*parts)


def _cost_table(priced: Sequence[tuple[Contender, TrainingCost]]) -> Table:
    table = _table("", "tokens", "time to train", "energy", "cost")
    for contender, cost in priced:
        energy_j, money_spent = cost.energy_j, cost.total_cost
        table.add_row(
            Text(contender.name, style="bold" if contender.report.is_feasible else ""),
            number(cost.token_budget),
            seconds(cost.duration_s),
            "-" if energy_j is None else format_quantity(energy_j, Dimension.ENERGY),
            "-" if money_spent is None else money(money_spent),
            style="" if contender.report.is_feasible else _QUIET,
        )
    return table


def validation_view(
    rows: Sequence["DataclassInstance"], *, title: str = "Model against measurement"
) -> RenderableType:
    """Return a table of equal records, one column per field.

    The end of a field's name says how it is written: `_s` a time, `_bytes` bytes, `error`, `mape`
    and `share` percentages; a bool is a verdict. `num_` counts keep their digits.

    Args:
        rows: Dataclass instances of one type.
        title: Over the table.
    """
    if not rows:
        return _section(title, Text("no row of the data can be compared", style=_QUIET))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style=_QUIET)
    names = [field.name for field in fields(rows[0])]
    for name in names:
        is_text = all(isinstance(getattr(row, name), str) for row in rows)
        label = name.removeprefix("num_").removesuffix("_s").replace("_", " ")
        table.add_column(label, justify="left" if is_text else "right", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(name, getattr(row, name)) for name in names))
    return _section(title, table)


def operator_validation_view(found: OperatorValidation) -> RenderableType:
    """Return how the operator model compares with every family of measured operators."""
    columns = ("family", "system", "rows", "bias", "error", "p90", "rank", "skill")
    table = _table(*columns, text=columns[:2])
    for family in found.families:
        skill, rank = family.skill, family.rank_correlation
        table.add_row(
            Text(family.name, style="" if family.is_fitted else "bold"),
            family.preset,
            f"{family.num_rows:,}",
            f"{100 * family.mean_error:+.1f} %",
            f"{100 * family.mape:.1f} %",
            f"{100 * family.p90_error:.1f} %",
            "-" if rank is None else f"{rank:.2f}",
            "-" if skill is None else f"{skill:.2f}",
        )
    note = (
        "error: mean absolute relative error; rank: Spearman's correlation; skill: share of the "
        "error of a roofline fitted to the family that the model removes. Parameters of the model "
        "were fitted on the families that are not bold."
    )
    # a family of long operators shares rows with the family of all
    first = {(f.preset, f.worst[0]): (f, f.worst[0]) for f in found.families if f.worst}
    worst = sorted(first.values(), key=lambda pair: -abs(pair[1].error))
    rows = _table(
        "worst rows", "family", "measured", "model", "error", text=("worst rows", "family")
    )
    for family, row in worst[:_WORST_ROWS]:
        rows.add_row(
            row.label,
            f"{family.name}, {family.preset}",
            seconds(row.measured_s),
            seconds(row.model_s),
            f"{100 * row.error:+.0f} %",
        )
    return Group(
        _section("Operators against measurement", table, note), Padding(rows, (1, 0, 0, 2))
    )


def training_validation_view(found: TrainingValidation) -> RenderableType:
    """Return how the simulated step compares with published training runs."""
    columns = ("family", "rows", "bias", "error", "constant", "skill", "rank")
    table = _table(*columns, text=columns[:1])
    for family in (*found.accepted_families, found.accepted):
        skill, rank = family.skill, family.rank_correlation
        table.add_row(
            Text(family.name, style="bold" if family is found.accepted else ""),
            f"{family.num_rows:,}",
            f"{100 * family.bias:+.1f} %",
            f"{100 * family.mape:.1f} %",
            f"{100 * family.constant_mape:.1f} %",
            "-" if skill is None else f"{skill:.2f}",
            "-" if rank is None else f"{rank:.2f}",
        )
    note = (
        "error: mean absolute error of the step time; constant: of the best constant MFU of each "
        "family; skill: share of that error that the simulator removes; rank: Spearman's "
        "correlation of throughput."
    )
    others = len(found.rows) - found.accepted.num_rows
    left_out = f"{others:,} other rows and {len(found.unusable):,} that cannot be simulated are not"
    rows = _table("worst rows", "strategy", "measured", "model", "error", text=("worst rows",))
    rows.columns[1].justify, rows.columns[1].no_wrap = "left", False
    for row in found.worst(_WORST_ROWS):
        rows.add_row(
            f"{row.row.model.name}, {row.row.num_devices:,} x {row.row.device}",
            str(row.strategy),
            seconds(row.row.step_s),
            seconds(row.step_s),
            f"{100 * row.error:+.0f} %",
        )
    target = Text(
        f"Target: error at most {percent(TARGET_MAPE)}, skill at least {TARGET_SKILL:g}: "
    )
    colour = "green" if found.is_met else "red"
    target.append("met" if found.is_met else "missed", style=f"bold {colour}")
    return Group(
        _section("Training runs against publication", table, f"{note} {left_out} counted here."),
        Padding(rows, (1, 0, 0, 2)),
        Padding(target, (1, 0, 0, 0)),
    )


def presets_view(systems: Sequence[SystemSpec], models: Sequence[ModelConfig]) -> RenderableType:
    """Return the systems and models that are known by name."""
    hardware = _table("system", "dies", "peak", "memory", "joined by", text=("system", "joined by"))
    for system in systems:
        peak = max(system.die.peak_flops_per_s.values())
        name = Text(system.name, style="bold")
        if system.flags:
            name.append(" !", style="yellow")
        hardware.add_row(
            name,
            f"{system.num_live_dies:,}",
            format_quantity(peak, Dimension.FLOP_RATE),
            num_bytes(system.die.memory.capacity_bytes),
            interconnect_words(system),
        )
    software = _table(
        "model", "parameters", "layers", "hidden", "heads", "experts", text=("model",)
    )
    for config in models:
        experts = f"{config.moe.num_experts}, top {config.moe.top_k}" if config.moe else "-"
        software.add_row(
            Text(config.name, style="bold"),
            number(count_parameters(config).total),
            str(config.num_layers),
            f"{config.hidden_size:,}",
            str(config.num_heads),
            experts,
        )
    flagged = any(system.flags for system in systems)
    note = Text("! carries a warning: waferloom presets show NAME", style=_QUIET)
    return Group(
        _section("Systems", hardware),
        *([Padding(note, (0, 2))] if flagged else []),
        _section("Models", software),
    )


def system_view(system: SystemSpec) -> RenderableType:
    """Return one system: its numbers, warnings, assumptions and sources."""
    die, memory = system.die, system.die.memory
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style=_QUIET)
    facts.add_column(overflow="fold")

    def rate(value: float) -> str:
        return format_quantity(value, Dimension.BANDWIDTH)

    dead = system.num_dies - system.num_live_dies
    noun = device_noun(system)
    facts.add_row(f"{noun}s", f"{system.num_live_dies:,}" + (f" ({dead} dead)" if dead else ""))
    facts.add_row("joined by", interconnect_words(system))
    for dtype, peak in die.peak_flops_per_s.items():
        facts.add_row(f"{dtype} peak", format_quantity(peak, Dimension.FLOP_RATE) + f" per {noun}")
    facts.add_row("vector peak", format_quantity(die.vector_flops_per_s, Dimension.FLOP_RATE))
    facts.add_row("clock", format_quantity(die.clock_hz, Dimension.FREQUENCY))
    cores = die.cores
    facts.add_row(
        "cores", f"{cores.rows} x {cores.cols}, {num_bytes(cores.sram_bytes)} of SRAM each"
    )
    facts.add_row("SRAM", num_bytes(die.sram_bytes))
    facts.add_row(
        "memory", f"{num_bytes(memory.capacity_bytes)} at {rate(memory.bandwidth_bytes_per_s)}"
    )
    sources = Table.grid()
    for source in system.source:
        sources.add_row(Text(source.title, style="bold"))
        sources.add_row(Text("\n".join(filter(None, (source.note, source.url))), style=_QUIET))
    title = Text.assemble((system.name, "bold"), f"   {system.description}")
    return Group(
        title,
        Padding(facts, (0, 0, 0, 2)),
        *_caveat_blocks(system, is_verbose=True),
        _section("Sources", sources),
    )


def model_view(model: ModelConfig) -> RenderableType:
    """Return one model: its shape, parameters and notes."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style=_QUIET)
    facts.add_column(overflow="fold")
    count = count_parameters(model)
    total, active = count.total, count.active
    facts.add_row("family", model.architecture)
    facts.add_row("parameters", number(total) + (f", {number(active)} active" * (active < total)))
    groups = ", ".join(f"{group.num_layers} {group.kind}" for group in model.layer_groups)
    facts.add_row(
        "layers", f"{model.num_layers} ({groups})" if model.moe else f"{model.num_layers}"
    )
    facts.add_row("hidden size", f"{model.hidden_size:,}")
    heads = f"{model.num_heads} of {model.head_dim}"
    if model.latent is not None:
        heads += f", latent cache of {model.latent.kv_lora_rank + model.latent.qk_rope_head_dim}"
    elif model.num_kv_heads < model.num_heads:
        heads += f", {model.num_kv_heads} for keys and values"
    facts.add_row("heads", heads)
    facts.add_row("MLP width", f"{model.ffn_size:,}" + (" (gated)" if model.is_gated else ""))
    if model.moe is not None:
        shared = f", {model.moe.num_shared_experts} shared" * (model.moe.num_shared_experts > 0)
        experts = f"{model.moe.num_experts} of width {model.moe.expert_ffn_size:,}{shared}"
        facts.add_row("experts", f"{experts}, {model.moe.top_k} per token")
    facts.add_row("vocabulary", f"{model.vocab_size:,}" + (", tied head" if model.is_tied else ""))
    blocks: list[RenderableType] = [Text(model.name, style="bold"), Padding(facts, (0, 0, 0, 2))]
    if model.notes:
        blocks.append(_section("Notes", Text("\n".join(model.notes))))
    return Group(*blocks)


def _report_blocks(plan: Plan, report: StepReport) -> Iterator[RenderableType]:
    yield _headline(plan, report)
    if report.violations:
        yield _violations_block(report)
    yield _time_block(report)
    yield _memory_block(report)
    if sum(report.energy_j.values()) > 0:
        yield _energy_block(report)
    if report.bottleneck:
        yield _bottleneck_block(report)


def _headline(plan: Plan, report: StepReport) -> RenderableType:
    job, system = plan.job, plan.system
    title = Text(plan_title(plan), style="bold")
    colour = "green" if report.is_feasible else "red"
    title.append(f"   {verdict(report)}", style=f"bold {colour}")
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style=_QUIET)
    facts.add_column(overflow="fold")
    facts.add_row("job", job_words(job))
    facts.add_row("system", system_words(system, job.precision.compute))
    facts.add_row("strategy", Text(str(plan.strategy), style="bold"))
    facts.add_row("", "; ".join(strategy_words(plan.strategy, job)))
    ranks = plan.strategy.degrees.num_ranks
    idle = system.num_live_dies - ranks
    used = f"{ranks} of {system.num_live_dies} {device_noun(system)}s"
    unused = f", {idle} unused" if idle else ""
    facts.add_row("placement", f"{plan.placement} on {used}{unused}, {route_words(plan)}")
    figures = Table.grid(padding=(0, 3))
    figures.add_row(
        _figure("step time", seconds(report.step_s)),
        _figure("tokens/s", number(report.tokens_per_s)),
        _figure("MFU", percent(report.mfu)),
        _figure("memory", percent(_fullness(report), digits=2)),
        *([_figure("power", power)] if (power := power_words(report)) else []),
    )
    return Group(title, Padding(facts, (0, 0, 1, 2)), Padding(figures, (0, 0, 0, 2)))


def _figure(name: str, value: str) -> Text:
    return Text.assemble((value, "bold"), "\n", (name, _QUIET))


def _fullness(report: StepReport) -> float:
    return report.peak_memory.memory.total / report.memory_capacity_bytes


def _violations_block(report: StepReport) -> RenderableType:
    lines = "\n".join(violation_lines(report))
    advice = (
        "" if verdict(report) == "cannot run" else "\nThe figures below are what it would take."
    )
    return Padding(
        Panel(
            Text(lines + advice),
            title=Text(f"infeasible: {verdict(report)}", style="bold red"),
            title_align="left",
            border_style="red",
        ),
        (1, 0, 0, 0),
    )


def _time_block(report: StepReport) -> RenderableType:
    table = _bar_table()
    for _, label, duration_s in time_parts(report):
        part_share = duration_s / report.step_s
        table.add_row(label, ShareBar(part_share), seconds(duration_s), share(part_share))
    count = report.num_micro_batches
    note = f"{count} micro-batches; communication times: {report.network}"
    return _section(f"Time of a step: {seconds(report.step_s)}", table, note)


def _memory_block(report: StepReport) -> RenderableType:
    fullest, capacity = report.peak_memory, report.memory_capacity_bytes
    is_full = fullest.memory.total > capacity
    table = _bar_table()
    for name, label in MEMORY_LABELS.items():
        size = getattr(fullest.memory, name)
        if size > 0:
            filled = size / capacity
            table.add_row(label, ShareBar(filled, "magenta"), num_bytes(size), share(filled))
    total = fullest.memory.total / capacity
    style = "bold red" if is_full else "bold"
    table.add_row(
        Text("all", style=style),
        ShareBar(total, "red" if is_full else "magenta"),
        Text(num_bytes(fullest.memory.total), style=style),
        Text(share(total), style=style),
    )
    held = f"{num_bytes(fullest.memory.total)} of {num_bytes(capacity)}"
    where = f" (pipeline rank {fullest.stage.rank})" if len(report.stages) > 1 else ""
    return _section(f"Memory of the fullest die{where}: {held}", table)


def _energy_block(report: StepReport) -> RenderableType:
    total_j = sum(report.energy_j.values())
    table = _bar_table()
    for part, label in ENERGY_PART_LABELS.items():
        energy_j = report.energy_j.get(part, 0.0)
        if energy_j > 0:
            used = energy_j / total_j
            written = format_quantity(energy_j, Dimension.ENERGY)
            table.add_row(label, ShareBar(used, "yellow"), written, share(used))
    total = format_quantity(total_j, Dimension.ENERGY)
    return _section(f"Energy of a step: {total}, {energy_per_token(report)}", table)


def _bottleneck_block(report: StepReport) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for sensitivity in report.bottleneck:
        change, effect = sensitivity_words(sensitivity)
        table.add_row(change, Text(effect, style="bold" if sensitivity.speedup > 1.001 else ""))
    return _section("What would help, the plan unchanged", table)


def _bounds_blocks(step_s: float, bounds: tuple[Bound, ...]) -> Iterator[RenderableType]:
    if not bounds:
        return
    best = tightest(bounds)
    table = _bar_table()
    for bound in bounds:
        is_best = bound is best
        style = "bold" if is_best else ""
        table.add_row(
            Text(bound.name + (" (tightest)" if is_best else ""), style=style),
            ShareBar(bound.step_s / step_s, "green"),
            Text(seconds(bound.step_s), style=style),
            share(bound.step_s / step_s),
        )
    above = percent(gap(step_s, bounds), digits=2) if best.step_s > 0 else "unknown"
    note = f"{best.scope}: {best.reason}"
    yield _section(f"Certificate: {above} above the best lower bound", table, note)


def _alternatives_block(alternatives: Sequence[Candidate], step_s: float) -> RenderableType:
    if not alternatives:
        return _section("Next best", Text("nothing else of the searched space fits", style=_QUIET))
    names = ("strategy", "placement", "step", "slower", "memory")
    table = _table(*names, text=names[:2])
    for candidate in alternatives:
        slower = candidate.step_s / step_s - 1
        table.add_row(
            str(candidate.strategy),
            candidate.placement,
            seconds(candidate.step_s),
            f"{'+' if slower >= 0 else '-'}{percent(abs(slower), digits=2)}",
            num_bytes(candidate.memory_bytes),
        )
    return _section("Next best", table)


def _search_block(statistics: SearchStatistics) -> RenderableType:
    words = (
        f"Search space: {statistics.space}; {statistics.num_strategies:,} strategies, of which "
        f"{statistics.num_scored:,} were scored and {statistics.num_feasible:,} fit, in "
        f"{seconds(statistics.table_s + statistics.score_s)}"
    )
    return Padding(Text(words, style=_QUIET), (0, 0, 0, 2))


def _cost_blocks(cost: TrainingCost | None) -> Iterator[RenderableType]:
    if cost is None:
        return
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right", style="bold")
    for name, value in cost_rows(cost):
        table.add_row(name, value)
    yield _section("Time to train", table)


def _caveat_blocks(system: SystemSpec, *, is_verbose: bool) -> Iterator[RenderableType]:
    if system.flags:
        flags = [Text(f"! {flag}", style="yellow") for flag in system.flags]
        yield _section(f"Warnings about {system.name}", Group(*flags))
    if not system.assumptions:
        return
    if is_verbose:
        lines: list[RenderableType] = []
        for key, reason in system.assumptions.items():
            lines += [Text(key, style="bold"), Padding(Text(reason), (0, 0, 0, 2))]
        yield _section(f"Assumptions about {system.name}", Group(*lines))
    else:
        count = len(system.assumptions)
        words = f"{system.name} rests on {count} assumptions: {', '.join(system.assumptions)}"
        yield Padding(Text(words, style=_QUIET), (1, 0, 0, 0))


def _section(title: str, body: RenderableType, note: str = "") -> RenderableType:
    parts: list[RenderableType] = [Text(title, style=_HEADING), Padding(body, (0, 0, 0, 2))]
    if note:
        parts.append(Padding(Text(note, style=_QUIET), (0, 0, 0, 2)))
    return Padding(Group(*parts), (1, 0, 0, 0))


def _bar_table() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(max_width=30)
    table.add_column(width=_BAR_WIDTH)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style=_QUIET)
    return table


def _table(*columns: str, text: Iterable[str] = ("",)) -> Table:
    """Return an open table; columns not in `text` hold numbers."""
    left = set(text)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, header_style=_QUIET)
    for name in columns:
        if name in left:
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    return table


def _cell(name: str, value: object) -> str:
    """Write a field by what its name says it is."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "[green]ok[/]" if value else "[bold red]outside[/]"
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return escape(str(value))
    if name.endswith(("error", "mape", "share", "skill", "bias")):
        return percent(value)
    if name.endswith("_s"):
        return seconds(value)
    return num_bytes(value) if name.endswith("bytes") else f"{value:.3g}"
