"""The communications that a strategy needs: inside a layer, between stages, and once per step.

Tensor parallelism follows Megatron (Shoeybi et al. 2019; with sequence parallelism Korthikanti et
al. 2022): two all-reduces per layer and pass, or all-gather + reduce-scatter pairs of the same
volume, plus one more all-gather per pair in backward, since the gathered input was not kept.
Context parallelism gathers keys and values and scatters their gradients (Llama 3, arXiv
2407.21783). Experts exchange tokens by all-to-all, and tensor parallelism inside an expert gathers
and scatters them.
"""

from collections.abc import Iterator

from waferloom.communication import CollectiveKind, Communication, Overlap, ParallelAxis, Phase
from waferloom.parallel.sharding import Shard
from waferloom.parallel.strategy import ParallelDegrees, Strategy
from waferloom.workload.job import Precision
from waferloom.workload.model import LayerKind, ModelConfig

GRADIENT_AXES = (ParallelAxis.DP, ParallelAxis.CP)


def layer_communications(
    model: ModelConfig, kind: LayerKind, shard: Shard, degrees: ParallelDegrees, bytes_each: float
) -> Iterator[Communication]:
    """Yield what one layer exchanges for one micro-batch, forward and backward.

    Args:
        model: For widths.
        kind: Dense or MoE.
        shard: The share of a die.
        degrees: Axes of degree 1 exchange nothing.
        bytes_each: Bytes of an activation element.
    """
    residual_bytes = shard.tokens * model.hidden_size * bytes_each
    is_moe = kind is LayerKind.MOE
    if degrees.tp > 1:
        # A MoE block divides its tokens over the tp ranks itself; shared experts are a plain MLP.
        has_mlp = not is_moe or (model.moe is not None and model.moe.num_shared_experts > 0)
        num_blocks = 2 if has_mlp else 1
        yield from _tensor_parallel(residual_bytes, num_blocks, shard.sequence_parallel)
        if is_moe and not shard.sequence_parallel:
            for phase in (Phase.FORWARD, Phase.BACKWARD):
                yield _one("moe tokens", CollectiveKind.ALL_GATHER, phase, residual_bytes)
    if degrees.cp > 1:
        kv_bytes = shard.batch * shard.num_keys * _kv_width(model, shard.tp) * bytes_each
        for phase in (Phase.FORWARD, Phase.BACKWARD):
            yield _one("kv", CollectiveKind.ALL_GATHER, phase, kv_bytes, axis=ParallelAxis.CP)
        yield _one(
            "kv gradients",
            CollectiveKind.REDUCE_SCATTER,
            Phase.BACKWARD,
            kv_bytes,
            axis=ParallelAxis.CP,
        )
    if is_moe and model.moe is not None:
        yield from _expert_parallel(model, shard, degrees, bytes_each)


def _tensor_parallel(
    size_bytes: float, num_blocks: int, is_sequence_parallel: bool
) -> Iterator[Communication]:
    if not is_sequence_parallel:
        for phase in (Phase.FORWARD, Phase.BACKWARD):
            yield _one("blocks", CollectiveKind.ALL_REDUCE, phase, size_bytes, count=num_blocks)
        return
    # backward: gather the output gradient and, again, the input; scatter the input gradient
    for phase, gathers in ((Phase.FORWARD, num_blocks), (Phase.BACKWARD, 2 * num_blocks)):
        yield _one("blocks", CollectiveKind.ALL_GATHER, phase, size_bytes, count=gathers)
        yield _one("blocks", CollectiveKind.REDUCE_SCATTER, phase, size_bytes, count=num_blocks)


def _expert_parallel(
    model: ModelConfig, shard: Shard, degrees: ParallelDegrees, bytes_each: float
) -> Iterator[Communication]:
    assert model.moe is not None
    pairs_bytes = shard.routed_source_tokens * model.moe.top_k * model.hidden_size * bytes_each
    for phase in (Phase.FORWARD, Phase.BACKWARD):
        if degrees.ep > 1:
            yield _one(
                "dispatch and combine",
                CollectiveKind.ALL_TO_ALL,
                phase,
                pairs_bytes,
                count=2,
                axis=ParallelAxis.EP,
            )
        if degrees.expert_tp > 1:
            gathered = degrees.expert_tp * pairs_bytes
            for kind in (CollectiveKind.ALL_GATHER, CollectiveKind.REDUCE_SCATTER):
                yield _one("expert tokens", kind, phase, gathered, axis=ParallelAxis.EXPERT_TP)


def edge_communications(
    model: ModelConfig, shard: Shard, degrees: ParallelDegrees, bytes_each: float, *, is_head: bool
) -> Iterator[Communication]:
    """Yield what the embedding or the head exchanges: both are cut along the vocabulary.

    The embedding sums partial rows forward; the head sums the gradient of its input backward. Under
    sequence parallelism the sums are scattered, and the head gathers its input.
    """
    if degrees.tp == 1:
        return
    size = shard.tokens * model.hidden_size * bytes_each
    if not shard.sequence_parallel:
        phase = Phase.BACKWARD if is_head else Phase.FORWARD
        yield _one("vocabulary", CollectiveKind.ALL_REDUCE, phase, size)
        return
    scatter, gather = CollectiveKind.REDUCE_SCATTER, CollectiveKind.ALL_GATHER
    yield _one("vocabulary", gather if is_head else scatter, Phase.FORWARD, size)
    yield _one("vocabulary", scatter if is_head else gather, Phase.BACKWARD, size)


def stage_message_bytes(model: ModelConfig, shard: Shard, bytes_each: float) -> float:
    """Return the bytes that one die sends to the next stage for one micro-batch (and gets back)."""
    return shard.residual_tokens * model.hidden_size * bytes_each


def gathered_kv_bytes(model: ModelConfig, shard: Shard, bytes_each: float) -> float:
    """Return the bytes of one layer's keys and values of all context-parallel ranks, as used.

    Latent attention gathers the latent and expands it, so its expanded keys and values count.
    """
    if model.latent is None:
        width = -(-model.num_kv_heads // shard.tp) * 2 * model.head_dim
    else:
        width = -(-model.num_heads // shard.tp) * (model.head_dim + model.latent.v_head_dim)
    return shard.batch * shard.num_keys * width * bytes_each


def gradient_communications(
    strategy: Strategy,
    precision: Precision,
    *,
    parameters: float,
    axes: tuple[ParallelAxis, ...] = GRADIENT_AXES,
) -> Iterator[Communication]:
    """Yield what keeps the replicas of `parameters` parameters in step, by ZeRO stage.

    ZeRO 0 all-reduces gradients once per step. ZeRO 1 scatters gradients and gathers weights once
    per step; ZeRO 2 scatters gradients after every micro-batch (phase BACKWARD); ZeRO 3 also
    gathers weights in every forward and backward.

    Args:
        strategy: For the ZeRO stage.
        precision: Bytes per parameter.
        parameters: Parameters of one die (of its share before ZeRO).
        axes: `(dp, cp)`, or `(expert_dp,)` for routed experts.
    """
    gradient_bytes = parameters * precision.gradient_reduce_bytes
    gathered = strategy.software.gather_bytes
    weight_bytes = parameters * (precision.weight_bytes if gathered is None else gathered)
    all_gather, reduce_scatter = CollectiveKind.ALL_GATHER, CollectiveKind.REDUCE_SCATTER
    match strategy.zero:
        case 0:
            yield _sync(
                "gradients", CollectiveKind.ALL_REDUCE, Phase.GRADIENTS, gradient_bytes, axes
            )
        case 1:
            yield _sync("gradients", reduce_scatter, Phase.GRADIENTS, gradient_bytes, axes)
            yield _sync("weights", all_gather, Phase.OPTIMIZER, weight_bytes, axes)
        case 2:
            yield _sync("gradients", reduce_scatter, Phase.BACKWARD, gradient_bytes, axes)
            yield _sync("weights", all_gather, Phase.OPTIMIZER, weight_bytes, axes)
        case _:
            yield _sync("weights", all_gather, Phase.FORWARD, weight_bytes, axes)
            yield _sync("weights", all_gather, Phase.BACKWARD, weight_bytes, axes)
            yield _sync("gradients", reduce_scatter, Phase.BACKWARD, gradient_bytes, axes)


def _one(
    what: str,
    kind: CollectiveKind,
    phase: Phase,
    size_bytes: float,
    *,
    count: float = 1,
    axis: ParallelAxis = ParallelAxis.TP,
) -> Communication:
    return Communication(
        name=f"{axis} {what} {kind}",
        kind=kind,
        axes=(axis,),
        size_bytes=size_bytes,
        count=count,
        phase=phase,
    )


def _sync(
    what: str,
    kind: CollectiveKind,
    phase: Phase,
    size_bytes: float,
    axes: tuple[ParallelAxis, ...],
) -> Communication:
    return Communication(
        name=f"{axes[0]} {what} {kind}",
        kind=kind,
        axes=axes,
        size_bytes=size_bytes,
        phase=phase,
        overlap=Overlap.LAYER_COMPUTE
        if phase in (Phase.FORWARD, Phase.BACKWARD)
        else Overlap.BACKWARD_OF_STEP,
    )


def _kv_width(model: ModelConfig, tp: int) -> int:
    """Width of the keys and values that one tp rank gathers per token."""
    if model.latent is not None:
        # every head's key and value are built from the shared latent, which is what travels
        return model.latent.kv_lora_rank + model.latent.qk_rope_head_dim
    return -(-model.num_kv_heads // tp) * 2 * model.head_dim
