"""Latency against load of synthetic traffic, in the packet simulator.

Every die offers messages of one packet at random cycles, as routers are usually measured: a
warm-up, a stretch that is measured, and a while after it so that what was offered can still arrive.
Rates are flits per die and cycle, a cycle being what the fastest link needs for a flit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from waferloom.errors import SpecError, did_you_mean
from waferloom.network.routing import ROUTING
from waferloom.network.simulators.packet import LocalPorts, PacketModel
from waferloom.network.topology import FloatArray, IntArray, Topology
from waferloom.network.traffic import TrafficBuilder

WARM_UP_CYCLES: Final = 3000
MEASURED_CYCLES: Final = 6000
COOL_DOWN_CYCLES: Final = 1000
HOTSPOT_SHARE: Final = 0.1
"""Of the messages that go to the hot die. An assumption: enough to saturate it long before the
links."""
STABLE_SHARE: Final = 0.97
"""Of the offered flits that arrive while the network still keeps up; the rest is chance."""
SHARES_OF_LIMIT: Final = (0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
"""Rates of a curve, over the highest that links and ports allow."""
MOST_LINK_CYCLES: Final = WARM_UP_CYCLES / 10
"""Latency of a link, so that messages of ten hops arrive within the warm-up."""
MOST_FLIT_HOPS: Final = 2e8
"""Of one run; about a minute."""

WORMHOLE: Final = PacketModel(
    packet_flits=1, num_vcs=8, buffer_flits=8, local_ports=LocalPorts.PER_DIE
)
"""Routers as BookSim is usually run: eight virtual channels of eight flits, packets of one flit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPoint:
    """One rate.

    Attributes:
        rate: Offered, in flits per die and cycle.
        latency_cycles: From offering a message to its last flit's arrival, mean.
        p99_latency_cycles: The same, of the slowest in a hundred.
        accepted: Flits that arrived per die and cycle.
        is_stable: Whether the network keeps up with what is offered; where not, the latencies
            grow with the length of the run.
    """

    rate: float
    latency_cycles: float
    p99_latency_cycles: float
    accepted: float
    is_stable: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadCurve:
    """A pattern at several rates.

    Attributes:
        topology: Where.
        pattern: Key of `PATTERNS`.
        routing: Key of `ROUTING`.
        limit: Highest rate that the busiest link and the ports of dies allow.
        points: By rising rate.
        link_flits_L: Flits on each link per cycle at a rate of one flit per die and cycle.
        cycle_s: Of a cycle; None where links were given in flits.
    """

    topology: Topology
    pattern: str
    routing: str
    limit: float
    points: tuple[LoadPoint, ...]
    link_flits_L: FloatArray
    cycle_s: float | None

    @property
    def saturation(self) -> float:
        """Highest accepted load at which the network still keeps up; 0 if at none.

        Beyond it dies whose routes are free may still be served better, so that the mean over all
        dies can rise further.
        """
        return max((point.accepted for point in self.points if point.is_stable), default=0.0)


Weights = Callable[[Topology, IntArray], FloatArray]
"""Returns for every live die (row) how often it sends to every live die (column); rows add to 1."""


def _uniform(topology: Topology, live: IntArray) -> FloatArray:
    del topology
    return np.full((live.size, live.size), 1.0 / live.size)


def _transpose(topology: Topology, live: IntArray) -> FloatArray:
    num_rows, num_cols = int(topology.row_D.max()) + 1, int(topology.col_D.max()) + 1
    if num_rows != num_cols:
        msg = f"transpose needs as many rows as columns; {topology.name} has {num_rows}, {num_cols}"
        raise SpecError(msg)
    return _to(topology, live, topology.col_D[live] * num_cols + topology.row_D[live], "transpose")


def _bit_complement(topology: Topology, live: IntArray) -> FloatArray:
    return _to(topology, live, topology.num_dies - 1 - live, "bit_complement")


def _to(topology: Topology, live: IntArray, destination: IntArray, pattern: str) -> FloatArray:
    if not topology.is_live_D[destination].all():
        msg = f"{pattern} sends to dies that are dead; use uniform, hotspot or neighbour"
        raise SpecError(msg)
    place_D = np.full(topology.num_dies, -1)
    place_D[live] = np.arange(live.size)
    weights = np.zeros((live.size, live.size))
    weights[np.arange(live.size), place_D[destination]] = 1.0
    return weights


def _hotspot(topology: Topology, live: IntArray) -> FloatArray:
    row, col = topology.row_D[live], topology.col_D[live]
    hot = np.argmin(np.abs(row - row.mean()) + np.abs(col - col.mean()))
    weights = (1.0 - HOTSPOT_SHARE) * _uniform(topology, live)
    weights[:, hot] += HOTSPOT_SHARE
    return weights


def _neighbour(topology: Topology, live: IntArray) -> FloatArray:
    weights = np.zeros((topology.num_dies, topology.num_dies))
    is_die_L = (topology.source_L < topology.num_dies) & (
        topology.destination_L < topology.num_dies
    )
    weights[topology.source_L[is_die_L], topology.destination_L[is_die_L]] = 1.0
    weights = weights[np.ix_(live, live)]
    if not weights.any(axis=1).all():
        msg = f"neighbour needs a link from every die to another; {topology.name} has dies without"
        raise SpecError(msg)
    return weights / weights.sum(axis=1, keepdims=True)


PATTERNS: Final[Mapping[str, Weights]] = {
    "uniform": _uniform,
    "transpose": _transpose,
    "bit_complement": _bit_complement,
    "hotspot": _hotspot,
    "neighbour": _neighbour,
}
"""Where messages go: to any die (the sender included), to the die mirrored at the diagonal or at
the centre, a tenth of them to the middle die, or to a die beside the sender."""


def load_curve(
    topology: Topology,
    pattern: str,
    rates: Sequence[float] = (),
    *,
    flit_bytes: float | None = None,
    routing: str = "xy",
    model: PacketModel = WORMHOLE,
    seed: int = 42,
) -> LoadCurve:
    """Return latency and accepted load of a pattern.

    Args:
        topology: Where.
        pattern: Key of `PATTERNS`.
        rates: Flits per die and cycle, rising; by default `SHARES_OF_LIMIT` of the limit.
        flit_bytes: Of a flit; None where the topology is in flits and cycles already.
        routing: Key of `ROUTING`.
        model: The routers.
        seed: Of the random cycles and destinations.

    Raises:
        SpecError: An unknown name, a rate outside (0, 1], a pattern that does not suit, or a run
            that would take minutes.
        RoutingError: Two dies are not connected, or packets wait for each other in a circle.
    """
    if pattern not in PATTERNS:
        msg = f"unknown pattern {pattern!r}; {did_you_mean(pattern, PATTERNS)}"
        raise SpecError(msg)
    if routing not in ROUTING:
        msg = f"unknown routing {routing!r}; {did_you_mean(routing, ROUTING)}"
        raise SpecError(msg)
    cycle_s = None
    if flit_bytes is not None:
        cycle_s = flit_bytes / float(topology.bandwidth_bytes_per_s_L.max(initial=1.0))
        topology = _in_flits(topology, flit_bytes)
    slowest = float(topology.latency_s_L.max(initial=0.0))
    if slowest > MOST_LINK_CYCLES:
        msg = (
            f"a link of {topology.name} takes {slowest:.4g} cycles of such flits, more than "
            f"{MOST_LINK_CYCLES:g}: the network would not fill in {WARM_UP_CYCLES} cycles; use "
            "larger flits"
        )
        raise SpecError(msg)
    live = np.flatnonzero(topology.is_live_D)
    weights = PATTERNS[pattern](topology, live)
    link_flits_L, limit, hops = _limit(topology, live, weights, routing)
    chosen = tuple(rates) or tuple(share * limit for share in SHARES_OF_LIMIT)
    for rate in chosen:
        if not 0 < rate <= 1:
            msg = f"a rate of {rate:g} flits per die and cycle is outside (0, 1]"
            raise SpecError(msg)
    cycles = WARM_UP_CYCLES + MEASURED_CYCLES + COOL_DOWN_CYCLES
    flit_hops = max(chosen) * live.size * cycles * max(hops, 1.0)
    if flit_hops > MOST_FLIT_HOPS:
        msg = (
            f"a rate of {max(chosen):g} on {live.size} dies takes {flit_hops:.2g} flit-hops; use "
            "fewer dies or lower rates"
        )
        raise SpecError(msg)
    runner = _Runner(topology, live, weights, routing, model)
    return LoadCurve(
        topology=topology,
        pattern=pattern,
        routing=routing,
        limit=limit,
        points=tuple(runner.point(rate, np.random.default_rng(seed)) for rate in chosen),
        link_flits_L=link_flits_L,
        cycle_s=cycle_s,
    )


def _in_flits(topology: Topology, flit_bytes: float) -> Topology:
    """Return the network in units of flits and cycles of its fastest link."""
    fastest = topology.bandwidth_bytes_per_s_L.max(initial=1.0)
    return replace(
        topology,
        bandwidth_bytes_per_s_L=topology.bandwidth_bytes_per_s_L / fastest,
        latency_s_L=topology.latency_s_L * fastest / flit_bytes,
    )


def _limit(
    topology: Topology, live: IntArray, weights: FloatArray, routing: str
) -> tuple[FloatArray, float, float]:
    """Return the links' loads, the highest rate that links and ports allow, and the mean hops."""
    source, destination = np.nonzero(weights)
    routes = ROUTING[routing].routes(topology, live[source], live[destination])
    weight = weights[source, destination]
    link_flits_L = np.zeros(topology.num_links)
    np.add.at(link_flits_L, routes.link_H, np.repeat(weight, routes.hops_F))
    fastest = topology.bandwidth_bytes_per_s_L.max(initial=1.0)
    busy_L = link_flits_L * fastest / topology.bandwidth_bytes_per_s_L
    ejected = float(weights.sum(axis=0).max())
    limit = 1.0 / max(float(busy_L.max(initial=0.0)), ejected, 1.0)
    return link_flits_L, limit, float((weight * routes.hops_F).sum() / live.size)


@dataclass(frozen=True, slots=True)
class _Runner:
    topology: Topology
    live: IntArray
    weights: FloatArray
    routing: str
    model: PacketModel

    def point(self, rate: float, random: np.random.Generator) -> LoadPoint:
        """Simulate one rate."""
        packet = self.model.packet_flits
        end = WARM_UP_CYCLES + MEASURED_CYCLES
        offers = random.random((end + COOL_DOWN_CYCLES, self.live.size)) < rate / packet
        cycle, sender = np.nonzero(offers)
        receiver = self._receivers(sender, random)
        builder = TrafficBuilder(self.topology, ROUTING[self.routing])
        builder.add(self.live[sender], self.live[receiver], float(packet))
        _, finish = self.model.run_cycles(self.topology, builder.build(0), 1.0, cycle)
        measured = (cycle >= WARM_UP_CYCLES) & (cycle < end)
        arrived = (finish >= WARM_UP_CYCLES) & (finish < end)
        per_cycle = packet / MEASURED_CYCLES / self.live.size
        latency = (finish - cycle)[measured].astype(np.float64)
        accepted = float(arrived.sum()) * per_cycle
        offered = float(measured.sum()) * per_cycle
        return LoadPoint(
            rate=rate,
            latency_cycles=float(latency.mean()) if latency.size else 0.0,
            p99_latency_cycles=float(np.percentile(latency, 99)) if latency.size else 0.0,
            accepted=accepted,
            is_stable=accepted >= STABLE_SHARE * offered,
        )

    def _receivers(self, sender: IntArray, random: np.random.Generator) -> IntArray:
        """Draw where each message goes."""
        upto = np.cumsum(self.weights, axis=1)
        drawn = random.random(sender.size) * upto[sender, -1]
        receiver = np.empty(sender.size, dtype=np.int64)
        for die in range(self.live.size):
            mine = np.flatnonzero(sender == die)
            receiver[mine] = np.searchsorted(upto[die], drawn[mine], side="right")
        return receiver
