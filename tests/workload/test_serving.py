"""Serving steps: pairs are counted, caches have their published size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waferloom.workload.library import model, model_names
from waferloom.workload.serving import (
    attention_flops,
    decode,
    kv_cache_bytes,
    kv_cache_bytes_per_token,
    kv_values_per_layer,
    prefill,
    step_flops,
)

SMALL = st.integers(1, 40)


@pytest.mark.parametrize(
    ("name", "values"),
    # papers' model table: KV values per token and layer
    [
        ("deepseek-v3", 576),
        ("deepseek-v2", 576),
        ("qwen3-235b-a22b", 1024),
        ("dbrx", 2048),
        ("mixtral-8x22b", 2048),
        ("gpt3-175b", 2 * 12288),
    ],
)
def test_a_token_caches_the_published_values_per_layer(name: str, values: int):
    assert kv_values_per_layer(model(name)) == values


def test_a_cache_of_llama3_70b_is_320_kib_per_token():
    config = model("llama3-70b")
    assert kv_cache_bytes_per_token(config) == 320 * 1024
    assert kv_cache_bytes_per_token(config, bytes_per_value=1) == 160 * 1024
    assert kv_cache_bytes(config, decode(3, 999)) == 3000 * 320 * 1024


@given(num_requests=SMALL, prompt_len=SMALL, data=st.data())
def test_pairs_are_those_of_the_causal_mask(
    num_requests: int, prompt_len: int, data: st.DataObject
):
    num_cached = data.draw(st.integers(0, prompt_len - 1))
    step = prefill(num_requests, prompt_len, num_cached)
    mask = [key <= query for query in range(num_cached, prompt_len) for key in range(prompt_len)]
    assert step.num_pairs == num_requests * sum(mask)
    assert step.num_keys == prompt_len
    assert step.num_tokens == num_requests * (prompt_len - num_cached)


@given(
    name=st.sampled_from(model_names()),
    num_requests=SMALL,
    prompt_len=SMALL,
    output_len=st.integers(1, 8),
)
def test_prefill_and_then_decode_cost_what_one_long_prefill_does(
    name: str, num_requests: int, prompt_len: int, output_len: int
):
    """The same tokens, one after another: each form of attention taken expanded."""
    config = model(name)
    steps = [prefill(num_requests, prompt_len)]
    steps += [decode(num_requests, prompt_len + done) for done in range(output_len)]
    together = prefill(num_requests, prompt_len + output_len)
    assert sum(step.num_pairs for step in steps) == together.num_pairs
    apart = sum(attention_flops(config, step, is_absorbed=False) for step in steps)
    assert apart == pytest.approx(attention_flops(config, together, is_absorbed=False))


def test_absorbed_decode_works_on_the_latent():
    config = model("deepseek-v3")
    step = decode(1, 4095)
    assert attention_flops(config, step) == 61 * 4096 * 2 * 128 * (576 + 512)
    assert attention_flops(config, step, is_absorbed=False) == 61 * 4096 * 2 * 128 * (192 + 128)


def test_a_decode_step_of_llama2_7b_is_two_flops_per_weight_plus_attention():
    config = model("llama2-7b")
    weights = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 32000 * 4096
    attention = 32 * 1024 * 4 * 4096
    assert step_flops(config, decode(5, 1023)) == 5 * (2 * weights + attention)


def test_senseless_steps_are_refused():
    with pytest.raises(ValueError, match="leaves nothing to do"):
        prefill(1, 10, num_cached=10)
    with pytest.raises(ValueError, match="num_requests must be at least 1, found 0"):
        decode(0, 10)
    with pytest.raises(ValueError, match="num_cached must be at least 0, found -1"):
        decode(1, -1)
