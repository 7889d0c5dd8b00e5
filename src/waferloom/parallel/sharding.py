"""What one die computes and keeps for one layer and one micro-batch, given the degrees.

Uneven shards round up: the largest shard is what the step waits for. Sequences longer than one
context rank are assumed dealt in zigzag order, so that causal attention is balanced over the cp
ranks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from waferloom.parallel.strategy import Recompute, Strategy
from waferloom.workload.job import AttentionStorage, Training
from waferloom.workload.model import MixtureOfExperts
from waferloom.workload.operators import (
    Features,
    LayerGraph,
    Operator,
    OperatorKind,
    SavedActivation,
    SavedUntil,
    Split,
    shard_width,
    width,
)


class Part(StrEnum):
    """Which pass a piece of work belongs to; WEIGHT is the weight gradients of backward."""

    FORWARD = "forward"
    BACKWARD = "backward"
    WEIGHT = "weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatmulCall:
    """`count` independent products of `m x k` and `k x n` on one die."""

    name: str
    part: Part
    m: int
    n: int
    k: int
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionCall:
    """Attention of `batch` sequences on one die: `num_queries` rows against `num_keys` columns.

    With `is_causal`, the last query sees all keys and every earlier one a key less.
    """

    name: str
    part: Part
    batch: int
    num_queries: int
    num_keys: int
    num_heads: int
    num_kv_heads: int
    head_dim_qk: int
    head_dim_v: int
    is_causal: bool
    is_stored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorCall:
    """An element-wise or gather operation that moves `num_bytes` and does `flops` on one die."""

    name: str
    part: Part
    num_bytes: float
    flops: float


OperatorCall = MatmulCall | AttentionCall | VectorCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The share of one die in one micro-batch.

    Attributes:
        tp: Tensor-parallel degree.
        ep: Expert-parallel degree.
        expert_tp: Tensor-parallel degree inside an expert.
        sequence_parallel: Whether TOKENS operators are divided by `tp`.
        batch: Sequences of the micro-batch.
        num_queries: Tokens of one sequence on this cp rank.
        num_keys: Tokens of one sequence.
        is_causal: Attention mask.
        attention: How scores are kept.
        moe: Expert shape of the model, if any.
    """

    tp: int
    ep: int
    expert_tp: int
    sequence_parallel: bool
    batch: int
    num_queries: int
    num_keys: int
    is_causal: bool
    attention: AttentionStorage
    moe: MixtureOfExperts | None

    @property
    def tokens(self) -> int:
        """Tokens of the micro-batch that this cp rank holds."""
        return self.batch * self.num_queries

    @property
    def residual_tokens(self) -> int:
        """Tokens whose norms and residual stream this die holds."""
        return -(-self.tokens // self.tp) if self.sequence_parallel else self.tokens

    @property
    def routed_source_tokens(self) -> int:
        """Distinct tokens this die sends to experts: its tp ranks share them out."""
        return -(-self.tokens // self.tp)

    @property
    def attention_keys(self) -> int:
        """Keys that fused attention reads for its last query.

        A causal cp rank holds early and late tokens in zigzag order, so on average half of all
        `num_queries * num_keys` pairs are wanted; a block of `num_queries` consecutive queries that
        ends at this key wants just as many.
        """
        is_halved = self.is_causal and self.attention is AttentionStorage.FLASH
        return -(-(self.num_keys + self.num_queries) // 2) if is_halved else self.num_keys

    @property
    def local_experts(self) -> int:
        """Routed experts (or shards of them) on this die."""
        return -(-self.moe.num_experts // self.ep) if self.moe else 0

    @property
    def tokens_per_expert(self) -> int:
        """Tokens that one local expert works on under balanced routing."""
        if self.moe is None:
            return 0
        pairs = self.ep * self.expert_tp * self.routed_source_tokens * self.moe.top_k
        return max(1, -(-pairs // self.moe.num_experts))

    @property
    def routed_tokens(self) -> int:
        """(token, expert) pairs that this die works on."""
        return self.local_experts * self.tokens_per_expert


def shard_of(job: Training, strategy: Strategy) -> Shard:
    """Return the share of one die in one micro-batch of `job`."""
    degrees = strategy.degrees
    return Shard(
        tp=degrees.tp,
        ep=degrees.ep,
        expert_tp=degrees.expert_tp,
        sequence_parallel=strategy.sequence_parallel and degrees.tp > 1,
        batch=strategy.micro_batch_size,
        num_queries=-(-job.seq_len // degrees.cp),
        num_keys=job.seq_len,
        is_causal=job.is_causal,
        attention=job.attention,
        moe=job.model.moe,
    )


def calls(operator: Operator, shard: Shard) -> Iterator[OperatorCall]:
    """Yield the work of one operator on one die, forward and backward.

    A matmul has two backward products: the gradients of its input (BACKWARD) and of its weights
    (WEIGHT).
    """
    match operator.kind:
        case OperatorKind.MATMUL:
            tokens, degree = _matmul_tokens(operator, shard), shard.tp
            yield from _matmul_calls(operator, tokens, degree, 1)
        case OperatorKind.EXPERT_MATMUL:
            yield from _matmul_calls(
                operator, shard.tokens_per_expert, shard.expert_tp, shard.local_experts
            )
        case OperatorKind.ATTENTION:
            for part in (Part.FORWARD, Part.BACKWARD):
                yield _attention_call(operator, shard, part)
        case OperatorKind.VECTOR | OperatorKind.EMBEDDING:
            tokens = vector_tokens(operator, shard)
            yield VectorCall(
                name=operator.name,
                part=Part.FORWARD,
                num_bytes=tokens * operator.vector_bytes_per_token,
                flops=tokens * operator.vector_flops_per_token,
            )
            yield VectorCall(
                name=operator.name,
                part=Part.BACKWARD,
                num_bytes=tokens * operator.backward_vector_bytes_per_token,
                flops=2 * tokens * operator.vector_flops_per_token,
            )


def _matmul_tokens(operator: Operator, shard: Shard) -> int:
    if operator.is_expansion:
        return shard.batch * shard.num_keys
    return shard.residual_tokens if operator.split is Split.TOKENS else shard.tokens


def _matmul_calls(operator: Operator, tokens: int, degree: int, count: int) -> Iterator[MatmulCall]:
    k = _local(operator.in_features, degree, is_cut=operator.split is Split.IN)
    n = _local(operator.out_features, degree, is_cut=operator.split is Split.OUT)
    name = operator.name
    yield MatmulCall(name=name, part=Part.FORWARD, m=tokens, n=n, k=k, count=count)
    yield MatmulCall(name=name, part=Part.BACKWARD, m=tokens, n=k, k=n, count=count)
    yield MatmulCall(name=name, part=Part.WEIGHT, m=k, n=n, k=tokens, count=count)


def _local(features: Features, degree: int, *, is_cut: bool) -> int:
    return shard_width(features, degree) if is_cut else width(features)


def _attention_call(operator: Operator, shard: Shard, part: Part) -> AttentionCall:
    assert operator.heads is not None
    assert operator.kv_heads is not None
    return AttentionCall(
        name=operator.name,
        part=part,
        batch=shard.batch,
        num_queries=shard.num_queries,
        num_keys=shard.attention_keys,
        num_heads=operator.heads.shard_width(shard.tp),
        num_kv_heads=operator.kv_heads.shard_width(shard.tp),
        head_dim_qk=operator.head_dim_qk,
        head_dim_v=operator.head_dim_v,
        is_causal=shard.is_causal,
        is_stored=shard.attention is AttentionStorage.STORED,
    )


def vector_tokens(operator: Operator, shard: Shard) -> float:
    """Return the tokens of a vector operator on one die; a part of the features counts in part."""
    match operator.split:
        case Split.TOKENS:
            return shard.routed_tokens if operator.is_routed else shard.residual_tokens
        case Split.WHOLE:
            return shard.tokens
        case Split.HEADS | Split.OUT | Split.IN:
            tokens = shard.routed_tokens if operator.is_routed else shard.tokens
            degree = shard.expert_tp if operator.is_routed else shard.tp
            features = operator.in_features if operator.split is Split.IN else operator.out_features
            return tokens * shard_width(features, degree) / width(features)


def local_parameters(operator: Operator, shard: Shard) -> float:
    """Return the parameters of `operator` that one die holds before ZeRO."""
    if operator.num_parameters == 0:
        return 0.0
    share = 1.0
    degree = shard.tp
    if operator.kind is OperatorKind.EXPERT_MATMUL:
        assert shard.moe is not None
        share = shard.local_experts / shard.moe.num_experts
        degree = shard.expert_tp
    if operator.split is Split.OUT:
        share *= shard_width(operator.out_features, degree) / width(operator.out_features)
    elif operator.split is Split.IN:
        share *= shard_width(operator.in_features, degree) / width(operator.in_features)
    return operator.num_parameters * share


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerState:
    """What one die holds for one layer.

    Attributes:
        parameters: Parameters outside routed experts.
        expert_parameters: Parameters of routed experts.
        saved_bytes: Activations of one micro-batch kept from forward to backward.
        recomputed_bytes: Activations that exist only while backward works on the layer.
    """

    parameters: float
    expert_parameters: float
    saved_bytes: float
    recomputed_bytes: float


def layer_state(graph: LayerGraph, shard: Shard, recompute: Recompute) -> LayerState:
    """Return what one die holds for one layer under a recompute policy."""
    dense = 0.0
    expert = 0.0
    saved = 0.0
    dropped = 0.0
    for operator in graph.operators:
        parameters = local_parameters(operator, shard)
        if operator.kind is OperatorKind.EXPERT_MATMUL:
            expert += parameters
        else:
            dense += parameters
        for activation in operator.saved:
            size = saved_activation_bytes(activation, shard)
            if is_kept(activation.saved_until, recompute):
                saved += size
            else:
                dropped += size
    return LayerState(
        parameters=dense,
        expert_parameters=expert,
        saved_bytes=saved,
        recomputed_bytes=dropped,
    )


def is_kept(until: SavedUntil, recompute: Recompute) -> bool:
    """Return whether a recompute policy keeps an activation."""
    match recompute:
        case Recompute.NONE:
            return True
        case Recompute.SELECTIVE:
            return until is not SavedUntil.NONE
        case Recompute.FULL:
            return until is SavedUntil.ALWAYS


def saved_activation_bytes(activation: SavedActivation, shard: Shard) -> float:
    """Return the bytes of a saved activation on one die, one micro-batch."""
    features = activation.features
    if activation.is_routed:
        tokens = shard.routed_tokens
        degree = shard.expert_tp
    else:
        tokens = shard.residual_tokens if activation.split is Split.TOKENS else shard.tokens
        degree = shard.tp
    is_cut = activation.split in (Split.HEADS, Split.OUT, Split.IN)
    elements = shard_width(features, degree) if is_cut else width(features)
    keys = shard.num_keys if activation.per_key else 1
    return tokens * elements * keys * activation.bytes_per_element
