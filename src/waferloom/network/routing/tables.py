"""Next-link tables: what tells a node where to send, and how routes are read from it."""

from typing import Final, NoReturn

import numpy as np

from waferloom.errors import RoutingError
from waferloom.network.routing._route_kernel import (
    Network,
    add_link_bytes,
    count_hops,
    fill_routes,
    repair_with_shortest_paths,
)
from waferloom.network.routing.base import Routes, RoutingPolicy, ShortInts
from waferloom.network.topology import FloatArray, IntArray, Topology

CACHED_TOPOLOGIES: Final = 16  # tables of a sweep over defects must not fill memory


def empty_table(topology: Topology) -> ShortInts:
    """Return a table without routes; 0 x 0 where routes go through switches and need none.

    Axes: nodes, destinations.
    """
    if not topology.has_lattice:
        return np.empty((0, 0), dtype=np.int32)
    return np.full((topology.num_nodes, topology.num_dies), -1, dtype=np.int32)


def network_of_table(
    topology: Topology,
    next_link_ND: ShortInts,
    second_link_ND: ShortInts | None = None,
    seed: int = 0,
) -> Network:
    """Return what kernels need to walk a table.

    Args:
        topology: Where.
        next_link_ND: Link on which a node sends what is meant for a die.
        second_link_ND: Another such table, for half of the pairs.
        seed: Chooses these pairs.
    """
    none = np.empty((0, 0), dtype=np.int32)
    return Network(
        next_link_ND=next_link_ND,
        second_link_ND=none if second_link_ND is None else second_link_ND,
        seed=seed,
        port_link_DP=topology.port_link_DP,
        domain_D=topology.domain_D,
        destination_L=topology.destination_L,
        bandwidth_L=topology.bandwidth_bytes_per_s_L,
        latency_L=topology.latency_s_L,
        max_hops=topology.num_nodes + 1,
    )


def repair(topology: Topology, next_link_ND: ShortInts, order: tuple[int, int, int]) -> None:
    """Send pairs whose route is broken along a shortest path of live links, in place.

    Args:
        topology: Where; nothing happens if it has no faults.
        next_link_ND: A table of shortest paths on the healthy lattice.
        order: Dimensions in the order in which equal paths are preferred.
    """
    if not topology.has_faults or next_link_ND.size == 0:
        return
    ports = [port for dim in order for port in (2 * (2 - dim), 2 * (2 - dim) + 1)]
    repair_with_shortest_paths(
        topology.is_live_D,
        topology.port_link_DP,
        topology.destination_L,
        np.array(ports, dtype=np.int64),
        next_link_ND,
    )


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


def link_bytes(
    topology: Topology,
    policy: RoutingPolicy,
    source_F: IntArray,
    destination_F: IntArray,
    size_bytes_F: FloatArray,
) -> FloatArray:
    """Return the bytes that flows put on every link, without storing their routes.

    Args:
        topology: Where.
        policy: Chooses the routes.
        source_F: Sending dies.
        destination_F: Receiving dies.
        size_bytes_F: Bytes.

    Raises:
        RoutingError: A pair is not connected.

    Example:
        >>> from waferloom.hardware import system
        >>> from waferloom.network.routing import ROUTING
        >>> from waferloom.network.topology import build_topology
        >>> topology = build_topology(system("temp-6x8"))
        >>> ends = np.array([0, 9]), np.array([2, 8])
        >>> float(link_bytes(topology, ROUTING["xy"], *ends, np.array([5.0, 1.0])).sum())
        11.0
    """
    bytes_L = np.zeros(topology.num_links)
    lost = add_link_bytes(policy.network(topology), source_F, destination_F, size_bytes_F, bytes_L)
    if lost >= 0:
        raise_no_route(topology, int(source_F[lost]), int(destination_F[lost]))
    return bytes_L


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
