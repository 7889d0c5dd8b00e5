"""Ring: chunks travel round a closed tour, one way or both ways at once.

A reduce-scatter takes n - 1 steps of chunks of `size / n`, an all-gather the same, an all-reduce
both. Two-way rings send each half of every chunk in its own direction, so that on full-duplex links
they take half the time:

    all_reduce = 2 (n - 1) (latency + size / (n * ways * bandwidth))

Source:
    Patarasuk and Yuan 2009, doi:10.1016/j.jpdc.2008.09.002.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.network import _profile_kernel as kernels
from waferloom.network.collectives.base import REDUCING_KINDS, CollectiveProfile, Exchange
from waferloom.network.collectives.slots import Shards, shards_of, slots_per_vector
from waferloom.network.topology import IntArray
from waferloom.network.traffic import Action, Traffic, TrafficBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """All-reduce, reduce-scatter and all-gather round a tour."""

    name: str
    num_ways: int
    kinds: frozenset[CollectiveKind] = REDUCING_KINDS

    def at_least_s(self, exchange: Exchange) -> float:
        """Return 0: the profile itself is cheap."""
        return 0.0

    def profile(self, exchange: Exchange) -> CollectiveProfile:
        """Return the cost in closed form."""
        laps = 2 if exchange.kind is CollectiveKind.ALL_REDUCE else 1
        ring_GN, reference = exchange.orders.ring_GN, exchange.reference_bytes
        path_G2, zero_G2, loads = exchange.no_cost(), exchange.no_cost(), exchange.no_loads()
        network = exchange.network
        exchange.check(
            kernels.ring_paths(network, ring_GN, self.num_ways, laps, 1.0, reference, path_G2)
        )
        kernels.ring_loads(
            network, ring_GN, self.num_ways, laps, 1.0, zero_G2, zero_G2, reference, loads
        )
        return exchange.profile(self.name, path_G2, loads)

    def traffic(self, exchange: Exchange, size_bytes: float) -> Traffic:
        """Return the flows."""
        builder = exchange.builder()
        num_slots = slots_per_vector(exchange, pieces=self.num_ways)
        for group in range(exchange.num_groups):
            tour = exchange.orders.ring_GN[group]
            tour = tour[tour >= 0]
            for way in range(self.num_ways):
                shards = shards_of(exchange.members(group), tour, num_slots)
                part = shards.part(way, self.num_ways)
                chunk = size_bytes / (tour.size * self.num_ways)
                if way == 1:
                    tour, part = tour[::-1], part.reversed()
                add_ring(builder, exchange.kind, tour, part, chunk)
        return builder.build(num_slots)


def add_ring(
    builder: TrafficBuilder,
    kind: CollectiveKind,
    dies: IntArray,
    shards: Shards,
    chunk_bytes: float,
    depends: IntArray | int | None = None,
) -> IntArray:
    """Add one ring in one direction; return the last flow into each of `dies`.

    Args:
        builder: Receives the flows.
        kind: Reduce-scatter, all-gather, or all-reduce for one after the other.
        dies: In order of travel.
        shards: The slots that each of `dies` owns.
        chunk_bytes: Bytes of one of them.
        depends: A flow that all first sends wait for, or one for each of `dies`.
    """
    n = dies.size
    wait = np.broadcast_to(np.asarray(-1 if depends is None else depends), (n,))
    if n < 2:
        return wait[wait >= 0]
    if kind is not CollectiveKind.ALL_GATHER:
        wait = _steps(builder, dies, shards, chunk_bytes, wait, Action.REDUCE)
    if kind is not CollectiveKind.REDUCE_SCATTER:
        wait = _steps(builder, dies, shards, chunk_bytes, wait, Action.COPY)
    return wait


def _steps(
    builder: TrafficBuilder,
    dies: IntArray,
    shards: Shards,
    chunk_bytes: float,
    wait: IntArray,
    action: Action,
) -> IntArray:
    """Add n - 1 steps; return the last flow into each die.

    Gathering, a die first sends its own chunk; reducing, the one that the ring before it owns, so
    that every chunk ends at its owner.
    """
    n = dies.size
    behind = 1 if action is Action.REDUCE else 0
    sent = np.full(n, -1)
    for step in range(n - 1):
        chunk = (np.arange(n) - step - behind) % n
        sent = builder.add(
            dies,
            np.roll(dies, -1),
            chunk_bytes,
            depends=wait,
            previous=sent,
            read=shards.first[chunk],
            count=shards.count[chunk],
            action=action,
            phase="reduce" if action is Action.REDUCE else "gather",
        )
        wait = np.roll(sent, 1)
    return wait


RING: Final = Ring(name="ring", num_ways=2)
ONE_WAY_RING: Final = Ring(name="one_way_ring", num_ways=1)
