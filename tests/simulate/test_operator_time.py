"""The operator model against its plain twin, against its own bounds and against hand counts."""

import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waferloom.errors import SpecError
from waferloom.hardware.library import system
from waferloom.hardware.spec import (
    CoreArraySpec,
    Dataflow,
    DieSpec,
    Dtype,
    EfficiencySpec,
    MemorySpec,
)
from waferloom.simulate.operator_time import (
    DieParameters,
    attention_cost,
    attention_costs,
    die_parameters,
    matmul_cost,
    matmul_costs,
    matmul_flops_per_s_limit,
    vector_cost,
    vector_costs,
)

GPU = DieSpec(
    name="gpu-like",
    peak_flops_per_s={Dtype.BF16: 989e12, Dtype.FP8: 1979e12},
    vector_flops_per_s=67e12,
    sram_bytes=50e6,
    clock_hz=1.7e9,
    cores=CoreArraySpec(
        rows=1,
        cols=132,
        tile_shapes=((128, 256), (128, 128), (64, 256), (64, 64)),
        tile_fill=120,
        sram_bytes=228e3,
        dataflows=(Dataflow.OUTPUT_STATIONARY,),
    ),
    memory=MemorySpec(capacity_bytes=80e9, bandwidth_bytes_per_s=3.35e12),
    efficiency=EfficiencySpec(
        matmul=0.8, dram=0.9, attention_forward=0.6, attention_backward=0.5, launch_s=3e-6
    ),
)
WAFER_DIE = DieSpec(
    name="wafer-like",
    peak_flops_per_s={Dtype.FP16: 1800e12},
    vector_flops_per_s=28e12,
    sram_bytes=80e6,
    clock_hz=2e9,
    cores=CoreArraySpec(
        rows=16,
        cols=16,
        tile_shapes=((32, 32), (64, 64)),
        sram_bytes=80e6 / 256,
        noc_bandwidth_bytes_per_s=1e12,
        max_split_k=4,
    ),
    memory=MemorySpec(capacity_bytes=72e9, bandwidth_bytes_per_s=1e12),
)
DIES = (die_parameters(GPU, "bf16"), die_parameters(WAFER_DIE, "fp16"))
dies = st.sampled_from(DIES)
dims = st.integers(1, 40_000)
heads = st.sampled_from([(1, 1), (8, 8), (64, 8), (12, 4), (128, 1)])


@settings(deadline=None, max_examples=200)
@given(dies, dims, dims, dims, st.integers(0, 300), st.sampled_from([0.5, 1.0, 2.0, 4.0]))
def test_compiled_matmul_equals_the_reference_exactly(
    params: DieParameters, m: int, n: int, k: int, count: int, size: float
) -> None:
    expected = matmul_cost(params, m=m, n=n, k=k, count=count, bytes_in=size)
    assert matmul_costs(params, [m], n, k, count, bytes_in=size)[0] == expected


@settings(deadline=None, max_examples=200)
@given(
    dies,
    st.integers(1, 5000),
    st.integers(0, 9000),
    heads,
    st.sampled_from([(128, 128), (192, 128), (64, 64)]),
    st.integers(0, 64),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_compiled_attention_equals_the_reference_exactly(
    params: DieParameters,
    queries: int,
    past: int,
    heads: tuple[int, int],
    head_dims: tuple[int, int],
    batch: int,
    is_causal: bool,
    is_stored: bool,
    is_backward: bool,
) -> None:
    sizes = {
        "num_queries": queries,
        "num_keys": queries + past,
        "num_heads": heads[0],
        "num_kv_heads": heads[1],
        "head_dim_qk": head_dims[0],
        "head_dim_v": head_dims[1],
        "batch": batch,
        "is_causal": is_causal,
        "is_stored": is_stored,
        "is_backward": is_backward,
    }
    assert attention_costs(params, **sizes)[0] == attention_cost(params, **sizes)


@settings(deadline=None)
@given(dies, st.floats(0, 1e13), st.floats(0, 1e15))
def test_compiled_vector_equals_the_reference_exactly(
    params: DieParameters, num_bytes: float, flops: float
) -> None:
    expected = vector_cost(params, num_bytes=num_bytes, flops=flops)
    assert vector_costs(params, num_bytes, flops)[0] == expected


@settings(deadline=None, max_examples=300)
@given(dies, dims, dims, dims, st.integers(1, 100))
def test_no_matmul_beats_the_limit_or_moves_less_than_its_operands(
    params: DieParameters, m: int, n: int, k: int, count: int
) -> None:
    cost = matmul_cost(params, m=m, n=n, k=k, count=count)
    assert cost.flops == 2 * m * n * k * count
    assert cost.flops / cost.duration_s <= matmul_flops_per_s_limit(params) * (1 + 1e-12)
    assert cost.dram_bytes >= 2 * count * (m * k + k * n + m * n)
    assert cost.duration_s >= max(cost.compute_s, cost.dram_s, cost.noc_s) + params.launch_s


def test_whole_tiles_of_full_waves_reach_the_limit() -> None:
    cost = matmul_cost(DIES[1], m=4096, n=4096, k=4096)
    assert cost.flops / cost.compute_s == pytest.approx(matmul_flops_per_s_limit(DIES[1]))


def test_one_row_more_than_a_wave_costs_a_wave() -> None:
    # 132 cores; 66 x 2 tiles of 128 x 256 fill one wave exactly, and splitting k is ruled out.
    die = GPU.model_copy(
        update={
            "cores": GPU.cores.model_copy(update={"max_split_k": 1, "tile_shapes": ((128, 256),)})
        }
    )
    params = die_parameters(die, "bf16")
    full = matmul_cost(params, m=66 * 128, n=512, k=65536)
    ragged = matmul_cost(params, m=66 * 128 + 1, n=512, k=65536)
    assert ragged.compute_s == 2 * full.compute_s


def test_an_operand_that_fits_in_sram_is_read_once() -> None:
    cost = matmul_cost(DIES[1], m=1_000_000, n=1024, k=8192)
    assert cost.dram_bytes == 2 * (1_000_000 * 8192 + 8192 * 1024 + 1_000_000 * 1024)


def test_operands_that_do_not_fit_are_read_again() -> None:
    size = 65_536
    cost = matmul_cost(DIES[1], m=size, n=size, k=size)
    unique = 2 * 3 * size**2
    # Any schedule with 80 MB moves at least 2 m n k / sqrt(elements) elements (Hong and Kung).
    bound = 2 * (2 * size**3 / math.sqrt(80e6 / 2))
    assert max(unique, bound / 2) < cost.dram_bytes < 6 * bound


@settings(deadline=None)
@given(dims, dims, dims, st.floats(0, 0.9))
def test_dead_cores_never_help(m: int, n: int, k: int, fraction: float) -> None:
    whole = matmul_cost(DIES[1], m=m, n=n, k=k)
    broken_die = die_parameters(WAFER_DIE, "fp16", dead_core_fraction=fraction)
    broken = matmul_cost(broken_die, m=m, n=n, k=k)
    # the tiling is chosen for compute and NoC together, so either alone may fall
    assert max(broken.compute_s, broken.noc_s) >= max(whole.compute_s, whole.noc_s)
    assert broken.duration_s >= whole.duration_s
    assert broken.dram_bytes >= whole.dram_bytes


def test_causal_attention_is_about_half_of_full_attention() -> None:
    shape = {
        "num_keys": 16384,
        "num_heads": 32,
        "num_kv_heads": 8,
        "head_dim_qk": 128,
        "head_dim_v": 128,
        "batch": 4,
    }
    kind = {"is_stored": False, "is_backward": False}
    causal = attention_cost(DIES[0], num_queries=16384, **shape, is_causal=True, **kind)
    full = attention_cost(DIES[0], num_queries=16384, **shape, is_causal=False, **kind)
    assert causal.flops / full.flops == pytest.approx(0.5, rel=1e-3)
    assert causal.compute_s / full.compute_s == pytest.approx(0.5, rel=0.02)


def test_decoding_takes_as_long_as_its_keys_and_values_take_to_read() -> None:
    cost = attention_cost(
        DIES[0],
        num_queries=1,
        num_keys=32768,
        num_heads=64,
        num_kv_heads=8,
        head_dim_qk=128,
        head_dim_v=128,
        batch=32,
        is_causal=True,
        is_stored=False,
        is_backward=False,
    )
    kv_bytes = 32 * 32768 * 8 * 256 * 2
    assert cost.duration_s == pytest.approx(kv_bytes / (0.9 * 3.35e12), rel=0.01)


def test_stored_attention_moves_its_scores() -> None:
    shape = {
        "num_queries": 2048,
        "num_keys": 2048,
        "num_heads": 96,
        "num_kv_heads": 96,
        "head_dim_qk": 128,
        "head_dim_v": 128,
        "batch": 1,
        "is_causal": True,
        "is_backward": False,
    }
    stored = attention_cost(DIES[0], **shape, is_stored=True)
    fused = attention_cost(DIES[0], **shape, is_stored=False)
    scores = 96 * 2048**2
    # Written by the first matmul, read and written by the softmax, read by the second matmul.
    assert stored.dram_bytes - fused.dram_bytes >= 0.99 * 4 * 2 * scores
    assert stored.duration_s > fused.duration_s


def test_nothing_takes_no_time() -> None:
    assert matmul_cost(DIES[0], m=0, n=8, k=8).duration_s == 0
    assert vector_cost(DIES[0], num_bytes=0, flops=0).duration_s == 0
    assert matmul_costs(DIES[0], np.array([0, 8]), 8, 8).duration_s[0] == 0


def test_a_format_the_die_lacks_is_named() -> None:
    with pytest.raises(SpecError, match=r"no matrix peak for fp4.*bf16"):
        die_parameters(GPU, "fp4")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"m": -1, "n": 8, "k": 8}, "m must be finite and at least 0"),
        ({"m": 1.5, "n": 8, "k": 8}, "m must be whole"),
        ({"m": 8, "n": 8, "k": 8, "bytes_in": 0}, "bytes_in must be positive"),
    ],
)
def test_wrong_sizes_are_refused(sizes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        matmul_cost(DIES[0], **sizes)


GOLDEN = tomllib.loads(
    (Path(__file__).parents[1] / "golden/operators.toml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize(
    "row",
    GOLDEN["row"],
    ids=lambda row: "-".join(str(value) for value in list(row.values())[:7]),
)
def test_published_times_are_met(row: dict[str, Any]) -> None:
    is_sustained = row.get("is_sustained", False)
    params = die_parameters(
        system(row["preset"]).die, row.get("dtype", "bf16"), is_sustained=is_sustained
    )
    match row["kind"]:
        case "matmul":
            wide = Dtype(row["dtype"]).bytes_per_element
            cost = matmul_cost(params, m=row["m"], n=row["n"], k=row["k"], bytes_in=wide)
            found = cost.duration_s
        case "vector":
            cost = vector_cost(
                params, num_bytes=row["num_bytes"], flops=0, is_stream=row["is_stream"]
            )
            found = cost.duration_s
        case kind:
            cost = attention_cost(
                params,
                num_queries=row["num_queries"],
                num_keys=row["num_keys"],
                num_heads=row["num_heads"],
                num_kv_heads=row["num_kv_heads"],
                head_dim_qk=row["head_dim"],
                head_dim_v=row["head_dim"],
                batch=row["batch"],
                is_causal=True,
                is_stored=False,
                is_backward=False,
            )
            kv_bytes = 4 * row["batch"] * row["num_keys"] * row["num_kv_heads"] * row["head_dim"]
            # The measured call of a prompt also writes keys and values into a paged cache.
            written = vector_cost(params, num_bytes=2 * kv_bytes * (kind == "prompt"), flops=0)
            found = cost.duration_s + written.dram_s
    assert found == pytest.approx(row["expected"], rel=row["rel_tol"], abs=0), row["why_tol"]


def test_the_streamed_175b_layer_of_temp_takes_what_a_hand_count_says() -> None:
    # FFN1 of GPT-3 175B (12288 x 49152) streamed over 16 dies, 8192 tokens on each: one round.
    ideal = system("temp-6x8").die.model_copy(update={"efficiency": EfficiencySpec()})
    cost = matmul_cost(die_parameters(ideal, "fp16"), m=8192, k=12288, n=49152 // 16)
    assert cost.compute_s == pytest.approx(344e-6, rel=0.01)
    # 201 MB of inputs, 75.5 MB of weights and 50 MB of outputs, each once: 80 MB hold the outputs.
    assert cost.dram_bytes == 2 * (8192 * 12288 + 12288 * 3072 + 8192 * 3072)
    assert cost.dram_s == pytest.approx(327e-6, rel=0.01)


@pytest.mark.parametrize(
    ("m", "n", "lowest", "highest"),
    [
        (8192, 1024, 0.9, 0.95),
        (8192, 3072, 0.9, 0.95),
        (2048, 1024, 0.85, 0.95),
        (341, 49152, 0.8, 0.95),
        (16, 1024, 0.0, 0.25),
    ],
)
def test_shards_of_a_large_matmul_use_a_wafer_die_soberly(
    m: int, n: int, lowest: float, highest: float
) -> None:
    die = system("temp-6x8").die
    cost = matmul_cost(die_parameters(die, "fp16"), m=m, n=n, k=12288)
    assert lowest < cost.flops / cost.compute_s / die.peak_flops_per_s[Dtype.FP16] <= highest


def test_a_core_takes_every_operand_in_at_least_once() -> None:
    """However tiles are grouped, what all cores take in covers both operands."""
    params = die_parameters(system("temp-6x8").die, "fp16")
    for m, n, k in ((1, 12288, 4096), (4096, 4096, 4096), (64, 64, 100_000), (333, 7, 5000)):
        cost = matmul_cost(params, m=m, n=n, k=k)
        assert cost.sram_bytes >= 2 * (m * k + k * n + m * n)


def test_a_short_run_clocks_higher_and_a_long_one_is_throttled() -> None:
    die = system("dgx-h100").die
    short, busy = (die_parameters(die, "bf16", is_sustained=each) for each in (False, True))
    assert busy.core_flops_per_s < short.core_flops_per_s
    small, large = ({"m": size, "n": size, "k": size} for size in (2048, 16384))
    for sizes in (small, large):
        assert matmul_cost(short, **sizes).duration_s < matmul_cost(busy, **sizes).duration_s
    rate = [
        matmul_cost(short, **sizes).flops / matmul_cost(short, **sizes).compute_s
        for sizes in (small, large)
    ]
    assert matmul_cost(short, **small).compute_s < die.efficiency.burst_s
    assert rate[1] < matmul_flops_per_s_limit(short) * (die.efficiency.throttled_clock + 0.02)


def test_no_kernel_streams_faster_than_memory() -> None:
    with pytest.raises(ValueError, match=r"vector_dram = 0.9 must not exceed dram = 0.8"):
        EfficiencySpec(dram=0.8, vector_dram=0.9)
