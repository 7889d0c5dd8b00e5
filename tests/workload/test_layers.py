"""The operator graph: shapes chain, saved activations follow the published accounting."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waferloom.workload.job import AttentionStorage
from waferloom.workload.layers import embedding_graph, head_graph, layer_graph
from waferloom.workload.library import model, model_names
from waferloom.workload.model import LayerGroup, LayerKind, ModelConfig
from waferloom.workload.operators import (
    LayerGraph,
    OperatorKind,
    SavedActivation,
    SavedUntil,
    Split,
    width,
)

FLASH, STORED = AttentionStorage.FLASH, AttentionStorage.STORED


def gpt(num_heads: int = 8, head_dim: int = 16) -> ModelConfig:
    size = num_heads * head_dim
    return replace(
        model("gpt3-175b"),
        hidden_size=size,
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=head_dim,
        ffn_size=4 * size,
        layer_groups=(LayerGroup(kind=LayerKind.DENSE, num_layers=1),),
    )


def saved(graph: LayerGraph) -> list[SavedActivation]:
    return [activation for operator in graph.operators for activation in operator.saved]


def saved_bytes(activations: list[SavedActivation], seq_len: int) -> float:
    """Bytes per token of one copy."""
    return sum(
        width(activation.features)
        * activation.bytes_per_element
        * (seq_len if activation.per_key else 1)
        for activation in activations
    )


@given(num_heads=st.integers(1, 64), head_dim=st.integers(1, 128), seq_len=st.integers(1, 8192))
def test_a_gpt_layer_keeps_34_bytes_per_feature_and_5_per_score(
    num_heads: int, head_dim: int, seq_len: int
):
    config = gpt(num_heads, head_dim)
    size = config.hidden_size
    kept = saved(layer_graph(config, LayerKind.DENSE, STORED))
    assert saved_bytes(kept, seq_len) == 34 * size + 5 * num_heads * seq_len
    outside = [activation for activation in kept if activation.split is Split.TOKENS]
    assert saved_bytes(outside, seq_len) == 10 * size
    scores = [activation for activation in kept if activation.saved_until is SavedUntil.NONE]
    assert saved_bytes(scores, seq_len) == 5 * num_heads * seq_len
    assert all(activation.per_key for activation in scores)


@pytest.mark.parametrize("name", model_names())
@pytest.mark.parametrize("storage", AttentionStorage)
def test_full_recomputation_keeps_the_layer_input_and_nothing_else(
    name: str, storage: AttentionStorage
):
    config = model(name)
    for group in config.layer_groups:
        kept = [
            activation
            for activation in saved(layer_graph(config, group.kind, storage))
            if activation.saved_until is SavedUntil.ALWAYS
        ]
        assert [activation.split for activation in kept] == [Split.TOKENS]
        assert saved_bytes(kept, 1) == 2 * config.hidden_size


@pytest.mark.parametrize("name", model_names())
def test_flash_attention_keeps_a_log_sum_exp_instead_of_scores(name: str):
    config = model(name)
    for group in config.layer_groups:
        flash = {a.name: a for a in saved(layer_graph(config, group.kind, FLASH))}
        stored = {a.name: a for a in saved(layer_graph(config, group.kind, STORED))}
        assert not any(activation.per_key for activation in flash.values())
        assert set(flash) - set(stored) == {"log_sum_exp"}
        assert saved_bytes([flash["log_sum_exp"]], 1) == 4 * config.num_heads
        scores = {"softmax"} | ({"softmax_mask", "softmax_dropped"} if config.dropout else set())
        assert set(stored) - set(flash) == scores


def test_a_llama_layer_keeps_what_a_hand_count_says():
    config = model("llama3-70b")
    size, ffn, key = 8192, 28672, 8 * 128
    elements = (
        (size + size)  # input of the attention norm, of qkv
        + (size + 2 * key)  # q, k, v
        + size  # input of the output projection
        + (size + size)  # input of the mlp norm, of gate and up
        + 3 * ffn  # gate, up, their product
    )
    kept = saved(layer_graph(config, LayerKind.DENSE, FLASH))
    assert saved_bytes(kept, 4096) == 2 * elements + 4 * 64


def test_a_mixtral_layer_keeps_one_copy_per_chosen_expert():
    config = model("mixtral-8x7b")
    kept = saved(layer_graph(config, LayerKind.MOE, FLASH))
    routed = [activation for activation in kept if activation.is_routed]
    # Input and output of the expert, and gate, up and product inside.
    assert saved_bytes(routed, 1) == 2 * (2 * 4096 + 3 * 14336)
    router = {a.name: a for a in kept}["router_scores"]
    assert saved_bytes([router], 1) == 4 * 8


def test_latent_attention_repeats_its_down_projections_on_every_rank():
    graph = layer_graph(model("deepseek-v3"), LayerKind.MOE, FLASH)
    whole = [operator.name for operator in graph.operators if operator.split is Split.WHOLE]
    assert whole == ["q_down", "q_norm", "kv_down", "kv_norm"]
    attention = next(o for o in graph.operators if o.kind is OperatorKind.ATTENTION)
    assert (attention.head_dim_qk, attention.head_dim_v) == (192, 128)
    assert attention.heads is not None
    assert attention.heads.width == 128


def test_without_a_query_rank_queries_are_projected_directly():
    names = [o.name for o in layer_graph(model("deepseek-v2-lite"), LayerKind.DENSE).operators]
    assert "q" in names
    assert "q_down" not in names


@pytest.mark.parametrize("name", model_names())
def test_every_graph_is_well_formed(name: str):
    config = model(name)
    graphs = [embedding_graph(config), head_graph(config)]
    graphs += [layer_graph(config, group.kind) for group in config.layer_groups]
    for graph in graphs:
        names = [operator.name for operator in graph.operators]
        assert len(set(names)) == len(names)
        saved_names = [activation.name for activation in saved(graph)]
        assert len(set(saved_names)) == len(saved_names)
        for operator in graph.operators:
            is_matmul = operator.kind in (OperatorKind.MATMUL, OperatorKind.EXPERT_MATMUL)
            assert width(operator.in_features) > 0
            assert width(operator.out_features) > 0
            assert is_matmul == (
                operator.vector_bytes_per_token == 0 and operator.kind is not OperatorKind.ATTENTION
            )
            assert (operator.kind is OperatorKind.ATTENTION) == operator.is_attention_core
            if operator.split is Split.WHOLE:
                assert all(a.split in (Split.WHOLE, Split.TOKENS) for a in operator.saved)


@pytest.mark.parametrize("name", model_names())
def test_the_residual_stream_runs_through_every_layer(name: str):
    config = model(name)
    for group in config.layer_groups:
        operators = layer_graph(config, group.kind).operators
        for operator in (operators[0], operators[-1]):
            assert operator.split is Split.TOKENS
            assert width(operator.out_features) == config.hidden_size
    assert width(embedding_graph(config).operators[-1].out_features) == config.hidden_size


def test_tensor_parallel_regions_begin_cut_by_output_and_end_cut_by_input():
    operators = layer_graph(model("llama3-70b"), LayerKind.DENSE, FLASH).operators
    assert [(o.name, o.split.value) for o in operators if o.kind is OperatorKind.MATMUL] == [
        ("qkv", "out"),
        ("attention_output", "in"),
        ("mlp_up", "out"),
        ("mlp_down", "in"),
    ]


def test_a_moe_layer_of_a_dense_model_is_refused():
    with pytest.raises(ValueError, match="llama2-7b, which has no experts"):
        layer_graph(model("llama2-7b"), LayerKind.MOE)


def test_the_head_keeps_fp32_logits():
    config = model("gpt3-175b")
    kept = {a.name: saved_bytes([a], 1) for a in saved(head_graph(config))}
    assert kept == {
        "final_norm_input": 2 * config.hidden_size,
        "logits_input": 2 * config.hidden_size,
        "logits": 4 * config.vocab_size,
    }


def test_only_models_with_dropout_keep_masks():
    for name in ("gpt3-175b", "llama3-70b", "bloom-176b"):
        config = model(name)
        kept = saved(layer_graph(config, LayerKind.DENSE, STORED)) + saved(embedding_graph(config))
        has_mask = any(activation.bytes_per_element == 1 for activation in kept)
        assert has_mask == config.dropout


def test_vector_operators_move_what_a_hand_count_says():
    """Elements read and written per token, forward, times two bytes; nothing fused."""
    size, ffn, key = 8192, 28672, 8 * 128
    operators = layer_graph(model("llama3-70b"), LayerKind.DENSE, FLASH).operators
    moved = {o.name: o.vector_bytes_per_token / 2 for o in operators if o.vector_bytes_per_token}
    assert moved == {
        "attention_norm": 2 * size,
        "rotary": 2 * (size + key),
        "attention_residual": 3 * size,
        "mlp_norm": 2 * size,
        "mlp_activation": 3 * ffn,
        "mlp_residual": 3 * size,
    }
