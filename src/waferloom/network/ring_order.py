"""Short closed tours and open paths through the members of a group, for rings and lines."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from waferloom.network._ring_order_kernel import order_members
from waferloom.network.routing import ROUTING
from waferloom.network.routing._route_kernel import fill_hops
from waferloom.network.topology import IntArray, Topology

_MOST_DIES_WITH_DISTANCES: Final = 2048  # D x D int16: 8 MiB; larger systems skip 2-opt


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupOrders:
    """Members of every group in travelling order, padded with -1.

    Attributes:
        ring_GN: As closed tours.
        line_GN: As open paths.
    """

    ring_GN: IntArray
    line_GN: IntArray


def order_groups(topology: Topology, groups_GN: IntArray) -> GroupOrders:
    """Order the members of many groups; see `ring_order`."""
    if not topology.has_lattice:
        last = topology.num_dies
        sorted_GN = np.sort(np.where(groups_GN < 0, last, groups_GN), axis=1)
        by_node_GN = np.where(sorted_GN == last, -1, sorted_GN)
        return GroupOrders(ring_GN=by_node_GN, line_GN=by_node_GN)
    ring_GN = np.empty_like(groups_GN)
    line_GN = np.empty_like(groups_GN)
    order_members(
        groups_GN,
        topology.row_D,
        topology.col_D,
        _layers(topology),
        hop_table(topology),
        topology.has_faults,
        ring_GN,
        line_GN,
    )
    return GroupOrders(ring_GN=ring_GN, line_GN=line_GN)


def ring_order(topology: Topology, members: IntArray) -> IntArray:
    """Return the members as a short closed tour.

    Members that fill a block of even size (or every k-th row and column of one) give a Hamiltonian
    cycle: all neighbours, the last and the first included. Blocks of odd size have no such cycle
    and close with one edge of two hops; single rows and columns run from end to end. Anything else,
    and anything on a damaged mesh, is a serpentine improved by 2-opt moves. In switched systems
    members are taken node by node.

    Example:
        >>> from waferloom.hardware import system
        >>> from waferloom.network.topology import build_topology
        >>> ring_order(build_topology(system("temp-6x8")), np.array([0, 1, 2, 8, 9, 10])).tolist()
        [0, 1, 2, 10, 9, 8]
    """
    return order_groups(topology, np.asarray(members, dtype=np.int64)[None, :]).ring_GN[0]


@lru_cache(maxsize=16)
def _layers(topology: Topology) -> IntArray:
    """Return which layer of a 3D lattice (counted over all slices) each die is in."""
    depth, rows, _ = topology.lattice_shape
    return topology.row_D // rows if depth > 1 else np.zeros_like(topology.row_D)


@lru_cache(maxsize=16)
def hop_table(topology: Topology) -> NDArray[np.int16]:
    """Return the hops of every route, or nothing where they would not help."""
    if not topology.has_lattice or topology.num_dies > _MOST_DIES_WITH_DISTANCES:
        return np.empty((0, 0), dtype=np.int16)
    hops_DD = np.zeros((topology.num_dies, topology.num_dies), dtype=np.int16)
    fill_hops(ROUTING["xy"].network(topology), hops_DD)
    return hops_DD
