"""Dimension-order routing: along one dimension until it is right, then along the next.

On meshes this is XY or YX, on tori the shorter way round each dimension, across slices and inside
switched clusters up to the switch and down again. A pair whose route would use a dead link or die
is sent along a shortest path of live links instead.

Limits:
    Dimension order is free of deadlock on meshes. On tori it needs a second virtual channel behind
    the wrap. The repaired routes are chosen for length alone: on a damaged mesh they need as many
    virtual channels as `channel_dependencies.assign_channels` finds.

Source:
    Dally and Towles, Principles and Practices of Interconnection Networks, chapter 8.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from waferloom.network.routing._route_kernel import Network, fill_dimension_order
from waferloom.network.routing.base import Routes, ShortInts
from waferloom.network.routing.datelines import dateline_channels
from waferloom.network.routing.tables import (
    CACHED_TOPOLOGIES,
    empty_table,
    network_of_table,
    repair,
    walk,
)
from waferloom.network.topology import IntArray, Topology

DEPTH, ROW, COLUMN = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionOrderRouting:
    """Deterministic routes, walked one dimension after another.

    Attributes:
        name: Key in `ROUTING`.
        order: Dimensions (0 depth, 1 row, 2 column), first to be walked first.
        balances_ties: Half way round a ring, leave even places forwards and odd places backwards;
            otherwise all forwards, as some simulators do.
    """

    name: str
    order: tuple[int, int, int]
    balances_ties: bool = True

    def network(self, topology: Topology) -> Network:
        """Return the next-link table (built once per topology) and the topology's arrays."""
        return _network(topology, self.order, self.balances_ties)

    def routes(self, topology: Topology, source_F: IntArray, destination_F: IntArray) -> Routes:
        """Return the route of every pair of dies.

        Raises:
            RoutingError: A pair is not connected.
        """
        return walk(topology, self.network(topology), source_F, destination_F)

    def channels(
        self, topology: Topology, source_F: IntArray, destination_F: IntArray, routes: Routes
    ) -> IntArray:
        """Return 1 behind the wrap of a torus dimension, 0 elsewhere."""
        return dateline_channels(topology, routes)


@lru_cache(maxsize=CACHED_TOPOLOGIES)
def _network(topology: Topology, order: tuple[int, int, int], balances_ties: bool) -> Network:
    return network_of_table(topology, dimension_order_table(topology, order, balances_ties))


def dimension_order_table(
    topology: Topology,
    order: tuple[int, int, int],
    balances_ties: bool = True,
    *,
    repairs: bool = True,
) -> ShortInts:
    """Return the next link from every node to every die.

    Args:
        topology: Where.
        order: Dimensions, first to be walked first.
        balances_ties: See `DimensionOrderRouting`.
        repairs: Whether routes that meet a missing link become shortest paths; else they end there.
    """
    next_link_ND = empty_table(topology)
    if next_link_ND.size == 0:
        return next_link_ND
    fill_dimension_order(
        topology.lattice_D3,
        topology.domain_D,
        topology.is_live_D,
        topology.port_link_DP,
        np.array(topology.lattice_shape, dtype=np.int64),
        np.array(topology.wraps, dtype=np.bool_),
        np.array(order, dtype=np.int64),
        balances_ties,
        topology.num_nodes == topology.num_dies,
        next_link_ND,
    )
    if repairs:
        repair(topology, next_link_ND, order)
    return next_link_ND


XY: Final = DimensionOrderRouting(name="xy", order=(COLUMN, ROW, DEPTH))
YX: Final = DimensionOrderRouting(name="yx", order=(ROW, COLUMN, DEPTH))
