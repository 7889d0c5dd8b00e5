"""What a training run takes follows from its steps."""

import math
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waferloom.simulate.records import EnergyPart, StepReport
from waferloom.simulate.training_cost import training_cost


def report(step_s: float = 2.0, tokens: int = 1000, energy_j: float = 7200.0) -> StepReport:
    """What the cost reads of a report."""
    fields = SimpleNamespace(
        step_s=step_s, tokens_per_step=tokens, energy_j={EnergyPart.COMPUTE: energy_j}
    )
    return cast("StepReport", fields)


def test_a_small_run_by_hand():
    """10 steps of 2 s on 9 devices: 20 s, 0.05 device hours; 10 x 7200 J are 0.02 kWh."""
    cost = training_cost(report(), 9, 9_500, price_per_device_hour=4.0, price_per_kwh=0.5)
    assert cost.num_steps == 10
    assert cost.duration_s == pytest.approx(20.0)
    assert cost.device_hours == pytest.approx(0.05)
    assert cost.energy_j == pytest.approx(72_000.0)
    assert cost.device_cost == pytest.approx(0.2)
    assert cost.energy_cost == pytest.approx(0.01)
    assert cost.total_cost == pytest.approx(0.21)


def test_without_prices_there_is_no_cost():
    assert training_cost(report(), 9, 1e4).total_cost is None


def test_a_system_without_energies_has_no_energy_and_no_energy_cost():
    cost = training_cost(report(energy_j=0.0), 9, 1e4, price_per_kwh=0.5, price_per_device_hour=1.0)
    assert cost.energy_j is None
    assert cost.energy_cost is None
    assert cost.total_cost == cost.device_cost


@given(tokens=st.integers(1, 10**6), budget=st.floats(1, 1e12))
def test_steps_reach_the_budget_and_no_step_is_spare(tokens, budget):
    cost = training_cost(report(tokens=tokens), 1, budget)
    assert cost.num_steps * tokens >= budget
    assert (cost.num_steps - 1) * tokens < budget


@pytest.mark.parametrize("budget", [0, -5, math.nan, math.inf])
def test_a_budget_that_is_no_number_of_tokens_is_refused(budget):
    with pytest.raises(ValueError, match="token_budget must be a finite number of at least 1"):
        training_cost(report(), 1, budget)


def test_all_faults_are_named_together():
    with pytest.raises(ValueError, match=r"num_devices .* found 0; .*price_per_kwh .* found -1"):
        training_cost(report(), 0, 10, price_per_kwh=-1)
