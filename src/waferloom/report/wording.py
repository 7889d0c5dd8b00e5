"""How results are put into words, the same in the terminal, in HTML and wherever else they show."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Final

from waferloom.hardware.resources import Resource
from waferloom.hardware.spec import (
    Dtype,
    MeshSpec,
    SwitchedSpec,
    SystemSpec,
    TorusSpec,
    WaferGridSpec,
)
from waferloom.mapping.plan import Plan
from waferloom.parallel.software import IDEAL, Software
from waferloom.parallel.strategy import OverlapPolicy, Recompute, ScheduleName, Strategy, Violation
from waferloom.simulate.records import EnergyPart, Sensitivity, StepReport, TimePart
from waferloom.simulate.training_cost import JOULES_PER_KWH, TrainingCost
from waferloom.units import Dimension, format_quantity
from waferloom.workload.job import Training

TIME_PART_LABELS: Final[Mapping[TimePart, str]] = {
    TimePart.FORWARD: "forward",
    TimePart.BACKWARD: "backward",
    TimePart.RECOMPUTE: "recompute",
    TimePart.TP: "tensor-parallel communication",
    TimePart.CP: "context-parallel communication",
    TimePart.EP: "expert-parallel communication",
    TimePart.PP: "pipeline messages",
    TimePart.DP: "data-parallel communication",
    TimePart.CONTENTION: "links that outlast compute",
    TimePart.BUBBLE: "pipeline bubble",
    TimePart.OPTIMIZER: "optimizer",
    TimePart.STRAGGLERS: "waiting for the slowest device",
}
ENERGY_PART_LABELS: Final[Mapping[EnergyPart, str]] = {
    EnergyPart.COMPUTE: "compute",
    EnergyPart.SRAM: "SRAM",
    EnergyPart.NOC: "links inside dies",
    EnergyPart.DRAM: "DRAM",
    EnergyPart.NETWORK: "links between dies",
    EnergyPart.STATIC: "static",
}
MEMORY_LABELS: Final[Mapping[str, str]] = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer state",
    "activations": "activations",
    "recompute": "recomputed layer",
    "buffers": "buffers",
}
"""Attributes of `MemoryBreakdown`, in the order they are shown."""
SCHEDULE_LABELS: Final[Mapping[ScheduleName, str]] = {
    ScheduleName.GPIPE: "GPipe",
    ScheduleName.ONE_F_ONE_B: "1F1B",
    ScheduleName.INTERLEAVED: "interleaved 1F1B",
    ScheduleName.ZERO_BUBBLE: "zero-bubble",
}
_ZERO_WORDS: Final = {
    1: "ZeRO-1: optimizer state sharded",
    2: "ZeRO-2: optimizer state and gradients sharded",
    3: "ZeRO-3: optimizer state, gradients and weights sharded",
}
_RECOMPUTE_WORDS: Final = {
    Recompute.NONE: "every activation is kept",
    Recompute.SELECTIVE: "attention is recomputed",
    Recompute.FULL: "every layer is recomputed",
}
_RESOURCE_WORDS: Final = {
    Resource.COMPUTE: "+10 % compute",
    Resource.DRAM_BANDWIDTH: "+10 % DRAM bandwidth",
    Resource.DRAM_CAPACITY: "+10 % DRAM capacity",
    Resource.LINK_BANDWIDTH: "+10 % link bandwidth",
    Resource.LINK_LATENCY: "-10 % link latency",
}
SECONDS_PER_YEAR: Final = 365.25 * 86400.0
_ROUNDING: Final = 1e-12
_UNNOTICEABLE: Final = 5e-5
"""Changes below 0.005 % are said to change nothing: they are the rounding of sums."""


def percent(fraction: float, *, digits: int = 3) -> str:
    """Write a fraction as a percentage with `digits` significant digits.

    Example:
        >>> percent(0.514326), percent(1.0), percent(0.00021), percent(0.0)
        ('51.4 %', '100 %', '0.021 %', '0 %')
    """
    shown = float(f"{100 * fraction:.{digits - 1}e}")
    precision = max(digits, len(f"{abs(shown):.0f}"))
    return f"{shown:.{precision}g} %"


def share(fraction: float) -> str:
    """Write one of many shares of a whole, in a form that lines up.

    Example:
        >>> share(0.3), share(0.514326), share(1e-5), share(0.0)
        ('30.0 %', '51.4 %', '<0.1 %', '0.0 %')
    """
    return "<0.1 %" if 0 < fraction < 0.0005 else f"{100 * fraction:.1f} %"


def seconds(value: float) -> str:
    """Write a time."""
    return format_quantity(value, Dimension.TIME)


def num_bytes(value: float) -> str:
    """Write a number of bytes."""
    return format_quantity(value, Dimension.BYTES)


def number(value: float) -> str:
    """Write a large count, such as `103 k`."""
    return format_quantity(value, Dimension.COUNT)


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Write a count and its noun.

    Example:
        >>> plural(1, "die"), plural(48, "die"), plural(2, "micro-batch", "micro-batches")
        ('1 die', '48 dies', '2 micro-batches')
    """
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def job_words(job: Training) -> str:
    """Say what one step trains on."""
    return (
        f"{job.global_batch_size:,} sequences of {job.seq_len:,} tokens per step, "
        f"{job.precision.compute}, {job.optimizer.replace('_', ' with ')}, "
        f"{job.attention} attention"
    )


def interconnect_words(system: SystemSpec) -> str:
    """Say how the dies of a system are joined.

    Example:
        >>> from waferloom.hardware import system
        >>> interconnect_words(system("temp-6x8"))
        '6 x 8 mesh, 4 TB/s per link and direction'
    """
    net = system.interconnect

    def rate(value: float) -> str:
        return format_quantity(value, Dimension.BANDWIDTH)

    match net:
        case MeshSpec():
            shape = f"{net.rows} x {net.cols} mesh"
            return f"{shape}, {rate(net.link.bandwidth_bytes_per_s)} per link and direction"
        case WaferGridSpec():
            wafers = f"{net.wafer_rows} x {net.wafer_cols} wafers of {net.rows} x {net.cols} dies"
            inside = rate(net.link.bandwidth_bytes_per_s)
            between = rate(net.wafer_link.bandwidth_bytes_per_s)
            return f"{wafers}, {inside} per link, {between} between wafers"
        case TorusSpec():
            shape = " x ".join(map(str, net.shape))
            slices = f"{net.num_slices} slices of " if net.num_slices > 1 else ""
            return f"{slices}{shape} torus, {rate(net.link.bandwidth_bytes_per_s)} per link"
        case SwitchedSpec():
            nodes = plural(net.num_nodes, "node")
            out = net.scale_out_link
            beyond = f", {rate(out.bandwidth_bytes_per_s)} between nodes" if out else ""
            inside = rate(net.link.bandwidth_bytes_per_s)
            return f"{nodes} of {net.devices_per_node} devices, {inside} per device{beyond}"


def device_noun(system: SystemSpec) -> str:
    """Say what the places of a system are called."""
    return "die" if system.is_wafer else "device"


def system_words(system: SystemSpec, compute: str) -> str:
    """Say what a system is made of; peaks are those of the number format `compute`."""
    peak = system.die.peak_flops_per_s[Dtype(compute)]
    memory = system.die.memory
    dead = system.num_dies - system.num_live_dies
    dies = plural(system.num_live_dies, device_noun(system)) + (f" ({dead} dead)" if dead else "")
    rate = format_quantity(memory.bandwidth_bytes_per_s, Dimension.BANDWIDTH)
    return (
        f"{dies}, {interconnect_words(system)}; each with "
        f"{format_quantity(peak, Dimension.FLOP_RATE)} in {compute}, "
        f"{num_bytes(memory.capacity_bytes)} at {rate}"
    )


def route_words(plan: Plan) -> str:
    """Say how messages travel: by a routing policy on a grid of dies, else through switches."""
    return f"{plan.routing} routes" if plan.system.has_grid else "routes through switches"


def strategy_words(strategy: Strategy, job: Training) -> tuple[str, ...]:
    """Say how the work is divided, one phrase per decision."""
    d = strategy.degrees
    words: list[str] = []
    if d.tp > 1:
        extra = ", sequence parallel between layers" if strategy.sequence_parallel else ""
        words.append(f"every layer cut over {d.tp} tensor-parallel ranks{extra}")
    if d.cp > 1:
        words.append(f"sequences cut over {d.cp} context-parallel ranks")
    if d.pp > 1:
        chunks = strategy.num_model_chunks
        parts = f" of {chunks} chunks each" if chunks > 1 else ""
        schedule = SCHEDULE_LABELS[strategy.schedule]
        words.append(f"{d.pp} pipeline stages{parts}, {schedule} schedule")
    if d.ep > 1 or d.expert_tp > 1:
        inside = f", each cut over {d.expert_tp} ranks" if d.expert_tp > 1 else ""
        words.append(f"experts spread over {d.ep} expert-parallel ranks{inside}")
    if d.dp > 1 or d.cp > 1:
        shards = f" ({_ZERO_WORDS[strategy.zero]})" if strategy.zero else ""
        words.append(f"{plural(d.dp, 'data-parallel replica')}{shards}")
    micro_batches = plural(strategy.num_micro_batches(job), "micro-batch", "micro-batches")
    size = plural(strategy.micro_batch_size, "sequence")
    words.append(f"{micro_batches} of {size} per replica{_padding_words(strategy, job)}")
    words.append(_RECOMPUTE_WORDS[strategy.recompute])
    return (*words, *_overlap_words(strategy.overlap), *_software_words(strategy.software))


def _padding_words(strategy: Strategy, job: Training) -> str:
    """Say where a batch does not divide, and what the model makes of it."""
    places = strategy.num_micro_batches(job) * strategy.micro_batch_size * strategy.degrees.dp
    if places == job.global_batch_size:
        return ""
    return (
        f": {places} places for the {job.global_batch_size} sequences of a step, which do not"
        " divide evenly; the empty ones are timed as if full"
    )


def _overlap_words(overlap: OverlapPolicy) -> Iterator[str]:
    waits = [
        name
        for name, is_hidden in (
            ("gradient reduction", overlap.gradients),
            ("weight gathers", overlap.parameters),
            ("pipeline messages", overlap.pipeline),
        )
        if not is_hidden
    ]
    if waits:
        yield f"not hidden behind compute: {', '.join(waits)}"
    if overlap.tensor > 0:
        shown = percent(overlap.tensor)
        yield f"{shown} of tensor-parallel communication hidden behind its matmuls"


def _software_words(software: Software) -> Iterator[str]:
    """Say in which numbers a training stack differs from one that wastes nothing."""
    named = [
        f"{field.name.replace('_', ' ')} {getattr(software, field.name)}"
        for field in fields(software)
        if getattr(software, field.name) != getattr(IDEAL, field.name)
    ]
    if named:
        yield f"software: {', '.join(named)}"


def verdict(report: StepReport) -> str:
    """Say in one phrase whether the plan can run."""
    if report.is_feasible:
        return "fits"
    is_memory = all(violation.what == "dram_capacity" for violation in report.violations)
    return "does not fit in memory" if is_memory else "cannot run"


def memory_excess(violation: Violation) -> str:
    """Say where memory is short, and by how much; other violations speak for themselves."""
    if violation.what != "dram_capacity":
        return violation.message
    excess = violation.needed - violation.available
    return (
        f"{violation.where}: {num_bytes(violation.needed)} needed per die, "
        f"{num_bytes(violation.available)} there, {num_bytes(excess)} too much"
    )


def violation_lines(report: StepReport, *, limit: int = 4) -> tuple[str, ...]:
    """Return why a plan cannot run, worst first, the rest counted."""
    worst = sorted(report.violations, key=lambda violation: violation.available - violation.needed)
    lines = [memory_excess(violation) for violation in worst[:limit]]
    if len(worst) > limit:
        lines.append(f"and {len(worst) - limit} more of this kind")
    return tuple(lines)


def sensitivity_words(sensitivity: Sensitivity) -> tuple[str, str]:
    """Say what is improved, and what that gives."""
    gain = sensitivity.speedup - 1
    if abs(gain) < _UNNOTICEABLE:
        effect = "changes nothing"
    else:
        effect = f"{percent(abs(gain), digits=2)} {'faster' if gain > 0 else 'slower'}"
    return _RESOURCE_WORDS[sensitivity.resource], effect


def energy_per_token(report: StepReport) -> str | None:
    """Say what a token costs in energy; None where the system states no energies."""
    energy_j = sum(report.energy_j.values())
    if energy_j <= 0:
        return None
    return format_quantity(energy_j / report.tokens_per_step, Dimension.ENERGY) + " per token"


def power_words(report: StepReport) -> str | None:
    """Say mean power and tokens per joule; None where the system states no energies."""
    if sum(report.energy_j.values()) <= 0:
        return None
    tokens_per_j = report.tokens_per_s / report.power_w
    return (
        f"{format_quantity(report.power_w, Dimension.POWER)}, "
        f"{format_quantity(tokens_per_j, Dimension.COUNT)} tokens/J"
    )


def cost_rows(cost: TrainingCost) -> tuple[tuple[str, str], ...]:
    """Return what a whole training run takes, as pairs of what and how much."""
    rows = [
        ("tokens", number(cost.token_budget)),
        ("steps", f"{cost.num_steps:,}"),
        ("time to train", f"{seconds(cost.duration_s)}{_years(cost.duration_s)}"),
        ("device hours", f"{cost.device_hours:,.0f}"),
    ]
    if cost.energy_j is not None:
        kwh = cost.energy_j / JOULES_PER_KWH
        rows.append(("energy", f"{kwh:,.0f} kWh"))
    if cost.device_cost is not None:
        rows.append((f"devices at {cost.price_per_device_hour:g} an hour", money(cost.device_cost)))
    if cost.energy_cost is not None:
        rows.append((f"energy at {cost.price_per_kwh:g} per kWh", money(cost.energy_cost)))
    if cost.device_cost is not None and cost.energy_cost is not None and cost.total_cost:
        rows.append(("together", money(cost.total_cost)))
    return tuple(rows)


def _years(duration_s: float) -> str:
    years = duration_s / SECONDS_PER_YEAR
    return f" ({years:.1f} years)" if years >= 1 else ""


def money(amount: float) -> str:
    """Write an amount in the currency of the prices, which has no name here."""
    return f"{amount:,.2f}" if amount < 1000 else f"{amount:,.0f}"


def time_parts(report: StepReport) -> tuple[tuple[TimePart, str, float], ...]:
    """Return the parts of a step that took time, with label and seconds.

    A part that is the difference of two sums may hold their rounding; that is no time.
    """
    return tuple(
        (part, label, report.parts_s[part])
        for part, label in TIME_PART_LABELS.items()
        if report.parts_s.get(part, 0.0) > _ROUNDING * report.step_s
    )


def plan_title(plan: Plan) -> str:
    """Name a plan by its model and system."""
    return f"{plan.job.model.name} on {plan.system.name}"
