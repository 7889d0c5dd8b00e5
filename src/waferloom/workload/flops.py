"""FLOPs of training, per token: our own count, and what published numbers mean by the word.

A published TFLOPS or MFU divides by the FLOPs that its authors chose to count, and these choices
differ by up to 20 %: whether causal attention counts half, whether the embedding counts, whether
recomputation counts. `FLOPS_DEFINITIONS` has one function per source, so that a published figure is
compared in its own terms. Symbols: L layers, h hidden size, s sequence length, V vocabulary, N
parameters.

A multiply-add counts as two. Norms, activations and softmax are left out everywhere.
"""

from collections.abc import Callable, Mapping
from typing import Final

from waferloom.workload.layers import embedding_graph, head_graph, layer_graph
from waferloom.workload.model import ModelConfig
from waferloom.workload.operators import LayerGraph, Operator, OperatorKind, Recompute, width
from waferloom.workload.parameters import count_parameters

_PASSES: Final = 3  # forward, gradient of inputs, gradient of weights

FlopsDefinition = Callable[[ModelConfig, int, Recompute], float]
"""FLOPs per token of training `model` with `seq_len` tokens and a recompute policy."""


def matmul_flops_per_token(operator: Operator, top_k: int = 1) -> float:
    """Return the forward FLOPs per token of a matmul: `2 in out`, times `top_k` where routed."""
    if operator.kind not in (OperatorKind.MATMUL, OperatorKind.EXPERT_MATMUL):
        return 0.0
    copies = top_k if operator.is_routed else 1
    return 2.0 * copies * width(operator.in_features) * width(operator.out_features)


def attention_flops_per_pair(operator: Operator) -> float:
    """Return the forward FLOPs of one (query, key) pair over all heads: scores and weighted sum."""
    if operator.heads is None:
        return 0.0
    return 2.0 * operator.heads.width * (operator.head_dim_qk + operator.head_dim_v)


def forward_flops_per_token(model: ModelConfig, keys_per_query: float) -> float:
    """Return the exact forward FLOPs of one token, embedding to logits.

    Args:
        model: Any model; experts count for the `top_k` chosen ones, the router included.
        keys_per_query: Mean keys that a query attends to: `s / 2` in causal training, `s` if the
            zeros above the diagonal are counted.
    """
    edges = _matmul_flops(embedding_graph(model), 1) + _matmul_flops(head_graph(model), 1)
    matmuls, attention = _layer_flops(model, keys_per_query)
    return edges + matmuls + attention


def training_flops_per_token(
    model: ModelConfig,
    seq_len: int,
    *,
    is_causal: bool = True,
    recompute: Recompute = Recompute.NONE,
) -> float:
    """Return the exact FLOPs of one token in training: three forwards, plus what is recomputed.

    What fused attention computes again inside its own backward is not counted.

    Args:
        model: Any model.
        seq_len: Tokens of a sequence.
        is_causal: Count half of the (query, key) pairs.
        recompute: FULL adds the forward of all layers, SELECTIVE that of attention.
    """
    keys_per_query = seq_len / 2 if is_causal else float(seq_len)
    matmuls, attention = _layer_flops(model, keys_per_query)
    repeated = {
        Recompute.NONE: 0.0,
        Recompute.SELECTIVE: attention,
        Recompute.FULL: matmuls + attention,
    }
    return _PASSES * forward_flops_per_token(model, keys_per_query) + repeated[recompute]


def _layer_flops(model: ModelConfig, keys_per_query: float) -> tuple[float, float]:
    """Return forward FLOPs per token of all layers: matmuls, attention."""
    top_k = model.moe.top_k if model.moe else 1
    matmuls = attention = 0.0
    for group in model.layer_groups:
        graph = layer_graph(model, group.kind)
        matmuls += group.num_layers * _matmul_flops(graph, top_k)
        attention += group.num_layers * sum(
            attention_flops_per_pair(operator) * keys_per_query for operator in graph.operators
        )
    return matmuls, attention


def _matmul_flops(graph: LayerGraph, top_k: int) -> float:
    return sum(matmul_flops_per_token(operator, top_k) for operator in graph.operators)


def _exact_causal(model: ModelConfig, seq_len: int, recompute: Recompute) -> float:
    return training_flops_per_token(model, seq_len, recompute=recompute)


def _exact_full_attention(model: ModelConfig, seq_len: int, recompute: Recompute) -> float:
    return training_flops_per_token(model, seq_len, is_causal=False, recompute=recompute)


def _gpt_layers(model: ModelConfig, seq_len: int) -> float:
    """Return `24 L h^2 (1 + s / 6h)`: forward FLOPs per token of all layers of a GPT."""
    hidden_size = model.hidden_size
    return 24.0 * model.num_layers * hidden_size**2 * (1 + seq_len / (6 * hidden_size))


def _narayanan2021(model: ModelConfig, seq_len: int, recompute: Recompute) -> float:
    """`96 L h^2 (1 + s/6h + V/16Lh)` with full recomputation, the only case of the paper.

    Other policies follow its rule: the layers forward once more with FULL, attention once more with
    SELECTIVE. Valid for GPT layers (4h MLP, as many key/value heads as query heads).

    Source:
        Narayanan et al. 2021, arXiv:2104.04473, equation 3.
    """
    layers = _gpt_layers(model, seq_len)
    repeated = {
        Recompute.NONE: 0.0,
        Recompute.SELECTIVE: 4.0 * model.num_layers * seq_len * model.hidden_size,
        Recompute.FULL: layers,
    }
    logits = 6.0 * model.vocab_size * model.hidden_size
    return _PASSES * layers + logits + repeated[recompute]


def _korthikanti2022_model(model: ModelConfig, seq_len: int, recompute: Recompute) -> float:
    """`72 L h^2 (1 + s/6h + V/12hL)`, whatever is recomputed.

    Source:
        Korthikanti et al. 2022, arXiv:2205.05198, appendix A.
    """
    del recompute
    return _narayanan2021(model, seq_len, Recompute.NONE)


def _korthikanti2022_hardware(model: ModelConfig, seq_len: int, recompute: Recompute) -> float:
    """`72 L h^2 (1 + s/3h + V/12hL)` with selective recomputation.

    The paper's term `s/3h` charges attention twice its model FLOPs, more than one extra forward
    pass (`2s/9h`); its published HFU follow it, so it stays. NONE and FULL are those of Narayanan
    2021.

    Source:
        Korthikanti et al. 2022, arXiv:2205.05198, appendix A.
    """
    if recompute is not Recompute.SELECTIVE:
        return _narayanan2021(model, seq_len, recompute)
    attention = 12.0 * model.num_layers * seq_len * model.hidden_size
    return _narayanan2021(model, seq_len, Recompute.NONE) + attention


def _full_attention(model: ModelConfig, seq_len: int) -> float:
    """Return `12 L a d s`: both matmuls of attention, three passes, without the causal half."""
    return 12.0 * model.num_layers * model.num_heads * model.head_dim * seq_len


def _palm(model: ModelConfig, seq_len: int, recompute: Recompute) -> float:
    """`6 N + 12 L a d s` with all active parameters, embeddings included.

    Source:
        Chowdhery et al. 2022, PaLM, arXiv:2204.02311, appendix B.
    """
    del recompute
    return 6.0 * count_parameters(model).active + _full_attention(model, seq_len)


def _llm_foundry_model(model: ModelConfig, seq_len: int, recompute: Recompute) -> float:
    """`3 (2 N + 4 L s h)`, N with all embeddings; behind its MFU and model TFLOPS.

    Source:
        mosaicml/llm-foundry, scripts/train/benchmarking/README.md and collect_results.py.
    """
    del recompute
    attention = 4.0 * model.num_layers * seq_len * model.hidden_size
    return _PASSES * (2.0 * count_parameters(model).total + attention)


def _llm_foundry_hardware(model: ModelConfig, seq_len: int, recompute: Recompute) -> float:
    """The same with a factor 4 instead of 3 under activation checkpointing; behind its HFU.

    Source:
        mosaicml/llm-foundry, scripts/train/benchmarking/README.md and collect_results.py.
    """
    factor = 1.0 if recompute is Recompute.NONE else 4.0 / 3.0
    return factor * _llm_foundry_model(model, seq_len, recompute)


def _torchtitan(model: ModelConfig, seq_len: int, recompute: Recompute) -> float:
    """`6 (N - embedding) + 12 L a d s`, N the active parameters.

    Source:
        pytorch/torchtitan, torchtitan/models/utils.py, get_dense_model_nparams_and_flops.
    """
    del recompute
    count = count_parameters(model)
    tables = model.vocab_size * (model.embedding_size or model.hidden_size)
    return 6.0 * (count.active - tables) + _full_attention(model, seq_len)


def _without_router(model: ModelConfig, seq_len: int, *, is_causal: bool) -> float:
    exact = training_flops_per_token(model, seq_len, is_causal=is_causal)
    router = (
        sum(
            group.num_layers * matmul_flops_per_token(operator)
            for group in model.layer_groups
            for operator in layer_graph(model, group.kind).operators
            if operator.name == "router"
        )
        if model.moe
        else 0.0
    )
    return exact - _PASSES * router


def _nemo24(model: ModelConfig, seq_len: int, recompute: Recompute) -> float:
    """Three times the forward matmuls, attention without the causal half, no router.

    Source:
        NVIDIA/NeMo 24.07 performance summary; the Megatron-LM formula of that time.
    """
    del recompute
    return _without_router(model, seq_len, is_causal=False)


def _megatron_bridge(model: ModelConfig, seq_len: int, recompute: Recompute) -> float:
    """Three times the forward matmuls, attention with the causal half, no router.

    Leaves out that Megatron pads the vocabulary, and the multi-token-prediction layer of
    DeepSeek-V3, which most of the published rows include.

    Source:
        NVIDIA-NeMo/Megatron-Bridge, src/megatron/bridge/training/utils/flop_utils.py.
    """
    del recompute
    return _without_router(model, seq_len, is_causal=True)


FLOPS_DEFINITIONS: Final[Mapping[str, FlopsDefinition]] = {
    "exact_causal": _exact_causal,
    "exact_full_attention": _exact_full_attention,
    "korthikanti2022_hardware": _korthikanti2022_hardware,
    "korthikanti2022_model": _korthikanti2022_model,
    "llm_foundry_hardware": _llm_foundry_hardware,
    "llm_foundry_model": _llm_foundry_model,
    "megatron_bridge": _megatron_bridge,
    "narayanan2021": _narayanan2021,
    "nemo24": _nemo24,
    "palm": _palm,
    "torchtitan": _torchtitan,
}
