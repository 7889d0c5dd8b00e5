"""Multicast tree: the network itself copies the message where routes to different dies part.

The routes from the first member to all others form a tree; each of its links carries the message
once:

    multicast = latency of the longest route + size / smallest bandwidth

Needs routers that can copy; use a chain where they cannot.
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
from waferloom.network.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class MulticastTree:
    """Multicast in the network."""

    name: str = "multicast_tree"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.MULTICAST})

    def at_least_s(self, exchange: Exchange) -> float:
        """Return 0: the profile itself is cheap."""
        return 0.0

    def profile(self, exchange: Exchange) -> CollectiveProfile:
        """Return the cost, from one flow per group."""
        size_bytes = exchange.reference_bytes
        traffic = self.traffic(exchange, size_bytes)
        return profile_of_traffic(exchange, self.name, traffic, size_bytes)

    def traffic(self, exchange: Exchange, size_bytes: float) -> Traffic:
        """Return the flows."""
        builder = exchange.builder()
        groups_GN = exchange.groups_GN
        has_others = groups_GN.shape[1] > 1
        for group in range(exchange.num_groups) if has_others else ():
            others = exchange.members(group)[1:]
            if others.size:
                builder.add(
                    groups_GN[group, :1],
                    others[-1:],
                    size_bytes,
                    read=np.zeros((1, others.size), dtype=np.int64),
                    receivers=others[None, :],
                    phase="multicast",
                )
        return builder.build(num_slots=1)


MULTICAST_TREE: Final = MulticastTree()
