"""`ModelConfig`: a decoder-only transformer, in one vocabulary for all families."""

from dataclasses import dataclass
from enum import StrEnum


class LayerKind(StrEnum):
    """A dense layer has one MLP; a MoE layer has a router and experts."""

    DENSE = "dense"
    MOE = "moe"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGroup:
    """Consecutive layers of one kind."""

    kind: LayerKind
    num_layers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek V2/V3): low-rank queries and a compressed KV cache.

    Attributes:
        q_lora_rank: Rank of the query path; None projects queries directly.
        kv_lora_rank: Width of the cached latent.
        qk_nope_head_dim: Query/key width per head without rotary embedding.
        qk_rope_head_dim: Rotary width, one key shared by all heads.
        v_head_dim: Value width per head.
    """

    q_lora_rank: int | None
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureOfExperts:
    """The MoE part of a MoE layer.

    Attributes:
        num_experts: Routed experts.
        top_k: Routed experts per token.
        expert_ffn_size: Intermediate width of one routed expert.
        num_shared_experts: Experts that every token visits.
        shared_expert_ffn_size: Intermediate width of all shared experts together.
    """

    num_experts: int
    top_k: int
    expert_ffn_size: int
    num_shared_experts: int = 0
    shared_expert_ffn_size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """A decoder-only transformer.

    Attributes:
        name: For reports.
        architecture: The Hugging Face class or the family it was read from.
        hidden_size: Width of the residual stream.
        num_heads: Query heads.
        num_kv_heads: Key/value heads (equal to `num_heads` without grouping).
        head_dim: Width of one head (query/key; value too unless `latent` says otherwise).
        ffn_size: Intermediate width of a dense MLP.
        is_gated: MLP (and experts) have gate and up projections (SwiGLU).
        vocab_size: Rows of the embedding, as stored in the checkpoint.
        max_position_embeddings: Rows of a learned position table; 0 with rotary or ALiBi positions.
        has_rotary: Rotary position embedding is applied to queries and keys.
        is_tied: The head shares the embedding matrix.
        has_attention_bias: Biases on the q, k, v projections.
        has_output_bias: Bias on the attention output projection.
        has_mlp_bias: Biases on the MLP projections.
        num_norm_vectors: Weight vectors of one norm: 1 (RMSNorm) or 2 (LayerNorm with bias).
        norms_per_layer: Norms of width `hidden_size` in a layer.
        has_qk_norm: A norm of width `head_dim` on queries and on keys.
        has_embedding_norm: BLOOM's norm after the embedding.
        has_final_norm: A norm before the head.
        embedding_size: Width of the embedding if it differs from `hidden_size` (OPT-350M); else
            None.
        dropout: Whether training keeps dropout masks (GPT-2/3 class models).
        layer_groups: The layers from first to last.
        moe: Present if a group is MoE.
        latent: Present for multi-head latent attention.
        extra_parameters: Parameters outside this vocabulary that the published count includes, with
            the reason in `notes` (for example router correction biases).
        notes: Provenance and assumptions.
    """

    name: str
    architecture: str
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    ffn_size: int
    is_gated: bool
    vocab_size: int
    max_position_embeddings: int = 0
    has_rotary: bool = True
    is_tied: bool = False
    has_attention_bias: bool = False
    has_output_bias: bool = False
    has_mlp_bias: bool = False
    num_norm_vectors: int = 1
    norms_per_layer: int = 2
    has_qk_norm: bool = False
    has_embedding_norm: bool = False
    has_final_norm: bool = True
    embedding_size: int | None = None
    dropout: bool = False
    layer_groups: tuple[LayerGroup, ...]
    moe: MixtureOfExperts | None = None
    latent: LatentAttention | None = None
    extra_parameters: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the sizes, so that no reader can make a model without heads or layers.

        Raises:
            ValueError: A size is not positive, or parts contradict each other; all faults are
                named.
        """
        faults = [
            f"{name} must be at least 1, found {getattr(self, name)}"
            for name in (
                "hidden_size",
                "num_heads",
                "num_kv_heads",
                "head_dim",
                "ffn_size",
                "vocab_size",
                "num_layers",
            )
            if getattr(self, name) < 1
        ]
        if any(group.kind is LayerKind.MOE for group in self.layer_groups) and self.moe is None:
            faults.append("a layer group is moe, but moe (experts, top_k, width) is not given")
        if self.moe is not None and not 1 <= self.moe.top_k <= self.moe.num_experts:
            faults.append(f"top_k {self.moe.top_k} is not within 1..{self.moe.num_experts} experts")
        if self.num_kv_heads > 0 and self.num_heads % self.num_kv_heads:
            faults.append(
                f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}"
            )
        if faults:
            raise ValueError("; ".join(faults))

    @property
    def num_layers(self) -> int:
        """Layers of all groups."""
        return sum(group.num_layers for group in self.layer_groups)
