"""Operator time in plain Python, written to be believed: the twin of `_operator_time_kernel`.

Sizes are floats that hold whole numbers, so that both twins do the same arithmetic in the same
order.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from waferloom.simulate.die_parameters import ACCUMULATOR_BYTES, DieParameters
from waferloom.simulate.operator_cost import OperatorCost

BLOCK_DEPTH: Final = 64.0
"""Contracted elements of an operand block in SRAM; two blocks per operand, for double buffering.
Assumption: any depth from 32 to 256 changes traffic by a few per cent at most."""
SMALLEST_QUERY_BLOCK: Final = 16.0
"""Queries are padded to this many rows when decoding: the rows of a matrix instruction of GPUs."""
MAX_COLUMN_SPLITS: Final = 64.0
"""Output blocks are tried with the columns cut into 1, 2, 4 ... this many pieces."""
SOFTMAX_FLOPS: Final = 5.0
"""Vector operations per score: maximum, subtract, exponential, sum, divide."""
SOFTMAX_ACCESSES: Final = 2.0
"""Stored attention, forward: scores read, probabilities written."""
SOFTMAX_BACKWARD_ACCESSES: Final = 3.0
"""Backward: probabilities and their gradient read, gradient of the scores written."""

NOTHING: Final = OperatorCost(
    duration_s=0.0, compute_s=0.0, dram_s=0.0, noc_s=0.0, flops=0.0, dram_bytes=0.0, sram_bytes=0.0
)


def matmul(
    params: DieParameters,
    m: float,
    n: float,
    k: float,
    count: float,
    bytes_in: float,
    bytes_out: float,
) -> OperatorCost:
    """Return the cost of `count` independent products of m x k and k x n."""
    if m * n * k * count == 0:
        return NOTHING
    work = best_tiling(params, m, n, k, count, bytes_in)
    dram_bytes = count * matmul_dram_bytes(params.sram_bytes, m, n, k, bytes_in, bytes_out)
    dram_s = dram_bytes / params.matmul_dram_bytes_per_s
    compute_s = work.compute_s
    if compute_s > params.burst_s:
        compute_s += (compute_s - params.burst_s) * (1.0 / params.throttled_clock - 1.0)
    return OperatorCost(
        duration_s=max(compute_s, dram_s, work.noc_s) + params.launch_s,
        compute_s=compute_s,
        dram_s=dram_s,
        noc_s=work.noc_s,
        flops=2.0 * m * n * k * count,
        dram_bytes=dram_bytes,
        sram_bytes=work.sram_bytes + count * m * n * bytes_out,
    )


@dataclass(frozen=True, slots=True)
class Tiling:
    """What one way of giving tiles to cores takes."""

    compute_s: float
    noc_s: float
    sram_bytes: float


def best_tiling(
    params: DieParameters, m: float, n: float, k: float, count: float, bytes_in: float
) -> Tiling:
    """Return the fastest dataflow, tile shape and split; the first one found wins a tie."""
    return min(
        tilings(params, m, n, k, count, bytes_in), key=lambda each: max(each.compute_s, each.noc_s)
    )


def tilings(
    params: DieParameters, m: float, n: float, k: float, count: float, bytes_in: float
) -> Iterator[Tiling]:
    """Yield every way of giving tiles to cores."""
    outputs = m * n * count
    for rows, cols in params.tile_shapes:
        ta, tb = float(rows), float(cols)
        split = 1.0
        while split <= params.max_split_k:
            copies = count * split
            if params.is_output_stationary:
                grid = math.ceil(m / ta), math.ceil(n / tb)
                steps = math.ceil(k / split)
                block = block_shape(params, ta, tb, grid, copies)
                taken = (ta / block[1] + tb / block[0]) * steps * bytes_in
                yield tiling(params, ta, tb, steps, grid, copies, taken, split, outputs)
            if params.is_weight_stationary:
                grid = math.ceil(k / ta), math.ceil(n / tb)
                steps = math.ceil(m / split)
                block = block_shape(params, ta, tb, grid, copies)
                taken = ta * (tb + steps / block[1]) * bytes_in
                yield tiling(params, ta, tb, steps, grid, copies, taken, grid[0], outputs)
            if params.is_input_stationary:
                grid = math.ceil(m / ta), math.ceil(k / tb)
                steps = math.ceil(n / split)
                block = block_shape(params, ta, tb, grid, copies)
                taken = tb * (ta + steps / block[0]) * bytes_in
                yield tiling(params, ta, tb, steps, grid, copies, taken, grid[1], outputs)
            split *= 2.0


def block_shape(
    params: DieParameters, ta: float, tb: float, grid: tuple[int, int], copies: float
) -> tuple[float, float]:
    """Return rows and columns of the block of tiles that one core computes from its SRAM.

    As square as the grid of tiles allows, and no larger than what the SRAM holds or what falls to
    one core: the tiles of a row share the left operand, those of a column the right one.
    """
    share = math.ceil(grid[0] * grid[1] * copies / params.num_cores)
    size = max(1.0, min(share, math.floor(params.block_elements / (ta * tb))))
    rows = float(min(grid[0], math.floor(math.sqrt(size))))
    cols = float(min(grid[1], math.floor(size / rows)))
    return float(min(grid[0], math.floor(size / cols))), cols


def tiling(
    params: DieParameters,
    ta: float,
    tb: float,
    steps: float,
    grid: tuple[int, int],
    copies: float,
    taken_bytes: float,
    parts: float,
    outputs: float,
) -> Tiling:
    """Return what `copies` grids of tiles of `steps` steps take, whose outputs come in `parts`.

    Cores work in waves of one tile each; while a tile fills or drains its pipeline, nothing is
    taken in. Every partial sum but the first is one vector addition per output, and one
    accumulator written and read.
    """
    tiles = grid[0] * grid[1] * copies
    waves = math.ceil(tiles / params.num_cores)
    tile_s = 2.0 * ta * tb * (steps + params.tile_fill) / params.core_flops_per_s
    additions = (parts - 1.0) * outputs
    combined_bytes = 2.0 * ACCUMULATOR_BYTES * additions
    return Tiling(
        compute_s=waves * tile_s
        + additions / params.vector_flops_per_s
        + (params.split_k_s if parts > 1 else 0.0),
        noc_s=waves * taken_bytes * (1.0 + params.tile_fill / steps) / params.noc_bytes_per_s
        + combined_bytes / (params.num_cores * params.noc_bytes_per_s),
        sram_bytes=tiles * taken_bytes + combined_bytes,
    )


def matmul_dram_bytes(
    sram_bytes: float, m: float, n: float, k: float, bytes_in: float, bytes_out: float
) -> float:
    """Return the memory traffic of one product under the best of the SRAM tilings.

    - A block of rows of the left operand stays, whole in k: it is read once, the right one per
      block.
    - The mirror image: a block of columns of the right operand stays.
    - A block of outputs stays while both operands pass: each is read once per block of the other
      side.

    The output is written once.
    """
    left, right = m * k * bytes_in, k * n * bytes_in
    best = left * n + right * m
    rows = math.floor((sram_bytes - 2.0 * k * bytes_in) / (k * bytes_in + bytes_out))
    if rows >= 1:
        best = min(best, left + right * math.ceil(m / rows))
    cols = math.floor((sram_bytes - 2.0 * k * bytes_in) / (k * bytes_in + bytes_out))
    if cols >= 1:
        best = min(best, right + left * math.ceil(n / cols))
    depth = 2.0 * BLOCK_DEPTH * bytes_in
    splits = 1.0
    while splits <= MAX_COLUMN_SPLITS:
        bn = math.ceil(n / splits)
        bm = math.floor((sram_bytes - bn * depth) / (bn * ACCUMULATOR_BYTES + depth))
        if bm >= 1:
            best = min(best, left * math.ceil(n / bn) + right * math.ceil(m / bm))
        splits *= 2.0
    # Square blocks: ACCUMULATOR_BYTES * b**2 + 2 * depth * b = sram_bytes.
    side = math.floor(
        (math.sqrt(depth * depth + ACCUMULATOR_BYTES * sram_bytes) - depth) / ACCUMULATOR_BYTES
    )
    if side >= 1:
        best = min(best, left * math.ceil(n / side) + right * math.ceil(m / side))
    return best + m * n * bytes_out


def vector(params: DieParameters, num_bytes: float, flops: float, is_stream: bool) -> OperatorCost:
    """Return the cost of an elementwise operator or reduction."""
    if num_bytes == 0 and flops == 0:
        return NOTHING
    compute_s = flops / params.vector_flops_per_s
    rate = params.dram_bytes_per_s if is_stream else params.vector_dram_bytes_per_s
    dram_s = num_bytes / rate
    return OperatorCost(
        duration_s=max(compute_s, dram_s) + params.launch_s,
        compute_s=compute_s,
        dram_s=dram_s,
        noc_s=0.0,
        flops=flops,
        dram_bytes=num_bytes,
        sram_bytes=num_bytes,
    )


def attention(
    params: DieParameters,
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
) -> OperatorCost:
    """Return the cost of softmax(q k^T) v of `batch` sequences, or of its gradient."""
    if batch == 0 or num_queries == 0 or num_keys == 0:
        return NOTHING
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
            params,
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
        params,
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


def flash_attention(
    params: DieParameters,
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
) -> OperatorCost:
    """Return the cost of fused attention: a work item is one block of queries of one head.

    Few queries (decoding) share an item with the heads of their key/value group, and the keys are
    then cut into pieces until the cores are full.
    """
    query_block, key_block = float(params.query_block), float(params.key_block)
    group = math.ceil(num_heads / num_kv_heads)
    is_packed = num_queries * group <= query_block
    if is_packed:
        items_per_block = batch * num_kv_heads
        num_blocks = 1.0
        query_block = math.ceil(num_queries * group / SMALLEST_QUERY_BLOCK) * SMALLEST_QUERY_BLOCK
    else:
        items_per_block = batch * num_heads
        num_blocks = float(math.ceil(num_queries / query_block))
    steps, longest = 0.0, 0.0
    for block in range(int(num_blocks)):
        keys = num_keys
        if is_causal and not is_packed:
            keys = min(num_keys, num_keys - num_queries + (block + 1.0) * query_block)
        block_steps = math.ceil(keys / key_block)
        steps += block_steps
        longest = max(longest, block_steps)
    items = items_per_block * num_blocks
    fill = params.attention_fill
    if is_packed:
        pieces = min(max(1.0, math.floor(params.num_cores / items)), longest)
        longest = math.ceil(longest / pieces)
        core_steps = math.ceil(items * pieces / params.num_cores) * (longest + fill)
    elif is_causal:
        mean_steps = (items_per_block * steps + items * fill) / params.num_cores
        core_steps = max(mean_steps + params.attention_tail * longest, longest + fill)
    else:
        core_steps = math.ceil(items / params.num_cores) * (longest + fill)
    rate = (
        params.attention_backward_flops_per_s
        if is_backward
        else params.attention_forward_flops_per_s
    )
    core_vector_rate = params.vector_flops_per_s / params.num_cores
    pair_s = max(per_pair / rate, params.softmax_flops / core_vector_rate)
    compute_s = core_steps * query_block * key_block * pair_s

    queries = batch * num_heads * num_queries * (head_dim_qk + head_dim_v) * bytes_per_element
    head_keys = num_keys * (head_dim_qk + head_dim_v) * bytes_per_element
    keys_values = batch * num_kv_heads * head_keys
    passes = 1.0
    if head_keys > params.sram_bytes:
        passes = float(math.ceil(num_blocks / params.num_cores))
    dram_bytes = queries + passes * keys_values
    sram_bytes = queries + items_per_block * steps * key_block * (
        (head_dim_qk + head_dim_v) * bytes_per_element
    )
    if is_backward:
        dram_bytes *= 2.0
        sram_bytes *= 2.0
    dram_s = dram_bytes / params.dram_bytes_per_s
    noc_s = sram_bytes / (params.num_cores * params.noc_bytes_per_s)
    return OperatorCost(
        duration_s=max(compute_s, dram_s, noc_s) + params.attention_launch_s,
        compute_s=compute_s,
        dram_s=dram_s,
        noc_s=noc_s,
        flops=flops,
        dram_bytes=dram_bytes,
        sram_bytes=sram_bytes,
    )


def stored_attention(
    params: DieParameters,
    num_queries: float,
    num_keys: float,
    count: float,
    head_dim_qk: float,
    head_dim_v: float,
    is_backward: bool,
    bytes_per_element: float,
    flops: float,
) -> OperatorCost:
    """Return the cost of attention as separate operators over a score matrix kept in memory.

    A causal mask saves nothing: the whole square is computed.
    """
    size = bytes_per_element
    scores = count * num_queries * num_keys
    if is_backward:
        steps = (
            matmul(params, num_queries, num_keys, head_dim_v, count, size, size),
            matmul(params, num_keys, head_dim_v, num_queries, count, size, size),
            vector(
                params, SOFTMAX_BACKWARD_ACCESSES * size * scores, SOFTMAX_FLOPS * scores, False
            ),
            matmul(params, num_queries, head_dim_qk, num_keys, count, size, size),
            matmul(params, num_keys, head_dim_qk, num_queries, count, size, size),
        )
    else:
        steps = (
            matmul(params, num_queries, num_keys, head_dim_qk, count, size, size),
            vector(params, SOFTMAX_ACCESSES * size * scores, SOFTMAX_FLOPS * scores, False),
            matmul(params, num_queries, head_dim_v, num_keys, count, size, size),
        )
    duration_s = compute_s = dram_s = noc_s = dram_bytes = sram_bytes = 0.0
    for step in steps:
        duration_s += step.duration_s
        compute_s += step.compute_s
        dram_s += step.dram_s
        noc_s += step.noc_s
        dram_bytes += step.dram_bytes
        sram_bytes += step.sram_bytes
    return OperatorCost(
        duration_s=duration_s,
        compute_s=compute_s,
        dram_s=dram_s,
        noc_s=noc_s,
        flops=flops,
        dram_bytes=dram_bytes,
        sram_bytes=sram_bytes,
    )
