"""`plan`: from a job and a system to a certified solution."""

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version

from waferloom.bounds.traffic import traffic_bounds
from waferloom.bounds.work import work_bounds
from waferloom.errors import SolverError, SpecError
from waferloom.hardware.spec import SystemSpec
from waferloom.mapping.layout import Network, network_of
from waferloom.mapping.placements import PLACEMENTS
from waferloom.mapping.plan import Plan, Provenance
from waferloom.mapping.scenario import Scenario
from waferloom.parallel.memory import stage_memory
from waferloom.parallel.stages import stages_of
from waferloom.parallel.strategy import Strategy
from waferloom.search.solution import Solution
from waferloom.search.solvers.exhaustive import Progress, exhaustive
from waferloom.search.space import Space, space_named
from waferloom.simulate.sensitivity import bottleneck
from waferloom.simulate.step import simulate_plan
from waferloom.workload.job import Training


def plan(
    job: Training,
    system: SystemSpec,
    *,
    solver: str = "exhaustive",
    pinned: Mapping[str, int] | None = None,
    space: Space | None = None,
    num_alternatives: int = 5,
    progress: Progress | None = None,
) -> Solution:
    """Find the fastest way to run `job` on `system`, and say how far from optimal it can be.

    Args:
        job: What to train.
        system: On what.
        solver: `exhaustive`, or a restricted space such as `baseline:megatron1`.
        pinned: Degree (`tp`, `pp`, ...) -> the value it must have.
        space: What may be chosen; the space of `solver` if absent.
        num_alternatives: How many other degrees to report.
        progress: Told about progress.

    Returns:
        The solution; where nothing fits, the strategy that needs least memory, with its violations.

    Raises:
        SolverError: No degrees satisfy the pins.
        SpecError: Unknown solver.
        ValueError: `num_alternatives` is negative.
    """
    if num_alternatives < 0:
        msg = f"alternatives must be at least 0, found {num_alternatives}"
        raise ValueError(msg)
    space = space or space_named(solver, system)
    space = replace(space, pinned={**space.pinned, **(pinned or {})})
    scenario = Scenario(job=job, system=system)
    network = network_of(system)
    result = exhaustive(
        scenario, space, network=network, num_alternatives=num_alternatives, progress=progress
    )
    best = make_plan(
        scenario,
        result.best.strategy,
        result.best.placement,
        network=network,
        solver=space.name if space.name != "all" else "exhaustive",
        space=space.describe(),
    )
    report = simulate_plan(best, network=network)
    best = replace(best, collectives=dict(report.collectives))
    return Solution(
        plan=best,
        report=replace(report, bottleneck=bottleneck(best, report.step_s)),
        bounds=(
            *work_bounds(scenario, space.software),
            *traffic_bounds(scenario),
            *result.bounds,
        ),
        alternatives=result.alternatives,
        statistics=result.statistics,
    )


def make_plan(
    scenario: Scenario,
    strategy: Strategy,
    placement: str | None = None,
    *,
    network: Network | None = None,
    solver: str = "user",
    space: str = "",
) -> Plan:
    """Place a strategy on the dies of a system.

    Args:
        scenario: Job and system.
        strategy: How the work is divided.
        placement: Name of a placement; None for `serpentine` on a grid of dies and `sequential`
            behind switches, where blocks of a grid mean nothing.
        network: Links of the system, if they are at hand.
        solver: For the provenance.
        space: For the provenance.

    Raises:
        SolverError: More ranks than usable dies, more stages than layers, or experts without a
            mixture of experts.
        SpecError: Unknown placement.
    """
    system, job = scenario.system, scenario.job
    network = network or network_of(system)
    degrees = strategy.degrees
    placement = placement or ("serpentine" if system.has_grid else "sequential")
    if placement not in PLACEMENTS:
        msg = f"unknown placement {placement!r}; known: {', '.join(PLACEMENTS)}"
        raise SpecError(msg)
    if degrees.num_ranks > network.num_dies:
        msg = (
            f"dp * tp * cp * pp = {degrees.dp} * {degrees.tp} * {degrees.cp} * {degrees.pp} = "
            f"{degrees.num_ranks} ranks, but {system.name} has {network.num_dies} usable dies; "
            f"lower a degree or pick a larger system"
        )
        raise SolverError(msg)
    if (degrees.ep > 1 or degrees.expert_tp > 1) and job.model.moe is None:
        msg = f"ep and expert_tp need a mixture of experts, but {job.model.name} is dense"
        raise SolverError(msg)
    try:
        stages = stages_of(job.model, strategy)
    except ValueError as error:
        raise SolverError(str(error)) from None
    layout = network.layout(placement, degrees)
    return Plan(
        job=job,
        system=system,
        strategy=strategy,
        stages=stages,
        placement=placement,
        die_of_rank=tuple(int(die) for die in layout.die_R),
        routing="xy",
        memory=tuple(stage_memory(job, strategy, stage) for stage in stages),
        provenance=Provenance(waferloom_version=version("waferloom"), solver=solver, space=space),
    )
