"""Bounds from work: no plan computes less, or moves fewer bytes through memory, than these.

Every operator of the job is taken whole, cut over all live dies without loss, and given the
sustained rates of the system: `max(flops / rate, bytes / bandwidth)`. A matmul reads each operand
and writes its result at least once; a vector operator moves its tensors once; an update reads and
writes all state. Padding, re-reads, launches, communication and bubbles only add to that, so

    step_s >= sum over operators of max(flops / rate, bytes / bandwidth) / live dies.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from waferloom.bounds.records import Bound, BoundName
from waferloom.hardware.spec import Dtype
from waferloom.mapping.scenario import Scenario
from waferloom.parallel.software import IDEAL, Software
from waferloom.units import Dimension, format_quantity
from waferloom.workload.flops import attention_flops_per_pair
from waferloom.workload.job import AttentionStorage, Training
from waferloom.workload.layers import embedding_graph, head_graph, layer_graph
from waferloom.workload.operators import Operator, OperatorKind, width
from waferloom.workload.parameters import count_parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Sustained rates of all live dies together.

    Attributes:
        matmul_flops_per_s: That no matmul exceeds.
        attention_forward_flops_per_s: That no attention exceeds, forward.
        attention_backward_flops_per_s: The same, backward.
        vector_flops_per_s: Of the vector units.
        dram_bytes_per_s: Of memory.
    """

    matmul_flops_per_s: float
    attention_forward_flops_per_s: float
    attention_backward_flops_per_s: float
    vector_flops_per_s: float
    dram_bytes_per_s: float


def rates(scenario: Scenario, software: Software = IDEAL) -> Rates:
    """Return the sustained rates of the system of a scenario, as its software uses them."""
    system, job = scenario.system, scenario.job
    die, efficiency = system.die, system.die.efficiency
    # a live die keeps a core, whatever share of its cores is lost
    live = max(1 - system.defects.dead_core_fraction, 1 / die.cores.num_cores)
    dies = system.num_live_dies
    peak = dies * live * die.peak_flops_per_s[Dtype(job.precision.compute)]
    matmul = efficiency.matmul * efficiency.sustained_clock
    is_flash = job.attention is AttentionStorage.FLASH
    return Rates(
        matmul_flops_per_s=peak * matmul,
        attention_forward_flops_per_s=peak
        * (efficiency.attention_forward * software.attention_forward if is_flash else matmul),
        attention_backward_flops_per_s=peak
        * (efficiency.attention_backward * software.attention_backward if is_flash else matmul),
        vector_flops_per_s=dies * live * die.vector_flops_per_s,
        dram_bytes_per_s=dies * die.memory.bandwidth_bytes_per_s * efficiency.dram,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What an operator must do in a step: time on the cores, bytes through memory."""

    compute_s: float
    dram_bytes: float


def demands(scenario: Scenario, software: Software = IDEAL) -> Iterator[Demand]:
    """Yield the least work of every operator of one step, and of the update."""
    job = scenario.job
    at = rates(scenario, software)
    model = job.model
    blocks = [(embedding_graph(model), 1), (head_graph(model), 1)]
    blocks += [
        (layer_graph(model, g.kind, job.attention), g.num_layers) for g in model.layer_groups
    ]
    for graph, count in blocks:
        for operator in graph.operators:
            for demand in _operator(operator, job, at, software):
                yield Demand(
                    compute_s=count * demand.compute_s, dram_bytes=count * demand.dram_bytes
                )
    precision = job.precision
    state_bytes = precision.master_weight_bytes + precision.optimizer_bytes
    moved = precision.gradient_bytes + 2 * state_bytes + precision.weight_bytes
    # parameters outside the operators (router biases) are in published counts, not in the update
    updated = count_parameters(model).total - model.extra_parameters
    yield Demand(compute_s=0.0, dram_bytes=moved * updated)


def _operator(operator: Operator, job: Training, at: Rates, software: Software) -> Iterator[Demand]:
    tokens = job.tokens_per_step
    if operator.is_routed and job.model.moe is not None:
        tokens *= job.model.moe.top_k
    match operator.kind:
        case OperatorKind.MATMUL | OperatorKind.EXPERT_MATMUL:
            read, written = job.precision.weight_bytes, job.precision.activation_bytes
            k, n = width(operator.in_features), width(operator.out_features)
            compute_s = 2.0 * tokens * k * n / at.matmul_flops_per_s
            # experts that no token visits are not counted, so their weights are not either
            weights = k * n
            for left, right, out in (
                (tokens * k, weights, tokens * n),
                (tokens * n, weights, tokens * k),
                (tokens * k, tokens * n, weights),
            ):
                yield Demand(compute_s=compute_s, dram_bytes=read * (left + right) + written * out)
        case OperatorKind.ATTENTION:
            keys = job.seq_len / 2 if job.is_causal else job.seq_len
            flops = attention_flops_per_pair(operator) * tokens * keys
            yield Demand(compute_s=flops / at.attention_forward_flops_per_s, dram_bytes=0.0)
            yield Demand(compute_s=2 * flops / at.attention_backward_flops_per_s, dram_bytes=0.0)
        case OperatorKind.VECTOR | OperatorKind.EMBEDDING:
            moved = tokens * software.vector_traffic
            flops_s = tokens * operator.vector_flops_per_token / at.vector_flops_per_s
            yield Demand(compute_s=flops_s, dram_bytes=moved * operator.vector_bytes_per_token)
            yield Demand(
                compute_s=2 * flops_s,
                dram_bytes=moved * operator.backward_vector_bytes_per_token,
            )


def work_bounds(scenario: Scenario, software: Software = IDEAL) -> tuple[Bound, ...]:
    """Return the bounds from FLOPs, from memory traffic, and from both operator by operator.

    Args:
        scenario: Job and system.
        software: The stack whose plans are bounded: how fast its kernels are, how much they fuse.
    """
    at = rates(scenario, software)
    every = list(demands(scenario, software))
    compute_s = sum(demand.compute_s for demand in every)
    dram_bytes = sum(demand.dram_bytes for demand in every)
    both_s = sum(max(each.compute_s, each.dram_bytes / at.dram_bytes_per_s) for each in every)
    dies = scenario.system.num_live_dies
    moved = format_quantity(dram_bytes, Dimension.BYTES)
    return (
        Bound(
            name=BoundName.FLOPS,
            step_s=compute_s,
            scope="any plan",
            reason=f"all operations at the sustained rates of {dies} dies, whole tiles only",
        ),
        Bound(
            name=BoundName.DRAM,
            step_s=dram_bytes / at.dram_bytes_per_s,
            scope="any plan",
            reason=f"{moved} that no schedule avoids, over the memory of {dies} dies",
        ),
        Bound(
            name=BoundName.WORK,
            step_s=both_s,
            scope="any plan",
            reason="every operator at the slower of its compute and its memory traffic",
        ),
    )
