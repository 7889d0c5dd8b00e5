"""Plan files: exact round trip, readable, and clear about what is wrong."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waferloom.errors import PlanError
from waferloom.hardware import system
from waferloom.mapping.plan import Plan, load_plan, plan_from_json
from waferloom.mapping.scenario import Scenario
from waferloom.parallel.strategy import ParallelDegrees, Recompute, ScheduleName, Strategy
from waferloom.search.planner import make_plan
from waferloom.simulate.step import simulate_plan
from waferloom.workload.job import Training
from waferloom.workload.library import model


def some_plan(name: str = "llama3-8b", strategy: Strategy | None = None) -> Plan:
    scenario = Scenario(
        job=Training(model(name), global_batch_size=8, seq_len=1024), system=system("temp-4x8")
    )
    return make_plan(scenario, strategy or Strategy(degrees=ParallelDegrees(tp=4, pp=2, dp=2)))


@settings(deadline=None, max_examples=20)
@given(
    name=st.sampled_from(["llama3-8b", "deepseek-v2-lite", "gpt3-6.7b", "mixtral-8x7b"]),
    zero=st.integers(0, 3),
    recompute=st.sampled_from(list(Recompute)),
    schedule=st.sampled_from([ScheduleName.GPIPE, ScheduleName.ZERO_BUBBLE]),
)
def test_a_plan_survives_its_file_exactly(
    name: str, zero: int, recompute: Recompute, schedule: ScheduleName
) -> None:
    strategy = Strategy(
        degrees=ParallelDegrees(tp=2, pp=2, dp=2),
        zero=zero,
        recompute=recompute,
        schedule=schedule,
    )
    plan = some_plan(name, strategy)
    again = plan_from_json(plan.to_json())
    assert again == plan
    assert again.to_json() == plan.to_json()
    assert simulate_plan(again).step_s == simulate_plan(plan).step_s


def test_a_changed_choice_is_a_small_diff() -> None:
    first = some_plan().to_json().splitlines()
    second = some_plan(
        strategy=Strategy(degrees=ParallelDegrees(tp=4, pp=2, dp=2), sequence_parallel=True)
    ).to_json()
    changed = [line for line in second.splitlines() if line not in first]
    assert '    "sequence_parallel": true,' in changed
    assert len(changed) < 12


def test_lists_of_dies_stay_on_one_line() -> None:
    lines = some_plan().to_json().splitlines()
    assert any(line.strip().startswith('"die_of_rank": [') and "]" in line for line in lines)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "something"}, 'expected "format": "waferloom-plan"'),
        ({"version": 99}, "has plan version 99; this package reads 1"),
        ({"die_of_rank": [0, 1]}, "16 ranks need as many dies, found 2"),
        ({"die_of_rank": [0] * 16}, "puts two ranks on one die"),
        ({"die_of_rank": [*range(15), 99]}, r"dead or do not exist: \[99\]"),
        ({"stages": []}, "stages must hold each of the 32 layers once"),
        ({"routing": "yx"}, "routing must be 'xy', found 'yx'"),
        ({"strategy": {"zero": 7}}, "not a valid plan"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_plan_is_one_message(change: dict[str, object], message: str) -> None:
    data = json.loads(some_plan().to_json())
    with pytest.raises(PlanError, match=message):
        plan_from_json(json.dumps(data | change))


def test_a_division_of_layers_that_would_not_be_simulated_is_refused() -> None:
    data = json.loads(some_plan().to_json())
    first, last = data["stages"]
    first |= {"chunks": [[0, 17]], "num_dense": 17}
    last |= {"chunks": [[17, 15]], "num_dense": 15}
    with pytest.raises(PlanError, match="stages must be as the strategy divides the layers"):
        plan_from_json(json.dumps(data))


def test_text_that_is_no_json_is_one_message(tmp_path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("{")
    with pytest.raises(PlanError, match="is not JSON"):
        load_plan(path)
    with pytest.raises(PlanError, match="no plan at"):
        load_plan(tmp_path / "absent.json")
