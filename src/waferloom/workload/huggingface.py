"""Read a Hugging Face `config.json` into a `ModelConfig`, one reader per architecture.

`ARCHITECTURES` is the table of what can be read. Fields that do not change shapes, parameters or
FLOPs (rotary scaling, initialisers, token ids, sliding windows) are not looked at; a sliding window
is thus modelled as full attention. Where a field may be absent, its default is that of the
Transformers library.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final, cast

from waferloom.errors import SpecError
from waferloom.workload.model import (
    LatentAttention,
    LayerGroup,
    LayerKind,
    MixtureOfExperts,
    ModelConfig,
)

_MISSING: Final = object()
_MOST_LAYERS: Final = 100_000  # far beyond any model; a typing slip must not build millions


@dataclass(slots=True)
class Fields:
    """The fields of one JSON object, read with types; every fault is kept until `check`.

    Attributes:
        content: The object.
        prefix: Path of the object, for messages.
        faults: Fields that are missing or senseless; a harmless value stands in for them.
        contradictions: Fields that do not fit together, which means something only without faults.
    """

    content: Mapping[str, object]
    prefix: str = ""
    faults: list[str] = field(default_factory=list[str])
    contradictions: list[str] = field(default_factory=list[str])

    def count(self, *names: str, default: int | None = None) -> int:
        """Return a positive integer under the first of `names` that is present and not null."""
        return self._integer(names, default, smallest=1)

    def layers(self, *names: str) -> int:
        """Return a positive integer that can be the number of layers."""
        num_layers = self._integer(names, None, smallest=1)
        if num_layers > _MOST_LAYERS:
            self._fault(" or ".join(names), f"must be at most {_MOST_LAYERS}, found {num_layers}")
            return 1
        return num_layers

    def count_or_zero(self, *names: str, default: int | None = None) -> int:
        """Return an integer of at least 0."""
        return self._integer(names, default, smallest=0)

    def optional_count(self, *names: str) -> int | None:
        """Return a positive integer, or None where the field is absent or null."""
        return None if self._find(names) is _MISSING else self._integer(names, None, smallest=1)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a truth value."""
        value = self._find((name,))
        if value is _MISSING:
            return default
        if not isinstance(value, bool):
            self._fault(name, f"must be true or false, found {value!r}")
            return default
        return value

    def fraction(self, *names: str, default: float) -> float:
        """Return a number in [0, 1), such as a dropout probability."""
        value = self._find(names)
        if value is _MISSING:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            self._fault(" or ".join(names), f"must be a number in [0, 1), found {value!r}")
            return default
        return float(value)

    def multiple(self, name: str, *, of: int, default: int) -> int:
        """Return `name * of`, for ratios such as MPT's `expansion_ratio`."""
        value = self._find((name,))
        if value is _MISSING:
            return default * of
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            self._fault(name, f"must be a positive number, found {value!r}")
            return of
        return int(value * of)

    def indices(self, name: str) -> frozenset[int]:
        """Return a list of layer numbers, empty where absent."""
        value = self._find((name,))
        if value is _MISSING:
            return frozenset()
        items = cast("list[object]", value) if isinstance(value, list) else [None]
        numbers = [item for item in items if isinstance(item, int) and not isinstance(item, bool)]
        if len(numbers) != len(items):
            self._fault(name, f"must be a list of layer numbers, found {value!r}")
        return frozenset(numbers)

    def text(self, name: str, *, default: str) -> str:
        """Return a string."""
        value = self._find((name,))
        if value is _MISSING:
            return default
        if not isinstance(value, str):
            self._fault(name, f"must be text, found {value!r}")
            return default
        return value

    def inner(self, name: str) -> "Fields":
        """Return the fields of an object inside; an absent one has no fields. Faults are shared."""
        value = self._find((name,))
        content: Mapping[str, object] = {}
        if isinstance(value, dict):
            content = cast("dict[str, object]", value)
        elif value is not _MISSING:
            self._fault(name, f"must be an object, found {value!r}")
        return replace(self, content=content, prefix=f"{self.prefix}{name}.")

    def require(self, is_met: bool, text: str) -> None:
        """Keep `text` as a contradiction unless `is_met`."""
        if not is_met:
            self.contradictions.append(text)

    def check(self, where: str) -> None:
        """Raise one `SpecError` that names every fault.

        Raises:
            SpecError: There are faults.
        """
        faults = self.faults or self.contradictions
        if faults:
            msg = f"{where}: " + "; ".join(faults)
            raise SpecError(msg)

    def _find(self, names: Sequence[str]) -> object:
        for name in names:
            value = self.content.get(name)
            if value is not None:
                return value
        return _MISSING

    def _integer(self, names: Sequence[str], default: int | None, smallest: int) -> int:
        value = self._find(names)
        shown = " or ".join(names)
        if value is _MISSING:
            if default is None:
                self._fault(shown, "is missing")
                return 1
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self._fault(shown, f"must be an integer, found {value!r}")
            return 1
        if value < smallest:
            self._fault(shown, f"must be at least {smallest}, found {value}")
            return 1
        return value

    def _fault(self, name: str, text: str) -> None:
        self.faults.append(f"{self.prefix}{name} {text}")


def _head_dim(fields: Fields, hidden_size: int, num_heads: int) -> int:
    """Return the explicit `head_dim`, else the hidden size over the heads."""
    explicit = fields.optional_count("head_dim")
    if explicit is not None:
        return explicit
    fields.require(
        hidden_size % num_heads == 0,
        f"the hidden size {hidden_size} is not a multiple of the {num_heads} attention heads; "
        "give head_dim",
    )
    return max(1, hidden_size // num_heads)


def _kv_heads(fields: Fields, num_heads: int, *names: str) -> int:
    num_kv_heads = fields.count(*names, default=num_heads)
    fields.require(
        num_heads % num_kv_heads == 0,
        f"the {num_heads} attention heads are not a multiple of the {num_kv_heads} key/value heads",
    )
    return num_kv_heads


def _top_k(fields: Fields, num_experts: int, *names: str) -> int:
    top_k = fields.count(*names)
    fields.require(
        top_k <= num_experts, f"{top_k} experts per token, but there are only {num_experts} experts"
    )
    return top_k


def _groups(kinds: Iterator[LayerKind]) -> tuple[LayerGroup, ...]:
    return tuple(
        LayerGroup(kind=kind, num_layers=len(list(layers))) for kind, layers in groupby(kinds)
    )


def _dense(num_layers: int) -> tuple[LayerGroup, ...]:
    return (LayerGroup(kind=LayerKind.DENSE, num_layers=num_layers),)


def _llama(
    fields: Fields,
    name: str,
    architecture: str,
    *,
    has_qkv_bias: bool | None = None,
    has_qk_norm: bool = False,
) -> ModelConfig:
    """Read the family of Llama: RMSNorm, rotary positions, gated MLP, grouped queries."""
    hidden_size = fields.count("hidden_size")
    num_heads = fields.count("num_attention_heads")
    has_bias = fields.flag("attention_bias", default=False)
    return ModelConfig(
        name=name,
        architecture=architecture,
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_kv_heads=_kv_heads(fields, num_heads, "num_key_value_heads"),
        head_dim=_head_dim(fields, hidden_size, num_heads),
        ffn_size=fields.count("intermediate_size"),
        is_gated=True,
        vocab_size=fields.count("vocab_size"),
        is_tied=fields.flag("tie_word_embeddings", default=False),
        has_attention_bias=has_bias if has_qkv_bias is None else has_qkv_bias,
        has_output_bias=has_bias,
        has_mlp_bias=fields.flag("mlp_bias", default=False),
        has_qk_norm=has_qk_norm,
        layer_groups=_dense(fields.layers("num_hidden_layers")),
    )


def _read_llama(fields: Fields, name: str) -> ModelConfig:
    return _llama(fields, name, "LlamaForCausalLM")


def _read_mistral(fields: Fields, name: str) -> ModelConfig:
    return _llama(fields, name, "MistralForCausalLM")


def _read_qwen2(fields: Fields, name: str) -> ModelConfig:
    return _llama(fields, name, "Qwen2ForCausalLM", has_qkv_bias=True)


def _read_qwen3(fields: Fields, name: str) -> ModelConfig:
    return _llama(fields, name, "Qwen3ForCausalLM", has_qk_norm=True)


def _read_gpt2(fields: Fields, name: str) -> ModelConfig:
    hidden_size = fields.count("n_embd")
    num_heads = fields.count("n_head")
    dropout = max(
        fields.fraction(key, default=0.1) for key in ("resid_pdrop", "embd_pdrop", "attn_pdrop")
    )
    return ModelConfig(
        name=name,
        architecture="GPT2LMHeadModel",
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=_head_dim(fields, hidden_size, num_heads),
        ffn_size=fields.count("n_inner", default=4 * hidden_size),
        is_gated=False,
        vocab_size=fields.count("vocab_size"),
        max_position_embeddings=fields.count("n_positions"),
        has_rotary=False,
        is_tied=fields.flag("tie_word_embeddings", default=True),
        has_attention_bias=True,
        has_output_bias=True,
        has_mlp_bias=True,
        num_norm_vectors=2,
        dropout=dropout > 0,
        layer_groups=_dense(fields.layers("n_layer")),
    )


def _read_opt(fields: Fields, name: str) -> ModelConfig:
    hidden_size = fields.count("hidden_size")
    num_heads = fields.count("num_attention_heads")
    embedding_size = fields.count("word_embed_proj_dim", default=hidden_size)
    has_bias = fields.flag("enable_bias", default=True)
    return ModelConfig(
        name=name,
        architecture="OPTForCausalLM",
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=_head_dim(fields, hidden_size, num_heads),
        ffn_size=fields.count("ffn_dim"),
        is_gated=False,
        vocab_size=fields.count("vocab_size"),
        # OPT's position table has two rows that no position uses.
        max_position_embeddings=fields.count("max_position_embeddings") + 2,
        has_rotary=False,
        is_tied=fields.flag("tie_word_embeddings", default=True),
        has_attention_bias=has_bias,
        has_output_bias=has_bias,
        has_mlp_bias=has_bias,
        num_norm_vectors=2,
        has_final_norm=fields.flag("do_layer_norm_before", default=True)
        and not fields.flag("_remove_final_layer_norm", default=False),
        embedding_size=None if embedding_size == hidden_size else embedding_size,
        dropout=max(
            fields.fraction("dropout", default=0.1),
            fields.fraction("attention_dropout", default=0.0),
        )
        > 0,
        layer_groups=_dense(fields.layers("num_hidden_layers")),
    )


def _read_bloom(fields: Fields, name: str) -> ModelConfig:
    hidden_size = fields.count("hidden_size", "n_embed")
    num_heads = fields.count("n_head", "num_attention_heads")
    return ModelConfig(
        name=name,
        architecture="BloomForCausalLM",
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=_head_dim(fields, hidden_size, num_heads),
        ffn_size=4 * hidden_size,
        is_gated=False,
        vocab_size=fields.count("vocab_size"),
        has_rotary=False,
        is_tied=fields.flag("tie_word_embeddings", default=True),
        has_attention_bias=True,
        has_output_bias=True,
        has_mlp_bias=True,
        num_norm_vectors=2,
        has_embedding_norm=True,
        dropout=max(
            fields.fraction("hidden_dropout", default=0.0),
            fields.fraction("attention_dropout", default=0.0),
        )
        > 0,
        layer_groups=_dense(fields.layers("n_layer", "num_hidden_layers")),
    )


def _read_mpt(fields: Fields, name: str) -> ModelConfig:
    hidden_size = fields.count("d_model")
    num_heads = fields.count("n_heads")
    attention = fields.inner("attn_config")
    has_bias = not fields.flag("no_bias", default=False)
    fields.require(
        not attention.flag("qk_ln", default=False), "attn_config.qk_ln true is not supported"
    )
    is_multi_query = attention.text("attn_type", default="multihead_attention") == (
        "multiquery_attention"
    )
    num_kv_heads = _kv_heads(attention, num_heads, "kv_n_heads")
    has_table = fields.flag("learned_pos_emb", default=True) and not attention.flag(
        "alibi", default=False
    )
    return ModelConfig(
        name=name,
        architecture="MPTForCausalLM",
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_kv_heads=1 if is_multi_query else num_kv_heads,
        head_dim=_head_dim(fields, hidden_size, num_heads),
        ffn_size=fields.multiple("expansion_ratio", of=hidden_size, default=4),
        is_gated=False,
        vocab_size=fields.count("vocab_size"),
        max_position_embeddings=fields.count("max_seq_len") if has_table else 0,
        has_rotary=False,
        is_tied=fields.flag("tie_word_embeddings", default=True),
        has_attention_bias=has_bias,
        has_output_bias=has_bias,
        has_mlp_bias=has_bias,
        num_norm_vectors=2 if has_bias else 1,
        dropout=max(
            fields.fraction("resid_pdrop", default=0.0),
            attention.fraction("attn_pdrop", default=0.0),
        )
        > 0,
        layer_groups=_dense(fields.layers("n_layers")),
    )


def _read_mixtral(fields: Fields, name: str) -> ModelConfig:
    hidden_size = fields.count("hidden_size")
    num_heads = fields.count("num_attention_heads")
    num_experts = fields.count("num_local_experts")
    ffn_size = fields.count("intermediate_size")
    return ModelConfig(
        name=name,
        architecture="MixtralForCausalLM",
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_kv_heads=_kv_heads(fields, num_heads, "num_key_value_heads"),
        head_dim=_head_dim(fields, hidden_size, num_heads),
        ffn_size=ffn_size,
        is_gated=True,
        vocab_size=fields.count("vocab_size"),
        is_tied=fields.flag("tie_word_embeddings", default=False),
        layer_groups=(
            LayerGroup(kind=LayerKind.MOE, num_layers=fields.layers("num_hidden_layers")),
        ),
        moe=MixtureOfExperts(
            num_experts=num_experts,
            top_k=_top_k(fields, num_experts, "num_experts_per_tok"),
            expert_ffn_size=ffn_size,
        ),
    )


def _read_dbrx(fields: Fields, name: str) -> ModelConfig:
    hidden_size = fields.count("d_model")
    num_heads = fields.count("n_heads")
    attention = fields.inner("attn_config")
    experts = fields.inner("ffn_config")
    num_experts = experts.count("moe_num_experts")
    ffn_size = experts.count("ffn_hidden_size")
    return ModelConfig(
        name=name,
        architecture="DbrxForCausalLM",
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_kv_heads=_kv_heads(attention, num_heads, "kv_n_heads"),
        head_dim=_head_dim(fields, hidden_size, num_heads),
        ffn_size=ffn_size,
        is_gated=True,
        vocab_size=fields.count("vocab_size"),
        is_tied=fields.flag("tie_word_embeddings", default=False),
        layer_groups=(LayerGroup(kind=LayerKind.MOE, num_layers=fields.layers("n_layers")),),
        moe=MixtureOfExperts(
            num_experts=num_experts,
            top_k=_top_k(experts, num_experts, "moe_top_k"),
            expert_ffn_size=ffn_size,
        ),
    )


def _read_qwen3_moe(fields: Fields, name: str) -> ModelConfig:
    hidden_size = fields.count("hidden_size")
    num_heads = fields.count("num_attention_heads")
    num_experts = fields.count("num_experts")
    num_layers = fields.layers("num_hidden_layers")
    step = fields.count("decoder_sparse_step", default=1)
    dense = fields.indices("mlp_only_layers")
    has_bias = fields.flag("attention_bias", default=False)
    kinds = (
        LayerKind.MOE if layer not in dense and (layer + 1) % step == 0 else LayerKind.DENSE
        for layer in range(num_layers)
    )
    return ModelConfig(
        name=name,
        architecture="Qwen3MoeForCausalLM",
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_kv_heads=_kv_heads(fields, num_heads, "num_key_value_heads"),
        head_dim=_head_dim(fields, hidden_size, num_heads),
        ffn_size=fields.count("intermediate_size"),
        is_gated=True,
        vocab_size=fields.count("vocab_size"),
        is_tied=fields.flag("tie_word_embeddings", default=False),
        has_attention_bias=has_bias,
        has_output_bias=has_bias,
        has_qk_norm=True,
        layer_groups=_groups(kinds),
        moe=MixtureOfExperts(
            num_experts=num_experts,
            top_k=_top_k(fields, num_experts, "num_experts_per_tok"),
            expert_ffn_size=fields.count("moe_intermediate_size"),
        ),
    )


def _read_gpt_oss(fields: Fields, name: str) -> ModelConfig:
    hidden_size = fields.count("hidden_size")
    num_heads = fields.count("num_attention_heads")
    num_experts = fields.count("num_local_experts")
    num_layers = fields.layers("num_hidden_layers")
    ffn_size = fields.count("intermediate_size")
    has_bias = fields.flag("attention_bias", default=True)
    return ModelConfig(
        name=name,
        architecture="GptOssForCausalLM",
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_kv_heads=_kv_heads(fields, num_heads, "num_key_value_heads"),
        head_dim=_head_dim(fields, hidden_size, num_heads),
        ffn_size=ffn_size,
        is_gated=True,
        vocab_size=fields.count("vocab_size"),
        is_tied=fields.flag("tie_word_embeddings", default=False),
        has_attention_bias=has_bias,
        has_output_bias=has_bias,
        has_mlp_bias=True,
        layer_groups=(LayerGroup(kind=LayerKind.MOE, num_layers=num_layers),),
        moe=MixtureOfExperts(
            num_experts=num_experts,
            top_k=_top_k(fields, num_experts, "num_experts_per_tok", "experts_per_token"),
            expert_ffn_size=ffn_size,
        ),
        extra_parameters=num_layers * (num_experts + num_heads),
        notes=(
            "extra_parameters: a router bias per expert and an attention sink per head, each layer",
            "every second layer attends to a window of 128 tokens; modelled as full attention",
        ),
    )


def _deepseek(
    fields: Fields, name: str, architecture: str, *, has_router_bias: bool
) -> ModelConfig:
    hidden_size = fields.count("hidden_size")
    num_heads = fields.count("num_attention_heads")
    num_layers = fields.layers("num_hidden_layers")
    num_experts = fields.count("n_routed_experts")
    num_dense = fields.count_or_zero("first_k_dense_replace", default=0)
    step = fields.count("moe_layer_freq", default=1)
    latent = LatentAttention(
        q_lora_rank=fields.optional_count("q_lora_rank"),
        kv_lora_rank=fields.count("kv_lora_rank"),
        qk_nope_head_dim=fields.count("qk_nope_head_dim"),
        qk_rope_head_dim=fields.count("qk_rope_head_dim"),
        v_head_dim=fields.count("v_head_dim"),
    )
    kinds = [
        LayerKind.MOE if layer >= num_dense and layer % step == 0 else LayerKind.DENSE
        for layer in range(num_layers)
    ]
    fields.require(
        not fields.flag("attention_bias", default=False),
        "attention_bias true is not supported with latent attention",
    )
    num_moe_layers = sum(kind is LayerKind.MOE for kind in kinds)
    expert_ffn_size = fields.count("moe_intermediate_size")
    num_shared_experts = fields.count_or_zero("n_shared_experts", default=0)
    return ModelConfig(
        name=name,
        architecture=architecture,
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=latent.qk_nope_head_dim + latent.qk_rope_head_dim,
        ffn_size=fields.count("intermediate_size"),
        is_gated=True,
        vocab_size=fields.count("vocab_size"),
        is_tied=fields.flag("tie_word_embeddings", default=False),
        layer_groups=_groups(iter(kinds)),
        moe=MixtureOfExperts(
            num_experts=num_experts,
            top_k=_top_k(fields, num_experts, "num_experts_per_tok"),
            expert_ffn_size=expert_ffn_size,
            num_shared_experts=num_shared_experts,
            shared_expert_ffn_size=num_shared_experts * expert_ffn_size,
        )
        if num_moe_layers
        else None,
        latent=latent,
        extra_parameters=num_moe_layers * num_experts if has_router_bias else 0,
        notes=("extra_parameters: one score-correction bias per routed expert and MoE layer",)
        if has_router_bias
        else (),
    )


def _read_deepseek_v2(fields: Fields, name: str) -> ModelConfig:
    return _deepseek(fields, name, "DeepseekV2ForCausalLM", has_router_bias=False)


def _read_deepseek_v3(fields: Fields, name: str) -> ModelConfig:
    has_router_bias = fields.text("topk_method", default="noaux_tc") == "noaux_tc"
    return _deepseek(fields, name, "DeepseekV3ForCausalLM", has_router_bias=has_router_bias)


Reader = Callable[[Fields, str], ModelConfig]

ARCHITECTURES: Final[Mapping[str, Reader]] = {
    "BloomForCausalLM": _read_bloom,
    "DbrxForCausalLM": _read_dbrx,
    "DeepseekV2ForCausalLM": _read_deepseek_v2,
    "DeepseekV3ForCausalLM": _read_deepseek_v3,
    "GPT2LMHeadModel": _read_gpt2,
    "GptOssForCausalLM": _read_gpt_oss,
    "LlamaForCausalLM": _read_llama,
    "MPTForCausalLM": _read_mpt,
    "MistralForCausalLM": _read_mistral,
    "MixtralForCausalLM": _read_mixtral,
    "MptForCausalLM": _read_mpt,
    "OPTForCausalLM": _read_opt,
    "Qwen2ForCausalLM": _read_qwen2,
    "Qwen3ForCausalLM": _read_qwen3,
    "Qwen3MoeForCausalLM": _read_qwen3_moe,
}

_LLAMA_FIELDS: Final = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
)


def read_config(content: Mapping[str, object], name: str, where: str) -> ModelConfig:
    """Turn the content of a `config.json` into a `ModelConfig`.

    Args:
        content: The JSON object.
        name: Of the model, for reports.
        where: What the user gave, for error messages.

    Raises:
        SpecError: The architecture is not one of `ARCHITECTURES`, or fields are missing or
            senseless; the message names all of them.
    """
    architecture = _architecture(content, where)
    fields = Fields(content)
    config = _build(ARCHITECTURES[architecture], fields, name)
    fields.check(f"{where} ({architecture})")
    if config is None:
        raise AssertionError(where)
    return config


def _build(reader: Reader, fields: Fields, name: str) -> ModelConfig | None:
    """Run a reader; what the record refuses counts as a contradiction, unless known already."""
    try:
        return reader(fields, name)
    except ValueError as error:
        if not fields.contradictions:
            fields.contradictions.append(str(error))
        return None


def _architecture(content: Mapping[str, object], where: str) -> str:
    named = content.get("architectures")
    names = cast("list[object]", named) if isinstance(named, list) else []
    for name in names:
        if isinstance(name, str) and name in ARCHITECTURES:
            return name
    if names:
        found = f"architecture {', '.join(str(name) for name in names)} is not supported"
    else:
        found = "it names no architecture (the list under the key architectures)"
    missing = [key for key in _LLAMA_FIELDS if content.get(key) is None]
    hint = (
        f"it also lacks the fields {', '.join(missing)}"
        if missing
        else "its fields suffice: if it is built like Llama, name LlamaForCausalLM there"
    )
    msg = (
        f"{where}: {found}; supported: {', '.join(sorted(ARCHITECTURES))}. "
        f"To be read as a Llama-like model {hint}"
    )
    raise SpecError(msg)
