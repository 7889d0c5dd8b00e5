"""What a strategy exchanges, against closed forms of the papers."""

from collections import defaultdict

import pytest

from waferloom.communication import CollectiveKind, Communication, ParallelAxis, Phase
from waferloom.parallel.communications import (
    edge_communications,
    gradient_communications,
    layer_communications,
    stage_message_bytes,
)
from waferloom.parallel.sharding import shard_of
from waferloom.parallel.software import Software
from waferloom.parallel.strategy import ParallelDegrees, Strategy
from waferloom.workload.job import Training
from waferloom.workload.library import model
from waferloom.workload.model import LayerKind

KINDS = CollectiveKind
DENSE = model("gpt3-175b")
MOE = model("mixtral-8x7b")
SEQ_LEN, BATCH = 2048, 2


def inside(strategy: Strategy, shape=DENSE, kind=LayerKind.DENSE) -> list[Communication]:
    job = Training(model=shape, global_batch_size=16, seq_len=SEQ_LEN)
    shard = shard_of(job, strategy)
    return list(layer_communications(shape, kind, shard, strategy.degrees, 2.0))


def volumes(found: list[Communication], axis: ParallelAxis) -> dict[tuple[Phase, KINDS], float]:
    total: dict[tuple[Phase, KINDS], float] = defaultdict(float)
    for each in found:
        if each.axes == (axis,):
            total[each.phase, each.kind] += each.count * each.size_bytes
    return total


def test_megatron_all_reduces_two_residual_streams_per_pass():
    strategy = Strategy(degrees=ParallelDegrees(tp=8), micro_batch_size=BATCH)
    stream = BATCH * SEQ_LEN * DENSE.hidden_size * 2
    assert volumes(inside(strategy), ParallelAxis.TP) == {
        (Phase.FORWARD, KINDS.ALL_REDUCE): 2 * stream,
        (Phase.BACKWARD, KINDS.ALL_REDUCE): 2 * stream,
    }


def test_sequence_parallelism_moves_the_same_bytes_and_gathers_inputs_again():
    degrees = ParallelDegrees(tp=8)
    strategy = Strategy(degrees=degrees, micro_batch_size=BATCH, sequence_parallel=True)
    stream = BATCH * SEQ_LEN * DENSE.hidden_size * 2
    assert volumes(inside(strategy), ParallelAxis.TP) == {
        (Phase.FORWARD, KINDS.ALL_GATHER): 2 * stream,
        (Phase.FORWARD, KINDS.REDUCE_SCATTER): 2 * stream,
        (Phase.BACKWARD, KINDS.ALL_GATHER): 4 * stream,
        (Phase.BACKWARD, KINDS.REDUCE_SCATTER): 2 * stream,
    }


def test_context_parallelism_gathers_the_keys_and_values_of_a_tp_rank():
    shape = model("llama3-70b")
    strategy = Strategy(degrees=ParallelDegrees(tp=4, cp=2), micro_batch_size=BATCH)
    kv = BATCH * SEQ_LEN * 2 * (shape.num_kv_heads // 4) * shape.head_dim * 2
    assert volumes(inside(strategy, shape), ParallelAxis.CP) == {
        (Phase.FORWARD, KINDS.ALL_GATHER): kv,
        (Phase.BACKWARD, KINDS.ALL_GATHER): kv,
        (Phase.BACKWARD, KINDS.REDUCE_SCATTER): kv,
    }


def test_experts_dispatch_and_combine_top_k_copies_of_a_ranks_own_tokens():
    strategy = Strategy(degrees=ParallelDegrees(dp=4, tp=2, ep=8), micro_batch_size=BATCH)
    found = volumes(inside(strategy, MOE, LayerKind.MOE), ParallelAxis.EP)
    pairs = BATCH * SEQ_LEN / 2 * 2 * MOE.hidden_size * 2
    for phase in (Phase.FORWARD, Phase.BACKWARD):
        assert found[phase, KINDS.ALL_TO_ALL] == 2 * pairs


def test_axes_of_degree_one_exchange_nothing():
    strategy = Strategy(degrees=ParallelDegrees(dp=8), micro_batch_size=BATCH)
    assert inside(strategy) == []
    assert inside(strategy, MOE, LayerKind.MOE) == []


@pytest.mark.parametrize("is_head", [False, True])
def test_the_vocabulary_is_reduced_once_forward_or_once_backward(is_head: bool):
    strategy = Strategy(degrees=ParallelDegrees(tp=8), micro_batch_size=BATCH)
    job = Training(model=DENSE, global_batch_size=16, seq_len=SEQ_LEN)
    shard = shard_of(job, strategy)
    (each,) = edge_communications(DENSE, shard, strategy.degrees, 2.0, is_head=is_head)
    assert each.kind is KINDS.ALL_REDUCE
    assert each.phase is (Phase.BACKWARD if is_head else Phase.FORWARD)
    assert each.size_bytes == BATCH * SEQ_LEN * DENSE.hidden_size * 2


def test_a_stage_message_is_the_residual_stream_of_a_rank():
    job = Training(model=DENSE, global_batch_size=16, seq_len=SEQ_LEN)
    for sequence_parallel, share in ((False, 1), (True, 8)):
        strategy = Strategy(
            degrees=ParallelDegrees(tp=8, pp=4),
            micro_batch_size=BATCH,
            sequence_parallel=sequence_parallel,
        )
        size = stage_message_bytes(DENSE, shard_of(job, strategy), 2.0)
        assert size == BATCH * SEQ_LEN * DENSE.hidden_size * 2 / share


@pytest.mark.parametrize(
    ("zero", "expected"),
    [
        (0, {(Phase.GRADIENTS, KINDS.ALL_REDUCE): 2e9}),
        (
            1,
            {
                (Phase.GRADIENTS, KINDS.REDUCE_SCATTER): 2e9,
                (Phase.OPTIMIZER, KINDS.ALL_GATHER): 2e9,
            },
        ),
        (
            2,
            {(Phase.BACKWARD, KINDS.REDUCE_SCATTER): 2e9, (Phase.OPTIMIZER, KINDS.ALL_GATHER): 2e9},
        ),
        (
            3,
            {
                (Phase.FORWARD, KINDS.ALL_GATHER): 2e9,
                (Phase.BACKWARD, KINDS.ALL_GATHER): 2e9,
                (Phase.BACKWARD, KINDS.REDUCE_SCATTER): 2e9,
            },
        ),
    ],
)
def test_zero_moves_what_its_paper_says(zero: int, expected: dict):
    # ZeRO (arXiv 1910.02054), section 7: 2 psi up to stage 2, 3 psi at stage 3
    strategy = Strategy(degrees=ParallelDegrees(dp=8), zero=zero)
    job = Training(model=DENSE, global_batch_size=16, seq_len=SEQ_LEN)
    found = gradient_communications(strategy, job.precision, parameters=1e9)
    assert {(each.phase, each.kind): each.size_bytes for each in found} == expected


def test_software_may_gather_weights_in_32_bits():
    strategy = Strategy(degrees=ParallelDegrees(dp=8), zero=3, software=Software(gather_bytes=4.0))
    job = Training(model=DENSE, global_batch_size=16, seq_len=SEQ_LEN)
    gathers = [
        each.size_bytes
        for each in gradient_communications(strategy, job.precision, parameters=1e9)
        if each.kind is KINDS.ALL_GATHER
    ]
    assert gathers == [4e9, 4e9]
