"""Chain: a broadcast passed on from die to die along two arms of a tour, in pieces.

The tour is cut where the longer arm is shortest. Every die passes on the pieces it has received, so
the busiest link carries the message once and the last die has it after the arm is filled:

    broadcast -> size / bandwidth + arm * (latency + size / (pieces * bandwidth))
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.network import _profile_kernel as kernels
from waferloom.network.collectives.base import CollectiveProfile, Exchange
from waferloom.network.collectives.line import PIPELINE_CHUNKS
from waferloom.network.topology import IntArray
from waferloom.network.traffic import Traffic, in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Broadcast from the first member of each group."""

    name: str = "chain"
    kinds: frozenset[CollectiveKind] = frozenset(
        {CollectiveKind.BROADCAST, CollectiveKind.MULTICAST}
    )

    def at_least_s(self, exchange: Exchange) -> float:
        """Return 0: the profile itself is cheap."""
        return 0.0

    def profile(self, exchange: Exchange) -> CollectiveProfile:
        """Return the cost in closed form."""
        path_G2, loads = exchange.no_cost(), exchange.no_loads()
        self._arms(exchange, path_G2, loads)
        return exchange.profile(self.name, path_G2, loads)

    def traffic(self, exchange: Exchange, size_bytes: float) -> Traffic:
        """Return the flows."""
        builder = exchange.builder()
        arm_G = self._arms(exchange, exchange.no_cost(), exchange.no_loads())
        for group in range(exchange.num_groups):
            tour = exchange.orders.ring_GN[group]
            tour = tour[tour >= 0]
            if tour.size < 2:
                continue
            tour = np.roll(tour, -int(np.flatnonzero(tour == exchange.groups_GN[group, 0])[0]))
            arm = int(arm_G[group])
            backwards = np.concatenate([tour[:1], tour[:arm:-1]])
            for path in (tour[: arm + 1], backwards):
                last = np.full(PIPELINE_CHUNKS, -1)
                for source, destination in pairwise(path):
                    last = builder.add(
                        np.full(PIPELINE_CHUNKS, source),
                        destination,
                        size_bytes / PIPELINE_CHUNKS,
                        depends=last,
                        previous=in_order(builder.num_flows, PIPELINE_CHUNKS),
                        read=np.arange(PIPELINE_CHUNKS),
                        phase="broadcast",
                    )
        return builder.build(PIPELINE_CHUNKS)

    def _arms(self, exchange: Exchange, path_G2: np.ndarray, loads: kernels.Loads) -> IntArray:
        arm_G = np.zeros(exchange.num_groups, dtype=np.int64)
        exchange.check(
            kernels.chain_profile(
                exchange.network,
                exchange.orders.ring_GN,
                np.ascontiguousarray(exchange.groups_GN[:, 0]),
                PIPELINE_CHUNKS,
                exchange.reference_bytes,
                arm_G,
                path_G2,
                loads,
            )
        )
        return arm_G


CHAIN: Final = Chain()
