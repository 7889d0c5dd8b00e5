"""Views fit a terminal of 80 columns and say the numbers that the records hold."""

import io
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import cast

import pytest
from rich.console import Console, RenderableType

from waferloom.hardware import preset_names, system
from waferloom.parallel.strategy import ParallelDegrees, Strategy
from waferloom.report.terminal import (
    Contender,
    ShareBar,
    comparison_view,
    model_view,
    operator_validation_view,
    presets_view,
    report_view,
    solution_view,
    system_view,
    training_validation_view,
    validation_view,
)
from waferloom.report.wording import num_bytes, percent, seconds
from waferloom.simulate.training_cost import training_cost
from waferloom.studies.training_rows import TrainingRow
from waferloom.studies.validate_operators import (
    OperatorComparison,
    OperatorFamily,
    OperatorValidation,
)
from waferloom.studies.validate_training import FamilyResult, RowResult, TrainingValidation
from waferloom.workload.library import model, model_names

KINDS = ["wafer", "infeasible", "interleaved", "zero_bubble_moe", "cluster", "torus"]


def text_of(view: RenderableType, *, width: int = 80, encoding: str = "utf-8") -> str:
    """What a terminal of this width shows; no line may be longer."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    Console(width=width, file=file, force_terminal=False, legacy_windows=False).print(view)
    text = raw.getvalue().decode(encoding)
    assert max(map(len, text.splitlines())) <= width
    return text


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_shows_every_figure_at_80_columns(plans, kind):
    plan, report = plans[kind]
    text = flat(text_of(report_view(plan, report)))
    fullest = report.peak_memory.memory
    for shown in (
        f"{plan.job.model.name} on {plan.system.name}",
        f"Time of a step: {seconds(report.step_s)}",
        percent(report.mfu),
        f"{num_bytes(fullest.total)} of {num_bytes(report.memory_capacity_bytes)}",
        "optimizer state",
        "+10 % compute",
    ):
        assert shown in text
    assert ("infeasible" in text) == bool(report.violations)


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_of_time_that_took_time_is_shown(plans, kind):
    plan, report = plans[kind]
    text = text_of(report_view(plan, report), width=100)
    for part, duration_s in report.parts_s.items():
        if duration_s > 1e-12 * report.step_s:
            assert seconds(duration_s) in text, part


def test_an_infeasible_plan_says_so_in_bytes_and_where(plans):
    plan, report = plans["infeasible"]
    text = flat(text_of(report_view(plan, report)))
    assert "infeasible: does not fit in memory" in text
    for violation in report.violations:
        assert f"{violation.where}: {num_bytes(violation.needed)} needed" in text


def test_a_solution_names_the_tightest_bound_and_the_gap(solution):
    text = flat(text_of(solution_view(solution)))
    assert f"Certificate: {percent(solution.gap, digits=2)} above the best lower bound" in text
    assert f"{solution.tightest_bound.name} (tightest)" in text
    for bound in solution.bounds:
        assert bound.name in text
    for candidate in solution.alternatives:
        assert seconds(candidate.step_s) in text
    assert "12,345 strategies" in text


def test_assumptions_are_named_and_written_out_on_demand(plans):
    plan, report = plans["wafer"]
    key, reason = next(iter(plan.system.assumptions.items()))
    short, long = (
        flat(text_of(report_view(plan, report, is_verbose=verbose))) for verbose in (False, True)
    )
    assert key in short
    assert reason not in short
    assert reason in long


def test_warnings_of_a_system_are_always_shown(plans):
    plan, report = plans["wafer"]
    flagged = plan.system.model_copy(update={"flags": ("not buildable as drawn",)})
    text = text_of(report_view(replace(plan, system=flagged), report))
    assert "! not buildable as drawn" in text


def test_the_price_of_a_training_run_is_shown(solution):
    cost = training_cost(solution.report, 46, 1e12, price_per_device_hour=4.0, price_per_kwh=0.1)
    text = flat(text_of(solution_view(solution, cost=cost)))
    assert cost.device_cost is not None
    assert f"{cost.num_steps:,}" in text
    assert f"{cost.device_cost:,.0f}" in text


def test_a_comparison_lists_every_contender_with_its_strategy(plans):
    contenders = [Contender(name=k, plan=p, report=r) for k, (p, r) in plans.items()]
    text = flat(text_of(comparison_view(contenders)))
    for contender in contenders:
        assert str(contender.plan.strategy) in text
        assert seconds(contender.report.step_s) in text
    assert "does not fit in memory" in text
    costs = [training_cost(each.report, 8, 1e9) for each in contenders]
    assert seconds(costs[0].duration_s) in text_of(comparison_view(contenders, costs=costs))


def test_every_preset_has_a_view_at_80_columns():
    for name in preset_names():
        spec = system(name)
        text = flat(text_of(system_view(spec)))
        for reason in spec.assumptions.values():
            assert flat(reason) in text
        for source in spec.source:
            assert flat(source.title) in text
    for name in model_names():
        assert name in text_of(model_view(model(name)))


def test_the_list_of_presets_names_all_and_marks_warnings():
    systems = [system(name) for name in preset_names()]
    text = text_of(presets_view(systems, [model("mixtral-8x7b")]), width=100)
    for spec in systems:
        assert (f"{spec.name} !" in text) == bool(spec.flags)
    assert "46.7 B" in text


@dataclass(frozen=True)
class Row:
    family: str
    num_rows: int
    median_error: float
    duration_s: float
    is_met: bool


def test_rows_of_a_study_become_a_table():
    text = flat(text_of(validation_view([Row("[gemm]", 1200, 0.0834, 2e-6, True)])))
    for shown in ("[gemm]", "1,200", "8.34 %", "2 us", "ok", "median error"):
        assert shown in text
    assert "no row of the data can be compared" in text_of(validation_view([]))


@pytest.mark.parametrize(
    ("share", "drawn"), [(0.0, ""), (1e-9, "▏"), (0.5, "█████"), (1.0, "█" * 10), (7.0, "█" * 10)]
)
def test_a_bar_is_as_long_as_its_share(share, drawn):
    assert text_of(ShareBar(share, width=10)).strip() == drawn


def test_bars_are_hashes_where_the_terminal_knows_no_blocks(plans):
    text = text_of(report_view(*plans["wafer"]), encoding="ascii")
    assert "####" in text
    assert text.isascii()


def test_operator_families_are_shown_with_skill_and_worst_rows():
    row = OperatorComparison(label="8 x 9", measured_s=2e-6, model_s=3e-6, source="a table")
    fitted = OperatorFamily(
        name="matmul bf16",
        system="h100_sxm",
        preset="dgx-h100",
        num_rows=1234,
        mean_error=-0.021,
        mape=0.05,
        p90_error=0.11,
        rank_correlation=0.98,
        roofline_mape=0.2,
        is_fitted=True,
        worst=(row,),
    )
    small = replace(fitted, name="stream", roofline_mape=None, rank_correlation=None, num_rows=2)
    view = operator_validation_view(OperatorValidation(families=(fitted, small)))
    text = flat(text_of(view, width=90))
    for shown in ("matmul bf16", "1,234", "-2.1 %", "5.0 %", "11.0 %", "0.98", "0.75", "8 x 9"):
        assert shown in text
    assert "+50 %" in text


def training_rows(count: int) -> tuple[RowResult, ...]:
    """Runs simulated 10 %, 20 %, ... too slow, with what a view reads of their rows."""
    strategy = Strategy(degrees=ParallelDegrees(dp=8), zero=3)
    shape = SimpleNamespace(
        model=model("llama2-7b"),
        num_devices=1024,
        device="dgx-h100",
        step_s=2.0,
        is_dense=True,
        dtype="bf16",
    )
    return tuple(
        RowResult(
            row=cast("TrainingRow", shape),
            strategy=strategy,
            step_s=2.0 * (1.1 + 0.1 * i),
            is_feasible=True,
            flops_s=1.0,
        )
        for i in range(count)
    )


@pytest.mark.parametrize(("mape", "verdict"), [(0.05, "met"), (0.5, "missed")])
def test_training_runs_are_shown_with_target_and_worst_rows(mape, verdict):
    family = FamilyResult(
        name="dgx-h100 megatron bf16",
        num_rows=40,
        bias=-0.031,
        mape=mape,
        rank_correlation=0.97,
        constant_mape=0.1,
        num_too_large=0,
    )
    found = TrainingValidation(
        rows=training_rows(12),
        families=(family,),
        accepted=replace(family, name="acceptance rows", num_rows=9),
        accepted_families=(family,),
        unusable=(),
    )
    text = flat(text_of(training_validation_view(found), width=100))
    for shown in ("dgx-h100 megatron bf16", "-3.1 %", "10.0 %", "1,024 x dgx-h100", "+120 %"):
        assert shown in text
    assert f"{1 - mape / 0.1:.2f}" in text
    assert "+10 %" not in text, "only the worst rows are listed"
    assert text.endswith(verdict)
    assert "3 other rows" in text
