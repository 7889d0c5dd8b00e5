"""Scores every (placed degrees, option) pair from the tables of `score_tables`.

`step.step_report` is the oracle: it computes the same sums from scratch, one plan at a time.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from waferloom.jit import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Columns of a row (placed degrees), of an option, and of a run of stages.
ROW_Q, ROW_DP, ROW_TP, ROW_CP, ROW_PP, ROW_EXPERT_DP = range(6)
OPT_SEQUENCE_PARALLEL, OPT_MICRO, OPT_ZERO, OPT_SCHEDULE, OPT_CHUNKS, OPT_RECOMPUTE = range(6)
GPIPE, ONE_F_ONE_B, INTERLEAVED, ZERO_BUBBLE = range(4)
NONE, SELECTIVE, FULL = range(3)
EMBEDDING, HEAD, NUM_BLOCKS = 2, 3, 4
NUM_TENSOR, NUM_INNER = 3, 8
DP_ALL_REDUCE, DP_REDUCE_SCATTER, DP_ALL_GATHER = 8, 9, 10
EXPERT_ALL_REDUCE, EXPERT_REDUCE_SCATTER, EXPERT_ALL_GATHER = 11, 12, 13
PP_MESSAGE = 14

NOT_DISTINCT = -1.0
"""Score of an option that repeats another one on this row, or that the row cannot have."""


class ScoreInput(NamedTuple):
    """Tables and constants; axes as in `score_tables`."""

    compute_s_QSMB4: Floats
    saved_bytes_QSMB3: Floats
    recomputed_bytes_QSMB3: Floats
    parameters_QB: Floats
    expert_parameters_QB: Floats
    tied_copy_Q: Floats
    exchange_count_QSBPC: Floats
    exchange_bytes_QSMBPC: Floats
    message_bytes_QSM: Floats
    gathered_kv_bytes_QSM: Floats
    index_RC: Ints
    pieces_U4: Floats
    link_s_per_byte_UL: Floats
    runs_GN5: Ints
    stage_row_PV: Ints
    micro_batch_size_M: Ints
    global_batch_size: int
    has_tied_head: bool
    weight_bytes: float
    gradient_bytes: float
    reduce_bytes: float
    optimizer_bytes: float
    capacity_bytes: float
    pool_bytes: float
    is_pooled: bool
    dram_bytes_per_s: float
    vector_flops_per_s: float
    launch_s: float
    update_flops: float
    overlap_gradients: bool
    overlap_parameters: bool
    overlap_pipeline: bool
    overlap_tensor: float
    gather_bytes: float
    interference: float


@kernel
def exchange_s(pieces_U4: Floats, u: int, size: float) -> float:
    """Return the time of one exchange: `CollectiveProfile.duration_s`."""
    path_s = pieces_U4[u, 0] + size * pieces_U4[u, 1]
    return max(path_s, pieces_U4[u, 2] + size * pieces_U4[u, 3])


@kernel
def sync_exchanges(
    pieces_U4: Floats,
    index_C: Ints,
    zero: int,
    gradient: float,
    weight: float,
    is_expert: bool,
    out_5: Floats,
) -> None:
    """Add ZeRO traffic of one block to `out_5`.

    The entries are time hidden in forward, of weights and of gradients hidden in backward, of the
    gradient reduction and of the weight gather once per step. `gradient` and `weight` are bytes.
    """
    if gradient == 0.0:
        return
    shift = 3 if is_expert else 0
    if zero == 0:
        out_5[3] += exchange_s(pieces_U4, index_C[DP_ALL_REDUCE + shift], gradient)
        return
    scatter_s = exchange_s(pieces_U4, index_C[DP_REDUCE_SCATTER + shift], gradient)
    gather_s = exchange_s(pieces_U4, index_C[DP_ALL_GATHER + shift], weight)
    if zero == 1:
        out_5[3] += scatter_s
        out_5[4] += gather_s
    elif zero == 2:
        out_5[2] += scatter_s
        out_5[4] += gather_s
    else:
        out_5[0] += gather_s
        out_5[1] += gather_s
        out_5[2] += scatter_s


@kernel
def in_flight(schedule: int, rank: int, pp: int, n: int, chunks: int) -> float:
    """Return the chunk activations alive on a rank, as `parallel.pipelines` has it."""
    if schedule == GPIPE:
        return float(n)
    if schedule == INTERLEAVED:
        if pp == 1:
            return float(chunks)
        return float(min(2 * (pp - rank - 1) + (chunks - 1) * pp + 1, n * chunks))
    if schedule == ZERO_BUBBLE:
        return float(min(pp, n))
    return float(min(pp - rank, n))


@kernel
def fill_s(
    schedule: int, forward: float, backward: float, weight: float, pp: int, n: int, chunks: int
) -> float:
    """Return a rank's share of the bubble, as `parallel.pipelines` has it."""
    if schedule == ZERO_BUBBLE:
        if pp == 1:
            return 0.0
        postponed = min(1.0, (n - 1) / (pp - 1))
        return forward + backward - postponed * min(weight, forward, backward)
    if schedule == INTERLEAVED:
        return (forward + backward + weight) / chunks
    return forward + backward + weight


@kernel
def is_distinct(
    row_6: Ints, option_6: Ints, stage_row_PV: Ints, micro_batch_size: int, global_batch_size: int
) -> bool:
    """Return whether an option is possible on a row and not the same as a simpler one."""
    dp, cp, pp = row_6[ROW_DP], row_6[ROW_CP], row_6[ROW_PP]
    if option_6[OPT_SEQUENCE_PARALLEL] == 1 and row_6[ROW_TP] == 1:
        return False
    if micro_batch_size > -(-global_batch_size // dp):
        return False
    if option_6[OPT_ZERO] > 0 and dp * cp == 1 and row_6[ROW_EXPERT_DP] == 1:
        return False
    schedule, chunks = option_6[OPT_SCHEDULE], option_6[OPT_CHUNKS]
    if pp == 1:
        return schedule == ONE_F_ONE_B
    if stage_row_PV[pp, chunks] < 0:
        return False
    n = -(-global_batch_size // (dp * micro_batch_size))
    return not (schedule == INTERLEAVED and n % pp != 0)


@kernel
def score(t: ScoreInput, rows_R6: Ints, options_O6: Ints, out_RO2: Floats) -> int:
    """Fill `out_RO2` with step time and memory of the fullest die; return how many fit.

    Time is infinite where the memory does not fit, `NOT_DISTINCT` where the pair is no strategy.
    """
    num_links = t.link_s_per_byte_UL.shape[1]
    block_link_BPL = np.zeros((NUM_BLOCKS, 2, num_links))
    compute_B4 = np.zeros((NUM_BLOCKS, 4))
    exposed_B2 = np.zeros((NUM_BLOCKS, 2))
    hidden_B2 = np.zeros((NUM_BLOCKS, 2))
    sync_B5 = np.zeros((NUM_BLOCKS, 5))
    link_sum_B2 = np.zeros((NUM_BLOCKS, 2))
    num_fit = 0
    for r in range(rows_R6.shape[0]):
        row_6 = rows_R6[r]
        q, dp, cp, pp = row_6[ROW_Q], row_6[ROW_DP], row_6[ROW_CP], row_6[ROW_PP]
        replicas, expert_replicas = dp * cp, row_6[ROW_EXPERT_DP]
        for o in range(options_O6.shape[0]):
            option_6 = options_O6[o]
            s, m, zero = (
                option_6[OPT_SEQUENCE_PARALLEL],
                option_6[OPT_MICRO],
                option_6[OPT_ZERO],
            )
            schedule, chunks = option_6[OPT_SCHEDULE], option_6[OPT_CHUNKS]
            recompute = option_6[OPT_RECOMPUTE]
            out_RO2[r, o, 0] = NOT_DISTINCT
            out_RO2[r, o, 1] = 0.0
            micro_batch_size = int(t.micro_batch_size_M[m])
            if not is_distinct(
                row_6, option_6, t.stage_row_PV, micro_batch_size, t.global_batch_size
            ):
                continue
            n = -(-t.global_batch_size // (dp * micro_batch_size))
            runs_N5 = t.runs_GN5[t.stage_row_PV[pp, chunks]]
            message_bytes = float(t.message_bytes_QSM[q, s, m]) if pp > 1 else 0.0

            # memory
            fullest = total_held = 0.0
            rank = 0
            for i in range(runs_N5.shape[0]):
                run_5 = runs_N5[i]
                if run_5[0] == 0:
                    break
                alive = in_flight(schedule, rank, pp, n, chunks) / chunks
                dense = expert = largest = largest_expert = saved = recomputed = 0.0
                for b in range(NUM_BLOCKS):
                    count = run_5[1 + b]
                    if count == 0:
                        continue
                    parameters = t.parameters_QB[q, b]
                    if b == HEAD and t.has_tied_head and pp > 1:
                        parameters += t.tied_copy_Q[q]
                    dense += count * parameters
                    expert += count * t.expert_parameters_QB[q, b]
                    largest = max(largest, parameters)
                    largest_expert = max(largest_expert, t.expert_parameters_QB[q, b])
                    each = t.saved_bytes_QSMB3[q, s, m, b, recompute]
                    if b == HEAD:
                        is_kept = schedule in (GPIPE, ZERO_BUBBLE)
                        saved += (alive if is_kept else 1.0) * each
                    else:
                        saved += alive * count * each
                    if b < EMBEDDING:
                        extra = t.recomputed_bytes_QSMB3[q, s, m, b, recompute]
                        recomputed = max(recomputed, extra)
                unsharded = dense + expert
                sharded = dense / replicas + expert / expert_replicas
                held = t.weight_bytes * (sharded if zero >= 3 else unsharded)
                held += t.gradient_bytes * (sharded if zero >= 2 else unsharded)
                held += t.optimizer_bytes * (sharded if zero >= 1 else unsharded)
                if replicas > 1:
                    if zero >= 2:
                        held += t.gradient_bytes * (largest + largest_expert)
                    if zero >= 3:
                        held += 2 * t.gather_bytes * (largest + largest_expert)
                held += 2 * (message_bytes + t.gathered_kv_bytes_QSM[q, s, m]) + saved + recomputed
                fullest = max(fullest, held)
                total_held += run_5[0] * held
                rank += run_5[0]
            out_RO2[r, o, 1] = fullest
            if t.is_pooled:
                is_too_large = total_held * replicas * row_6[ROW_TP] > t.pool_bytes
            else:
                is_too_large = fullest > t.capacity_bytes
            if is_too_large:
                out_RO2[r, o, 0] = np.inf
                continue
            num_fit += 1

            # blocks
            for b in range(NUM_BLOCKS):
                for j in range(3):
                    compute_B4[b, j] = t.compute_s_QSMB4[q, s, m, b, j]
                compute_B4[b, 3] = 0.0
                if b < EMBEDDING:
                    if recompute == FULL:
                        compute_B4[b, 3] = compute_B4[b, 0]
                    elif recompute == SELECTIVE:
                        compute_B4[b, 3] = t.compute_s_QSMB4[q, s, m, b, 3]
                for p in range(2):
                    exposed_B2[b, p] = 0.0
                    hidden_B2[b, p] = 0.0
                    link_sum_B2[b, p] = 0.0
                    for c in range(NUM_INNER):
                        count = t.exchange_count_QSBPC[q, s, b, p, c]
                        if count > 0.0:
                            u = t.index_RC[r, c]
                            size = t.exchange_bytes_QSMBPC[q, s, m, b, p, c]
                            duration = count * exchange_s(t.pieces_U4, u, size)
                            share = t.overlap_tensor if c < NUM_TENSOR else 0.0
                            exposed_B2[b, p] += (1.0 - share) * duration
                            hidden_B2[b, p] += share * duration
                            link_sum_B2[b, p] += count * size * t.pieces_U4[u, 3]
                if recompute == FULL and b < EMBEDDING:
                    exposed_B2[b, 1] += exposed_B2[b, 0]
                    hidden_B2[b, 1] += hidden_B2[b, 0]
                    link_sum_B2[b, 1] += link_sum_B2[b, 0]
                sync_B5[b, :] = 0.0
                parameters = t.parameters_QB[q, b]
                if b == HEAD and t.has_tied_head and pp > 1:
                    parameters += t.tied_copy_Q[q]
                if replicas > 1:
                    gradient, weight = parameters * t.reduce_bytes, parameters * t.gather_bytes
                    sync_exchanges(
                        t.pieces_U4, t.index_RC[r], zero, gradient, weight, False, sync_B5[b]
                    )
                if expert_replicas > 1:
                    held = t.expert_parameters_QB[q, b]
                    gradient, weight = held * t.reduce_bytes, held * t.gather_bytes
                    sync_exchanges(
                        t.pieces_U4, t.index_RC[r], zero, gradient, weight, True, sync_B5[b]
                    )
            message_u = t.index_RC[r, PP_MESSAGE]
            message_s = exchange_s(t.pieces_U4, message_u, message_bytes) if pp > 1 else 0.0

            # passes, pipeline and tail
            are_links_summed = False
            slowest = slowest_fill = fills = 0.0
            lead = 0.0
            tail = -np.inf
            for i in range(runs_N5.shape[0]):
                run_5 = runs_N5[i]
                if run_5[0] == 0:
                    break
                f_compute = b_compute = w_compute = r_compute = 0.0
                f_exposed = b_exposed = f_hidden = b_hidden = tensor_hidden = 0.0
                gradient_s = parameter_s = 0.0
                f_bound = b_bound = 0.0
                dense = expert = 0.0
                num_blocks = 0
                for b in range(NUM_BLOCKS):
                    count = run_5[1 + b]
                    if count == 0:
                        continue
                    num_blocks += count
                    f_compute += count * compute_B4[b, 0]
                    b_compute += count * compute_B4[b, 1]
                    w_compute += count * compute_B4[b, 2]
                    r_compute += count * compute_B4[b, 3]
                    f_exposed += count * exposed_B2[b, 0]
                    b_exposed += count * exposed_B2[b, 1]
                    f_hidden += count * hidden_B2[b, 0]
                    b_hidden += count * hidden_B2[b, 1]
                    tensor_hidden += count * (hidden_B2[b, 0] + hidden_B2[b, 1])
                    weights_s = sync_B5[b, 1]
                    if t.overlap_parameters:
                        f_hidden += count * sync_B5[b, 0]
                        b_hidden += count * weights_s
                    else:
                        f_exposed += count * sync_B5[b, 0]
                        b_exposed += count * weights_s
                    if t.overlap_gradients:
                        b_hidden += count * sync_B5[b, 2]
                    else:
                        b_exposed += count * sync_B5[b, 2]
                    gradient_s += count * sync_B5[b, 3]
                    parameter_s += count * sync_B5[b, 4]
                    f_bound += count * (link_sum_B2[b, 0] + sync_B5[b, 0])
                    b_bound += count * (link_sum_B2[b, 1] + sync_B5[b, 1] + sync_B5[b, 2])
                    parameters = t.parameters_QB[q, b]
                    if b == HEAD and t.has_tied_head and pp > 1:
                        parameters += t.tied_copy_Q[q]
                    dense += count * parameters
                    expert += count * t.expert_parameters_QB[q, b]
                sync_hidden = f_hidden + b_hidden - tensor_hidden
                if t.overlap_pipeline:
                    f_hidden += chunks * message_s
                    b_hidden += chunks * message_s
                else:
                    f_exposed += chunks * message_s
                    b_exposed += chunks * message_s
                f_bound += chunks * message_s
                b_bound += chunks * message_s
                f_compute += t.interference * f_hidden
                forward = max(f_compute + f_exposed, f_hidden)
                b_compute += w_compute + r_compute + t.interference * b_hidden
                backward = max(b_compute + b_exposed, b_hidden)
                # the sum of every collective's busiest link bounds the busiest link of all
                if f_bound > forward or b_bound > backward:
                    if not are_links_summed:
                        sum_links(t, r, q, s, m, zero, pp, recompute == FULL, block_link_BPL)
                        are_links_summed = True
                    message_L = t.link_s_per_byte_UL[message_u]
                    for k in range(num_links):
                        f_link = b_link = chunks * message_bytes * message_L[k]
                        for b in range(NUM_BLOCKS):
                            f_link += run_5[1 + b] * block_link_BPL[b, 0, k]
                            b_link += run_5[1 + b] * block_link_BPL[b, 1, k]
                        forward = max(forward, f_link)
                        backward = max(backward, b_link)
                filled = fill_s(schedule, forward, backward - w_compute, w_compute, pp, n, chunks)
                fills += run_5[0] * filled
                if forward + backward > slowest:
                    slowest = forward + backward
                    slowest_fill = filled
                # tail
                last = 1.0 / num_blocks
                reduce_s, gather_s = gradient_s, parameter_s
                if t.overlap_gradients:
                    reduce_s = max(reduce_s * last, reduce_s - backward * (1.0 - last))
                if t.overlap_parameters:
                    gather_s = max(gather_s * last, gather_s - forward * (1.0 - last))
                held = dense + expert
                if zero >= 1:
                    held = dense / replicas + expert / expert_replicas
                moved = held * (t.gradient_bytes + 2 * t.optimizer_bytes + t.weight_bytes)
                update_s = t.launch_s + max(
                    moved / t.dram_bytes_per_s, t.update_flops * held / t.vector_flops_per_s
                )
                tail = max(tail, reduce_s + gather_s + sync_hidden * last - lead + update_s)
                if schedule != ZERO_BUBBLE:
                    lead += run_5[0] * backward / chunks
            step = n * slowest + fills - slowest_fill + tail
            if t.overlap_pipeline:
                step += 2 * (pp - 1) * message_s
            out_RO2[r, o, 0] = step
    return num_fit


@kernel
def add_busy(link_s_per_byte_UL: Floats, u: int, size: float, out_L: Floats) -> None:
    """Add the time that each link is busy with `size` bytes of one collective."""
    for k in range(out_L.shape[0]):
        out_L[k] += size * link_s_per_byte_UL[u, k]


@kernel
def sum_links(
    t: ScoreInput,
    row: int,
    q: int,
    s: int,
    m: int,
    zero: int,
    pp: int,
    is_full: bool,
    out_BPL: Floats,
) -> None:
    """Fill in the time that each link is busy with one block, forward and backward."""
    out_BPL[:] = 0.0
    for b in range(NUM_BLOCKS):
        for p in range(2):
            for c in range(NUM_INNER):
                count = t.exchange_count_QSBPC[q, s, b, p, c]
                if count > 0.0:
                    size = t.exchange_bytes_QSMBPC[q, s, m, b, p, c]
                    add_busy(t.link_s_per_byte_UL, t.index_RC[row, c], count * size, out_BPL[b, p])
        if is_full and b < EMBEDDING:
            for k in range(out_BPL.shape[2]):
                out_BPL[b, 1, k] += out_BPL[b, 0, k]
        for shift in range(0, 6, 3):
            if shift == 0:
                parameters = t.parameters_QB[q, b]
                if b == HEAD and t.has_tied_head and pp > 1:
                    parameters += t.tied_copy_Q[q]
            else:
                parameters = t.expert_parameters_QB[q, b]
            gather, scatter = parameters * t.gather_bytes, parameters * t.reduce_bytes
            gather_u = t.index_RC[row, DP_ALL_GATHER + shift]
            scatter_u = t.index_RC[row, DP_REDUCE_SCATTER + shift]
            if zero >= 2:
                add_busy(t.link_s_per_byte_UL, scatter_u, scatter, out_BPL[b, 1])
            if zero >= 3:
                add_busy(t.link_s_per_byte_UL, gather_u, gather, out_BPL[b, 0])
                add_busy(t.link_s_per_byte_UL, gather_u, gather, out_BPL[b, 1])
