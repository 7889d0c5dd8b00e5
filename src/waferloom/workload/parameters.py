"""Exact parameter counts, in closed form.

Written from the dimensions alone, without the operators of `layers`, so that the two check each
other.
"""

from dataclasses import dataclass

from waferloom.workload.model import LatentAttention, LayerKind, MixtureOfExperts, ModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterCount:
    """How many parameters a model has, and where.

    Attributes:
        total: All parameters; a tied head counts once.
        active: Used by one token: all but the routed experts that are not chosen.
        embedding: Token and position tables, their norm and projection.
        head: Final norm, projection, and the output matrix unless it is tied.
        dense_layer: One dense layer; 0 where the model has none.
        moe_layer: One MoE layer with all its experts; 0 where the model has none.
        attention: The attention of one layer, its norm excluded.
        routed_expert: One routed expert.
    """

    total: int
    active: int
    embedding: int
    head: int
    dense_layer: int
    moe_layer: int
    attention: int
    routed_expert: int

    @property
    def active_without_embedding(self) -> int:
        """Active parameters as some model cards count them: the tables are only looked up."""
        return self.active - self.embedding


def count_parameters(model: ModelConfig) -> ParameterCount:
    """Count the parameters of `model`.

    For a GPT layer the sum is `12 h^2 + 13 h`; for a Llama layer
    `(2 a + 2 k) d h + 3 f h + 2 h` with `a` query heads and `k` key/value heads of width `d`.

    Example:
        >>> from waferloom.workload.library import model
        >>> count_parameters(model("llama2-7b")).total
        6738415616
    """
    norm = model.num_norm_vectors * model.hidden_size
    attention = _attention(model)
    shell = attention + model.norms_per_layer * norm
    dense_layer = shell + _mlp(model, model.ffn_size)
    expert = _mlp(model, model.moe.expert_ffn_size) if model.moe else 0
    moe_layer = shell + _moe_mlp(model, model.moe) if model.moe else 0
    num_dense, num_moe = (
        sum(group.num_layers for group in model.layer_groups if group.kind is kind)
        for kind in (LayerKind.DENSE, LayerKind.MOE)
    )
    embedding, head = _embedding(model), _head(model)
    total = (
        embedding + head + num_dense * dense_layer + num_moe * moe_layer + model.extra_parameters
    )
    idle = num_moe * (model.moe.num_experts - model.moe.top_k) * expert if model.moe else 0
    return ParameterCount(
        total=total,
        active=total - idle,
        embedding=embedding,
        head=head,
        dense_layer=dense_layer if num_dense else 0,
        moe_layer=moe_layer if num_moe else 0,
        attention=attention,
        routed_expert=expert,
    )


def _linear(num_inputs: int, num_outputs: int, *, has_bias: bool) -> int:
    return (num_inputs + has_bias) * num_outputs


def _attention(model: ModelConfig) -> int:
    if model.latent is not None:
        return _latent_attention(model, model.latent)
    query_width = model.num_heads * model.head_dim
    key_width = model.num_kv_heads * model.head_dim
    return (
        _linear(model.hidden_size, query_width + 2 * key_width, has_bias=model.has_attention_bias)
        + _linear(query_width, model.hidden_size, has_bias=model.has_output_bias)
        + (2 * model.num_norm_vectors * model.head_dim if model.has_qk_norm else 0)
    )


def _latent_attention(model: ModelConfig, latent: LatentAttention) -> int:
    query_width = model.num_heads * (latent.qk_nope_head_dim + latent.qk_rope_head_dim)
    rank = latent.q_lora_rank
    query = (
        model.hidden_size * query_width
        if rank is None
        else rank * (model.hidden_size + model.num_norm_vectors + query_width)
    )
    down = model.hidden_size * (latent.kv_lora_rank + latent.qk_rope_head_dim)
    up = latent.kv_lora_rank * model.num_heads * (latent.qk_nope_head_dim + latent.v_head_dim)
    output = model.num_heads * latent.v_head_dim * model.hidden_size
    bias = model.hidden_size if model.has_output_bias else 0
    return query + down + model.num_norm_vectors * latent.kv_lora_rank + up + output + bias


def _mlp(model: ModelConfig, ffn_size: int) -> int:
    num_up = 2 if model.is_gated else 1
    return num_up * _linear(model.hidden_size, ffn_size, has_bias=model.has_mlp_bias) + _linear(
        ffn_size, model.hidden_size, has_bias=model.has_mlp_bias
    )


def _moe_mlp(model: ModelConfig, moe: MixtureOfExperts) -> int:
    router = model.hidden_size * moe.num_experts
    shared = _mlp(model, moe.shared_expert_ffn_size) if moe.shared_expert_ffn_size else 0
    return router + moe.num_experts * _mlp(model, moe.expert_ffn_size) + shared


def _embedding(model: ModelConfig) -> int:
    size = model.embedding_size or model.hidden_size
    projection = size * model.hidden_size if size != model.hidden_size else 0
    norm = model.num_norm_vectors * model.hidden_size if model.has_embedding_norm else 0
    positions = model.max_position_embeddings * model.hidden_size
    return model.vocab_size * size + projection + positions + norm


def _head(model: ModelConfig) -> int:
    size = model.embedding_size or model.hidden_size
    projection = size * model.hidden_size if size != model.hidden_size else 0
    norm = model.num_norm_vectors * model.hidden_size if model.has_final_norm else 0
    return norm + projection + (0 if model.is_tied else model.vocab_size * size)
