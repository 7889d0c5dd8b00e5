"""The solver against brute force over the plain-Python oracle, and its certificate."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waferloom.bounds.records import BoundName
from waferloom.errors import SolverError, SpecError
from waferloom.hardware import system, with_defects
from waferloom.hardware.spec import DefectMap, MeshSpec, SystemSpec
from waferloom.mapping.layout import network_of
from waferloom.mapping.scenario import Scenario
from waferloom.parallel.strategy import ParallelDegrees, ScheduleName
from waferloom.search.planner import make_plan, plan
from waferloom.search.solvers.exhaustive import exhaustive
from waferloom.search.space import SPACES, Space, pinned_space, space_named
from waferloom.simulate.step import Setting, simulate_plan, step_report
from waferloom.workload.job import Training
from waferloom.workload.library import model


def small_wafer(rows: int, cols: int) -> SystemSpec:
    wafer = system("temp-6x8")
    assert isinstance(wafer.interconnect, MeshSpec)
    mesh = wafer.interconnect.model_copy(update={"rows": rows, "cols": cols})
    return wafer.model_copy(update={"interconnect": mesh, "name": f"small-{rows}x{cols}"})


SMALL_SPACE = Space(
    zero=(0, 1, 3),
    schedules=(ScheduleName.ONE_F_ONE_B, ScheduleName.INTERLEAVED),
    model_chunks=(2,),
    micro_batch_sizes=(1, 2),
)


@pytest.mark.parametrize("name", ["llama2-7b", "gpt3-6.7b"])
def test_the_best_strategy_is_that_of_brute_force(name: str) -> None:
    scenario = Scenario(
        job=Training(model(name), global_batch_size=8, seq_len=1024), system=small_wafer(2, 3)
    )
    network = network_of(scenario.system)
    result = exhaustive(scenario, SMALL_SPACE, network=network)
    best = float("inf")
    for degrees, placement, option in itertools.product(
        SMALL_SPACE.degrees(scenario.job, network.num_dies),
        SMALL_SPACE.placements,
        SMALL_SPACE.options(scenario.job),
    ):
        if option.num_model_chunks > 1 and degrees.pp == 1:
            continue
        if degrees.pp * option.num_model_chunks > scenario.job.model.num_layers:
            continue
        if option.micro_batch_size > -(-scenario.job.global_batch_size // degrees.dp):
            continue
        report = step_report(
            Setting(
                scenario=scenario,
                strategy=option.strategy(degrees, SMALL_SPACE.overlap),
                network=network,
                layout=network.layout(placement, degrees),
            )
        )
        if report.is_feasible:
            best = min(best, report.step_s)
    assert result.best.step_s == pytest.approx(best, rel=1e-9)


def test_pruning_loses_nothing_that_is_shown() -> None:
    job = Training(model("llama2-7b"), global_batch_size=16, seq_len=2048)
    wafer = small_wafer(3, 4)
    few = plan(job, wafer, num_alternatives=2)
    many = plan(job, wafer, num_alternatives=200)
    assert few.report.step_s == many.report.step_s
    assert few.alternatives == many.alternatives[:2]
    assert few.statistics.num_scored <= many.statistics.num_scored


def test_a_search_is_deterministic() -> None:
    job = Training(model("llama2-7b"), global_batch_size=16, seq_len=2048)
    first, second = (plan(job, small_wafer(2, 4)) for _ in range(2))
    assert first.plan == second.plan
    assert first.alternatives == second.alternatives


@settings(deadline=None, max_examples=12)
@given(
    name=st.sampled_from(["llama2-7b", "gpt3-6.7b", "llama3-8b", "deepseek-v2-lite"]),
    shape=st.sampled_from([(1, 3), (2, 2), (2, 3), (3, 3)]),
    batch=st.integers(1, 24),
    seq_len=st.sampled_from([512, 2048, 3000]),
)
def test_no_plan_beats_a_bound(name: str, shape: tuple[int, int], batch: int, seq_len: int) -> None:
    solution = plan(
        Training(model(name), global_batch_size=batch, seq_len=seq_len), small_wafer(*shape)
    )
    assert {bound.name for bound in solution.bounds} == set(BoundName)
    if solution.report.is_feasible:
        for bound in solution.bounds:
            assert solution.report.step_s >= bound.step_s * (1 - 1e-12), bound


@pytest.mark.parametrize("name", [name for name in SPACES if name != "exhaustive"])
def test_a_baseline_is_never_better_than_the_whole_space(name: str) -> None:
    job = Training(model("llama2-7b"), global_batch_size=16, seq_len=2048)
    wafer = small_wafer(2, 4)
    whole, restricted = plan(job, wafer), plan(job, wafer, solver=name)
    assert restricted.report.step_s >= whole.report.step_s
    degrees = restricted.plan.strategy.degrees
    assert degrees.pp == 1
    if name == "baseline:fsdp":
        assert degrees.tp == 1
        assert restricted.plan.strategy.zero == 3
    if name == "baseline:megatron1":
        assert degrees.cp == 1
        assert not restricted.plan.strategy.sequence_parallel


def test_pinned_degrees_are_kept() -> None:
    job = Training(model("llama2-7b"), global_batch_size=16, seq_len=2048)
    solution = plan(job, small_wafer(2, 4), pinned={"tp": 2, "pp": 2})
    assert solution.plan.strategy.degrees.tp == 2
    assert solution.plan.strategy.degrees.pp == 2


def test_a_plan_that_does_not_fit_says_which_bytes_where() -> None:
    job = Training(model("gpt3-175b"), global_batch_size=8, seq_len=2048)
    solution = plan(job, small_wafer(2, 2))
    assert not solution.report.is_feasible
    violation = solution.report.violations[0]
    assert violation.what == "dram_capacity"
    assert violation.needed > violation.available == 72e9
    assert "pipeline rank" in violation.message


def test_pins_that_exceed_the_dies_are_one_message() -> None:
    job = Training(model("llama2-7b"), global_batch_size=16, seq_len=2048)
    with pytest.raises(SolverError, match=r"tp=64 on 8 usable dies"):
        plan(job, small_wafer(2, 4), pinned={"tp": 64})


def test_pins_outside_a_baseline_are_refused() -> None:
    with pytest.raises(SpecError, match=r"baseline:fsdp cannot have tp = 4 \(it has 1\)"):
        pinned_space("baseline:fsdp", system("temp-6x8"), pinned={"tp": 4})


def test_an_unknown_solver_suggests_near_names() -> None:
    with pytest.raises(SpecError, match="did you mean baseline:fsdp"):
        space_named("baseline:fsd", system("temp-6x8"))


def test_the_report_of_a_plan_is_the_score_of_the_search() -> None:
    job = Training(model("llama2-7b"), global_batch_size=16, seq_len=2048)
    solution = plan(job, small_wafer(2, 4))
    again = simulate_plan(solution.plan)
    assert again.step_s == pytest.approx(solution.report.step_s, rel=1e-12)


def test_more_ranks_than_dies_is_one_message() -> None:
    scenario = Scenario(
        job=Training(model("llama2-7b"), global_batch_size=8, seq_len=512), system=small_wafer(2, 2)
    )
    strategy = SMALL_SPACE.options(scenario.job)[0].strategy(
        ParallelDegrees(dp=8), SMALL_SPACE.overlap
    )
    with pytest.raises(SolverError, match=r"1 = 8 ranks, but small-2x2 has 4 usable dies"):
        make_plan(scenario, strategy)


def test_a_dead_die_is_never_used() -> None:
    wafer = small_wafer(2, 4)
    defects = wafer.defects.model_copy(update={"dead_dies": ((0, 1), (1, 3))})
    wafer = wafer.model_copy(update={"defects": defects})
    job = Training(model("llama2-7b"), global_batch_size=12, seq_len=2048)
    solution = plan(job, wafer)
    assert solution.report.is_feasible
    assert not {1, 7} & set(solution.plan.die_of_rank)


def test_only_the_largest_connected_part_is_used() -> None:
    wafer = small_wafer(1, 6)
    defects = wafer.defects.model_copy(update={"dead_links": (((0, 1), (0, 2)),)})
    wafer = wafer.model_copy(update={"defects": defects})
    solution = plan(Training(model("llama2-7b"), global_batch_size=12, seq_len=2048), wafer)
    assert set(solution.plan.die_of_rank) <= {2, 3, 4, 5}


def test_spaces_describe_themselves() -> None:
    space = replace(Space(), pinned={"tp": 4})
    assert "pinned: tp=4" in space.describe()


def test_ones_own_layout_stays_inside_nodes_by_default() -> None:
    scenario = Scenario(
        job=Training(model("llama2-7b"), global_batch_size=8, seq_len=512),
        system=system("dgx-a100:2"),
    )
    strategy = SMALL_SPACE.options(scenario.job)[0].strategy(
        ParallelDegrees(tp=8, dp=2), SMALL_SPACE.overlap
    )
    chosen = make_plan(scenario, strategy)
    assert chosen.placement == "sequential"
    assert chosen.die_of_rank == tuple(range(16))


def test_dies_that_have_no_link_left_are_planned_one_at_a_time() -> None:
    alone = [[row, col] for row in range(6) for col in range(8) if (row + col) % 2]
    wafer = with_defects(system("temp-6x8"), DefectMap.model_validate({"dead_dies": alone}))
    for name, fits in (("gpt2", True), ("gpt3-175b", False)):
        job = Training(model(name), global_batch_size=8, seq_len=1024)
        solution = plan(job, wafer)
        assert solution.plan.strategy.degrees.num_ranks == 1
        assert solution.report.is_feasible == fits
        assert solution.gap >= 0
