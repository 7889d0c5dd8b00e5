"""Switched: up to the switch that two dies share, and down again.

Devices of one node meet at its switch, others at the fabric between the nodes. Two hops for every
pair, and no circle: what goes down never waits for anything that goes up.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from waferloom.errors import RoutingError
from waferloom.network.routing._route_kernel import Network
from waferloom.network.routing.base import Routes
from waferloom.network.routing.tables import CACHED_TOPOLOGIES, empty_table, network_of_table, walk
from waferloom.network.topology import IntArray, Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchedRouting:
    """Routes of systems whose dies are joined by switches alone.

    Attributes:
        name: Key in `ROUTING`.
    """

    name: str = "switched"

    def network(self, topology: Topology) -> Network:
        """Return the topology's arrays; no table is needed.

        Raises:
            RoutingError: The dies are joined to each other.
        """
        return _network(topology)

    def routes(self, topology: Topology, source_F: IntArray, destination_F: IntArray) -> Routes:
        """Return the route of every pair of dies.

        Raises:
            RoutingError: A pair is not connected, or the dies are joined to each other.
        """
        return walk(topology, self.network(topology), source_F, destination_F)

    def channels(
        self, topology: Topology, source_F: IntArray, destination_F: IntArray, routes: Routes
    ) -> IntArray:
        """Return 0 for every hop."""
        return np.zeros(routes.link_H.size, dtype=np.int64)


@lru_cache(maxsize=CACHED_TOPOLOGIES)
def _network(topology: Topology) -> Network:
    if topology.has_lattice:
        msg = (
            f"switched routing on {topology.name}: its dies are joined to their neighbours, not by "
            f"switches alone; use xy"
        )
        raise RoutingError(msg)
    return network_of_table(topology, empty_table(topology))


SWITCHED: Final = SwitchedRouting()
