"""Tables from which whole spaces of strategies are scored.

A strategy's score needs three kinds of numbers: what a block computes and keeps on one die, what it
exchanges, and what an exchange costs on the placed dies. The first two depend only on the sharding
key `(tp, cp, ep, expert_tp, sequence_parallel, micro_batch_size)`, the last only on degrees and
placement. Each is worked out once, for all keys together, by the batched operator model and the
collective profiles; `_score_kernel` then adds them up per strategy.

`step` computes the same numbers one plan at a time and is the oracle of this module.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from waferloom.bounds.collectives import floor_s_per_byte, ports_of
from waferloom.communication import CollectiveKind, Communication, Phase
from waferloom.mapping.layout import CP, DP, EP, EXPERT_DP, EXPERT_TP, PP, TP, Axes, Network
from waferloom.parallel.communications import (
    edge_communications,
    gathered_kv_bytes,
    layer_communications,
    stage_message_bytes,
)
from waferloom.parallel.memory import tied_copy_parameters
from waferloom.parallel.sharding import Shard, is_kept
from waferloom.parallel.software import IDEAL, IDEAL_LIBRARY, CollectiveLibrary, Software
from waferloom.parallel.stages import stages_of
from waferloom.parallel.strategy import (
    ParallelDegrees,
    Recompute,
    ScheduleName,
    Strategy,
)
from waferloom.simulate.block_cost import repeated_share, sustained
from waferloom.simulate.die_parameters import DieParameters
from waferloom.simulate.operator_time import attention_costs, matmul_costs, vector_costs
from waferloom.workload.job import AttentionStorage, Training
from waferloom.workload.layers import embedding_graph, head_graph, layer_graph
from waferloom.workload.model import LayerKind
from waferloom.workload.operators import (
    Features,
    LayerGraph,
    Operator,
    OperatorKind,
    SavedActivation,
    Split,
    width,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Block(IntEnum):
    """Axis B of the tables."""

    DENSE = 0
    MOE = 1
    EMBEDDING = 2
    HEAD = 3


CHANNELS: Final[tuple[tuple[CollectiveKind, Axes], ...]] = (
    (CollectiveKind.ALL_REDUCE, TP),
    (CollectiveKind.ALL_GATHER, TP),
    (CollectiveKind.REDUCE_SCATTER, TP),
    (CollectiveKind.ALL_GATHER, CP),
    (CollectiveKind.REDUCE_SCATTER, CP),
    (CollectiveKind.ALL_TO_ALL, EP),
    (CollectiveKind.ALL_GATHER, EXPERT_TP),
    (CollectiveKind.REDUCE_SCATTER, EXPERT_TP),
    (CollectiveKind.ALL_REDUCE, DP),
    (CollectiveKind.REDUCE_SCATTER, DP),
    (CollectiveKind.ALL_GATHER, DP),
    (CollectiveKind.ALL_REDUCE, EXPERT_DP),
    (CollectiveKind.REDUCE_SCATTER, EXPERT_DP),
    (CollectiveKind.ALL_GATHER, EXPERT_DP),
    (CollectiveKind.POINT_TO_POINT, PP),
)
"""Axis C of the tables: every (collective, axes) pair that a strategy can use."""
NUM_INNER_CHANNELS: Final = 8
"""The first channels are used inside blocks; the rest between replicas and stages."""
RECOMPUTES: Final = (Recompute.NONE, Recompute.SELECTIVE, Recompute.FULL)
SCHEDULE_IDS: Final = (
    ScheduleName.GPIPE,
    ScheduleName.ONE_F_ONE_B,
    ScheduleName.INTERLEAVED,
    ScheduleName.ZERO_BUBBLE,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlockTables:
    """What blocks compute, keep and exchange on one die.

    Axes: Q sharding (tp, cp, ep, expert_tp); S sequence_parallel (0, 1); M micro-batch size;
    B block; 3 recompute policy; P phase (forward, backward); C inner channel.

    Attributes:
        compute_s_QSMB4: Time of forward, backward and weight gradients, and what selective
            recomputation repeats.
        saved_bytes_QSMB3: Activations kept per micro-batch.
        recomputed_bytes_QSMB3: Activations alive only during recomputation.
        parameters_QB: Parameters outside routed experts.
        expert_parameters_QB: Parameters of routed experts.
        tied_copy_Q: Parameters a tied head copies when it is not on the embedding's rank.
        exchange_count_QSBPC: Exchanges per micro-batch.
        exchange_bytes_QSMBPC: Size of one exchange.
        message_bytes_QSM: Of one stage border.
        gathered_kv_bytes_QSM: Keys and values of one layer of all cp ranks; 0 without cp.
    """

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


Sharding = tuple[int, int, int, int]
"""(tp, cp, ep, expert_tp)."""


def sharding_of(degrees: ParallelDegrees) -> Sharding:
    """Return the key of `degrees` on axis Q."""
    return degrees.tp, degrees.cp, degrees.ep, degrees.expert_tp


def block_tables(
    job: Training,
    die: DieParameters,
    shardings: Sequence[Sharding],
    micro_batch_sizes: Sequence[int],
    software: Software = IDEAL,
) -> BlockTables:
    """Work out every block for every sharding and micro-batch size.

    Args:
        job: What is trained.
        die: As the software makes use of it (`step.die_of`).
        shardings: Axis Q.
        micro_batch_sizes: Axis M.
        software: Its casts and selective recomputation.
    """
    num_q, num_m = len(shardings), len(micro_batch_sizes)
    shape = (num_q, 2, num_m)
    keys = _Keys.of(job, shardings, micro_batch_sizes)
    compute = np.zeros((*shape, len(Block), 4))
    for block, graph in _graphs(job):
        for operator in graph.operators:
            durations = _durations(operator, keys, job, die)
            for part, duration_K in enumerate(durations):
                compute[..., block, part] += duration_K.reshape(shape)
            share = repeated_share(Recompute.SELECTIVE, operator, software)
            compute[..., block, 3] += share * durations[0].reshape(shape)
    num_b = len(Block)
    tables = BlockTables(
        compute_s_QSMB4=compute,
        saved_bytes_QSMB3=np.zeros((*shape, num_b, 3)),
        recomputed_bytes_QSMB3=np.zeros((*shape, num_b, 3)),
        parameters_QB=np.zeros((num_q, num_b)),
        expert_parameters_QB=np.zeros((num_q, num_b)),
        tied_copy_Q=np.zeros(num_q),
        exchange_count_QSBPC=np.zeros((num_q, 2, num_b, 2, NUM_INNER_CHANNELS)),
        exchange_bytes_QSMBPC=np.zeros((*shape, num_b, 2, NUM_INNER_CHANNELS)),
        message_bytes_QSM=np.zeros(shape),
        gathered_kv_bytes_QSM=np.zeros(shape),
    )
    _fill_state(tables, keys, job)
    _fill_casts(tables, die, software)
    _fill_exchanges(tables, job, shardings, micro_batch_sizes)
    return tables


def _graphs(job: Training) -> Iterator[tuple[Block, LayerGraph]]:
    model = job.model
    kinds = {group.kind for group in model.layer_groups}
    if LayerKind.DENSE in kinds:
        yield Block.DENSE, layer_graph(model, LayerKind.DENSE, job.attention)
    if LayerKind.MOE in kinds:
        yield Block.MOE, layer_graph(model, LayerKind.MOE, job.attention)
    yield Block.EMBEDDING, embedding_graph(model)
    yield Block.HEAD, head_graph(model)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Keys:
    """Shares of one die; axis K is every (sharding, sequence_parallel, micro-batch size)."""

    tp_K: Ints
    expert_tp_K: Ints
    batch_K: Ints
    num_queries_K: Ints
    tokens_K: Ints
    residual_tokens_K: Ints
    local_experts_K: Ints
    tokens_per_expert_K: Ints

    @classmethod
    def of(
        cls, job: Training, shardings: Sequence[Sharding], micro_batch_sizes: Sequence[int]
    ) -> "_Keys":
        sharding_Q4 = np.array(shardings, dtype=np.int64).reshape(-1, 4)
        sizes_M = np.array(micro_batch_sizes, dtype=np.int64)
        shape = (len(sharding_Q4), 2, len(sizes_M))

        def spread(values_Q: Ints) -> Ints:
            return np.broadcast_to(values_Q[:, None, None], shape).ravel()

        tp, cp, ep, expert_tp = (spread(sharding_Q4[:, i]) for i in range(4))
        batch = np.broadcast_to(sizes_M, shape).ravel()
        is_sequence_parallel = np.broadcast_to(
            np.array([False, True])[None, :, None], shape
        ).ravel()
        num_queries = _ceil(job.seq_len, cp)
        tokens = batch * num_queries
        source = _ceil(tokens, tp)
        moe = job.model.moe
        if moe is None:
            local = per_expert = np.zeros_like(tokens)
        else:
            local = _ceil(moe.num_experts, ep)
            per_expert = np.maximum(1, _ceil(ep * expert_tp * source * moe.top_k, moe.num_experts))
        return cls(
            tp_K=tp,
            expert_tp_K=expert_tp,
            batch_K=batch,
            num_queries_K=num_queries,
            tokens_K=tokens,
            residual_tokens_K=np.where(is_sequence_parallel & (tp > 1), source, tokens),
            local_experts_K=local,
            tokens_per_expert_K=per_expert,
        )


def _ceil(numerator: Ints | int, denominator: Ints | int) -> Ints:
    return -(-np.asarray(numerator) // denominator)


def _shard_width(features: Features, degree_K: Ints) -> Ints:
    total = np.zeros_like(degree_K)
    for block in features:
        total = total + _ceil(block.num_units, degree_K) * block.unit_width
    return total


def _durations(
    operator: Operator, keys: _Keys, job: Training, die: DieParameters
) -> tuple[Floats, Floats, Floats]:
    """Return forward, backward and weight-gradient time of an operator for every key."""
    match operator.kind:
        case OperatorKind.MATMUL | OperatorKind.EXPERT_MATMUL:
            return _matmul_durations(operator, keys, job, die)
        case OperatorKind.ATTENTION:
            return _attention_durations(operator, keys, job, die)
        case OperatorKind.VECTOR | OperatorKind.EMBEDDING:
            tokens_K = _vector_tokens(operator, keys)
            bytes_each = operator.vector_bytes_per_token, operator.backward_vector_bytes_per_token
            flops_K = tokens_K * operator.vector_flops_per_token
            forward = vector_costs(die, tokens_K * bytes_each[0], flops_K).duration_s
            backward = vector_costs(die, tokens_K * bytes_each[1], 2 * flops_K).duration_s
            return forward, backward, np.zeros_like(forward)


def _matmul_durations(
    operator: Operator, keys: _Keys, job: Training, die: DieParameters
) -> tuple[Floats, Floats, Floats]:
    if operator.kind is OperatorKind.EXPERT_MATMUL:
        m, degree, count = keys.tokens_per_expert_K, keys.expert_tp_K, keys.local_experts_K
    else:
        is_residual = operator.split is Split.TOKENS
        m = keys.residual_tokens_K if is_residual else keys.tokens_K
        if operator.is_expansion:
            m = keys.batch_K * job.seq_len
        degree, count = keys.tp_K, np.ones_like(keys.tp_K)
    whole = np.ones_like(degree)
    k = _shard_width(operator.in_features, degree if operator.split is Split.IN else whole)
    n = _shard_width(operator.out_features, degree if operator.split is Split.OUT else whole)
    sizes = (np.concatenate(each) for each in ((m, m, k), (n, k, n), (k, n, m), (count,) * 3))
    costs = matmul_costs(
        die,
        *sizes,
        bytes_in=job.precision.weight_bytes,
        bytes_out=job.precision.activation_bytes,
    )
    forward, backward, weight = np.split(costs.duration_s, 3)
    return forward, backward, weight


def _attention_durations(
    operator: Operator, keys: _Keys, job: Training, die: DieParameters
) -> tuple[Floats, Floats, Floats]:
    assert operator.heads is not None
    assert operator.kv_heads is not None
    is_halved = job.is_causal and job.attention is AttentionStorage.FLASH
    forward, backward = (
        attention_costs(
            die,
            num_queries=keys.num_queries_K,
            num_keys=_ceil(job.seq_len + keys.num_queries_K, 2) if is_halved else job.seq_len,
            num_heads=_shard_width((operator.heads,), keys.tp_K),
            num_kv_heads=_shard_width((operator.kv_heads,), keys.tp_K),
            head_dim_qk=operator.head_dim_qk,
            head_dim_v=operator.head_dim_v,
            batch=keys.batch_K,
            is_causal=job.is_causal,
            is_stored=job.attention is AttentionStorage.STORED,
            is_backward=is_backward,
        ).duration_s
        for is_backward in (False, True)
    )
    return forward, backward, np.zeros_like(forward)


def _vector_tokens(operator: Operator, keys: _Keys) -> Floats:
    routed_K = keys.local_experts_K * keys.tokens_per_expert_K
    match operator.split:
        case Split.TOKENS:
            return (routed_K if operator.is_routed else keys.residual_tokens_K).astype(np.float64)
        case Split.WHOLE:
            return keys.tokens_K.astype(np.float64)
        case Split.HEADS | Split.OUT | Split.IN:
            features = operator.in_features if operator.split is Split.IN else operator.out_features
            degree_K = keys.expert_tp_K if operator.is_routed else keys.tp_K
            tokens_K = routed_K if operator.is_routed else keys.tokens_K
            share_K = np.asarray(_shard_width(features, degree_K) / width(features), np.float64)
            return tokens_K * share_K


def _fill_state(tables: BlockTables, keys: _Keys, job: Training) -> None:
    shape = tables.message_bytes_QSM.shape
    first = (slice(None), 0, 0)
    for block, graph in _graphs(job):
        is_layer = block in (Block.DENSE, Block.MOE)
        for operator in graph.operators:
            parameters_Q = _local_parameters(operator, keys, job).reshape(shape)[first]
            is_expert = operator.kind is OperatorKind.EXPERT_MATMUL
            held = tables.expert_parameters_QB if is_expert else tables.parameters_QB
            held[:, block] += parameters_Q
            for activation in operator.saved:
                size = _saved_bytes(activation, keys, job).reshape(shape)
                for r, recompute in enumerate(RECOMPUTES):
                    policy = recompute if is_layer else Recompute.NONE
                    kept = is_kept(activation.saved_until, policy)
                    table = tables.saved_bytes_QSMB3 if kept else tables.recomputed_bytes_QSMB3
                    table[..., block, r] += size


def _fill_casts(tables: BlockTables, die: DieParameters, software: Software) -> None:
    """Add the casts of weights before forward, and of gradients after their matmuls."""
    if not software.cast_bytes:
        return
    for block in Block:
        held_Q = tables.parameters_QB[:, block] + tables.expert_parameters_QB[:, block]
        duration_Q = vector_costs(
            die, software.cast_bytes * held_Q, np.zeros_like(held_Q), is_stream=True
        ).duration_s
        for part in (0, 2):
            tables.compute_s_QSMB4[..., block, part] += duration_Q[:, None, None]


def _local_parameters(operator: Operator, keys: _Keys, job: Training) -> Floats:
    share_K: Floats = np.ones(len(keys.tp_K))
    degree_K = keys.tp_K
    if operator.kind is OperatorKind.EXPERT_MATMUL:
        assert job.model.moe is not None
        share_K = keys.local_experts_K / job.model.moe.num_experts
        degree_K = keys.expert_tp_K
    features: Features | None = None
    if operator.split is Split.OUT:
        features = operator.out_features
    elif operator.split is Split.IN:
        features = operator.in_features
    if operator.num_parameters and features is not None:
        share_K = share_K * (_shard_width(features, degree_K) / width(features))
    return np.asarray(operator.num_parameters * share_K, dtype=np.float64)


def _saved_bytes(activation: SavedActivation, keys: _Keys, job: Training) -> Floats:
    if activation.is_routed:
        tokens_K = keys.local_experts_K * keys.tokens_per_expert_K
        degree_K = keys.expert_tp_K
    else:
        is_residual = activation.split is Split.TOKENS
        tokens_K = keys.residual_tokens_K if is_residual else keys.tokens_K
        degree_K = keys.tp_K
    is_cut = activation.split in (Split.HEADS, Split.OUT, Split.IN)
    elements_K = (
        _shard_width(activation.features, degree_K) if is_cut else width(activation.features)
    )
    num_keys = job.seq_len if activation.per_key else 1
    size_K = tokens_K * elements_K * num_keys * activation.bytes_per_element
    return np.asarray(size_K, dtype=np.float64)


def _fill_exchanges(
    tables: BlockTables,
    job: Training,
    shardings: Sequence[Sharding],
    micro_batch_sizes: Sequence[int],
) -> None:
    """Fill in traffic with the functions that the oracle uses: few keys, no operator times."""
    element = job.precision.activation_bytes
    blocks = [block for block, _ in _graphs(job)]
    for q, (tp, cp, ep, expert_tp) in enumerate(shardings):
        degrees = ParallelDegrees(tp=tp, cp=cp, ep=ep, expert_tp=expert_tp, dp=ep * expert_tp)
        for s, (m, batch) in product(range(2), enumerate(micro_batch_sizes)):
            shard = Shard(
                tp=tp,
                ep=ep,
                expert_tp=expert_tp,
                sequence_parallel=bool(s) and tp > 1,
                batch=batch,
                num_queries=-(-job.seq_len // cp),
                num_keys=job.seq_len,
                is_causal=job.is_causal,
                attention=job.attention,
                moe=job.model.moe,
            )
            tables.message_bytes_QSM[q, s, m] = stage_message_bytes(job.model, shard, element)
            if cp > 1:
                held = gathered_kv_bytes(job.model, shard, element)
                tables.gathered_kv_bytes_QSM[q, s, m] = held
            tables.tied_copy_Q[q] = tied_copy_parameters(job.model, shard)
            for block in blocks:
                for each in _exchanges(block, job, shard, degrees):
                    p = 0 if each.phase is Phase.FORWARD else 1
                    c = CHANNELS.index((each.kind, each.axes))
                    before = tables.exchange_bytes_QSMBPC[q, s, m, block, p, c]
                    assert before in (0.0, each.size_bytes), "one size per channel and block"
                    tables.exchange_bytes_QSMBPC[q, s, m, block, p, c] = each.size_bytes
                    if m == 0:
                        tables.exchange_count_QSBPC[q, s, block, p, c] += each.count


def _exchanges(
    block: Block, job: Training, shard: Shard, degrees: ParallelDegrees
) -> Iterator[Communication]:
    element = job.precision.activation_bytes
    match block:
        case Block.DENSE:
            return layer_communications(job.model, LayerKind.DENSE, shard, degrees, element)
        case Block.MOE:
            return layer_communications(job.model, LayerKind.MOE, shard, degrees, element)
        case Block.EMBEDDING | Block.HEAD:
            is_head = block is Block.HEAD
            return edge_communications(job.model, shard, degrees, element, is_head=is_head)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProfileTables:
    """What exchanges cost on the placed dies.

    Axes: R placed degrees; C channel; U distinct collectives (0 is "never used"); L links, those
    with equal loads under every collective counted once.

    Attributes:
        index_RC: Row of the next two tables.
        pieces_U4: `CollectiveProfile.path_latency_s`, `path_s_per_byte`, `link_latency_s`,
            `link_s_per_byte`.
        link_s_per_byte_UL: Time each link is busy per byte of collective size.
        floor_s_per_byte_U: Time per byte that no algorithm undercuts on the placed groups.
    """

    index_RC: Ints
    pieces_U4: Floats
    link_s_per_byte_UL: Floats
    floor_s_per_byte_U: Floats


def profile_tables(
    network: Network,
    placed: Sequence[tuple[str, ParallelDegrees]],
    *,
    has_experts: bool,
    library: CollectiveLibrary = IDEAL_LIBRARY,
) -> ProfileTables:
    """Look up every collective that the placed degrees can use."""
    bandwidth_L = network.topology.bandwidth_bytes_per_s_L
    index_RC = np.zeros((len(placed), len(CHANNELS)), dtype=np.int64)
    row_of: dict[int, int] = {}
    pieces: list[tuple[float, float, float, float]] = [(0.0, 0.0, 0.0, 0.0)]
    links: list[Floats] = [np.zeros(len(bandwidth_L))]
    floors: list[float] = [0.0]
    ports = ports_of(network.topology)
    for r, (placement, degrees) in enumerate(placed):
        layout = network.layout(placement, degrees)
        for axes, channels in _CHANNELS_OF_AXES.items():
            if _size(degrees, axes) == 1 or (
                axes in (EP, EXPERT_TP, EXPERT_DP) and not has_experts
            ):
                continue
            groups = layout.groups(axes)
            for c in channels:
                profile = network.profile(CHANNELS[c][0], groups)
                if id(profile) not in row_of:
                    reached = sustained(profile, network, groups, library)
                    row_of[id(profile)] = len(pieces)
                    pieces.append(
                        (
                            reached.path_latency_s,
                            reached.path_s_per_byte,
                            reached.link_latency_s,
                            reached.link_s_per_byte,
                        )
                    )
                    links.append(profile.link_bytes_L / bandwidth_L)
                    kind = CHANNELS[c][0]
                    floors.append(floor_s_per_byte(ports, kind, groups, profile.injected_bytes))
                index_RC[r, c] = row_of[id(profile)]
    # links that no collective tells apart have one busiest time between them
    distinct = np.unique(np.array(links), axis=1)
    return ProfileTables(
        index_RC=index_RC,
        pieces_U4=np.array(pieces),
        link_s_per_byte_UL=np.ascontiguousarray(distinct),
        floor_s_per_byte_U=np.array(floors),
    )


def injection_bytes_per_s(network: Network) -> float:
    """Return what the best-connected die can send over all its links together.

    Infinite where no die has a link: then one die works alone and sends nothing.
    """
    topology = network.topology
    sent_N = np.zeros(topology.num_nodes)
    np.add.at(sent_N, topology.source_L, topology.bandwidth_bytes_per_s_L)
    return float(np.max(sent_N[: topology.num_dies])) or float("inf")


_CHANNELS_OF_AXES: Final[Mapping[Axes, list[int]]] = {
    axes: [c for c, (_, each) in enumerate(CHANNELS) if each == axes]
    for axes in (TP, CP, EP, EXPERT_TP, DP, EXPERT_DP, PP)
}


def _size(degrees: ParallelDegrees, axes: Axes) -> int:
    sizes: Mapping[Axes, int] = {
        TP: degrees.tp,
        CP: degrees.cp,
        EP: degrees.ep,
        EXPERT_TP: degrees.expert_tp,
        DP: degrees.dp * degrees.cp,
        EXPERT_DP: degrees.expert_dp,
        PP: degrees.pp,
    }
    return sizes[axes]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageTables:
    """Pipeline ranks with equal blocks, as runs of neighbours.

    Axes: G (pp, num_model_chunks) pairs; N runs, unused ones with count 0; 5 columns: number of
    ranks, dense layers, MoE layers, embeddings and heads of each of them.

    Attributes:
        row_of: Row of a (pp, num_model_chunks) pair; pairs that do not fit the model are absent.
        runs_GN5: The runs.
    """

    row_of: dict[tuple[int, int], int]
    runs_GN5: Ints


def stage_tables(job: Training, pipelines: Sequence[tuple[int, int]]) -> StageTables:
    """Divide the layers for every (pp, num_model_chunks) that the model can fill."""
    row_of: dict[tuple[int, int], int] = {}
    all_runs: list[list[list[int]]] = []
    for pp, chunks in pipelines:
        if pp * chunks > job.model.num_layers:
            continue
        strategy = Strategy(
            degrees=ParallelDegrees(pp=pp),
            schedule=ScheduleName.INTERLEAVED if chunks > 1 else ScheduleName.ONE_F_ONE_B,
            num_model_chunks=chunks,
        )
        runs: list[list[int]] = []
        for stage in stages_of(job.model, strategy):
            blocks = [stage.num_dense, stage.num_moe, stage.has_embedding, stage.has_head]
            if runs and runs[-1][1:] == blocks:
                runs[-1][0] += 1
            else:
                runs.append([1, *blocks])
        row_of[pp, chunks] = len(all_runs)
        all_runs.append(runs)
    runs_GN5 = np.zeros((len(all_runs), max(map(len, all_runs), default=0), 5), dtype=np.int64)
    for g, runs in enumerate(all_runs):
        runs_GN5[g, : len(runs)] = runs
    return StageTables(row_of=row_of, runs_GN5=runs_GN5)
