"""What a whole training run takes: steps, time, energy and money, from the report of one step."""

import math
from dataclasses import dataclass
from typing import Final

from waferloom.simulate.records import StepReport

SECONDS_PER_HOUR: Final = 3600.0
JOULES_PER_KWH: Final = 3.6e6


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCost:
    """A run of `num_steps` equal steps, without restarts, checkpoints or evaluation.

    Money is in whatever currency the prices are in.

    Attributes:
        token_budget: Tokens to train on.
        num_steps: Whole steps that reach the budget.
        duration_s: Of all steps.
        device_hours: Devices times hours; every device counts while the run lasts.
        energy_j: Of all steps; None where the system states no energies.
        price_per_device_hour: As given.
        price_per_kwh: As given.
        device_cost: Of the device hours; None without their price.
        energy_cost: Of the energy; None without its price or without energies.
    """

    token_budget: float
    num_steps: int
    duration_s: float
    device_hours: float
    energy_j: float | None
    price_per_device_hour: float | None = None
    price_per_kwh: float | None = None
    device_cost: float | None = None
    energy_cost: float | None = None

    @property
    def total_cost(self) -> float | None:
        """The costs that are known, added up; None if neither is."""
        known = [cost for cost in (self.device_cost, self.energy_cost) if cost is not None]
        return sum(known) if known else None


def training_cost(
    report: StepReport,
    num_devices: int,
    token_budget: float,
    *,
    price_per_device_hour: float | None = None,
    price_per_kwh: float | None = None,
) -> TrainingCost:
    """Return what it takes to train on `token_budget` tokens.

    Args:
        report: Of one step.
        num_devices: Devices paid for, used or not.
        token_budget: Tokens, at least 1; the last step may go beyond.
        price_per_device_hour: Per device and hour, in any currency.
        price_per_kwh: Per kilowatt-hour, in the same currency.

    Raises:
        ValueError: A count is below 1 or a price below 0.
    """
    faults = [
        f"{name} must be a finite number of at least {least}, found {value:g}"
        for name, value, least in (
            ("num_devices", num_devices, 1),
            ("token_budget", token_budget, 1),
            ("price_per_device_hour", price_per_device_hour, 0),
            ("price_per_kwh", price_per_kwh, 0),
        )
        if value is not None and not least <= value < math.inf
    ]
    if faults:
        raise ValueError("; ".join(faults))
    num_steps = math.ceil(token_budget / report.tokens_per_step)
    duration_s = num_steps * report.step_s
    device_hours = num_devices * duration_s / SECONDS_PER_HOUR
    step_energy_j = sum(report.energy_j.values())
    energy_j = num_steps * step_energy_j if step_energy_j > 0 else None
    device_cost = None if price_per_device_hour is None else price_per_device_hour * device_hours
    energy_cost = None
    if price_per_kwh is not None and energy_j is not None:
        energy_cost = price_per_kwh * energy_j / JOULES_PER_KWH
    return TrainingCost(
        token_budget=token_budget,
        num_steps=num_steps,
        duration_s=duration_s,
        device_hours=device_hours,
        energy_j=energy_j,
        price_per_device_hour=price_per_device_hour,
        price_per_kwh=price_per_kwh,
        device_cost=device_cost,
        energy_cost=energy_cost,
    )
