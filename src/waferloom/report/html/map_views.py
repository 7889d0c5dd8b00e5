"""Ways of colouring the dies of a map: by what the rank on a die does, and by its memory."""

from collections.abc import Callable
from dataclasses import dataclass

from waferloom.mapping.plan import Plan
from waferloom.parallel.strategy import ParallelDegrees
from waferloom.report.wording import num_bytes
from waferloom.simulate.records import StepReport


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One way of colouring the dies.

    Attributes:
        key: Class name in the style sheet.
        name: On its button.
        explanation: Under the map.
        colour: Of a rank.
        label: On a rank's die.
    """

    key: str
    name: str
    explanation: str
    colour: Callable[[int], str]
    label: Callable[[int], str]


def views(plan: Plan, report: StepReport) -> tuple[View, ...]:
    """Return the views that tell ranks apart: one per degree above 1, and memory."""
    d = plan.strategy.degrees
    held = [stage.memory.total / report.memory_capacity_bytes for stage in report.stages]

    def stage(rank: int) -> int:
        return rank // d.ranks_per_stage

    shown: list[View] = []
    if d.pp > 1:
        shown.append(
            View(
                key="stage",
                name="Pipeline stage",
                explanation="The colour runs from the first stage to the last; numbers are stages.",
                colour=lambda rank: _ramp(stage(rank), d.pp),
                label=lambda rank: str(stage(rank)),
            )
        )
    if d.tp > 1:
        shown.append(
            View(
                key="tp",
                name="Tensor-parallel group",
                explanation="Dies of one colour cut layers together; written is group.rank.",
                colour=lambda rank: _distinct(rank // d.tp),
                label=lambda rank: f"{rank // d.tp}.{rank % d.tp}",
            )
        )
    if d.cp > 1:
        shown.append(
            View(
                key="cp",
                name="Context-parallel rank",
                explanation="Dies of one colour hold the same part of every sequence.",
                colour=lambda rank: _distinct(rank // d.tp % d.cp),
                label=lambda rank: str(rank // d.tp % d.cp),
            )
        )
    if d.dp > 1:
        shown.append(
            View(
                key="dp",
                name="Data-parallel replica",
                explanation="Dies of one colour and number hold one replica of the model.",
                colour=lambda rank: _distinct(_replica(rank, d)),
                label=lambda rank: str(_replica(rank, d)),
            )
        )
    if d.ep > 1:
        shown.append(
            View(
                key="ep",
                name="Expert-parallel rank",
                explanation="Dies of one colour and number hold the same experts of their layers.",
                colour=lambda rank: _distinct(_expert_rank(rank, d)),
                label=lambda rank: str(_expert_rank(rank, d)),
            )
        )
    shown.append(
        View(
            key="memory",
            name="Memory",
            explanation="Percent of a die's capacity; red with a frame where it is not enough.",
            colour=lambda rank: _fullness_colour(held[stage(rank)]),
            label=lambda rank: f"{100 * held[stage(rank)]:.0f}%",
        )
    )
    return tuple(shown)


def _replica(rank: int, d: ParallelDegrees) -> int:
    return rank // (d.tp * d.cp) % d.dp


def _expert_rank(rank: int, d: ParallelDegrees) -> int:
    return rank % d.ranks_per_stage // d.expert_tp % d.ep


def rank_words(rank: int, plan: Plan, report: StepReport) -> str:
    """Say what a rank does and holds."""
    d = plan.strategy.degrees
    stage = rank // d.ranks_per_stage
    parts = [f"rank {rank}"]
    if d.pp > 1:
        parts.append(f"stage {stage}")
    if d.dp > 1:
        parts.append(f"replica {_replica(rank, d)}")
    if d.cp > 1:
        parts.append(f"context rank {rank // d.tp % d.cp}")
    if d.tp > 1:
        parts.append(f"tensor rank {rank % d.tp}")
    if d.ep > 1:
        parts.append(f"expert rank {_expert_rank(rank, d)}")
    held = report.stages[stage].memory.total
    parts.append(f"{num_bytes(held)} of {num_bytes(report.memory_capacity_bytes)}")
    return ", ".join(parts)


def _ramp(index: int, count: int) -> str:
    """Return the colour of one of `count` things in order, blue to yellow."""
    place = index / max(count - 1, 1)
    return f"hsl({225 - 175 * place:.0f} {58 + 12 * place:.0f}% {66 + 4 * place:.0f}%)"


def _distinct(index: int) -> str:
    """Return a colour far from those of neighbouring numbers: hues a golden angle apart."""
    return f"hsl({(210 + 137.508 * index) % 360:.0f} 55% {78 - 5 * (index % 3):d}%)"


def _fullness_colour(held: float) -> str:
    """Return the colour of a memory filled to `held`: pale to full, red beyond."""
    if held > 1:
        return "hsl(354 75% 70%)"
    return f"hsl(265 {35 + 25 * held:.0f}% {92 - 28 * held:.0f}%)"
