"""What one die computes and keeps: nothing is lost or counted twice, uneven shards round up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waferloom.parallel.sharding import (
    AttentionCall,
    MatmulCall,
    Part,
    VectorCall,
    calls,
    layer_state,
    shard_of,
)
from waferloom.parallel.strategy import ParallelDegrees, Recompute, Strategy
from waferloom.workload.flops import forward_flops_per_token
from waferloom.workload.job import AttentionStorage, Training
from waferloom.workload.layers import embedding_graph, head_graph, layer_graph
from waferloom.workload.library import model
from waferloom.workload.model import LayerKind
from waferloom.workload.operators import LayerGraph
from waferloom.workload.parameters import count_parameters

SEQ_LEN = 2048


def job_of(name: str, attention: AttentionStorage = AttentionStorage.FLASH) -> Training:
    return Training(model=model(name), global_batch_size=16, seq_len=SEQ_LEN, attention=attention)


def matmul_flops(graph: LayerGraph, job: Training, strategy: Strategy, part: Part) -> float:
    shard = shard_of(job, strategy)
    return sum(
        2.0 * call.m * call.n * call.k * call.count
        for operator in graph.operators
        for call in calls(operator, shard)
        if isinstance(call, MatmulCall) and call.part is part
    )


@pytest.mark.parametrize("tp", [1, 2, 4, 8])
@pytest.mark.parametrize("part", list(Part))
def test_even_shards_of_a_layer_compute_the_whole_layer_once_per_pass(tp: int, part: Part):
    job = job_of("llama3-70b")
    strategy = Strategy(degrees=ParallelDegrees(tp=tp), sequence_parallel=tp > 1)
    graph = layer_graph(job.model, LayerKind.DENSE)
    each = matmul_flops(graph, job, strategy, part)
    edges = sum(
        matmul_flops(g(job.model), job, strategy, part) for g in (embedding_graph, head_graph)
    )
    total = tp * (job.model.num_layers * each + edges)
    assert total == pytest.approx(SEQ_LEN * forward_flops_per_token(job.model, 0.0), rel=1e-12)


def test_experts_compute_top_k_copies_of_every_token():
    job = job_of("mixtral-8x7b")
    assert job.model.moe is not None
    graph = layer_graph(job.model, LayerKind.MOE)
    strategy = Strategy(degrees=ParallelDegrees(dp=8, ep=8))
    shard = shard_of(job, strategy)
    assert shard.local_experts == 1
    # 8 ranks route 2048 tokens each to 2 of 8 experts
    assert shard.routed_tokens == SEQ_LEN * 2
    routed = [
        call
        for operator in graph.operators
        if operator.is_routed
        for call in calls(operator, shard)
        if isinstance(call, MatmulCall) and call.part is Part.FORWARD
    ]
    flops = sum(2.0 * call.m * call.n * call.k * call.count for call in routed)
    hidden, ffn = job.model.hidden_size, job.model.moe.expert_ffn_size
    assert flops == 2.0 * SEQ_LEN * 2 * 3 * hidden * ffn


@given(tp=st.integers(1, 64))
def test_an_uneven_shard_holds_at_least_its_share(tp: int):
    job = job_of("llama3-8b")
    graph = layer_graph(job.model, LayerKind.DENSE)
    shard = shard_of(job, Strategy(degrees=ParallelDegrees(tp=tp)))
    state = layer_state(graph, shard, Recompute.NONE)
    assert state.parameters * tp >= graph.num_parameters * (1 - 1e-12)
    for operator in graph.operators:
        for call in calls(operator, shard):
            match call:
                case MatmulCall():
                    assert min(call.m, call.n, call.k) >= 1
                case AttentionCall():
                    assert call.num_heads >= 1
                    assert call.num_kv_heads >= 1
                case VectorCall():
                    assert call.num_bytes > 0


def test_a_context_rank_wants_half_of_all_pairs_wherever_it_starts():
    job = job_of("llama3-8b")
    for cp in (1, 2, 4, 8):
        shard = shard_of(job, Strategy(degrees=ParallelDegrees(cp=cp)))
        queries, keys = shard.num_queries, shard.attention_keys
        # a block of consecutive queries that ends at the last key
        pairs = sum(keys - i for i in range(queries))
        whole = SEQ_LEN * (SEQ_LEN + 1) / 2
        assert cp * pairs == pytest.approx(whole, rel=2e-3)


def test_recomputation_keeps_less_and_less():
    job = job_of("gpt3-175b", AttentionStorage.STORED)
    graph = layer_graph(job.model, LayerKind.DENSE, job.attention)
    shard = shard_of(job, Strategy(degrees=ParallelDegrees(tp=8), sequence_parallel=True))
    states = [layer_state(graph, shard, recompute) for recompute in Recompute]
    saved = [state.saved_bytes for state in states]
    assert saved[0] > saved[1] > saved[2] > 0
    assert len({state.saved_bytes + state.recomputed_bytes for state in states}) == 1
    # full recomputation keeps the input of the layer: 2 s b h, divided by tp
    assert saved[2] == 2 * SEQ_LEN * job.model.hidden_size / 8


@pytest.mark.parametrize("name", ["llama3-8b", "mixtral-8x7b", "deepseek-v3"])
def test_one_die_holds_every_parameter(name: str):
    job = job_of(name)
    shard = shard_of(job, Strategy(degrees=ParallelDegrees()))
    total = 0.0
    for group in job.model.layer_groups:
        state = layer_state(layer_graph(job.model, group.kind), shard, Recompute.NONE)
        total += group.num_layers * (state.parameters + state.expert_parameters)
    for graph in (embedding_graph(job.model), head_graph(job.model)):
        total += layer_state(graph, shard, Recompute.NONE).parameters
    assert total == count_parameters(job.model).total - job.model.extra_parameters


def test_every_context_rank_expands_the_latents_of_the_whole_sequence() -> None:
    job = Training(model("deepseek-v2-lite"), global_batch_size=2, seq_len=4096)
    (kv_up,) = (each for each in layer_graph(job.model).operators if each.name == "kv_up")
    (kv_down,) = (each for each in layer_graph(job.model).operators if each.name == "kv_down")
    shard = shard_of(job, Strategy(degrees=ParallelDegrees(cp=4), micro_batch_size=2))
    forward = next(iter(calls(kv_up, shard)))
    assert isinstance(forward, MatmulCall)
    assert forward.m == 2 * 4096
    own = next(iter(calls(kv_down, shard)))
    assert isinstance(own, MatmulCall)
    assert own.m == 2 * 1024
