"""Operator time compiled: the twin of `_operator_time_reference`, over arrays.

Axes: B operators, P parameters (`die_parameters.FIELDS`), T tile shapes, 2 (rows, cols), 7 costs
(the fields of `OperatorCost`, in order).
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from waferloom.jit import kernel

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Cost = tuple[float, float, float, float, float, float, float]

ACCUMULATOR_BYTES: Final = 4.0
BLOCK_DEPTH: Final = 64.0
SMALLEST_QUERY_BLOCK: Final = 16.0
MAX_COLUMN_SPLITS: Final = 64.0
SOFTMAX_FLOPS: Final = 5.0
SOFTMAX_ACCESSES: Final = 2.0
SOFTMAX_BACKWARD_ACCESSES: Final = 3.0

# Positions in the parameter array, in the order of `die_parameters.FIELDS`.
NUM_CORES: Final = 0
CORE_RATE: Final = 1
TILE_FILL: Final = 2
MAX_SPLIT_K: Final = 3
OUTPUT_STATIONARY: Final = 4
WEIGHT_STATIONARY: Final = 5
INPUT_STATIONARY: Final = 6
BLOCK_ELEMENTS: Final = 7
BURST: Final = 8
THROTTLED: Final = 9
VECTOR_RATE: Final = 10
DRAM: Final = 11
MATMUL_DRAM: Final = 12
VECTOR_DRAM: Final = 13
NOC: Final = 14
SRAM: Final = 15
ATTENTION_FORWARD: Final = 16
ATTENTION_BACKWARD: Final = 17
SOFTMAX: Final = 18
QUERY_BLOCK: Final = 19
KEY_BLOCK: Final = 20
ATTENTION_FILL: Final = 21
ATTENTION_TAIL: Final = 22
LAUNCH: Final = 23
SPLIT_K: Final = 24
ATTENTION_LAUNCH: Final = 25


@kernel
def ceil(value: float) -> float:
    """Return the smallest whole number from `value` up."""
    return float(math.ceil(value))


@kernel
def floor(value: float) -> float:
    """Return the largest whole number from `value` down."""
    return float(math.floor(value))


@kernel
def block_shape(
    p: Floats, ta: float, tb: float, rows: float, cols: float, copies: float
) -> tuple[float, float]:
    """Return rows and columns of the block of tiles that one core computes from its SRAM."""
    share = ceil(rows * cols * copies / p[NUM_CORES])
    size = max(1.0, min(share, floor(p[BLOCK_ELEMENTS] / (ta * tb))))
    block_rows = min(rows, floor(math.sqrt(size)))
    block_cols = min(cols, floor(size / block_rows))
    return min(rows, floor(size / block_cols)), block_cols


@kernel
def best_tiling(
    p: Floats, tiles_T2: Floats, m: float, n: float, k: float, count: float, bytes_in: float
) -> tuple[float, float, float]:
    """Return compute seconds, NoC seconds and SRAM bytes of the fastest tiling."""
    outputs = m * n * count
    best_compute_s, best_noc_s, best_sram_bytes = math.inf, math.inf, math.inf
    for t in range(tiles_T2.shape[0]):
        ta, tb = tiles_T2[t, 0], tiles_T2[t, 1]
        split = 1.0
        while split <= p[MAX_SPLIT_K]:
            copies = count * split
            for dataflow in range(3):
                if p[OUTPUT_STATIONARY + dataflow] == 0.0:
                    continue
                if dataflow == 0:
                    rows, cols = ceil(m / ta), ceil(n / tb)
                    steps = ceil(k / split)
                    parts = split
                    block_rows, block_cols = block_shape(p, ta, tb, rows, cols, copies)
                    taken = (ta / block_cols + tb / block_rows) * steps * bytes_in
                elif dataflow == 1:
                    rows, cols = ceil(k / ta), ceil(n / tb)
                    steps = ceil(m / split)
                    parts = rows
                    block_rows, block_cols = block_shape(p, ta, tb, rows, cols, copies)
                    taken = ta * (tb + steps / block_cols) * bytes_in
                else:
                    rows, cols = ceil(m / ta), ceil(k / tb)
                    steps = ceil(n / split)
                    parts = cols
                    block_rows, block_cols = block_shape(p, ta, tb, rows, cols, copies)
                    taken = tb * (ta + steps / block_rows) * bytes_in
                tiles = rows * cols * copies
                waves = ceil(tiles / p[NUM_CORES])
                tile_s = 2.0 * ta * tb * (steps + p[TILE_FILL]) / p[CORE_RATE]
                additions = (parts - 1.0) * outputs
                combined_bytes = 2.0 * ACCUMULATOR_BYTES * additions
                compute_s = (
                    waves * tile_s
                    + additions / p[VECTOR_RATE]
                    + (p[SPLIT_K] if parts > 1.0 else 0.0)
                )
                stretch = 1.0 + p[TILE_FILL] / steps
                noc_s = waves * taken * stretch / p[NOC] + combined_bytes / (p[NUM_CORES] * p[NOC])
                if max(compute_s, noc_s) < max(best_compute_s, best_noc_s):
                    best_compute_s, best_noc_s = compute_s, noc_s
                    best_sram_bytes = tiles * taken + combined_bytes
            split *= 2.0
    return best_compute_s, best_noc_s, best_sram_bytes


@kernel
def matmul_dram_bytes(
    sram_bytes: float, m: float, n: float, k: float, bytes_in: float, bytes_out: float
) -> float:
    """Return the memory traffic of one product under the best of the SRAM tilings."""
    left, right = m * k * bytes_in, k * n * bytes_in
    best = left * n + right * m
    lines = floor((sram_bytes - 2.0 * k * bytes_in) / (k * bytes_in + bytes_out))
    if lines >= 1:
        best = min(best, left + right * ceil(m / lines))
        best = min(best, right + left * ceil(n / lines))
    depth = 2.0 * BLOCK_DEPTH * bytes_in
    splits = 1.0
    while splits <= MAX_COLUMN_SPLITS:
        bn = ceil(n / splits)
        bm = floor((sram_bytes - bn * depth) / (bn * ACCUMULATOR_BYTES + depth))
        if bm >= 1:
            best = min(best, left * ceil(n / bn) + right * ceil(m / bm))
        splits *= 2.0
    side = floor(
        (math.sqrt(depth * depth + ACCUMULATOR_BYTES * sram_bytes) - depth) / ACCUMULATOR_BYTES
    )
    if side >= 1:
        best = min(best, left * ceil(n / side) + right * ceil(m / side))
    return best + m * n * bytes_out


@kernel
def matmul(
    p: Floats,
    tiles_T2: Floats,
    m: float,
    n: float,
    k: float,
    count: float,
    bytes_in: float,
    bytes_out: float,
) -> Cost:
    """Return the cost of `count` independent products of m x k and k x n."""
    if m * n * k * count == 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    compute_s, noc_s, sram_bytes = best_tiling(p, tiles_T2, m, n, k, count, bytes_in)
    dram_bytes = count * matmul_dram_bytes(p[SRAM], m, n, k, bytes_in, bytes_out)
    dram_s = dram_bytes / p[MATMUL_DRAM]
    if compute_s > p[BURST]:
        compute_s += (compute_s - p[BURST]) * (1.0 / p[THROTTLED] - 1.0)
    return (
        max(max(compute_s, dram_s), noc_s) + p[LAUNCH],
        compute_s,
        dram_s,
        noc_s,
        2.0 * m * n * k * count,
        dram_bytes,
        sram_bytes + count * m * n * bytes_out,
    )


@kernel
def vector(p: Floats, num_bytes: float, flops: float, is_stream: bool) -> Cost:
    """Return the cost of an elementwise operator or reduction."""
    if num_bytes == 0.0 and flops == 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    compute_s = flops / p[VECTOR_RATE]
    dram_s = num_bytes / (p[DRAM] if is_stream else p[VECTOR_DRAM])
    return max(compute_s, dram_s) + p[LAUNCH], compute_s, dram_s, 0.0, flops, num_bytes, num_bytes


@kernel
def flash_attention(
    p: Floats,
    num_queries: float,
    num_keys: float,
    num_heads: float,
    num_kv_heads: float,
    head_dim_qk: float,
    head_dim_v: float,
    batch: float,
    is_causal: bool,
    is_backward: bool,
    bytes_per_element: float,
    flops: float,
    per_pair: float,
) -> Cost:
    """Return the cost of fused attention: a work item is one block of queries of one head."""
    query_block, key_block = p[QUERY_BLOCK], p[KEY_BLOCK]
    group = ceil(num_heads / num_kv_heads)
    is_packed = num_queries * group <= query_block
    items_per_block = batch * num_heads
    num_blocks = ceil(num_queries / query_block)
    if is_packed:
        items_per_block = batch * num_kv_heads
        num_blocks = 1.0
        query_block = ceil(num_queries * group / SMALLEST_QUERY_BLOCK) * SMALLEST_QUERY_BLOCK
    steps, longest = 0.0, 0.0
    for block in range(int(num_blocks)):
        keys = num_keys
        if is_causal and not is_packed:
            keys = min(num_keys, num_keys - num_queries + (block + 1.0) * query_block)
        block_steps = ceil(keys / key_block)
        steps += block_steps
        longest = max(longest, block_steps)
    items = items_per_block * num_blocks
    fill = p[ATTENTION_FILL]
    if is_packed:
        pieces = min(max(1.0, floor(p[NUM_CORES] / items)), longest)
        longest = ceil(longest / pieces)
        core_steps = ceil(items * pieces / p[NUM_CORES]) * (longest + fill)
    elif is_causal:
        mean_steps = (items_per_block * steps + items * fill) / p[NUM_CORES]
        core_steps = max(mean_steps + p[ATTENTION_TAIL] * longest, longest + fill)
    else:
        core_steps = ceil(items / p[NUM_CORES]) * (longest + fill)
    rate = p[ATTENTION_BACKWARD] if is_backward else p[ATTENTION_FORWARD]
    core_vector_rate = p[VECTOR_RATE] / p[NUM_CORES]
    pair_s = max(per_pair / rate, p[SOFTMAX] / core_vector_rate)
    compute_s = core_steps * query_block * key_block * pair_s

    queries = batch * num_heads * num_queries * (head_dim_qk + head_dim_v) * bytes_per_element
    head_keys = num_keys * (head_dim_qk + head_dim_v) * bytes_per_element
    keys_values = batch * num_kv_heads * head_keys
    passes = 1.0
    if head_keys > p[SRAM]:
        passes = ceil(num_blocks / p[NUM_CORES])
    dram_bytes = queries + passes * keys_values
    sram_bytes = queries + items_per_block * steps * key_block * (
        (head_dim_qk + head_dim_v) * bytes_per_element
    )
    if is_backward:
        dram_bytes *= 2.0
        sram_bytes *= 2.0
    dram_s = dram_bytes / p[DRAM]
    noc_s = sram_bytes / (p[NUM_CORES] * p[NOC])
    return (
        max(max(compute_s, dram_s), noc_s) + p[ATTENTION_LAUNCH],
        compute_s,
        dram_s,
        noc_s,
        flops,
        dram_bytes,
        sram_bytes,
    )


@kernel
def add(a: Cost, b: Cost) -> Cost:
    """Return the cost of `a`, then `b`."""
    return (
        a[0] + b[0],
        a[1] + b[1],
        a[2] + b[2],
        a[3] + b[3],
        a[4] + b[4],
        a[5] + b[5],
        a[6] + b[6],
    )


@kernel
def stored_attention(
    p: Floats,
    tiles_T2: Floats,
    num_queries: float,
    num_keys: float,
    count: float,
    head_dim_qk: float,
    head_dim_v: float,
    is_backward: bool,
    size: float,
    flops: float,
) -> Cost:
    """Return the cost of attention as separate operators over a score matrix kept in memory."""
    q, s, dk, dv = num_queries, num_keys, head_dim_qk, head_dim_v
    scores = count * q * s
    if is_backward:
        cost = matmul(p, tiles_T2, q, s, dv, count, size, size)
        cost = add(cost, matmul(p, tiles_T2, s, dv, q, count, size, size))
        cost = add(
            cost,
            vector(p, SOFTMAX_BACKWARD_ACCESSES * size * scores, SOFTMAX_FLOPS * scores, False),
        )
        cost = add(cost, matmul(p, tiles_T2, q, dk, s, count, size, size))
        cost = add(cost, matmul(p, tiles_T2, s, dk, q, count, size, size))
    else:
        cost = matmul(p, tiles_T2, q, s, dk, count, size, size)
        softmax = vector(p, SOFTMAX_ACCESSES * size * scores, SOFTMAX_FLOPS * scores, False)
        cost = add(cost, softmax)
        cost = add(cost, matmul(p, tiles_T2, q, dv, s, count, size, size))
    return cost[0], cost[1], cost[2], cost[3], flops, cost[5], cost[6]


@kernel
def attention(
    p: Floats,
    tiles_T2: Floats,
    num_queries: float,
    num_keys: float,
    num_heads: float,
    num_kv_heads: float,
    head_dim_qk: float,
    head_dim_v: float,
    batch: float,
    is_causal: bool,
    is_stored: bool,
    is_backward: bool,
    bytes_per_element: float,
) -> Cost:
    """Return the cost of softmax(q k^T) v of `batch` sequences, or of its gradient."""
    if batch == 0.0 or num_queries == 0.0 or num_keys == 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    pairs = num_queries * num_keys
    if is_causal:
        pairs -= num_queries * (num_queries - 1.0) / 2.0
    per_pair = 2.0 * (head_dim_qk + head_dim_v)
    if is_backward and not is_stored:
        per_pair = 2.0 * (3.0 * head_dim_qk + 2.0 * head_dim_v)
    elif is_backward:
        per_pair = 4.0 * (head_dim_qk + head_dim_v)
    flops = batch * num_heads * pairs * per_pair
    if is_stored:
        return stored_attention(
            p,
            tiles_T2,
            num_queries,
            num_keys,
            batch * num_heads,
            head_dim_qk,
            head_dim_v,
            is_backward,
            bytes_per_element,
            flops,
        )
    return flash_attention(
        p,
        num_queries,
        num_keys,
        num_heads,
        num_kv_heads,
        head_dim_qk,
        head_dim_v,
        batch,
        is_causal,
        is_backward,
        bytes_per_element,
        flops,
        per_pair,
    )


@kernel
def matmuls(
    p: Floats,
    tiles_T2: Floats,
    m_B: Floats,
    n_B: Floats,
    k_B: Floats,
    count_B: Floats,
    bytes_in: float,
    bytes_out: float,
    cost_7B: Floats,
) -> None:
    """Write the cost of every matmul."""
    for b in range(m_B.shape[0]):
        cost = matmul(p, tiles_T2, m_B[b], n_B[b], k_B[b], count_B[b], bytes_in, bytes_out)
        for i in range(7):
            cost_7B[i, b] = cost[i]


@kernel
def attentions(
    p: Floats,
    tiles_T2: Floats,
    sizes_7B: Floats,
    is_causal_B: Bools,
    is_stored_B: Bools,
    is_backward_B: Bools,
    bytes_per_element: float,
    cost_7B: Floats,
) -> None:
    """Write the cost of every attention; `sizes_7B` are the first seven sizes of `attention`."""
    for b in range(sizes_7B.shape[1]):
        cost = attention(
            p,
            tiles_T2,
            sizes_7B[0, b],
            sizes_7B[1, b],
            sizes_7B[2, b],
            sizes_7B[3, b],
            sizes_7B[4, b],
            sizes_7B[5, b],
            sizes_7B[6, b],
            is_causal_B[b],
            is_stored_B[b],
            is_backward_B[b],
            bytes_per_element,
        )
        for i in range(7):
            cost_7B[i, b] = cost[i]


@kernel
def vectors(
    p: Floats, num_bytes_B: Floats, flops_B: Floats, is_stream: bool, cost_7B: Floats
) -> None:
    """Write the cost of every vector operator."""
    for b in range(num_bytes_B.shape[0]):
        cost = vector(p, num_bytes_B[b], flops_B[b], is_stream)
        for i in range(7):
            cost_7B[i, b] = cost[i]
