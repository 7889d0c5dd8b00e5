"""Plans of every kind that a report must show, scored by the simulator."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from waferloom.bounds.records import Bound, BoundName
from waferloom.hardware import SystemSpec, system
from waferloom.hardware.resources import Resource, scaled
from waferloom.mapping.layout import network_of
from waferloom.mapping.plan import Plan, Provenance
from waferloom.parallel.memory import stage_memory
from waferloom.parallel.stages import stages_of
from waferloom.parallel.strategy import ParallelDegrees, Recompute, ScheduleName, Strategy
from waferloom.search.solution import Candidate, SearchStatistics, Solution
from waferloom.simulate.records import Sensitivity, StepReport
from waferloom.simulate.step import simulate_plan
from waferloom.workload.job import Training
from waferloom.workload.library import model

Scored = tuple[Plan, StepReport]


def plan_of(
    model_name: str,
    on: SystemSpec,
    strategy: Strategy,
    *,
    placement: str = "sequential",
    global_batch_size: int = 48,
    seq_len: int = 4096,
) -> Plan:
    job = Training(model=model(model_name), global_batch_size=global_batch_size, seq_len=seq_len)
    stages = stages_of(job.model, strategy)
    layout = network_of(on).layout(placement, strategy.degrees)
    return Plan(
        job=job,
        system=on,
        strategy=strategy,
        stages=stages,
        placement=placement,
        die_of_rank=tuple(int(die) for die in layout.die_R),
        routing="xy",
        memory=tuple(stage_memory(job, strategy, stage) for stage in stages),
        provenance=Provenance(waferloom_version="0.1.0", solver="user"),
    )


def scored(plan: Plan) -> Scored:
    """The plan and its report, sensitivities included."""
    report = simulate_plan(plan)
    faster: list[Sensitivity] = []
    for resource in (Resource.COMPUTE, Resource.DRAM_BANDWIDTH, Resource.LINK_BANDWIDTH):
        better = simulate_plan(replace(plan, system=scaled(plan.system, resource, 1.1)))
        faster.append(
            Sensitivity(
                resource=resource, step_s=better.step_s, speedup=report.step_s / better.step_s
            )
        )
    faster.sort(key=lambda each: -each.speedup)
    return plan, replace(report, bottleneck=tuple(faster))


def with_dead_dies(on: SystemSpec, *dies: tuple[int, int]) -> SystemSpec:
    defects = on.defects.model_copy(update={"dead_dies": dies})
    return on.model_copy(update={"defects": defects})


def wafer() -> Scored:
    """A pipeline of two stages on a wafer with two dead dies."""
    strategy = Strategy(
        degrees=ParallelDegrees(tp=4, pp=2, dp=5),
        sequence_parallel=True,
        zero=1,
        recompute=Recompute.FULL,
    )
    on = with_dead_dies(system("temp-6x8"), (2, 3), (5, 7))
    return scored(plan_of("llama3-70b", on, strategy, placement="serpentine"))


def infeasible() -> Scored:
    """A model far too large for eight dies."""
    strategy = Strategy(degrees=ParallelDegrees(tp=4, pp=2))
    return scored(plan_of("llama3-70b", system("temp-6x8"), strategy, global_batch_size=8))


def interleaved() -> Scored:
    """Virtual stages, full recomputation, and a tied small model."""
    strategy = Strategy(
        degrees=ParallelDegrees(tp=2, pp=4, dp=6),
        schedule=ScheduleName.INTERLEAVED,
        num_model_chunks=2,
        recompute=Recompute.FULL,
    )
    return scored(plan_of("llama3-8b", system("temp-6x8"), strategy))


def zero_bubble_moe() -> Scored:
    """Experts spread over dies, weight gradients in the bubble."""
    strategy = Strategy(
        degrees=ParallelDegrees(tp=4, pp=4, dp=2, ep=8),
        schedule=ScheduleName.ZERO_BUBBLE,
        zero=1,
    )
    return scored(plan_of("mixtral-8x7b", system("temp-6x8"), strategy))


def cluster() -> Scored:
    """A switched cluster, where dies have no neighbours."""
    strategy = Strategy(degrees=ParallelDegrees(tp=8, pp=2, dp=2), zero=1)
    return scored(plan_of("llama3-8b", system("dgx-h100"), strategy))


def torus() -> Scored:
    """A torus with links around the edge, and one rank per chip."""
    strategy = Strategy(degrees=ParallelDegrees(dp=32, tp=8), zero=3)
    return scored(
        plan_of("llama3-8b", system("tpu-v5e"), strategy, global_batch_size=64, seq_len=2048)
    )


EVERY_KIND: dict[str, Callable[[], Scored]] = {
    "wafer": wafer,
    "infeasible": infeasible,
    "interleaved": interleaved,
    "zero_bubble_moe": zero_bubble_moe,
    "cluster": cluster,
    "torus": torus,
}


@pytest.fixture(scope="session")
def plans() -> dict[str, Scored]:
    """One scored plan of every kind."""
    return {name: make() for name, make in EVERY_KIND.items()}


@pytest.fixture(scope="session")
def solution(plans: dict[str, Scored]) -> Solution:
    """A search result with bounds and alternatives; the bounds are invented, below the step."""
    plan, report = plans["wafer"]
    values = {
        BoundName.FLOPS: 0.8,
        BoundName.DRAM: 0.31,
        BoundName.INJECTION: 0.02,
        BoundName.PIPELINE: 0.0,
        BoundName.RELAXED: 0.93,
    }
    return Solution(
        plan=plan,
        report=report,
        bounds=tuple(
            Bound(
                name=name,
                step_s=share * report.step_s,
                scope="any plan" if name is not BoundName.RELAXED else "the searched space",
                reason=f"{name} alone takes {share:g} of the step",
            )
            for name, share in values.items()
        ),
        alternatives=tuple(
            Candidate(
                strategy=replace(plan.strategy, zero=zero),
                placement="serpentine",
                step_s=report.step_s * (1 + 0.01 * (rank + 1)),
                memory_bytes=report.peak_memory.memory.total * (1 - 0.02 * rank),
            )
            for rank, zero in enumerate((0, 2, 3))
        ),
        statistics=SearchStatistics(
            space="tensor, pipeline and data parallelism",
            num_strategies=12345,
            num_scored=1234,
            num_feasible=321,
            table_s=0.5,
            score_s=0.25,
        ),
    )
