"""One training step of a plan: time, memory, link loads and energy, in plain Python.

A pipeline rank runs its blocks one after another. Inside a pass, tensor, context and expert
communication waits for compute and is waited for (exposed); ZeRO traffic and stage messages run
behind compute where the overlap policy says so. A pass takes

    max(compute + exposed + interference * hidden, hidden, busiest link)

so that hidden and exposed traffic contend for links, and hidden traffic slows compute by as much as
the software says (`parallel.software`). With `n` micro-batches, `t_s` the time of one
on rank `s`, and `fill_s` the schedule's share of the bubble (`parallel.pipelines`), the pipeline
takes

    n max_s t_s + sum over the other ranks of fill_s,

after which every rank reduces its gradients, updates, and gathers weights; ranks late in the
pipeline finish their last backward earlier and start sooner. Gradient traffic hides behind all but
the last block of the last backward, weight gathers behind all but the first block of the first
forward.

Known limits: the pipeline formula is exact for equal ranks; with unequal ones GPipe and 1F1B never
take longer, interleaved and zero-bubble schedules may by a few per cent (reports show both); the
same link loads are assumed on every rank's pass; embedding gradients of a tied model are not
exchanged between first and last rank, nor those of key/value heads that several tp ranks repeat;
every collective uses the algorithm that is fastest at 64 MB, also for small messages; host input
and logging are not modelled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from waferloom.communication import CollectiveKind, ParallelAxis
from waferloom.hardware.spec import Dtype, SystemSpec
from waferloom.mapping.layout import PP, Layout, Network, algorithms, network_of
from waferloom.mapping.plan import Plan
from waferloom.mapping.scenario import Scenario
from waferloom.parallel.communications import (
    edge_communications,
    layer_communications,
    stage_message_bytes,
)
from waferloom.parallel.memory import MemoryBreakdown, stage_memory, tied_copy_parameters
from waferloom.parallel.pipelines import SCHEDULES, StageTimes
from waferloom.parallel.sharding import Shard, shard_of
from waferloom.parallel.software import IDEAL, Software
from waferloom.parallel.stages import Stage, stages_of
from waferloom.parallel.strategy import ScheduleName, Strategy, Violation
from waferloom.simulate.block_cost import BlockCost, Costs, Traffic, Work, block_cost
from waferloom.simulate.die_parameters import DieParameters, die_parameters
from waferloom.simulate.operator_cost import OperatorCost
from waferloom.simulate.operator_time import vector_cost
from waferloom.simulate.records import (
    EnergyPart,
    LinkLoads,
    StageReport,
    StepReport,
    TimePart,
)
from waferloom.units import Dimension, format_quantity
from waferloom.workload.flops import training_flops_per_token
from waferloom.workload.job import Training
from waferloom.workload.layers import embedding_graph, head_graph, layer_graph
from waferloom.workload.model import LayerKind

UPDATE_FLOPS: Final = 12.0
"""Vector operations per parameter of an Adam update: two moments, bias corrections, root, step."""

_PART_OF_AXIS: Final[Mapping[ParallelAxis, TimePart]] = {
    ParallelAxis.TP: TimePart.TP,
    ParallelAxis.CP: TimePart.CP,
    ParallelAxis.EP: TimePart.EP,
    ParallelAxis.EXPERT_TP: TimePart.EP,
    ParallelAxis.PP: TimePart.PP,
    ParallelAxis.DP: TimePart.DP,
    ParallelAxis.EXPERT_DP: TimePart.DP,
}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blocks:
    """The different blocks of a model, costed: one per layer kind, the embedding and the head."""

    layers: Mapping[LayerKind, BlockCost]
    embedding: BlockCost
    head: BlockCost

    def of(self, stage: Stage) -> tuple[tuple[BlockCost, int], ...]:
        """Return the blocks of a stage with their counts."""
        held = [(cost, stage.count(kind)) for kind, cost in self.layers.items()]
        held += [(self.embedding, int(stage.has_embedding)), (self.head, int(stage.has_head))]
        return tuple((cost, count) for cost, count in held if count)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageCost:
    """One pipeline rank: the sums over its blocks, and what they take together.

    Attributes:
        stage: Its layers.
        num_blocks: Layers, embedding and head.
        forward: Compute of one micro-batch.
        backward: Compute without weight gradients and recomputation.
        weight: Compute of the weight gradients.
        recompute: Compute repeated.
        forward_traffic: Communication of the forward pass, stage messages included.
        backward_traffic: Of the backward pass.
        gradient_s: Serial time of the gradient reduction.
        parameter_s: Serial time of gathering updated weights.
        hidden_sync_s: Serial time of ZeRO traffic behind the passes of one micro-batch.
        parameters: Of one die, before ZeRO, outside routed experts.
        expert_parameters: Of routed experts.
        forward_s: Time of the forward pass.
        backward_s: Time of the whole backward pass.
    """

    stage: Stage
    num_blocks: int
    forward: Work
    backward: Work
    weight: Work
    recompute: Work
    forward_traffic: Traffic
    backward_traffic: Traffic
    gradient_s: float
    parameter_s: float
    hidden_sync_s: float
    parameters: float
    expert_parameters: float
    forward_s: float
    backward_s: float

    @property
    def times(self) -> StageTimes:
        """Passes of one micro-batch, as the pipeline schedule sees them."""
        weight_s = self.weight.duration_s
        return StageTimes(
            forward_s=self.forward_s, backward_s=self.backward_s - weight_s, weight_s=weight_s
        )

    @property
    def total_s(self) -> float:
        """One micro-batch."""
        return self.forward_s + self.backward_s


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """A strategy on its dies, ready to be costed."""

    scenario: Scenario
    strategy: Strategy
    network: Network
    layout: Layout

    @property
    def job(self) -> Training:
        """The job."""
        return self.scenario.job


def simulate_plan(plan: Plan, *, network: Network | None = None) -> StepReport:
    """Score a plan.

    Args:
        plan: What to run.
        network: The links of `plan.system`, if they are at hand.

    Returns:
        The report; a plan that does not fit has `violations`.
    """
    network = network or network_of(plan.system)
    layout = Layout(plan.strategy.degrees, np.array(plan.die_of_rank, dtype=np.int64))
    setting = Setting(
        scenario=plan.scenario, strategy=plan.strategy, network=network, layout=layout
    )
    return step_report(setting)


def step_report(setting: Setting) -> StepReport:
    """Score a strategy on its dies."""
    job, strategy, network = setting.job, setting.strategy, setting.network
    shard = shard_of(job, strategy)
    costs = _costs(setting)
    blocks = _blocks(setting, shard, costs)
    message = _message(setting, shard, costs)
    stages = [
        _stage_cost(stage, blocks.of(stage), setting, message, costs)
        for stage in stages_of(job.model, strategy)
    ]
    num_micro_batches = strategy.num_micro_batches(job)
    parts = _time_parts(setting, stages, num_micro_batches, message, costs)
    step_s = sum(parts.values())
    memory = tuple(stage_memory(job, strategy, cost.stage) for cost in stages)
    links = _links(setting, blocks, message, num_micro_batches)
    ranks = layout_ranks(setting.layout)
    return StepReport(
        step_s=step_s,
        parts_s=parts,
        num_micro_batches=num_micro_batches,
        tokens_per_step=job.tokens_per_step,
        model_flops=model_flops(job),
        executed_flops=_executed(setting, stages, num_micro_batches).flops,
        peak_flops_per_s=peak_flops_per_s(setting.scenario),
        stages=tuple(
            StageReport(
                stage=cost.stage,
                dies=tuple(int(die) for die in ranks[cost.stage.rank]),
                times=cost.times,
                compute_s=cost.forward.duration_s
                + cost.backward.duration_s
                + cost.weight.duration_s,
                recompute_s=cost.recompute.duration_s,
                memory=held,
            )
            for cost, held in zip(stages, memory, strict=True)
        ),
        memory_capacity_bytes=setting.scenario.system.die.memory.capacity_bytes,
        violations=violations(setting, memory, num_micro_batches),
        links=LinkLoads(topology=network.topology, bytes_L=links, step_s=step_s),
        energy_j=_energy(setting, stages, links, step_s=step_s, costs=costs),
        collectives=algorithms(costs.profiles),
    )


def model_flops(job: Training) -> float:
    """Return the FLOPs of one step, forward and backward, nothing repeated and nothing padded."""
    each = training_flops_per_token(job.model, job.seq_len, is_causal=job.is_causal)
    return each * job.tokens_per_step


def layout_ranks(layout: Layout) -> NDArray[np.int64]:
    """Return the dies of every pipeline rank; axes: stage, rank in the stage."""
    return layout.die_R.reshape(layout.degrees.pp, layout.degrees.ranks_per_stage)


def peak_flops_per_s(scenario: Scenario) -> float:
    """Return the peak of all live dies in the job's number format, dead cores left out."""
    params = die_of(scenario)
    nominal = scenario.system.die.peak_flops_per_s[params.dtype]
    alive = params.num_cores / scenario.system.die.cores.num_cores
    return scenario.system.num_live_dies * nominal * alive


def die_of(scenario: Scenario, software: Software = IDEAL) -> DieParameters:
    """Return the operator model of a die, as the software makes use of it.

    Fused attention runs in 16 bits also where matmuls run in 8 or 4, as in every published recipe.
    """
    die = die_parameters(
        scenario.system.die,
        scenario.job.precision.compute,
        dead_core_fraction=scenario.system.defects.dead_core_fraction,
    )
    peaks = scenario.system.die.peak_flops_per_s
    narrowed = 1.0
    if die.dtype in (Dtype.FP8, Dtype.FP4) and Dtype.BF16 in peaks:
        narrowed = peaks[Dtype.BF16] / peaks[die.dtype]
    return replace(
        die,
        attention_forward_flops_per_s=die.attention_forward_flops_per_s
        * (software.attention_forward * narrowed),
        attention_backward_flops_per_s=die.attention_backward_flops_per_s
        * (software.attention_backward * narrowed),
        # as much traffic more as time
        vector_dram_bytes_per_s=die.vector_dram_bytes_per_s / software.vector_traffic,
    )


def _costs(setting: Setting) -> Costs:
    return Costs(
        die=die_of(setting.scenario, setting.strategy.software),
        precision=setting.job.precision,
        network=setting.network,
        layout=setting.layout,
        library=setting.strategy.software.collectives,
    )


def _blocks(setting: Setting, shard: Shard, costs: Costs) -> Blocks:
    job, strategy = setting.job, setting.strategy
    model, degrees = job.model, strategy.degrees
    element = job.precision.activation_bytes
    needs_copy = model.is_tied and degrees.pp > 1
    return Blocks(
        layers={
            kind: block_cost(
                layer_graph(model, kind, job.attention),
                layer_communications(model, kind, shard, degrees, element),
                strategy,
                shard,
                costs,
            )
            for kind in sorted({group.kind for group in model.layer_groups})
        },
        embedding=block_cost(
            embedding_graph(model),
            edge_communications(model, shard, degrees, element, is_head=False),
            strategy,
            shard,
            costs,
            is_recomputable=False,
        ),
        head=block_cost(
            head_graph(model),
            edge_communications(model, shard, degrees, element, is_head=True),
            strategy,
            shard,
            costs,
            is_recomputable=False,
            copied_parameters=tied_copy_parameters(model, shard) if needs_copy else 0.0,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Message:
    """What crosses a stage border for one micro-batch and direction; nothing without a pipeline."""

    duration_s: float
    bytes_L: Floats


def _message(setting: Setting, shard: Shard, costs: Costs) -> _Message:
    job, network = setting.job, setting.network
    if setting.strategy.degrees.pp == 1:
        return _Message(duration_s=0.0, bytes_L=np.zeros(network.topology.num_links))
    size = stage_message_bytes(job.model, shard, job.precision.activation_bytes)
    profile = costs.profile(CollectiveKind.POINT_TO_POINT, PP)
    return _Message(duration_s=profile.duration_s(size), bytes_L=size * profile.link_bytes_L)


def _stage_cost(
    stage: Stage,
    blocks: tuple[tuple[BlockCost, int], ...],
    setting: Setting,
    message: _Message,
    costs: Costs,
) -> StageCost:
    none = Traffic(exposed_s={}, hidden_s=0.0, bytes_L=np.zeros_like(message.bytes_L))
    forward = backward = weight = recompute = Work()
    forward_traffic = backward_traffic = none
    gradient_s = parameter_s = hidden_sync_s = parameters = expert_parameters = 0.0
    for cost, count in blocks:
        forward = forward.plus(cost.forward.times(count))
        backward = backward.plus(cost.backward.times(count))
        weight = weight.plus(cost.weight.times(count))
        recompute = recompute.plus(cost.recompute.times(count))
        forward_traffic = forward_traffic.plus(cost.forward_traffic, count)
        backward_traffic = backward_traffic.plus(cost.backward_traffic, count)
        hidden_sync_s += count * cost.hidden_sync_s
        gradient_s += count * cost.gradient_s
        parameter_s += count * cost.parameter_s
        parameters += count * cost.state.parameters
        expert_parameters += count * cost.state.expert_parameters
    # one message in (or out) per chunk and pass
    num_messages = setting.strategy.num_model_chunks
    is_hidden = setting.strategy.overlap.pipeline
    border = Traffic(
        exposed_s={} if is_hidden else {ParallelAxis.PP: message.duration_s},
        hidden_s=message.duration_s if is_hidden else 0.0,
        bytes_L=message.bytes_L,
    )
    forward_traffic = forward_traffic.plus(border, num_messages)
    backward_traffic = backward_traffic.plus(border, num_messages)
    bandwidth_L = costs.network.topology.bandwidth_bytes_per_s_L
    interference = setting.strategy.software.interference
    return StageCost(
        stage=stage,
        num_blocks=sum(count for _, count in blocks),
        forward=forward,
        backward=backward,
        weight=weight,
        recompute=recompute,
        forward_traffic=forward_traffic,
        backward_traffic=backward_traffic,
        gradient_s=gradient_s,
        parameter_s=parameter_s,
        hidden_sync_s=hidden_sync_s,
        parameters=parameters,
        expert_parameters=expert_parameters,
        forward_s=_pass_s(forward.duration_s, forward_traffic, bandwidth_L, interference),
        backward_s=_pass_s(
            backward.duration_s + weight.duration_s + recompute.duration_s,
            backward_traffic,
            bandwidth_L,
            interference,
        ),
    )


def _pass_s(compute_s: float, traffic: Traffic, bandwidth_L: Floats, interference: float) -> float:
    busiest_s = float(np.max(traffic.bytes_L / bandwidth_L, initial=0.0))
    slowed_s = compute_s + interference * traffic.hidden_s
    return max(slowed_s + traffic.total_exposed_s, traffic.hidden_s, busiest_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tail:
    """What follows the last backward of the first rank, for the rank that ends last."""

    communication_s: float
    optimizer_s: float


def _tail(setting: Setting, stages: list[StageCost], costs: Costs) -> _Tail:
    strategy = setting.strategy
    lead_s = 0.0
    tails: list[tuple[float, float]] = []
    for cost in stages:
        last_block = 1.0 / cost.num_blocks
        behind_s = 1.0 - last_block
        update_s = _update(setting, cost, costs).duration_s
        reduce_s, gather_s = cost.gradient_s, cost.parameter_s
        if strategy.overlap.gradients:
            reduce_s = max(reduce_s * last_block, reduce_s - cost.backward_s * behind_s)
        if strategy.overlap.parameters:
            gather_s = max(gather_s * last_block, gather_s - cost.forward_s * behind_s)
        # the first gather and the last scatter of the passes have no block to hide behind
        exposed_s = reduce_s + gather_s + cost.hidden_sync_s * last_block
        tails.append((exposed_s - lead_s, update_s))
        if strategy.schedule is not ScheduleName.ZERO_BUBBLE:
            lead_s += cost.backward_s / strategy.num_model_chunks
    exposed_s, update_s = max(tails, key=sum)
    return _Tail(communication_s=max(0.0, exposed_s), optimizer_s=update_s + min(0.0, exposed_s))


def _update(setting: Setting, cost: StageCost, costs: Costs) -> OperatorCost:
    """Return what one die of a stage takes to update its share of the parameters."""
    strategy, precision = setting.strategy, setting.job.precision
    degrees = strategy.degrees
    is_sharded = strategy.zero >= 1
    held = cost.parameters / (degrees.dp * degrees.cp if is_sharded else 1)
    held += cost.expert_parameters / (degrees.expert_dp if is_sharded else 1)
    state_bytes = precision.master_weight_bytes + precision.optimizer_bytes
    moved = held * (precision.gradient_bytes + 2 * state_bytes + precision.weight_bytes)
    flops = UPDATE_FLOPS * held
    return vector_cost(costs.die, num_bytes=moved, flops=flops, is_stream=True)


def _time_parts(
    setting: Setting,
    stages: list[StageCost],
    num_micro_batches: int,
    message: _Message,
    costs: Costs,
) -> dict[TimePart, float]:
    """Return where the step time goes; the parts add up to it."""
    strategy = setting.strategy
    schedule = SCHEDULES[strategy.schedule]
    slowest = max(stages, key=lambda cost: cost.total_s)
    n = num_micro_batches
    parts = dict.fromkeys(TimePart, 0.0)
    parts[TimePart.FORWARD] = n * slowest.forward.duration_s
    parts[TimePart.BACKWARD] = n * (slowest.backward.duration_s + slowest.weight.duration_s)
    parts[TimePart.RECOMPUTE] = n * slowest.recompute.duration_s
    for traffic in (slowest.forward_traffic, slowest.backward_traffic):
        for axis, duration_s in traffic.exposed_s.items():
            parts[_PART_OF_AXIS[axis]] += n * duration_s
    parts[TimePart.CONTENTION] = n * slowest.total_s - sum(parts.values())
    parts[TimePart.BUBBLE] = sum(
        schedule.fill_s(cost.times, p=len(stages), n=n, v=strategy.num_model_chunks)
        for cost in stages
        if cost is not slowest
    )
    if strategy.overlap.pipeline:
        # nothing hides a message while the pipeline fills and drains
        parts[TimePart.PP] += 2 * (len(stages) - 1) * message.duration_s
    tail = _tail(setting, stages, costs)
    parts[TimePart.DP] += tail.communication_s
    parts[TimePart.OPTIMIZER] = tail.optimizer_s
    slowest_of = strategy.software.slowest_of(strategy.degrees.num_ranks)
    parts[TimePart.STRAGGLERS] = (slowest_of - 1.0) * sum(parts.values())
    return parts


def violations(
    setting: Setting, memory: tuple[MemoryBreakdown, ...], num_micro_batches: int
) -> tuple[Violation, ...]:
    """Return why a strategy cannot run on its system; empty if it can."""
    strategy, system = setting.strategy, setting.scenario.system
    degrees = strategy.degrees
    capacity = system.die.memory.capacity_bytes
    found: list[Violation] = []
    for rank, held in enumerate(memory):
        if held.total > capacity:
            needed = format_quantity(held.total, Dimension.BYTES)
            available = format_quantity(capacity, Dimension.BYTES)
            missing = format_quantity(held.total - capacity, Dimension.BYTES)
            found.append(
                Violation(
                    what="dram_capacity",
                    where=f"pipeline rank {rank}",
                    needed=held.total,
                    available=capacity,
                    message=f"pipeline rank {rank} needs {needed} per die, but {system.name} has "
                    f"{available}: {missing} too much",
                )
            )
    is_interleaved = strategy.schedule is ScheduleName.INTERLEAVED
    if is_interleaved and num_micro_batches % degrees.pp != 0:
        found.append(
            Violation(
                what="schedule",
                where="pipeline",
                needed=degrees.pp,
                available=num_micro_batches,
                message=f"the interleaved schedule needs micro-batches divisible by pp, found "
                f"{num_micro_batches} and {degrees.pp}",
            )
        )
    return tuple(found)


def _links(setting: Setting, blocks: Blocks, message: _Message, num_micro_batches: int) -> Floats:
    """Return the bytes each link carries in one step; edge blocks are spread over all stages."""
    strategy, model = setting.strategy, setting.job.model
    counts = [
        (cost, sum(g.num_layers for g in model.layer_groups if g.kind is kind))
        for kind, cost in blocks.layers.items()
    ]
    pp = strategy.degrees.pp
    total = 2 * num_micro_batches * strategy.num_model_chunks * message.bytes_L
    for cost, count in [*counts, (blocks.embedding, 1), (blocks.head, 1)]:
        passes = cost.forward_traffic.bytes_L + cost.backward_traffic.bytes_L
        total = total + (count / pp) * (num_micro_batches * passes + cost.step_bytes_L)
    return total


def _executed(setting: Setting, stages: list[StageCost], num_micro_batches: int) -> Work:
    """Return the work of all dies in one step, the update left out."""
    total = Work()
    for cost in stages:
        for work in (cost.forward, cost.backward, cost.weight, cost.recompute):
            total = total.plus(work)
    return total.times(num_micro_batches * setting.strategy.degrees.ranks_per_stage)


def _energy(
    setting: Setting,
    stages: list[StageCost],
    links: Floats,
    *,
    step_s: float,
    costs: Costs,
) -> dict[EnergyPart, float]:
    system: SystemSpec = setting.scenario.system
    die = system.die
    work = _executed(setting, stages, setting.strategy.num_micro_batches(setting.job))
    for cost in stages:
        update = Work().plus(_update(setting, cost, costs))
        work = work.plus(update.times(setting.strategy.degrees.ranks_per_stage))
    topology = setting.network.topology
    return {
        EnergyPart.COMPUTE: work.flops * die.energy.mac_j_per_flop,
        EnergyPart.SRAM: work.sram_bytes * die.energy.sram_j_per_byte,
        EnergyPart.NOC: work.sram_bytes * die.energy.noc_j_per_byte,
        EnergyPart.DRAM: work.dram_bytes * die.memory.energy_j_per_byte,
        EnergyPart.NETWORK: float(links @ topology.energy_j_per_byte_L),
        EnergyPart.STATIC: die.energy.static_w * step_s * system.num_live_dies,
    }
