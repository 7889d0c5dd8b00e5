"""Documents are plain JSON, complete, and consistent with the records they come from."""

import json
import math
from dataclasses import replace

import pytest

from waferloom.hardware import system
from waferloom.mapping.plan import plan_from_json
from waferloom.report.json_report import (
    comparison_json,
    model_json,
    report_json,
    solution_json,
    system_json,
    validation_json,
    versions,
)
from waferloom.report.terminal import Contender
from waferloom.simulate.training_cost import training_cost
from waferloom.workload.library import model

KINDS = ["wafer", "infeasible", "interleaved", "zero_bubble_moe", "cluster", "torus"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_survives_json_and_holds_the_plan(plans, kind):
    plan, report = plans[kind]
    document = report_json(plan, report)
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again == document
    assert plan_from_json(json.dumps(again["plan"])) == plan
    found = again["report"]
    assert found["step_s"] == report.step_s
    assert sum(found["parts_s"].values()) == pytest.approx(report.step_s)
    assert sum(found["links"]["load_bytes"]) == pytest.approx(report.links.bytes_L.sum())
    assert found["is_feasible"] is report.is_feasible
    assert len(found["violations"]) == len(report.violations)
    for stage, original in zip(found["stages"], report.stages, strict=True):
        memory = dict(stage["memory_bytes"])
        total = memory.pop("total")
        assert total == original.memory.total == pytest.approx(sum(memory.values()))


def test_a_solution_adds_bounds_alternatives_and_statistics(solution):
    document = json.loads(json.dumps(solution_json(solution), allow_nan=False))
    assert document["format"] == "waferloom-solution"
    assert document["tightest_bound"] == solution.tightest_bound.name
    assert document["gap"] == pytest.approx(solution.gap)
    assert [bound["step_s"] for bound in document["bounds"]] == [
        bound.step_s for bound in solution.bounds
    ]
    assert len(document["alternatives"]) == len(solution.alternatives)
    assert document["statistics"]["num_strategies"] == 12345


def test_without_bounds_there_is_no_gap(plans):
    document = report_json(*plans["wafer"])
    assert document["gap"] is None
    assert document["tightest_bound"] is None


def test_a_number_that_is_not_finite_becomes_null(plans, solution):
    lost = replace(solution.alternatives[0], step_s=math.inf)
    document = solution_json(replace(solution, alternatives=(lost,)))
    assert document["alternatives"][0]["step_s"] is None
    json.dumps(document, allow_nan=False)


def test_costs_carry_their_total(plans):
    plan, report = plans["wafer"]
    cost = training_cost(report, 46, 1e12, price_per_device_hour=2.0)
    document = report_json(plan, report, cost=cost)
    assert document["training_cost"]["total_cost"] == cost.total_cost
    contender = Contender(name="a", plan=plan, report=report)
    both = comparison_json([contender, contender], costs=[cost, None])
    assert both["contenders"][0]["training_cost"]["num_steps"] == cost.num_steps
    assert both["contenders"][1]["training_cost"] is None
    json.dumps(both, allow_nan=False)


def test_versions_say_what_wrote_a_document():
    found = versions()
    assert {"waferloom", "python", "numpy", "commit"} == set(found)
    assert found["waferloom"]


def test_systems_and_models_are_written_out_whole():
    spec = system("dgx-h100")
    document = json.loads(json.dumps(system_json(spec), allow_nan=False))
    assert type(spec).model_validate(document) == spec
    assert model_json(model("llama2-7b"))["parameters"]["total"] == 6738415616


def test_a_study_is_written_field_by_field(plans):
    found = validation_json(training_cost(plans["wafer"][1], 2, 1e9))
    assert found["result"]["token_budget"] == 1e9


def test_what_has_no_form_in_json_is_refused(solution):
    statistics = replace(solution.statistics, space=object())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="object has no form in JSON"):
        solution_json(replace(solution, statistics=statistics))
