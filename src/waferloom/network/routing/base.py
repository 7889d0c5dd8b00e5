"""What a routing policy is, and the routes it returns."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from waferloom.network.routing._route_kernel import Network
from waferloom.network.topology import FloatArray, IntArray, Topology

ShortInts = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Routes:
    """The links of many routes, one route after another.

    Axes: F flows, F1 their number plus one, H hops of all routes.

    Attributes:
        first_F1: Where a flow's hops begin in `link_H`; the next entry is where they end.
        link_H: Link ids in order of travel.
    """

    first_F1: IntArray
    link_H: IntArray

    def links(self, flow: int) -> IntArray:
        """Return the links of one flow in order of travel."""
        return self.link_H[self.first_F1[flow] : self.first_F1[flow + 1]]

    @property
    def hops_F(self) -> IntArray:
        """Links of each route."""
        return np.diff(self.first_F1)

    def latency_s_F(self, topology: Topology) -> FloatArray:
        """Return the sum of link latencies along each route."""
        total_H1 = np.concatenate([[0.0], np.cumsum(topology.latency_s_L[self.link_H])])
        return total_H1[self.first_F1[1:]] - total_H1[self.first_F1[:-1]]


class RoutingPolicy(Protocol):
    """Chooses the links that lead from one die to another."""

    @property
    def name(self) -> str:
        """The policy's key in `ROUTING`."""
        ...

    def network(self, topology: Topology) -> Network:
        """Return what kernels need to walk this policy's routes; the same object for each call."""
        ...

    def routes(self, topology: Topology, source_F: IntArray, destination_F: IntArray) -> Routes:
        """Return the route of every pair.

        Raises:
            RoutingError: A pair is not connected; the message names it.
        """
        ...

    def channels(
        self, topology: Topology, source_F: IntArray, destination_F: IntArray, routes: Routes
    ) -> IntArray:
        """Return the virtual channel that the policy prescribes for each hop, from 0.

        What it prescribes keeps healthy networks free of deadlock; where repairs around faults need
        more channels, `assign_channels` adds them.

        Args:
            topology: Where.
            source_F: Sending dies.
            destination_F: Receiving dies.
            routes: What `routes` returned for them.
        """
        ...
