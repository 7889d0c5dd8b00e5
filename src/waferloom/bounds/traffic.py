"""Bounds from traffic: what must cross the network because no die, or no half, holds all weights.

If a die holds fewer than all weights that every token needs (routed experts left out), then in a
step either one die receives the missing weights, or every token's hidden state leaves a die at
least once forward and its gradient once backward. The cheaper of the two is a lower bound. The same
argument over the two halves of the system bounds what crosses the middle.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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
        max(
            (
                _bound(
                    scenario,
                    BoundName.BISECTION,
                    holder="half of the system",
                    num_dies=cut.num_dies,
                    state_bytes_per_s=2 * cut.bytes_per_s,
                    weight_bytes_per_s=cut.bytes_per_s,
                )
                for cut in _middle_cuts(topology)
            ),
            key=lambda bound: bound.step_s,
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
    if state_bytes_per_s == 0:
        return Bound(
            name=name,
            step_s=0.0,
            scope="any plan",
            reason=f"{holder} lacks {format_quantity(missing, Dimension.BYTES)} of weights, and no "
            "link could bring them: no plan fits",
        )
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """A division of the dies in two.

    Attributes:
        num_dies: Live dies of the larger side: defects may leave the sides unequal.
        bytes_per_s: What can cross, one direction.
    """

    num_dies: int
    bytes_per_s: float


def _middle_cuts(topology: Topology) -> Iterator[_Cut]:
    """Yield the even cuts we know.

    On a grid: between the two middle columns, and rows. Anywhere: what half of the dies inject. A
    cut that nothing can cross is left out, since no plan has dies on both of its sides.
    """
    sent_N = np.zeros(topology.num_nodes)
    np.add.at(sent_N, topology.source_L, topology.bandwidth_bytes_per_s_L)
    dies = topology.num_dies
    is_live_D = topology.is_live_D
    num_live = int(np.count_nonzero(is_live_D))
    half = -(-num_live // 2)
    most = float(np.sum(np.sort(sent_N[:dies])[dies - half :]))
    yield _Cut(num_dies=half, bytes_per_s=most)
    if topology.num_nodes > dies:
        return
    for coordinate_D in (topology.row_D, topology.col_D):
        num_places = int(np.max(coordinate_D)) + 1
        if num_places % 2:
            continue  # an odd side has no cut into halves
        is_first_D = coordinate_D < num_places // 2
        crosses_L = is_first_D[topology.source_L] & ~is_first_D[topology.destination_L]
        crossing = float(np.sum(topology.bandwidth_bytes_per_s_L[crosses_L]))
        num_first = int(np.count_nonzero(is_live_D & is_first_D))
        if crossing > 0:
            yield _Cut(num_dies=max(num_first, num_live - num_first), bytes_per_s=crossing)
