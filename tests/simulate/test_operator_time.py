"""The operator model against its plain twin, against its own bounds and against hand counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waferloom.errors import SpecError
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
    assert broken.compute_s >= whole.compute_s
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
