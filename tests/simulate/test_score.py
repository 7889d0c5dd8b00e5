"""The compiled score against the plain-Python step, over random scenarios."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_scenarios import compare


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_kernel_scores_every_strategy_as_the_oracle_does(seed: int):
    for each in compare(seed):
        assert each.memory_bytes == pytest.approx(each.oracle_memory_bytes, rel=1e-9), each.strategy
        if each.is_feasible:
            assert each.step_s == pytest.approx(each.oracle_step_s, rel=1e-9), each.strategy
        else:
            assert math.isinf(each.step_s), each.strategy


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_strategy_beats_the_bound_of_its_degrees(seed: int):
    for each in compare(seed):
        if each.is_feasible:
            assert each.oracle_step_s >= each.bound_s * (1 - 1e-9), each.strategy


def test_random_scenarios_hold_feasible_and_infeasible_strategies():
    found = [each.is_feasible for seed in range(12) for each in compare(seed, num_degrees=1)]
    assert any(found)
    assert not all(found)
