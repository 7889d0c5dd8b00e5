"""FLOPs: closed forms equal the operator count, and published throughput gives published TFLOPS."""

import csv
import os
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waferloom.workload.flops import (
    FLOPS_DEFINITIONS,
    forward_flops_per_token,
    training_flops_per_token,
)
from waferloom.workload.library import model, model_names
from waferloom.workload.operators import Recompute
from waferloom.workload.parameters import count_parameters

ROOT = Path(__file__).parents[2]
GOLDEN = tomllib.loads((ROOT / "tests/golden/flops.toml").read_text("utf-8"))
DATA = Path(os.environ.get("WAFERLOOM_DATA", ROOT.parent / "shared/data"))
GPTS = [name for name in model_names() if model(name).architecture == "GPT2LMHeadModel"]


def rows(file: str) -> list[dict[str, str]]:
    if not (DATA / file).exists():
        pytest.skip(f"{DATA / file} is not here")
    with (DATA / file).open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize(
    "row", GOLDEN["row"], ids=lambda row: f"{row['definition']}-{row['model']}-{row['seq_len']}"
)
def test_published_throughput_gives_the_published_tflops(row: dict[str, Any]):
    define = FLOPS_DEFINITIONS[row["definition"]]
    flops = define(model(row["model"]), row["seq_len"], Recompute(row["recompute"]))
    found = flops * row["tokens_per_s_per_device"]
    assert found == pytest.approx(row["expected"], rel=row["rel_tol"], abs=0), row["why_tol"]


def test_every_row_of_llm_foundry_follows_from_its_definition():
    checked = 0
    for row in rows("train_llm_foundry_mpt.csv"):
        seq_len = int(row["seq_len"])
        # The benchmark made the learned position table as long as its sequences.
        config = replace(model(row["model"].lower()), max_position_embeddings=seq_len)
        assert count_parameters(config).total == int(row["params"])
        flops = FLOPS_DEFINITIONS["llm_foundry_model"](config, seq_len, Recompute.NONE)
        tflops = flops * float(row["tokens_per_s"]) / float(row["n_gpus"]) / 1e12
        published = float(row["model_tflops_per_gpu"])
        # Both are cut to integers: the product is above the one and within a step of it.
        slack = 1 + 1.0 / float(row["tokens_per_s"])
        assert published <= tflops * slack
        assert tflops < (published + 1) * slack
        recompute = Recompute.FULL if row["act_ckpt"] == "True" else Recompute.NONE
        hardware = FLOPS_DEFINITIONS["llm_foundry_hardware"](config, seq_len, recompute)
        ratio = float(row["hfu_pct"]) / float(row["mfu_pct"])
        assert hardware / flops == pytest.approx(ratio, rel=1e-3), "percentages have two decimals"
        checked += 1
    assert checked > 100


@pytest.mark.parametrize(
    ("published_name", "name"),
    [
        ("LLAMA3_8B", "llama3-8b"),
        ("LLAMA3_70B", "llama3-70b"),
        ("LLAMA3.1_405B", "llama3.1-405b"),
        ("Qwen3_30B_a3B", "qwen3-30b-a3b"),
        ("DeepSeekV3 (w/o MTP)", "deepseek-v3"),
    ],
)
def test_rows_of_megatron_bridge_follow_from_its_definition(published_name: str, name: str):
    errors: list[float] = []
    for row in rows("train_nvidia_megatron_bridge.csv"):
        if row["model"] != published_name or row["phase"] not in ("Pre-Training", "SFT"):
            continue
        if not row["tokens_per_s_per_gpu"] or not row["model_tflops_per_gpu"]:
            continue
        seq_len = int(row["seq_len"])
        flops = FLOPS_DEFINITIONS["megatron_bridge"](model(name), seq_len, Recompute.NONE)
        found = flops * float(row["tokens_per_s_per_gpu"]) / 1e12
        errors.append(abs(found / float(row["model_tflops_per_gpu"]) - 1))
    assert errors
    # The median row agrees to three digits; single rows round both numbers, or pair two runs.
    assert sorted(errors)[len(errors) // 2] < 0.005
    assert max(errors) < 0.03


@pytest.mark.parametrize("name", GPTS)
@pytest.mark.parametrize("recompute", Recompute)
def test_the_closed_form_of_a_gpt_is_the_operator_count(name: str, recompute: Recompute):
    config = model(name)
    exact = FLOPS_DEFINITIONS["exact_full_attention"](config, 2048, recompute)
    closed = FLOPS_DEFINITIONS["narayanan2021"](config, 2048, recompute)
    assert exact == pytest.approx(closed, rel=1e-12, abs=0)


@pytest.mark.parametrize("name", model_names())
def test_forward_costs_two_flops_per_active_matrix_entry(name: str):
    config = model(name)
    count = count_parameters(config)
    flops = forward_flops_per_token(config, keys_per_query=0)
    tables = config.vocab_size * config.hidden_size
    vectors = 0.005 * count.active  # norms, biases and positions are no matmuls
    matrices = count.active - (0 if config.is_tied else tables)
    assert matrices - vectors - config.max_position_embeddings * config.hidden_size <= flops / 2
    assert flops / 2 <= matrices


@given(
    name=st.sampled_from(model_names()),
    seq_len=st.integers(1, 100_000),
    recompute=st.sampled_from(Recompute),
)
def test_counts_are_ordered(name: str, seq_len: int, recompute: Recompute):
    config = model(name)
    none, selective, full = (
        training_flops_per_token(config, seq_len, recompute=policy) for policy in Recompute
    )
    assert none < selective < full <= 4 / 3 * none
    causal = training_flops_per_token(config, seq_len, recompute=recompute)
    everything = training_flops_per_token(config, seq_len, is_causal=False, recompute=recompute)
    assert causal < everything < 2 * causal


@pytest.mark.parametrize("definition", FLOPS_DEFINITIONS)
def test_every_definition_is_near_the_exact_count_of_a_gpt(definition: str):
    """They differ in attention and embedding, by less than a fifth at 2048 tokens."""
    config = model("megatron-175b")
    exact = training_flops_per_token(config, 2048)
    found = FLOPS_DEFINITIONS[definition](config, 2048, Recompute.NONE)
    assert exact <= found < 1.2 * exact


def test_torchtitan_leaves_out_the_embedding_and_palm_does_not():
    config = model("llama3-8b")
    palm, titan = (
        FLOPS_DEFINITIONS[name](config, 8192, Recompute.NONE) for name in ("palm", "torchtitan")
    )
    assert titan == 6 * (8_030_261_248 - 128_256 * 4096) + 12 * 32 * 4096 * 8192
    assert palm - titan == 6 * 128_256 * 4096
