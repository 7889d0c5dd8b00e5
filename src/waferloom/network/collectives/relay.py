"""Relay: an all-to-all in which pieces are handed from neighbour to neighbour round a one-way ring.

Every member sends the piece for the member r places ahead over r hops, one distance after another,
the longest first:

    all_to_all = n (n - 1) / 2 * (latency + size / (n * bandwidth))

It needs no routing beyond neighbours, and is what ASTRA-sim calls a ring all-to-all.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.network.collectives.base import (
    CollectiveProfile,
    Exchange,
    profile_of_traffic,
)
from waferloom.network.collectives.slots import Shards, shards_of, slots_per_vector
from waferloom.network.topology import IntArray
from waferloom.network.traffic import Traffic, TrafficBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """All-to-all between neighbours only."""

    name: str = "relay"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_TO_ALL})

    def at_least_s(self, exchange: Exchange) -> float:
        """Return 0: the profile itself is cheap."""
        return 0.0

    def profile(self, exchange: Exchange) -> CollectiveProfile:
        """Return the cost, from the flows."""
        size_bytes = exchange.reference_bytes
        traffic = self.traffic(exchange, size_bytes)
        return profile_of_traffic(exchange, self.name, traffic, size_bytes)

    def traffic(self, exchange: Exchange, size_bytes: float) -> Traffic:
        """Return the flows; pieces on their way lie in slots of their own, behind the others."""
        builder = exchange.builder()
        num_slots = slots_per_vector(exchange, pieces=1)
        last_slot = 2 * num_slots
        for group in range(exchange.num_groups):
            dies = exchange.orders.ring_GN[group]
            dies = dies[dies >= 0]
            landing = shards_of(exchange.members(group), dies, num_slots)
            last_slot = max(last_slot, _add_group(builder, dies, landing, num_slots, size_bytes))
        return builder.build(last_slot)


def _add_group(
    builder: TrafficBuilder, dies: IntArray, owned: Shards, num_slots: int, size_bytes: float
) -> int:
    """Add one ring; return the first slot behind those it uses."""
    n, width = dies.size, int(owned.count[0, 0])
    part_N = owned.first[:, 0]
    position = np.arange(n)
    sent: IntArray = np.full(n, -1)
    received: IntArray = np.full(n, -1)
    transit = 2 * num_slots
    for distance in range(n - 1, 0, -1):
        for hop in range(distance):
            # At position p, on its way from `origin` to `origin + distance`.
            origin = np.roll(position, hop)
            target = np.roll(position, hop - distance)
            arrives = hop == distance - 1
            sent = builder.add(
                dies,
                np.roll(dies, -1),
                size_bytes / n,
                depends=np.stack([received, sent], axis=1),
                read=part_N[target] if hop == 0 else transit - width,
                write=num_slots + part_N[origin] if arrives else transit,
                count=width,
                phase="exchange",
            )
            received = np.roll(sent, 1)
            transit += width
    return transit


RELAY: Final = Relay()
