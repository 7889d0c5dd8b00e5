"""Lower bounds: never beaten by a simulated plan, and what hand counts say where they are tight."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_scenarios import (
    SYSTEMS,
    network_named,
    random_degrees,
    random_job,
    random_option,
    random_overlap,
    random_software,
    system_named,
)

from waferloom.bounds.records import Bound, BoundName, gap, tightest
from waferloom.bounds.traffic import common_parameters, traffic_bounds
from waferloom.bounds.work import rates, work_bounds
from waferloom.hardware import Resource, scaled, system, with_defects
from waferloom.hardware.spec import DefectMap, SystemSpec
from waferloom.mapping.placements import PLACEMENTS
from waferloom.mapping.scenario import Scenario
from waferloom.parallel.strategy import ParallelDegrees, Strategy
from waferloom.search.planner import make_plan
from waferloom.simulate.step import Setting, simulate_plan, step_report
from waferloom.workload.flops import training_flops_per_token
from waferloom.workload.job import Training
from waferloom.workload.library import model
from waferloom.workload.parameters import count_parameters


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_simulated_step_beats_a_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    name = str(rng.choice(SYSTEMS))
    scenario = Scenario(job=random_job(rng), system=system_named(name))
    network = network_named(name)
    software = random_software(rng)
    bounds = (*work_bounds(scenario, software), *traffic_bounds(scenario))
    degrees = random_degrees(rng, scenario.job, network.num_dies)
    option = random_option(rng)
    if degrees.pp * option.num_model_chunks > scenario.job.model.num_layers:
        option = replace(option, num_model_chunks=1, schedule=option.schedule.ONE_F_ONE_B)
    report = step_report(
        Setting(
            scenario=scenario,
            strategy=option.strategy(degrees, random_overlap(rng), software),
            network=network,
            layout=network.layout(str(rng.choice(list(PLACEMENTS))), degrees),
        )
    )
    for bound in bounds:
        assert report.step_s >= bound.step_s * (1 - 1e-12), bound


def scenario_on(name: str, model_name: str = "llama2-7b") -> Scenario:
    job = Training(model(model_name), global_batch_size=64, seq_len=4096)
    return Scenario(job=job, system=system(name))


def test_the_compute_bound_is_all_operations_at_the_sustained_rates() -> None:
    scenario = scenario_on("temp-6x8")
    at, job = rates(scenario), scenario.job
    one_key = training_flops_per_token(job.model, 2, is_causal=True)  # one key per query
    many = training_flops_per_token(job.model, job.seq_len, is_causal=True)
    per_key = (many - one_key) / (job.seq_len / 2 - 1)
    attention = per_key * job.seq_len / 2 * job.tokens_per_step
    matmuls = many * job.tokens_per_step - attention
    assert at.attention_forward_flops_per_s > 0
    expected = (
        matmuls / at.matmul_flops_per_s
        + attention / 3 / at.attention_forward_flops_per_s
        + attention * 2 / 3 / at.attention_backward_flops_per_s
    )
    (found,) = (b for b in work_bounds(scenario) if b.name is BoundName.FLOPS)
    assert found.step_s == pytest.approx(expected, rel=0.02)  # vector operations are the rest


def test_the_memory_bound_holds_all_state_and_every_weight_three_times() -> None:
    scenario = scenario_on("temp-6x8")
    parameters = count_parameters(scenario.job.model).total
    least = parameters * (2 + 2 * 12 + 2 + 3 * 2) / rates(scenario).dram_bytes_per_s
    (found,) = (b for b in work_bounds(scenario) if b.name is BoundName.DRAM)
    assert found.step_s > 0.97 * least


def test_both_together_are_at_least_each_alone() -> None:
    for name in ("temp-6x8", "dgx-h100:2", "tpu-v5e"):
        by_name = {bound.name: bound.step_s for bound in work_bounds(scenario_on(name))}
        assert by_name[BoundName.WORK] >= max(by_name[BoundName.FLOPS], by_name[BoundName.DRAM])


@pytest.mark.parametrize("resource", [Resource.COMPUTE, Resource.DRAM_BANDWIDTH])
def test_more_of_a_resource_never_raises_a_bound(resource: Resource) -> None:
    scenario = scenario_on("temp-6x8")
    richer = Scenario(job=scenario.job, system=scaled(scenario.system, resource, 2.0))
    for before, after in zip(work_bounds(scenario), work_bounds(richer), strict=True):
        assert after.step_s <= before.step_s


def test_a_die_that_holds_all_weights_need_send_nothing() -> None:
    injection, bisection = traffic_bounds(scenario_on("temp-6x8"))
    assert injection.step_s == bisection.step_s == 0
    assert "nothing has to move" in injection.reason


def test_a_die_too_small_for_the_weights_sends_hidden_states_or_gets_weights() -> None:
    scenario = scenario_on("temp-6x8", "gpt3-175b")
    weights = 2 * common_parameters(scenario)
    missing = weights - 72e9
    hidden = 2 * scenario.job.tokens_per_step * 12288 * 2
    injection = traffic_bounds(scenario)[0]
    all_dies = (4 * 24 + 3 * 20 + 2 * 4) * 4e12  # inner dies, sides, corners of a 6 x 8 mesh
    assert injection.step_s == pytest.approx(min(hidden / all_dies, missing / 16e12))


def test_routed_experts_bind_no_token_to_a_die() -> None:
    scenario = scenario_on("moentwine-8x8", "mixtral-8x7b")
    assert common_parameters(scenario) < 0.1 * count_parameters(scenario.job.model).total


def test_the_tightest_bound_is_the_largest_and_the_gap_is_relative_to_it() -> None:
    bounds = tuple(
        Bound(name=name, step_s=step_s, scope="any plan", reason="test")
        for name, step_s in ((BoundName.FLOPS, 2.0), (BoundName.DRAM, 3.0))
    )
    assert tightest(bounds).name is BoundName.DRAM
    assert gap(3.3, bounds) == pytest.approx(0.1)


def damaged(name: str, **defects: object) -> SystemSpec:
    return with_defects(system(name), DefectMap.model_validate(defects))


def test_a_die_that_lost_nearly_all_its_cores_is_not_bounded_by_less_than_the_one_it_keeps() -> (
    None
):
    spec = damaged("tpu-v5e:4x4", dead_core_fraction=0.95)  # 4 cores each: one lives
    scenario = Scenario(job=scenario_on("temp-6x8").job, system=spec)
    whole = rates(Scenario(job=scenario.job, system=system("tpu-v5e:4x4")))
    assert rates(scenario).matmul_flops_per_s == pytest.approx(whole.matmul_flops_per_s / 4)
    report = simulate_plan(
        make_plan(scenario, Strategy(degrees=ParallelDegrees(dp=8, tp=2)), "sequential")
    )
    for bound in work_bounds(scenario):
        assert report.step_s >= bound.step_s


def test_a_cut_with_most_live_dies_on_one_side_counts_what_that_side_holds() -> None:
    left = [[row, col] for row in range(6) for col in range(3)]
    job = scenario_on("temp-6x8", "gpt3-504b").job  # 1 TB of weights
    spec = damaged("temp-6x8", dead_dies=left)  # 6 live dies of 72 GB on the left, 24 on the right
    bisection = traffic_bounds(Scenario(job=job, system=spec))[1]
    assert bisection.step_s == 0
    assert "nothing has to move" in bisection.reason


def test_a_middle_that_nothing_can_cross_bounds_no_plan() -> None:
    middle = [[[row, 3], [row, 4]] for row in range(6)]
    spec = damaged("temp-6x8", dead_links=middle)
    bounds = traffic_bounds(Scenario(job=scenario_on("temp-6x8", "megatron-1t").job, system=spec))
    assert all(np.isfinite(bound.step_s) for bound in bounds)


def test_dies_without_links_are_bounded_by_no_traffic() -> None:
    alone = [[row, col] for row in range(6) for col in range(8) if (row + col) % 2]
    spec = damaged("temp-6x8", dead_dies=alone)
    scenario = Scenario(job=scenario_on("temp-6x8", "gpt3-175b").job, system=spec)
    injection, bisection = traffic_bounds(scenario)
    assert injection.step_s == bisection.step_s == 0
    assert "no link" in injection.reason
