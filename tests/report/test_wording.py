"""Words say what the records hold, for every member of every choice."""

from dataclasses import replace

import pytest

from waferloom.hardware import preset_names, system
from waferloom.hardware.resources import Resource
from waferloom.network.topology import LinkKind
from waferloom.parallel.memory import MemoryBreakdown
from waferloom.parallel.software import Software
from waferloom.parallel.strategy import (
    OverlapPolicy,
    ParallelDegrees,
    Recompute,
    ScheduleName,
    Strategy,
    Violation,
)
from waferloom.report import wording
from waferloom.report.html.charts import ENERGY_COLOURS, MEMORY_COLOURS, TIME_COLOURS
from waferloom.report.html.link_map import LINK_NAMES
from waferloom.simulate.records import EnergyPart, Sensitivity, TimePart
from waferloom.workload.job import Training
from waferloom.workload.library import model


def test_every_part_of_a_report_has_a_label_and_a_colour():
    """A part without one would be missing from the bars, whose shares would not add up."""
    assert set(wording.TIME_PART_LABELS) == set(TimePart) == set(TIME_COLOURS)
    assert set(wording.ENERGY_PART_LABELS) == set(EnergyPart) == set(ENERGY_COLOURS)
    categories = set(MemoryBreakdown.__dataclass_fields__)
    assert set(wording.MEMORY_LABELS) == categories == set(MEMORY_COLOURS)
    assert set(wording.SCHEDULE_LABELS) == set(ScheduleName)
    assert set(LINK_NAMES) == set(LinkKind)


@pytest.mark.parametrize("resource", list(Resource))
def test_every_resource_can_be_a_bottleneck(resource):
    change, effect = wording.sensitivity_words(
        Sensitivity(resource=resource, step_s=0.9, speedup=1.111)
    )
    assert "10 %" in change
    assert effect == "11 % faster"


def test_a_change_that_is_only_rounding_changes_nothing():
    rounding = Sensitivity(resource=Resource.COMPUTE, step_s=1.0, speedup=1 + 1e-9)
    assert wording.sensitivity_words(rounding)[1] == "changes nothing"
    slower = Sensitivity(resource=Resource.COMPUTE, step_s=1.0, speedup=0.95)
    assert wording.sensitivity_words(slower)[1] == "5 % slower"


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_can_be_described(name):
    spec = system(name)
    dtype = next(iter(spec.die.peak_flops_per_s))
    words = wording.system_words(spec, dtype)
    assert words.startswith(f"{spec.num_live_dies:,} ")
    assert wording.num_bytes(spec.die.memory.capacity_bytes) in words


def job() -> Training:
    return Training(model=model("mixtral-8x7b"), global_batch_size=64, seq_len=4096)


def test_a_strategy_in_words_names_every_degree():
    strategy = Strategy(
        degrees=ParallelDegrees(dp=2, tp=4, cp=3, pp=5, ep=6, expert_tp=2),
        sequence_parallel=True,
        zero=2,
        schedule=ScheduleName.INTERLEAVED,
        num_model_chunks=7,
        recompute=Recompute.SELECTIVE,
    )
    words = "; ".join(wording.strategy_words(strategy, job()))
    for phrase in (
        "4 tensor-parallel ranks, sequence parallel",
        "3 context-parallel ranks",
        "5 pipeline stages of 7 chunks each, interleaved 1F1B schedule",
        "6 expert-parallel ranks, each cut over 2 ranks",
        "2 data-parallel replicas (ZeRO-2: optimizer state and gradients sharded)",
        "32 micro-batches of 1 sequence per replica",
        "attention is recomputed",
    ):
        assert phrase in words


def test_one_rank_is_not_said_to_be_divided():
    words = wording.strategy_words(Strategy(degrees=ParallelDegrees()), job())
    assert words == ("64 micro-batches of 1 sequence per replica", "every activation is kept")


def test_what_differs_from_the_usual_is_said():
    strategy = Strategy(
        degrees=ParallelDegrees(tp=2),
        overlap=OverlapPolicy(gradients=False, tensor=0.25),
        software=Software(jitter=0.01),
    )
    words = wording.strategy_words(strategy, job())
    assert "not hidden behind compute: gradient reduction" in words
    assert "25 % of tensor-parallel communication hidden behind its matmuls" in words
    assert "software: jitter 0.01" in words


def test_missing_memory_is_said_in_bytes_worst_first(plans):
    _, report = plans["infeasible"]
    lines = wording.violation_lines(report, limit=1)
    worst = max(report.violations, key=lambda v: v.needed - v.available)
    assert wording.num_bytes(worst.needed - worst.available) + " too much" in lines[0]
    assert worst.where in lines[0]
    assert lines[1] == f"and {len(report.violations) - 1} more of this kind"


def test_a_violation_that_is_not_memory_says_its_own_sentence(plans):
    _, report = plans["wafer"]
    odd = Violation(what="schedule", where="pipeline", needed=2, available=3, message="a reason")
    broken = replace(report, violations=(odd,))
    assert wording.verdict(broken) == "cannot run"
    assert wording.violation_lines(broken) == ("a reason",)


def test_parts_of_time_add_up_to_the_step_and_rounding_is_none(plans):
    _, report = plans["interleaved"]
    noisy = replace(report, parts_s={**report.parts_s, TimePart.CONTENTION: 1e-17})
    parts = wording.time_parts(noisy)
    assert sum(duration_s for _, _, duration_s in parts) == pytest.approx(report.step_s)
    assert TimePart.CONTENTION not in [part for part, _, _ in parts]
