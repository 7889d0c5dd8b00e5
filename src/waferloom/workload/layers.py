"""The operators of a layer, of the embedding and of the head, with what forward keeps for backward.

Stored activations follow Korthikanti et al. 2022: for a GPT layer with dropout and stored attention
their sum is `s b h (34 + 5 a s / h)` bytes, of which 10 `s b h` lie outside the tensor-parallel
region (divided by tp only under sequence parallelism) and the rest is divided by tp. The same
rules, applied to other layers: every input of a matmul is kept, every input of a norm, the operands
of a product, one-byte dropout masks; q, k, v and the output of attention; per head and token a fp32
log-sum-exp instead of the scores where attention is flash-style. A matmul that reads the output of
its predecessor shares that tensor with it, so it is listed once, with its producer or its consumer.

Limits: the fp32 row statistics of norms are not counted (8 bytes beside `2 h`); routed copies
assume no padding and no dropped tokens; MLA keeps the expanded keys and values. Vector operators
count their traffic unfused, each tensor read or written once, in 2-byte elements.

Source:
    Korthikanti et al. 2022, Reducing Activation Recomputation in Large Transformer Models,
    arXiv:2205.05198, sections 4 and 5.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from waferloom.workload.job import AttentionStorage
from waferloom.workload.model import LatentAttention, LayerKind, MixtureOfExperts, ModelConfig
from waferloom.workload.operators import (
    FeatureBlock,
    Features,
    LayerGraph,
    Operator,
    OperatorKind,
    SavedActivation,
    SavedUntil,
    Split,
    width,
)

_CACHED_GRAPHS: Final = 256  # a search asks for the same few thousands of times
_ELEMENT_BYTES: Final = 2.0
_MASK_BYTES: Final = 1.0
_FP32_BYTES: Final = 4.0

# Vector operations per element, counted from the formulas; a transcendental counts as one.
_RMS_NORM_FLOPS: Final = 4.0  # square, add, scale by 1/rms, weight
_LAYER_NORM_FLOPS: Final = 7.0  # add, subtract mean, square, add, scale, weight, bias
_GELU_FLOPS: Final = 8.0  # tanh form: x^3 (2), 2 multiply-adds (3), tanh, 1 + t, product
_SWIGLU_FLOPS: Final = 5.0  # exp, 1 + e, divide, two products
_ROTARY_FLOPS: Final = 3.0  # 4 products and 2 sums per pair
_SOFTMAX_FLOPS: Final = 5.0  # max, subtract, exp, sum, divide


@lru_cache(maxsize=_CACHED_GRAPHS)
def layer_graph(
    model: ModelConfig,
    kind: LayerKind = LayerKind.DENSE,
    attention: AttentionStorage = AttentionStorage.FLASH,
) -> LayerGraph:
    """Return the operators of one layer in execution order.

    Args:
        model: Whose layer.
        kind: A dense MLP, or router and experts.
        attention: Whether the s^2 scores are stored for backward.

    Raises:
        ValueError: A MoE layer of a model that has no experts.

    Source:
        Stored activations: Korthikanti et al. 2022, arXiv:2205.05198.
    """
    if kind is LayerKind.MOE and model.moe is None:
        msg = f"a moe layer was asked of {model.name}, which has no experts"
        raise ValueError(msg)
    return LayerGraph(
        operators=(
            *_attention_block(model, attention),
            *(_dense_mlp(model) if kind is LayerKind.DENSE else _experts(model, _moe(model))),
        )
    )


@lru_cache(maxsize=_CACHED_GRAPHS)
def embedding_graph(model: ModelConfig) -> LayerGraph:
    """Return what turns token ids into the residual stream.

    The table is vocabulary-parallel: a rank looks up the rows it holds, so the results are partial
    sums (`Split.IN`). Learned positions are added on every rank.
    """
    hidden = _plain(model.hidden_size)
    embedding_size = model.embedding_size or model.hidden_size
    operators = [
        Operator(
            name="token_embedding",
            kind=OperatorKind.EMBEDDING,
            split=Split.IN,
            in_features=_plain(model.vocab_size),
            out_features=_plain(embedding_size),
            num_parameters=model.vocab_size * embedding_size,
            vector_bytes_per_token=2 * _ELEMENT_BYTES * embedding_size,
            # Gradient of the output in, gradient of the row read and written back.
            backward_vector_bytes_per_token=3 * _ELEMENT_BYTES * embedding_size,
        )
    ]
    if embedding_size != model.hidden_size:
        operators.append(
            _matmul(
                "embedding_projection",
                Split.WHOLE,
                _plain(embedding_size),
                hidden,
                saved=(_saved("embedding", _plain(embedding_size), Split.TOKENS),),
            )
        )
    if model.max_position_embeddings:
        operators.append(
            Operator(
                name="position_embedding",
                kind=OperatorKind.EMBEDDING,
                split=Split.TOKENS,
                in_features=_plain(model.max_position_embeddings),
                out_features=hidden,
                num_parameters=model.max_position_embeddings * model.hidden_size,
                vector_flops_per_token=float(model.hidden_size),
                vector_bytes_per_token=3 * _ELEMENT_BYTES * model.hidden_size,
                backward_vector_bytes_per_token=3 * _ELEMENT_BYTES * model.hidden_size,
            )
        )
    if model.has_embedding_norm:
        operators.append(_norm(model, "embedding_norm", model.hidden_size))
    if model.dropout:
        operators.append(_dropout("embedding_dropout", model.hidden_size))
    return LayerGraph(operators=tuple(operators))


@lru_cache(maxsize=_CACHED_GRAPHS)
def head_graph(model: ModelConfig) -> LayerGraph:
    """Return the final norm, the vocabulary-parallel logits and the fp32 cross-entropy.

    A tied head counts no parameters here, since the embedding counts them; it reads the matrix all
    the same (`in_features` x `out_features`), and a pipeline whose last stage is not its first
    holds a copy.
    """
    vocab = _plain(model.vocab_size)
    embedding_size = model.embedding_size or model.hidden_size
    operators = [_norm(model, "final_norm", model.hidden_size)] if model.has_final_norm else []
    if embedding_size != model.hidden_size:
        operators.append(
            _matmul(
                "head_projection",
                Split.WHOLE,
                _plain(model.hidden_size),
                _plain(embedding_size),
                saved=(_saved("head_projection_input", _plain(model.hidden_size), Split.TOKENS),),
            )
        )
    operators += [
        _matmul(
            "logits",
            Split.OUT,
            _plain(embedding_size),
            vocab,
            num_parameters=0 if model.is_tied else model.vocab_size * embedding_size,
            saved=(_saved("logits_input", _plain(embedding_size), Split.TOKENS),),
        ),
        Operator(
            name="cross_entropy",
            kind=OperatorKind.VECTOR,
            split=Split.OUT,
            in_features=vocab,
            out_features=vocab,
            vector_flops_per_token=_SOFTMAX_FLOPS * model.vocab_size,
            # 16-bit logits in, fp32 probabilities out; backward turns those into 16-bit gradients.
            vector_bytes_per_token=(_ELEMENT_BYTES + _FP32_BYTES) * model.vocab_size,
            backward_vector_bytes_per_token=(_ELEMENT_BYTES + _FP32_BYTES) * model.vocab_size,
            saved=(_saved("logits", vocab, Split.OUT, bytes_per_element=_FP32_BYTES),),
        ),
    ]
    return LayerGraph(operators=tuple(operators))


def _plain(num_features: int) -> Features:
    return (FeatureBlock(num_units=num_features),)


def _moe(model: ModelConfig) -> MixtureOfExperts:
    assert model.moe is not None
    return model.moe


def _saved(
    name: str,
    features: Features,
    split: Split,
    *,
    bytes_per_element: float = _ELEMENT_BYTES,
    saved_until: SavedUntil = SavedUntil.SELECTIVE,
    per_key: bool = False,
    is_routed: bool = False,
) -> SavedActivation:
    return SavedActivation(
        name=name,
        features=features,
        bytes_per_element=bytes_per_element,
        split=split,
        saved_until=saved_until,
        per_key=per_key,
        is_routed=is_routed,
    )


def _matmul(
    name: str,
    split: Split,
    in_features: Features,
    out_features: Features,
    *,
    has_bias: bool = False,
    num_parameters: int | None = None,
    saved: tuple[SavedActivation, ...] = (),
) -> Operator:
    if num_parameters is None:
        num_parameters = width(in_features) * width(out_features) + (
            width(out_features) if has_bias else 0
        )
    return Operator(
        name=name,
        kind=OperatorKind.MATMUL,
        split=split,
        in_features=in_features,
        out_features=out_features,
        num_parameters=num_parameters,
        saved=saved,
    )


def _norm(
    model: ModelConfig,
    name: str,
    size: int,
    *,
    saved_until: SavedUntil = SavedUntil.SELECTIVE,
    split: Split = Split.TOKENS,
) -> Operator:
    flops = _RMS_NORM_FLOPS if model.num_norm_vectors == 1 else _LAYER_NORM_FLOPS
    features = _plain(size)
    return Operator(
        name=name,
        kind=OperatorKind.VECTOR,
        split=split,
        in_features=features,
        out_features=features,
        num_parameters=model.num_norm_vectors * size,
        vector_flops_per_token=flops * size,
        vector_bytes_per_token=2 * _ELEMENT_BYTES * size,
        backward_vector_bytes_per_token=3 * _ELEMENT_BYTES * size,
        saved=(_saved(f"{name}_input", features, split, saved_until=saved_until),),
    )


def _dropout(name: str, size: int) -> Operator:
    per_token = (2 * _ELEMENT_BYTES + _MASK_BYTES) * size
    return Operator(
        name=name,
        kind=OperatorKind.VECTOR,
        split=Split.TOKENS,
        in_features=_plain(size),
        out_features=_plain(size),
        vector_flops_per_token=2.0 * size,
        vector_bytes_per_token=per_token,
        backward_vector_bytes_per_token=per_token,
        saved=(_saved(f"{name}_mask", _plain(size), Split.TOKENS, bytes_per_element=_MASK_BYTES),),
    )


def _residual(model: ModelConfig, name: str) -> Operator:
    """Add a branch to the residual stream, dropout first where the model has it.

    Backward adds the two gradients that meet where the branch left the stream.
    """
    size = model.hidden_size
    features = _plain(size)
    mask_bytes = _MASK_BYTES if model.dropout else 0.0
    mask = _saved(f"{name}_mask", features, Split.TOKENS, bytes_per_element=_MASK_BYTES)
    return Operator(
        name=name,
        kind=OperatorKind.VECTOR,
        split=Split.TOKENS,
        in_features=features,
        out_features=features,
        vector_flops_per_token=(3.0 if model.dropout else 1.0) * size,
        vector_bytes_per_token=(3 * _ELEMENT_BYTES + mask_bytes) * size,
        backward_vector_bytes_per_token=(
            3 * _ELEMENT_BYTES + (2 * _ELEMENT_BYTES + _MASK_BYTES if model.dropout else 0.0)
        )
        * size,
        saved=(mask,) if model.dropout else (),
    )


def _attention_block(model: ModelConfig, storage: AttentionStorage) -> Iterator[Operator]:
    """Yield norm, projections, attention, output projection and residual."""
    yield _norm(model, "attention_norm", model.hidden_size, saved_until=SavedUntil.ALWAYS)
    if model.latent is None:
        yield from _grouped_projections(model)
        head_dim_v = model.head_dim
    else:
        yield from _latent_projections(model, model.latent)
        head_dim_v = model.latent.v_head_dim
    output = (FeatureBlock(num_units=model.num_heads, unit_width=head_dim_v),)
    yield _attention(model, storage, head_dim_v)
    yield _matmul(
        "attention_output",
        Split.IN,
        output,
        _plain(model.hidden_size),
        has_bias=model.has_output_bias,
        saved=(_saved("attention_output_input", output, Split.HEADS),),
    )
    yield _residual(model, "attention_residual")


def _grouped_projections(model: ModelConfig) -> Iterator[Operator]:
    """Yield the fused q, k, v projection and what is applied to q and k."""
    query = FeatureBlock(num_units=model.num_heads, unit_width=model.head_dim)
    key = FeatureBlock(num_units=model.num_kv_heads, unit_width=model.head_dim)
    hidden = _plain(model.hidden_size)
    yield _matmul(
        "qkv",
        Split.OUT,
        hidden,
        (query, key, key),
        has_bias=model.has_attention_bias,
        saved=(_saved("qkv_input", hidden, Split.TOKENS),),
    )
    query_key = (query, key)
    num_features = width(query_key)
    if model.has_qk_norm:
        yield Operator(
            name="qk_norm",
            kind=OperatorKind.VECTOR,
            split=Split.HEADS,
            in_features=query_key,
            out_features=query_key,
            num_parameters=2 * model.num_norm_vectors * model.head_dim,
            vector_flops_per_token=_RMS_NORM_FLOPS * num_features,
            vector_bytes_per_token=2 * _ELEMENT_BYTES * num_features,
            backward_vector_bytes_per_token=3 * _ELEMENT_BYTES * num_features,
            saved=(_saved("qk_norm_input", query_key, Split.HEADS),),
        )
    if model.has_rotary:
        yield _rotary(query_key, num_features)


def _rotary(features: Features, num_rotated: int) -> Operator:
    """Rotate in place; backward rotates back and needs nothing but the angles."""
    return Operator(
        name="rotary",
        kind=OperatorKind.VECTOR,
        split=Split.HEADS,
        in_features=features,
        out_features=features,
        vector_flops_per_token=_ROTARY_FLOPS * num_rotated,
        vector_bytes_per_token=2 * _ELEMENT_BYTES * num_rotated,
        backward_vector_bytes_per_token=2 * _ELEMENT_BYTES * num_rotated,
    )


def _latent_projections(model: ModelConfig, latent: LatentAttention) -> Iterator[Operator]:
    """Yield the low-rank projections of latent attention, as used in training and prefill.

    The down projections have nothing that tensor parallelism could cut without a sum over the
    latent, so every rank repeats them.
    """
    hidden = _plain(model.hidden_size)
    head_dim_qk = latent.qk_nope_head_dim + latent.qk_rope_head_dim
    query = (FeatureBlock(num_units=model.num_heads, unit_width=head_dim_qk),)
    branch_input = _saved("qkv_input", hidden, Split.TOKENS)
    if latent.q_lora_rank is None:
        yield _matmul("q", Split.OUT, hidden, query, saved=(branch_input,))
    else:
        rank = _plain(latent.q_lora_rank)
        yield _matmul("q_down", Split.WHOLE, hidden, rank, saved=(branch_input,))
        yield _norm(model, "q_norm", latent.q_lora_rank, split=Split.WHOLE)
        yield _matmul(
            "q_up", Split.OUT, rank, query, saved=(_saved("q_up_input", rank, Split.WHOLE),)
        )
    compressed = (FeatureBlock(num_units=latent.kv_lora_rank + latent.qk_rope_head_dim),)
    yield _matmul("kv_down", Split.WHOLE, hidden, compressed)
    yield _norm(model, "kv_norm", latent.kv_lora_rank, split=Split.WHOLE)
    rank = _plain(latent.kv_lora_rank)
    expanded = (
        FeatureBlock(
            num_units=model.num_heads, unit_width=latent.qk_nope_head_dim + latent.v_head_dim
        ),
    )
    expansion = _matmul(
        "kv_up", Split.OUT, rank, expanded, saved=(_saved("kv_up_input", rank, Split.WHOLE),)
    )
    yield replace(expansion, is_expansion=True)
    rotated = (FeatureBlock(num_units=model.num_heads, unit_width=latent.qk_rope_head_dim),)
    # The shared rotary key is rotated once and then copied into every head's key.
    yield _rotary(rotated, width(rotated) + latent.qk_rope_head_dim)


def _attention(model: ModelConfig, storage: AttentionStorage, head_dim_v: int) -> Operator:
    heads = FeatureBlock(num_units=model.num_heads)
    kv_heads = FeatureBlock(num_units=model.num_kv_heads)
    query = FeatureBlock(num_units=model.num_heads, unit_width=model.head_dim)
    key = FeatureBlock(num_units=model.num_kv_heads, unit_width=model.head_dim)
    value = FeatureBlock(num_units=model.num_kv_heads, unit_width=head_dim_v)
    saved = [
        _saved("query", (query,), Split.HEADS),
        _saved("key", (key,), Split.HEADS),
        _saved("value", (value,), Split.HEADS),
    ]
    if storage is AttentionStorage.FLASH:
        # Backward recomputes the scores from q, k and this sum, and replays dropout from a seed.
        saved.append(_saved("log_sum_exp", (heads,), Split.HEADS, bytes_per_element=_FP32_BYTES))
    else:
        saved += [
            _saved(
                name,
                (heads,),
                Split.HEADS,
                bytes_per_element=bytes_per_element,
                saved_until=SavedUntil.NONE,
                per_key=True,
            )
            for name, bytes_per_element in _stored_scores(model)
        ]
    return Operator(
        name="attention",
        kind=OperatorKind.ATTENTION,
        split=Split.HEADS,
        in_features=(query, key, value),
        out_features=(FeatureBlock(num_units=model.num_heads, unit_width=head_dim_v),),
        head_dim_qk=model.head_dim,
        head_dim_v=head_dim_v,
        heads=heads,
        kv_heads=kv_heads,
        is_attention_core=True,
        saved=tuple(saved),
    )


def _stored_scores(model: ModelConfig) -> tuple[tuple[str, float], ...]:
    softmax = ("softmax", _ELEMENT_BYTES)
    if not model.dropout:
        return (softmax,)
    return (softmax, ("softmax_mask", _MASK_BYTES), ("softmax_dropped", _ELEMENT_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mlp:
    """One MLP: the dense one, the routed experts together, or the shared experts together.

    Attributes:
        prefix: Of its operators' names.
        ffn_size: Intermediate width of one instance.
        num_instances: Instances whose parameters are held (routed experts).
        is_routed: Whether it works on (token, expert) pairs.
        has_own_input: Whether its input is a tensor that no other operator keeps.
    """

    prefix: str
    ffn_size: int
    num_instances: int = 1
    is_routed: bool = False
    has_own_input: bool = True


def _mlp(model: ModelConfig, mlp: _Mlp) -> Iterator[Operator]:
    """Yield up (with gate, fused), activation and down."""
    hidden = _plain(model.hidden_size)
    block = FeatureBlock(num_units=mlp.ffn_size)
    inner: Features = (block,)
    up: Features = (block, block) if model.is_gated else inner
    up_input = _saved(f"{mlp.prefix}_up_input", hidden, Split.TOKENS, is_routed=mlp.is_routed)
    yield _mlp_matmul(
        model, mlp, "up", Split.OUT, hidden, up, saved=(up_input,) if mlp.has_own_input else ()
    )
    yield Operator(
        name=f"{mlp.prefix}_activation",
        kind=OperatorKind.VECTOR,
        split=Split.OUT,
        in_features=up,
        out_features=inner,
        vector_flops_per_token=(_SWIGLU_FLOPS if model.is_gated else _GELU_FLOPS) * mlp.ffn_size,
        vector_bytes_per_token=_ELEMENT_BYTES * (width(up) + mlp.ffn_size),
        # Reads its inputs and one gradient, writes the gradients of its inputs.
        backward_vector_bytes_per_token=_ELEMENT_BYTES * (2 * width(up) + mlp.ffn_size),
        is_routed=mlp.is_routed,
        saved=(_saved(f"{mlp.prefix}_activation_input", up, Split.OUT, is_routed=mlp.is_routed),),
    )
    down_input = _saved(f"{mlp.prefix}_down_input", inner, Split.OUT, is_routed=mlp.is_routed)
    yield _mlp_matmul(model, mlp, "down", Split.IN, inner, hidden, saved=(down_input,))


def _mlp_matmul(
    model: ModelConfig,
    mlp: _Mlp,
    name: str,
    split: Split,
    in_features: Features,
    out_features: Features,
    *,
    saved: tuple[SavedActivation, ...],
) -> Operator:
    matmul = _matmul(
        f"{mlp.prefix}_{name}",
        split,
        in_features,
        out_features,
        has_bias=model.has_mlp_bias,
        saved=saved,
    )
    return replace(
        matmul,
        kind=OperatorKind.EXPERT_MATMUL if mlp.is_routed else OperatorKind.MATMUL,
        num_parameters=mlp.num_instances * matmul.num_parameters,
        is_routed=mlp.is_routed,
    )


def _dense_mlp(model: ModelConfig) -> Iterator[Operator]:
    yield _norm(model, "mlp_norm", model.hidden_size)
    yield from _mlp(model, _Mlp(prefix="mlp", ffn_size=model.ffn_size))
    yield _residual(model, "mlp_residual")


def _experts(model: ModelConfig, moe: MixtureOfExperts) -> Iterator[Operator]:
    """Yield router, dispatch, routed experts, combine, shared experts and residual.

    Dispatch and combine are here the copies in memory; what crosses dies is the business of
    `parallel`.
    """
    size = model.hidden_size
    hidden = _plain(size)
    experts = _plain(moe.num_experts)
    yield _norm(model, "mlp_norm", size)
    yield _matmul(
        "router",
        Split.TOKENS,
        hidden,
        experts,
        saved=(_saved("router_input", hidden, Split.TOKENS),),
    )
    yield Operator(
        name="router_softmax",
        kind=OperatorKind.VECTOR,
        split=Split.TOKENS,
        in_features=experts,
        out_features=experts,
        vector_flops_per_token=_SOFTMAX_FLOPS * moe.num_experts,
        vector_bytes_per_token=2 * _FP32_BYTES * moe.num_experts,
        backward_vector_bytes_per_token=3 * _FP32_BYTES * moe.num_experts,
        saved=(_saved("router_scores", experts, Split.TOKENS, bytes_per_element=_FP32_BYTES),),
    )
    yield _copy_per_expert("dispatch", size)
    yield from _mlp(
        model,
        _Mlp(
            prefix="expert",
            ffn_size=moe.expert_ffn_size,
            num_instances=moe.num_experts,
            is_routed=True,
        ),
    )
    # The gradient of the routing weights needs the outputs of the experts.
    yield _copy_per_expert(
        "combine", size, saved=(_saved("expert_output", hidden, Split.TOKENS, is_routed=True),)
    )
    if moe.shared_expert_ffn_size:
        yield from _mlp(
            model,
            _Mlp(prefix="shared_expert", ffn_size=moe.shared_expert_ffn_size, has_own_input=False),
        )
    yield _residual(model, "mlp_residual")


def _copy_per_expert(name: str, size: int, saved: tuple[SavedActivation, ...] = ()) -> Operator:
    """Copy (dispatch) or weigh and add (combine) one row per (token, expert) pair."""
    return Operator(
        name=name,
        kind=OperatorKind.VECTOR,
        split=Split.TOKENS,
        in_features=_plain(size),
        out_features=_plain(size),
        vector_flops_per_token=2.0 * size if saved else 0.0,
        vector_bytes_per_token=2 * _ELEMENT_BYTES * size,
        backward_vector_bytes_per_token=(3 if saved else 2) * _ELEMENT_BYTES * size,
        is_routed=True,
        saved=saved,
    )
