"""Memory of a die of one pipeline rank, by category."""

from dataclasses import dataclass, fields

from waferloom.parallel.communications import gathered_kv_bytes, stage_message_bytes
from waferloom.parallel.pipelines import SCHEDULES
from waferloom.parallel.sharding import LayerState, Shard, layer_state, shard_of
from waferloom.parallel.stages import Stage
from waferloom.parallel.strategy import Recompute, ScheduleName, Strategy
from waferloom.workload.job import Training
from waferloom.workload.layers import embedding_graph, head_graph, layer_graph
from waferloom.workload.model import LayerKind, ModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBreakdown:
    """Bytes on one die.

    Attributes:
        weights: Parameters in the format matmuls read.
        gradients: Gradients between backward and update.
        optimizer: Master weights and moments.
        activations: What forward keeps for backward, all micro-batches in flight.
        recompute: The activations of the one layer that backward is recomputing.
        buffers: Gathered weights (ZeRO-3), gradient buckets (ZeRO-2, 3), stage messages.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float
    recompute: float
    buffers: float

    @property
    def total(self) -> float:
        """All categories."""
        return sum(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class RankParameters:
    """Parameters of one die before ZeRO: replicated over `dp * cp`, and over `expert_dp`."""

    dense: float
    expert: float
    largest_layer: float
    largest_expert_layer: float


def rank_parameters(
    model: ModelConfig, stage: Stage, shard: Shard, states: dict[LayerKind, LayerState]
) -> RankParameters:
    """Return the parameters that one die of `stage` holds before ZeRO.

    A tied head on another rank than the embedding holds its own copy of the matrix.
    """
    dense = expert = largest = largest_expert = 0.0
    for kind, state in states.items():
        count = stage.count(kind)
        dense += count * state.parameters
        expert += count * state.expert_parameters
        if count:
            largest = max(largest, state.parameters)
            largest_expert = max(largest_expert, state.expert_parameters)
    edges: list[float] = []
    embedding = layer_state(embedding_graph(model), shard, Recompute.NONE).parameters
    if stage.has_embedding:
        edges.append(embedding)
    if stage.has_head:
        head = layer_state(head_graph(model), shard, Recompute.NONE).parameters
        needs_copy = model.is_tied and not stage.has_embedding
        edges.append(head + (tied_copy_parameters(model, shard) if needs_copy else 0.0))
    return RankParameters(
        dense=dense + sum(edges),
        expert=expert,
        largest_layer=max([largest, *edges]),
        largest_expert_layer=largest_expert,
    )


def tied_copy_parameters(model: ModelConfig, shard: Shard) -> float:
    """Return the share of the embedding matrix that a tied head copies."""
    return -(-model.vocab_size // shard.tp) * (model.embedding_size or model.hidden_size)


def stage_memory(job: Training, strategy: Strategy, stage: Stage) -> MemoryBreakdown:
    """Return the memory of one die of `stage`, at its peak, by category."""
    model, degrees, precision = job.model, strategy.degrees, job.precision
    shard = shard_of(job, strategy)
    states = {
        kind: layer_state(layer_graph(model, kind, job.attention), shard, strategy.recompute)
        for kind in {group.kind for group in model.layer_groups}
    }
    parameters = rank_parameters(model, stage, shard, states)
    replicas, expert_replicas = degrees.dp * degrees.cp, degrees.expert_dp

    def held(bytes_each: float, *, from_stage: int) -> float:
        is_sharded = strategy.zero >= from_stage
        dense = parameters.dense / (replicas if is_sharded else 1)
        expert = parameters.expert / (expert_replicas if is_sharded else 1)
        return bytes_each * (dense + expert)

    layer_parameters = parameters.largest_layer + parameters.largest_expert_layer
    buffers = 0.0
    if strategy.zero >= 2 and replicas > 1:
        buffers += precision.gradient_bytes * layer_parameters
    if strategy.zero >= 3 and replicas > 1:
        gathered = strategy.software.gather_bytes
        each = precision.weight_bytes if gathered is None else gathered
        buffers += 2 * each * layer_parameters  # this layer's and the next one's
    if degrees.pp > 1:
        buffers += 2 * stage_message_bytes(model, shard, precision.activation_bytes)
    if degrees.cp > 1:
        # of the layer at hand, and their gradients in backward
        buffers += 2 * gathered_kv_bytes(model, shard, precision.activation_bytes)
    return MemoryBreakdown(
        weights=held(precision.weight_bytes, from_stage=3),
        gradients=held(precision.gradient_bytes, from_stage=2),
        optimizer=held(precision.master_weight_bytes + precision.optimizer_bytes, from_stage=1),
        activations=_activations(job, strategy, stage, shard, states),
        recompute=max(
            (state.recomputed_bytes for kind, state in states.items() if stage.count(kind)),
            default=0.0,
        ),
        buffers=buffers,
    )


def _activations(
    job: Training,
    strategy: Strategy,
    stage: Stage,
    shard: Shard,
    states: dict[LayerKind, LayerState],
) -> float:
    num_micro_batches = strategy.num_micro_batches(job)
    chunks = strategy.num_model_chunks
    schedule = SCHEDULES[strategy.schedule]
    alive = schedule.in_flight(stage.rank, strategy.degrees.pp, num_micro_batches, chunks) / chunks
    saved = alive * sum(stage.count(kind) * state.saved_bytes for kind, state in states.items())
    if stage.has_embedding:
        graph = embedding_graph(job.model)
        saved += alive * layer_state(graph, shard, Recompute.NONE).saved_bytes
    if stage.has_head:
        # the head runs backward right after forward, except where all forwards come first or its
        # weight gradients wait
        is_kept = strategy.schedule in (ScheduleName.GPIPE, ScheduleName.ZERO_BUBBLE)
        heads = alive if is_kept else 1
        saved += heads * layer_state(head_graph(job.model), shard, Recompute.NONE).saved_bytes
    return saved
