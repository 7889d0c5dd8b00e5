"""Up*/down* routing: free of deadlock on any network, however damaged, with one virtual channel.

Nodes are ranked by their distance from a root, ties by number. A link leads up if it ends nearer
the root in this order. Every route goes up some links (none is possible) and then down some, so no
circle of waiting packets can close: it would need a turn from down to up.

The root of each connected part is the node with the least total distance to all others, the lowest
numbered of several. A die takes a way down where there is one, and otherwise the step up that
leaves the shortest rest; of equally short steps the one that least of the table uses so far.

Limits:
    Routes can be longer than the shortest, and links near the root carry more than others. Where
    all dies are joined by switches alone, up and down again is all there is.

Source:
    Schroeder et al. 1991 (Autonet), doi:10.1109/49.105178.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from waferloom.network.routing._route_kernel import (
    Network,
    breadth_first,
    fill_up_down,
    sum_distances,
)
from waferloom.network.routing.base import Routes
from waferloom.network.routing.tables import CACHED_TOPOLOGIES, empty_table, network_of_table, walk
from waferloom.network.topology import IntArray, Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class UpDownRouting:
    """Up and then down a ranking of the nodes.

    Attributes:
        name: Key in `ROUTING`.
    """

    name: str = "up_down"

    def network(self, topology: Topology) -> Network:
        """Return the next-link table (built once per topology) and the topology's arrays."""
        return _network(topology)

    def routes(self, topology: Topology, source_F: IntArray, destination_F: IntArray) -> Routes:
        """Return the route of every pair of dies.

        Raises:
            RoutingError: A pair is not connected.
        """
        return walk(topology, self.network(topology), source_F, destination_F)

    def channels(
        self, topology: Topology, source_F: IntArray, destination_F: IntArray, routes: Routes
    ) -> IntArray:
        """Return 0 for every hop."""
        return np.zeros(routes.link_H.size, dtype=np.int64)


def up_down_rank(topology: Topology) -> IntArray:
    """Return each node's rank, 0 for a root: links lead up to lower ranks.

    Axes: nodes. Ranks are distinct; those of a part are ordered by distance from its root.
    """
    first_out_N1 = _first_out(topology)
    num_nodes = topology.num_nodes
    part_N, distance_N, sum_N = (np.zeros(num_nodes, dtype=np.int64) for _ in range(3))
    sum_distances(topology.destination_L, first_out_N1, part_N, distance_N, sum_N)
    level_N = np.zeros(num_nodes, dtype=np.int64)
    queue_N = np.empty(num_nodes, dtype=np.int64)
    for part in np.unique(part_N):
        nodes = np.flatnonzero(part_N == part)
        root = nodes[np.argmin(sum_N[nodes])]
        breadth_first(topology.destination_L, first_out_N1, root, distance_N, queue_N)
        level_N[nodes] = distance_N[nodes]
    rank_N = np.empty(num_nodes, dtype=np.int64)
    rank_N[np.argsort(level_N, kind="stable")] = np.arange(num_nodes)
    return rank_N


def _first_out(topology: Topology) -> IntArray:
    return np.searchsorted(topology.source_L, np.arange(topology.num_nodes + 1))


@lru_cache(maxsize=CACHED_TOPOLOGIES)
def _network(topology: Topology) -> Network:
    next_link_ND = empty_table(topology)
    if next_link_ND.size:
        rank_N = up_down_rank(topology)
        fill_up_down(
            topology.source_L,
            topology.destination_L,
            _first_out(topology),
            rank_N,
            np.argsort(rank_N),
            topology.is_live_D,
            next_link_ND,
        )
    return network_of_table(topology, next_link_ND)


UP_DOWN: Final = UpDownRouting()
