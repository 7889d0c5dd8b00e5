"""Shapes of inference: what a step of prefill or decode computes and reads from the KV cache.

Latent attention is served in its absorbed form: queries are projected into the latent, which is
cached and read once for all heads. The two absorbed projections cost per token what `kv_up` costs
in training, so only the work per (query, key) pair differs.
"""

from dataclasses import dataclass

from waferloom.workload.flops import attention_flops_per_pair, forward_flops_per_token
from waferloom.workload.layers import layer_graph
from waferloom.workload.model import ModelConfig
from waferloom.workload.operators import OperatorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingStep:
    """One forward step of `num_requests` requests, all of the same shape.

    Attributes:
        num_requests: Requests in the batch.
        num_queries: New tokens of each request.
        num_cached: Tokens of each request whose keys and values are cached already.
    """

    num_requests: int
    num_queries: int
    num_cached: int

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ValueError: A size is out of range.
        """
        for name, smallest in (("num_requests", 1), ("num_queries", 1), ("num_cached", 0)):
            value = getattr(self, name)
            if value < smallest:
                msg = f"{name} must be at least {smallest}, found {value}"
                raise ValueError(msg)

    @property
    def num_tokens(self) -> int:
        """New tokens of the step: the rows of its matmuls."""
        return self.num_requests * self.num_queries

    @property
    def num_keys(self) -> int:
        """Keys of one request after the step."""
        return self.num_cached + self.num_queries

    @property
    def num_pairs(self) -> int:
        """(query, key) pairs of the step under the causal mask; every token also sees itself."""
        new_pairs = self.num_queries * (self.num_queries + 1) // 2
        return self.num_requests * (self.num_queries * self.num_cached + new_pairs)


def prefill(num_requests: int, prompt_len: int, num_cached: int = 0) -> ServingStep:
    """Return the step that reads prompts, of which `num_cached` tokens may be cached already.

    Raises:
        ValueError: Nothing of the prompt is left to read, or a size is not positive.
    """
    if num_cached >= prompt_len:
        msg = f"num_cached {num_cached} leaves nothing to do of a prompt of {prompt_len} tokens"
        raise ValueError(msg)
    return ServingStep(
        num_requests=num_requests, num_queries=prompt_len - num_cached, num_cached=num_cached
    )


def decode(num_requests: int, context_len: int) -> ServingStep:
    """Return the step that adds one token to requests of `context_len` tokens each."""
    return ServingStep(num_requests=num_requests, num_queries=1, num_cached=context_len)


def kv_values_per_layer(model: ModelConfig) -> int:
    """Return the cached values of one token in one layer.

    `2 k d` with `k` key/value heads of width `d`; with latent attention the latent and the shared
    rotary key, 512 + 64 = 576 in DeepSeek-V2 and V3.
    """
    if model.latent is not None:
        return model.latent.kv_lora_rank + model.latent.qk_rope_head_dim
    return 2 * model.num_kv_heads * model.head_dim


def kv_cache_bytes_per_token(model: ModelConfig, bytes_per_value: float = 2.0) -> float:
    """Return the cache bytes of one token in all layers.

    Example:
        >>> from waferloom.workload.library import model
        >>> kv_cache_bytes_per_token(model("llama3-70b")) / 1024
        320.0
    """
    return bytes_per_value * kv_values_per_layer(model) * model.num_layers


def kv_cache_bytes(model: ModelConfig, step: ServingStep, bytes_per_value: float = 2.0) -> float:
    """Return the cache bytes that the requests of `step` hold after it, all read by attention."""
    tokens = step.num_requests * step.num_keys
    return tokens * kv_cache_bytes_per_token(model, bytes_per_value)


def attention_flops(
    model: ModelConfig, step: ServingStep, *, is_absorbed: bool | None = None
) -> float:
    """Return the FLOPs of attention (scores and weighted sum) in all layers.

    Args:
        model: Any model.
        step: The step.
        is_absorbed: Latent attention only: work on the latent (`2 a (2 r + d_rope)` per pair)
            rather than on expanded heads. The default is what serving does: absorbed in decode,
            expanded in prefill, where expanding pays.
    """
    if is_absorbed is None:
        is_absorbed = step.num_queries == 1
    if model.latent is not None and is_absorbed:
        latent = model.latent
        width = 2 * latent.kv_lora_rank + latent.qk_rope_head_dim
        per_pair = 2.0 * model.num_heads * width
    else:
        graph = layer_graph(model, model.layer_groups[0].kind)
        per_pair = sum(
            attention_flops_per_pair(operator)
            for operator in graph.operators
            if operator.kind is OperatorKind.ATTENTION
        )
    return model.num_layers * step.num_pairs * per_pair


def step_flops(model: ModelConfig, step: ServingStep) -> float:
    """Return the FLOPs of a step, logits of every new token included."""
    matmuls = step.num_tokens * forward_flops_per_token(model, keys_per_query=0.0)
    return matmuls + attention_flops(model, step)
