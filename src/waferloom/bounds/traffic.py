"""Bounds from traffic: what must cross the network because no die, or no half, holds all weights.

If a die holds fewer than all weights that every token needs (routed experts left out), then in a
step either one die receives the missing weights, or every token's hidden state leaves a die at
least once forward and its gradient once backward. The cheaper of the two is a lower bound. The same
argument over the two halves of the system bounds what crosses the middle.
"""

import numpy as np

from waferloom.bounds.records import Bound, BoundName
from waferloom.mapping.scenario import Scenario
from waferloom.network.topology import Topology, build_topology
from waferloom.units import Dimension, format_quantity
from waferloom.workload.model import LayerKind
from waferloom.workload.parameters import count_parameters


def traffic_bounds(scenario: Scenario) -> tuple[Bound, ...]:
    """Return the bounds from injection and bisection."""
    topology = build_topology(scenario.system)
    sent_N = np.zeros(topology.num_nodes)
    np.add.at(sent_N, topology.source_L, topology.bandwidth_bytes_per_s_L)
    die_bytes_per_s = sent_N[: topology.num_dies]
    return (
        _bound(
            scenario,
            BoundName.INJECTION,
            holder="a die",
            num_dies=1,
            state_bytes_per_s=float(np.sum(die_bytes_per_s)),
            weight_bytes_per_s=float(np.max(die_bytes_per_s)),
        ),
        _bound(
            scenario,
            BoundName.BISECTION,
            holder="half of the system",
            num_dies=-(-scenario.system.num_live_dies // 2),
            state_bytes_per_s=2 * _middle_bytes_per_s(topology),
            weight_bytes_per_s=_middle_bytes_per_s(topology),
        ),
    )


def _bound(
    scenario: Scenario,
    name: BoundName,
    *,
    holder: str,
    num_dies: int,
    state_bytes_per_s: float,
    weight_bytes_per_s: float,
) -> Bound:
    job, system = scenario.job, scenario.system
    weights = common_parameters(scenario) * job.precision.weight_bytes
    room = num_dies * system.die.memory.capacity_bytes
    if weights <= room:
        held = format_quantity(weights, Dimension.BYTES)
        return Bound(
            name=name,
            step_s=0.0,
            scope="any plan",
            reason=f"{holder} can hold all {held} of weights, so nothing has to move",
        )
    missing = weights - room
    hidden = 2 * job.tokens_per_step * job.model.hidden_size * job.precision.activation_bytes
    return Bound(
        name=name,
        step_s=min(hidden / state_bytes_per_s, missing / weight_bytes_per_s),
        scope="any plan",
        reason=f"{holder} lacks {format_quantity(missing, Dimension.BYTES)} of weights: they move, "
        f"or {format_quantity(hidden, Dimension.BYTES)} of hidden states and gradients do",
    )


def common_parameters(scenario: Scenario) -> int:
    """Return the parameters that every token passes: all but routed experts and the embedding."""
    model = scenario.job.model
    count = count_parameters(model)
    routed = 0
    if model.moe is not None:
        matrices = 3 if model.is_gated else 2
        each = matrices * model.hidden_size * model.moe.expert_ffn_size
        layers = sum(g.num_layers for g in model.layer_groups if g.kind is LayerKind.MOE)
        routed = layers * model.moe.num_experts * each
    return count.total - routed - count.embedding


def _middle_bytes_per_s(topology: Topology) -> float:
    """Return what can cross the middle in one direction: the narrowest of the even cuts we know.

    On a grid: between the two middle columns, or rows. Behind switches: what half of the dies
    inject.
    """
    sent_N = np.zeros(topology.num_nodes)
    np.add.at(sent_N, topology.source_L, topology.bandwidth_bytes_per_s_L)
    dies = topology.num_dies
    cuts = [float(np.sum(np.sort(sent_N[:dies])[dies // 2 :]))]
    if topology.num_nodes == dies:
        for coordinate_D in (topology.row_D, topology.col_D):
            num_places = int(np.max(coordinate_D)) + 1
            if num_places % 2:
                continue  # an odd side has no cut into halves
            is_first_D = coordinate_D < num_places // 2
            crosses_L = is_first_D[topology.source_L] & ~is_first_D[topology.destination_L]
            cuts.append(float(np.sum(topology.bandwidth_bytes_per_s_L[crosses_L])))
    return min(cuts)
