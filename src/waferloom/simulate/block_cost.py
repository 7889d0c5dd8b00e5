"""What one block (a layer, the embedding or the head) costs one die for one micro-batch.

This is the plain-Python side; `score_tables` builds the same numbers for whole spaces at once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from waferloom.communication import CollectiveKind, Communication, ParallelAxis, Phase
from waferloom.mapping.layout import TP, Axes, Groups, Layout, Network
from waferloom.network.profile import CollectiveProfile
from waferloom.parallel.communications import GRADIENT_AXES, gradient_communications
from waferloom.parallel.sharding import (
    AttentionCall,
    LayerState,
    MatmulCall,
    OperatorCall,
    Part,
    Shard,
    calls,
    layer_state,
)
from waferloom.parallel.software import IDEAL_LIBRARY, CollectiveLibrary, Software
from waferloom.parallel.strategy import OverlapPolicy, Recompute, Strategy
from waferloom.simulate.die_parameters import DieParameters
from waferloom.simulate.operator_cost import OperatorCost
from waferloom.simulate.operator_time import attention_cost, matmul_cost, vector_cost
from waferloom.workload.job import Precision
from waferloom.workload.operators import LayerGraph, Operator

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Compute of one die: a sum of operator costs."""

    duration_s: float = 0.0
    flops: float = 0.0
    dram_bytes: float = 0.0
    sram_bytes: float = 0.0

    def plus(self, cost: "OperatorCost | Work") -> "Work":
        """Return the sum."""
        return Work(
            duration_s=self.duration_s + cost.duration_s,
            flops=self.flops + cost.flops,
            dram_bytes=self.dram_bytes + cost.dram_bytes,
            sram_bytes=self.sram_bytes + cost.sram_bytes,
        )

    def times(self, count: float) -> "Work":
        """Return `count` of these."""
        return Work(
            duration_s=self.duration_s * count,
            flops=self.flops * count,
            dram_bytes=self.dram_bytes * count,
            sram_bytes=self.sram_bytes * count,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traffic:
    """Communication of one phase, all groups of the system at once.

    Attributes:
        exposed_s: Time by axis of what waits for it.
        hidden_s: Serial time of what runs behind compute.
        bytes_L: Bytes per directed link of both.
    """

    exposed_s: Mapping[ParallelAxis, float]
    hidden_s: float
    bytes_L: Floats

    def plus(self, other: "Traffic", count: float = 1.0) -> "Traffic":
        """Return this and `count` times the other."""
        axes = self.exposed_s.keys() | other.exposed_s.keys()
        return Traffic(
            exposed_s={
                axis: self.exposed_s.get(axis, 0.0) + count * other.exposed_s.get(axis, 0.0)
                for axis in sorted(axes)
            },
            hidden_s=self.hidden_s + count * other.hidden_s,
            bytes_L=self.bytes_L + count * other.bytes_L,
        )

    @property
    def total_exposed_s(self) -> float:
        """Exposed time of all axes."""
        return sum(self.exposed_s.values())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlockCost:
    """One block on one die, one micro-batch.

    Attributes:
        forward: Compute of the forward pass.
        backward: Compute of the backward pass without weight gradients.
        weight: Compute of the weight gradients.
        recompute: Compute that backward repeats.
        forward_traffic: Communication of the forward pass.
        backward_traffic: Of backward, repeated forward communication included.
        hidden_sync_s: Of both, serial time of hidden ZeRO traffic.
        gradient_s: Serial time of the gradient reduction once per step.
        parameter_s: Serial time of gathering updated weights once per step.
        step_bytes_L: Bytes per link of those two.
        state: What the die holds for the block.
    """

    forward: Work
    backward: Work
    weight: Work
    recompute: Work
    forward_traffic: Traffic
    backward_traffic: Traffic
    hidden_sync_s: float
    gradient_s: float
    parameter_s: float
    step_bytes_L: Floats
    state: LayerState


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Costs:
    """What blocks are costed with.

    Attributes:
        die: The operator model of a die.
        precision: Bytes per element.
        network: Links and collectives.
        layout: Dies of the ranks.
        library: What collectives reach of the links.
        profiles: The collectives asked for so far.
    """

    die: DieParameters
    precision: Precision
    network: Network
    layout: Layout
    library: CollectiveLibrary = IDEAL_LIBRARY
    profiles: dict[tuple[CollectiveKind, Axes], CollectiveProfile] = field(
        default_factory=dict[tuple[CollectiveKind, Axes], CollectiveProfile]
    )

    def operator(self, call: OperatorCall) -> OperatorCost:
        """Return the cost of one operator call."""
        element = self.precision.activation_bytes
        match call:
            case MatmulCall():
                return matmul_cost(
                    self.die,
                    m=call.m,
                    n=call.n,
                    k=call.k,
                    count=call.count,
                    bytes_in=self.precision.weight_bytes,
                    bytes_out=element,
                )
            case AttentionCall():
                return attention_cost(
                    self.die,
                    num_queries=call.num_queries,
                    num_keys=call.num_keys,
                    num_heads=call.num_heads,
                    num_kv_heads=call.num_kv_heads,
                    head_dim_qk=call.head_dim_qk,
                    head_dim_v=call.head_dim_v,
                    batch=call.batch,
                    is_causal=call.is_causal,
                    is_stored=call.is_stored,
                    is_backward=call.part is Part.BACKWARD,
                )
            case _:
                return vector_cost(self.die, num_bytes=call.num_bytes, flops=call.flops)

    def profile(self, kind: CollectiveKind, axes: Axes) -> CollectiveProfile:
        """Return a collective on the actual dies."""
        if (kind, axes) not in self.profiles:
            groups = self.layout.groups(axes)
            self.profiles[kind, axes] = sustained(
                self.network.profile(kind, groups), self.network, groups, self.library
            )
        return self.profiles[kind, axes]

    def traffic(self, communications: Iterable[tuple[Communication, float]]) -> Traffic:
        """Return the traffic of `(communication, hidden share)` pairs, one after another."""
        exposed: dict[ParallelAxis, float] = {}
        hidden_s = 0.0
        bytes_L = np.zeros(len(self.network.topology.bandwidth_bytes_per_s_L))
        for communication, hidden_share in communications:
            profile = self.profile(communication.kind, communication.axes)
            duration_s = communication.count * profile.duration_s(communication.size_bytes)
            bytes_L += communication.count * communication.size_bytes * profile.link_bytes_L
            hidden_s += hidden_share * duration_s
            if hidden_share < 1:
                axis = communication.axes[0]
                exposed[axis] = exposed.get(axis, 0.0) + (1 - hidden_share) * duration_s
        return Traffic(exposed_s=exposed, hidden_s=hidden_s, bytes_L=bytes_L)


def sustained(
    profile: CollectiveProfile, network: Network, groups: Groups, library: CollectiveLibrary
) -> CollectiveProfile:
    """Return a collective with the bandwidth and the start-up time that a library reaches."""
    if library == IDEAL_LIBRARY:
        return profile
    domain_GN = network.topology.domain_D[groups]
    is_across = bool(np.any(domain_GN != domain_GN[:, :1]))
    efficiency = library.across_efficiency if is_across else library.inside_efficiency
    start_s = library.across_latency_s if is_across else library.inside_latency_s
    return replace(
        profile,
        path_latency_s=profile.path_latency_s + start_s,
        path_s_per_byte=profile.path_s_per_byte / efficiency,
        link_latency_s=profile.link_latency_s + start_s,
        link_s_per_byte=profile.link_s_per_byte / efficiency,
    )


def repeated_share(recompute: Recompute, operator: Operator, software: Software) -> float:
    """Return the share of an operator's forward that backward repeats."""
    match recompute:
        case Recompute.NONE:
            return 0.0
        case Recompute.FULL:
            return 1.0
        case Recompute.SELECTIVE:
            share = software.selective_share
            if operator.is_attention_core:
                return 1.0 if share is None else 0.0
            return share or 0.0


def block_cost(
    graph: LayerGraph,
    communications: Iterable[Communication],
    strategy: Strategy,
    shard: Shard,
    costs: Costs,
    *,
    is_recomputable: bool = True,
    copied_parameters: float = 0.0,
) -> BlockCost:
    """Return the cost of one block.

    Args:
        graph: Its operators.
        communications: What it exchanges for one micro-batch, forward and backward.
        strategy: Recompute policy, ZeRO stage, overlap.
        shard: The share of one die.
        costs: The models.
        is_recomputable: False for embedding and head, which recomputation leaves alone.
        copied_parameters: Parameters held beside those of the graph (a tied head far from its
            embedding).
    """
    recompute = strategy.recompute if is_recomputable else Recompute.NONE
    parts = {part: Work() for part in Part}
    repeated = Work()
    software = strategy.software
    for operator in graph.operators:
        for call in calls(operator, shard):
            cost = costs.operator(call)
            parts[call.part] = parts[call.part].plus(cost)
            if call.part is Part.FORWARD:
                share = repeated_share(recompute, operator, software)
                repeated = repeated.plus(Work().plus(cost).times(share))
    state = layer_state(graph, shard, recompute)
    if software.cast_bytes:
        num_bytes = software.cast_bytes * (state.parameters + state.expert_parameters)
        cast = vector_cost(costs.die, num_bytes=num_bytes, flops=0.0, is_stream=True)
        parts[Part.FORWARD] = parts[Part.FORWARD].plus(cast)
        parts[Part.WEIGHT] = parts[Part.WEIGHT].plus(cast)
        if recompute is Recompute.FULL:
            repeated = repeated.plus(cast)
    state = replace(state, parameters=state.parameters + copied_parameters)
    inside = list(communications)
    forward = [each for each in inside if each.phase is Phase.FORWARD]
    backward = [each for each in inside if each.phase is Phase.BACKWARD]
    if recompute is Recompute.FULL:
        backward += forward
    syncs = list(_syncs(strategy, costs, state))
    overlap = strategy.overlap

    def inner(own: list[Communication]) -> Traffic:
        return costs.traffic((each, hidden_share(each, overlap)) for each in own)

    def sharded(phase: Phase) -> Traffic:
        marked: list[tuple[Communication, float]] = []
        for each in syncs:
            if each.phase is phase:
                is_weights = " weights " in each.name
                is_hidden = overlap.parameters if is_weights else overlap.gradients
                marked.append((each, float(is_hidden)))
        return costs.traffic(marked)

    forward_sync, backward_sync = sharded(Phase.FORWARD), sharded(Phase.BACKWARD)
    gradients = costs.traffic((each, 1.0) for each in syncs if each.phase is Phase.GRADIENTS)
    weights = costs.traffic((each, 1.0) for each in syncs if each.phase is Phase.OPTIMIZER)
    return BlockCost(
        forward=parts[Part.FORWARD],
        backward=parts[Part.BACKWARD],
        weight=parts[Part.WEIGHT],
        recompute=repeated,
        forward_traffic=inner(forward).plus(forward_sync),
        backward_traffic=inner(backward).plus(backward_sync),
        hidden_sync_s=forward_sync.hidden_s + backward_sync.hidden_s,
        gradient_s=gradients.hidden_s,
        parameter_s=weights.hidden_s,
        step_bytes_L=gradients.bytes_L + weights.bytes_L,
        state=state,
    )


def hidden_share(communication: Communication, overlap: OverlapPolicy) -> float:
    """Return how much of an exchange inside a layer runs behind compute."""
    return overlap.tensor if communication.axes == TP else 0.0


def _syncs(strategy: Strategy, costs: Costs, state: LayerState) -> Iterable[Communication]:
    degrees = strategy.degrees
    if degrees.dp * degrees.cp > 1:
        yield from gradient_communications(
            strategy, costs.precision, parameters=state.parameters, axes=GRADIENT_AXES
        )
    if degrees.expert_dp > 1 and state.expert_parameters > 0:
        yield from gradient_communications(
            strategy,
            costs.precision,
            parameters=state.expert_parameters,
            axes=(ParallelAxis.EXPERT_DP,),
        )
