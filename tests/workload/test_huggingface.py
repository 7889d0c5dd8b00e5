"""Configurations are read as their library builds them, and faults are all named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waferloom.errors import SpecError
from waferloom.workload.huggingface import ARCHITECTURES, read_config
from waferloom.workload.layers import embedding_graph, head_graph, layer_graph
from waferloom.workload.library import model, model_names
from waferloom.workload.model import LayerKind
from waferloom.workload.parameters import count_parameters

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_attention_heads": 32,
    "num_hidden_layers": 22,
    "num_key_value_heads": 4,
    "vocab_size": 32000,
}


def opt(size: int, layers: int, heads: int, **more: object) -> dict[str, object]:
    return {
        "architectures": ["OPTForCausalLM"],
        "ffn_dim": 4 * size,
        "hidden_size": size,
        "max_position_embeddings": 2048,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "vocab_size": 50272,
        **more,
    }


def gpt2(size: int, layers: int, heads: int) -> dict[str, object]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": size,
        "n_head": heads,
        "n_layer": layers,
        "n_positions": 1024,
        "vocab_size": 50257,
    }


def bloom(size: int, layers: int, heads: int) -> dict[str, object]:
    return {
        "architectures": ["BloomForCausalLM"],
        "n_embed": size,
        "num_attention_heads": heads,
        "n_layer": layers,
        "vocab_size": 250880,
    }


def qwen(architecture: str, size: int, ffn: int, heads: int, **more: object) -> dict[str, object]:
    return {
        "architectures": [architecture],
        "hidden_size": size,
        "intermediate_size": ffn,
        "num_attention_heads": heads,
        "vocab_size": 151936,
        **more,
    }


# Sizes of published checkpoints that are no presets: each exercises what the presets do not.
CHECKPOINTS = {
    "TinyLlama-1.1B": (LLAMA, 1_100_048_384),
    "gpt2-medium": (gpt2(1024, 24, 16), 354_823_168),
    "gpt2-xl": (gpt2(1600, 48, 25), 1_557_611_200),
    "opt-6.7b": (opt(4096, 32, 32), 6_658_473_984),
    "opt-350m, projected embedding and norms after": (
        opt(1024, 24, 16, word_embed_proj_dim=512, do_layer_norm_before=False),
        331_196_416,
    ),
    "bloom-560m": (bloom(1024, 24, 16), 559_214_592),
    "bloom-7b1": (bloom(4096, 30, 32), 7_069_016_064),
    "Mistral-7B-v0.1": (
        {
            "architectures": ["MistralForCausalLM"],
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_attention_heads": 32,
            "num_hidden_layers": 32,
            "num_key_value_heads": 8,
            "vocab_size": 32000,
        },
        7_241_732_096,
    ),
    "Qwen2.5-0.5B, biases on q, k, v only": (
        qwen(
            "Qwen2ForCausalLM",
            896,
            4864,
            14,
            num_hidden_layers=24,
            num_key_value_heads=2,
            tie_word_embeddings=True,
        ),
        494_032_768,
    ),
    "Qwen3-0.6B, heads wider than the hidden size": (
        qwen(
            "Qwen3ForCausalLM",
            1024,
            3072,
            16,
            num_hidden_layers=28,
            num_key_value_heads=8,
            head_dim=128,
            tie_word_embeddings=True,
        ),
        596_049_920,
    ),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_size_of_a_published_checkpoint_follows_from_its_config(name: str):
    content, expected = CHECKPOINTS[name]
    config = read_config(content, name, name)
    assert count_parameters(config).total == expected
    graphs = [embedding_graph(config), head_graph(config)]
    graphs += [layer_graph(config, group.kind) for group in config.layer_groups] * config.num_layers
    assert sum(graph.num_parameters for graph in graphs) == expected


def test_every_architecture_is_exercised():
    read = {model(name).architecture for name in model_names()}
    read |= {read_config(content, "x", "x").architecture for content, _ in CHECKPOINTS.values()}
    assert set(ARCHITECTURES) - read == {"MptForCausalLM"}  # the same reader under its other name


def test_sparse_steps_and_dense_exceptions_order_the_layers():
    content = qwen(
        "Qwen3MoeForCausalLM",
        64,
        128,
        4,
        num_hidden_layers=6,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        decoder_sparse_step=2,
        mlp_only_layers=[3],
    )
    kinds = [
        group.kind
        for group in read_config(content, "x", "x").layer_groups
        for _ in range(group.num_layers)
    ]
    moe = [layer for layer, kind in enumerate(kinds) if kind is LayerKind.MOE]
    assert moe == [1, 5]


def test_an_unknown_architecture_lists_the_known_ones_and_what_llama_would_need():
    with pytest.raises(SpecError) as error:
        read_config({"architectures": ["MambaForCausalLM"], "hidden_size": 3}, "x", "my.json")
    text = str(error.value)
    assert "MambaForCausalLM is not supported" in text
    assert all(name in text for name in ARCHITECTURES)
    assert "intermediate_size, num_attention_heads, num_hidden_layers, vocab_size" in text
    assert "my.json" in text


@pytest.mark.parametrize("named", [None, [], "LlamaForCausalLM", [3]])
def test_a_config_without_an_architecture_says_so(named: object):
    with pytest.raises(SpecError, match="architecture"):
        read_config({**LLAMA, "architectures": named}, "x", "x")


def test_all_faults_are_named_in_one_message():
    content = {
        **LLAMA,
        "hidden_size": 0,
        "num_attention_heads": -4,
        "num_hidden_layers": "many",
        "num_key_value_heads": True,
        "attention_bias": "no",
    }
    del content["vocab_size"]
    with pytest.raises(SpecError) as error:
        read_config(content, "x", "my.json")
    text = str(error.value)
    for said in (
        "hidden_size must be at least 1, found 0",
        "num_attention_heads must be at least 1, found -4",
        "num_hidden_layers must be an integer, found 'many'",
        "num_key_value_heads must be an integer, found True",
        "attention_bias must be true or false, found 'no'",
        "vocab_size is missing",
    ):
        assert said in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_attention_heads": 30}, "not a multiple of the 30 attention heads"),
        ({"num_key_value_heads": 5}, "not a multiple of the 5 key/value heads"),
        ({"hidden_size": 2048.0}, "hidden_size must be an integer, found 2048.0"),
        ({"head_dim": 0}, "head_dim must be at least 1, found 0"),
    ],
)
def test_a_contradiction_is_explained(change: dict[str, object], said: str):
    with pytest.raises(SpecError) as error:
        read_config({**LLAMA, **change}, "x", "x")
    assert said in str(error.value)


def test_more_experts_per_token_than_experts_are_refused():
    content = {
        "architectures": ["MixtralForCausalLM"],
        **{key: value for key, value in LLAMA.items() if key != "architectures"},
        "num_local_experts": 2,
        "num_experts_per_tok": 3,
    }
    with pytest.raises(SpecError, match="3 experts per token, but there are only 2 experts"):
        read_config(content, "x", "x")


def test_faults_of_inner_objects_carry_their_path():
    content = {"architectures": ["DbrxForCausalLM"], "attn_config": [], "ffn_config": {}}
    with pytest.raises(SpecError) as error:
        read_config(content, "x", "x")
    assert "attn_config must be an object" in str(error.value)
    assert "ffn_config.moe_num_experts is missing" in str(error.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(
    architecture=st.sampled_from(sorted(ARCHITECTURES)),
    data=st.data(),
)
def test_whatever_the_fields_hold_the_answer_is_a_model_or_one_message(
    architecture: str, data: st.DataObject
):
    keys = [
        "hidden_size n_embd n_embed d_model num_attention_heads n_head n_heads num_hidden_layers",
        "n_layer n_layers vocab_size intermediate_size ffn_dim num_key_value_heads head_dim",
        "attn_config ffn_config num_experts num_local_experts n_routed_experts moe_layer_freq",
        "num_experts_per_tok moe_intermediate_size q_lora_rank kv_lora_rank mlp_only_layers",
        "expansion_ratio first_k_dense_replace qk_nope_head_dim qk_rope_head_dim v_head_dim",
        "dropout resid_pdrop tie_word_embeddings decoder_sparse_step n_shared_experts n_positions",
        "max_position_embeddings max_seq_len topk_method attention_bias n_inner",
    ]
    names = " ".join(keys).split()
    chosen = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(names, JSON)))
    filled = dict.fromkeys(names, 8) if data.draw(st.booleans()) else {}
    content = {**filled, **chosen, "architectures": [architecture]}
    try:
        config = read_config(content, "x", "x")
    except SpecError as error:
        message = str(error)
    else:
        message = "x ("
        assert count_parameters(config).total > 0
    assert message.startswith("x (")
