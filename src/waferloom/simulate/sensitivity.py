"""What +10 % of each resource gives a plan as it stands."""

from dataclasses import replace
from typing import Final

from waferloom.hardware.resources import Resource, scaled
from waferloom.mapping.plan import Plan
from waferloom.simulate.records import Sensitivity
from waferloom.simulate.step import simulate_plan

IMPROVEMENT: Final = 1.1
RESOURCES: Final = (
    Resource.COMPUTE,
    Resource.DRAM_BANDWIDTH,
    Resource.LINK_BANDWIDTH,
    Resource.LINK_LATENCY,
)
"""Capacity is left out: more of it changes no plan's time, only which plans fit."""


def bottleneck(plan: Plan, step_s: float) -> tuple[Sensitivity, ...]:
    """Score `plan` with each resource improved by 10 %, strategy and placement unchanged.

    Args:
        plan: The plan.
        step_s: Its step time as it stands.

    Returns:
        Largest gain first.
    """
    found: list[Sensitivity] = []
    for resource in RESOURCES:
        factor = 1 / IMPROVEMENT if resource is Resource.LINK_LATENCY else IMPROVEMENT
        system = scaled(plan.system, resource, factor)
        report = simulate_plan(replace(plan, system=system))
        found.append(
            Sensitivity(resource=resource, step_s=report.step_s, speedup=step_s / report.step_s)
        )
    return tuple(sorted(found, key=lambda each: -each.speedup))
