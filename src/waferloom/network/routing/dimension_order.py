"""Dimension-order routing: along one dimension until it is right, then along the next.

On meshes this is XY or YX, on tori the shorter way round each dimension, across slices and inside
switched clusters up to the switch and down again. A pair whose route would use a dead link or die
is sent along a shortest path of live links instead.

Limits:
    Dimension order is free of deadlock on meshes. On tori it needs a second virtual channel after
    crossing the wrap. The repaired routes are chosen for length alone, so packets on a damaged mesh
    can deadlock under them.

Source:
    Dally and Towles, Principles and Practices of Interconnection Networks, chapter 8.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NoReturn

import numpy as np

from waferloom.errors import RoutingError
from waferloom.network.routing._route_kernel import (
    Network,
    count_hops,
    fill_dimension_order,
    fill_routes,
    repair_with_shortest_paths,
)
from waferloom.network.routing.base import Routes
from waferloom.network.topology import IntArray, Topology

DEPTH, ROW, COLUMN = 0, 1, 2
_CACHED_TOPOLOGIES: Final = 16  # tables of a sweep over defects must not fill memory


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


def walk(
    topology: Topology, network: Network, source_F: IntArray, destination_F: IntArray
) -> Routes:
    """Follow a next-link table for every pair.

    Raises:
        RoutingError: A pair is not connected.
    """
    first_F1 = np.zeros(source_F.size + 1, dtype=np.int64)
    lost = count_hops(network, source_F, destination_F, first_F1)
    if lost >= 0:
        raise_no_route(topology, int(source_F[lost]), int(destination_F[lost]))
    link_H = np.empty(int(first_F1[-1]), dtype=np.int64)
    fill_routes(network, source_F, destination_F, first_F1, link_H)
    return Routes(first_F1=first_F1, link_H=link_H)


def raise_no_route(topology: Topology, source: int, destination: int) -> NoReturn:
    """Raise the error that names a pair without a route.

    Raises:
        RoutingError: Always.
    """
    dead = [die for die in (source, destination) if not topology.is_live_D[die]]
    reason = (
        f"{topology.die_name(dead[0])} is dead"
        if dead
        else "defects cut one off from the other; use dies of one connected part"
    )
    msg = (
        f"{topology.name}: no route from {topology.die_name(source)} to "
        f"{topology.die_name(destination)}: {reason}"
    )
    raise RoutingError(msg)


@lru_cache(maxsize=_CACHED_TOPOLOGIES)
def _network(topology: Topology, order: tuple[int, int, int], balances_ties: bool) -> Network:
    return Network(
        next_link_ND=_next_links(topology, order, balances_ties),
        port_link_DP=topology.port_link_DP,
        domain_D=topology.domain_D,
        destination_L=topology.destination_L,
        bandwidth_L=topology.bandwidth_bytes_per_s_L,
        latency_L=topology.latency_s_L,
        max_hops=topology.num_nodes + 1,
    )


def _next_links(
    topology: Topology, order: tuple[int, int, int], balances_ties: bool
) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    if not topology.has_lattice:
        return np.empty((0, 0), dtype=np.int32)
    next_link_ND = np.full((topology.num_nodes, topology.num_dies), -1, dtype=np.int32)
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
    if topology.has_faults:
        ports = [port for dim in order for port in (2 * (2 - dim), 2 * (2 - dim) + 1)]
        repair_with_shortest_paths(
            topology.is_live_D,
            topology.port_link_DP,
            topology.destination_L,
            np.array(ports, dtype=np.int64),
            next_link_ND,
        )
    return next_link_ND


XY: Final = DimensionOrderRouting(name="xy", order=(COLUMN, ROW, DEPTH))
YX: Final = DimensionOrderRouting(name="yx", order=(ROW, COLUMN, DEPTH))
