"""Fault-aware: XY wherever that is whole, detours up*/down* on a virtual channel of their own.

A die whose XY route to a destination is broken sends along up*/down* until it reaches a die from
where XY is whole; from there XY leads on. Packets change from the channel of detours to that of XY
and never back, and neither can close a circle, so two virtual channels suffice on any damaged mesh
(three on a torus, whose XY needs a dateline). Few packets take detours, so the links near the
root of up*/down* stay as cool as others.

Limits:
    Detours can be longer than the shortest, which `xy` takes, at the price of more virtual channels
    as faults grow in number.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from waferloom.network.routing._route_kernel import Network, take_detours
from waferloom.network.routing.base import Routes
from waferloom.network.routing.datelines import dateline_channels
from waferloom.network.routing.dimension_order import XY, dimension_order_table
from waferloom.network.routing.tables import CACHED_TOPOLOGIES, network_of_table, walk
from waferloom.network.routing.up_down import UP_DOWN
from waferloom.network.topology import BoolArray, IntArray, Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAwareRouting:
    """XY with detours that cannot deadlock.

    Attributes:
        name: Key in `ROUTING`.
    """

    name: str = "fault_aware"

    def network(self, topology: Topology) -> Network:
        """Return the next-link table (built once per topology) and the topology's arrays."""
        return _detours(topology)[0]

    def routes(self, topology: Topology, source_F: IntArray, destination_F: IntArray) -> Routes:
        """Return the route of every pair of dies.

        Raises:
            RoutingError: A pair is not connected.
        """
        return walk(topology, self.network(topology), source_F, destination_F)

    def channels(
        self, topology: Topology, source_F: IntArray, destination_F: IntArray, routes: Routes
    ) -> IntArray:
        """Return the channel of detours for their hops, those of XY for all others."""
        channel_H = dateline_channels(topology, routes)
        is_detour_ND = _detours(topology)[1]
        if is_detour_ND.size == 0:
            return channel_H
        destination_H = destination_F.repeat(routes.hops_F)
        is_detour_H = is_detour_ND[topology.source_L[routes.link_H], destination_H]
        return np.where(is_detour_H, 2 if any(topology.wraps) else 1, channel_H)


@lru_cache(maxsize=CACHED_TOPOLOGIES)
def _detours(topology: Topology) -> tuple[Network, BoolArray]:
    """Return the table, and where it does not follow XY (empty if it does everywhere)."""
    next_link_ND = dimension_order_table(topology, XY.order, repairs=False)
    is_detour_ND = np.zeros((0, 0), dtype=np.bool_)
    if topology.has_faults and next_link_ND.size:
        is_detour_ND = np.zeros(next_link_ND.shape, dtype=np.bool_)
        take_detours(
            topology.is_live_D,
            topology.destination_L,
            UP_DOWN.network(topology).next_link_ND,
            next_link_ND,
            is_detour_ND,
        )
    return network_of_table(topology, next_link_ND), is_detour_ND


FAULT_AWARE: Final = FaultAwareRouting()
