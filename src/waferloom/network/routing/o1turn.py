"""O1TURN: half of the pairs go along the row first, the other half along the column first.

Either way is dimension order and uses a virtual channel of its own, so one turn never waits for the
other. Which pairs go which way is drawn by a seed, the same on every run.

Limits:
    A pair keeps to one way. For half of each message on either way, as a router that draws anew for
    each packet does on average, send half along `xy` and half along `yx`.

Source:
    Seo, Ali, Lim, Rafique and Thottethodi 2005, doi:10.1109/ISCA.2005.37.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from waferloom.network.routing._route_kernel import Network, take_second_way
from waferloom.network.routing.base import Routes
from waferloom.network.routing.datelines import dateline_channels
from waferloom.network.routing.dimension_order import XY, YX, dimension_order_table
from waferloom.network.routing.tables import CACHED_TOPOLOGIES, network_of_table, walk
from waferloom.network.topology import IntArray, Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class O1TurnRouting:
    """One of the two dimension orders for each pair.

    Attributes:
        name: Key in `ROUTING`.
        seed: Draws the order of each pair.
    """

    name: str = "o1turn"
    seed: int = 0

    def network(self, topology: Topology) -> Network:
        """Return both next-link tables (built once per topology) and the topology's arrays."""
        return _network(topology, self.seed)

    def routes(self, topology: Topology, source_F: IntArray, destination_F: IntArray) -> Routes:
        """Return the route of every pair of dies.

        Raises:
            RoutingError: A pair is not connected.
        """
        return walk(topology, self.network(topology), source_F, destination_F)

    def channels(
        self, topology: Topology, source_F: IntArray, destination_F: IntArray, routes: Routes
    ) -> IntArray:
        """Return a channel (on tori two) for each of the ways."""
        if not topology.has_lattice:
            return dateline_channels(topology, routes)
        way_F = take_second_way(source_F, destination_F, self.seed)
        per_way = 2 if any(topology.wraps) else 1
        return dateline_channels(topology, routes) + per_way * way_F.repeat(routes.hops_F)


@lru_cache(maxsize=CACHED_TOPOLOGIES)
def _network(topology: Topology, seed: int) -> Network:
    row_first, column_first = (dimension_order_table(topology, one.order) for one in (XY, YX))
    return network_of_table(topology, row_first, column_first, seed)


O1TURN: Final = O1TurnRouting()
