"""The lower bound on any simulation of the same traffic.

Two things must happen, whatever the network does with its queues:

- every chain of flows that wait for each other runs one after another, each taking at least the
  latency of its route plus its bytes over the route's smallest bandwidth;
- every link passes all its bytes at its bandwidth, not before the first flow that uses it can
  start; then the latency of the rest of the way and the chains of flows that wait for it must
  follow. (The latency up to the link could be added for packets, but not for streams, which the
  fluid simulator lets occupy their whole route at once.)

Routes are given, so ports and cuts of the network are covered: no cut is busier than its busiest
link.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from waferloom.network.simulators._bound_kernel import bound_times
from waferloom.network.simulators.base import Switching, Synchronisation, TrafficTimes
from waferloom.network.topology import FloatArray, Topology
from waferloom.network.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoundParts:
    """The two bounds, each split into latency and bytes over bandwidth.

    Axes: F flows, L links; 2 is (latency, bytes over bandwidth) in seconds.

    Attributes:
        chain_2: Longest dependent chain.
        link_2: Latest end of a link's work.
        busiest_link: That link, or None without any bytes.
        start_F2: Earliest start of each flow by its chains.
        finish_F2: Earliest arrival.
    """

    chain_2: tuple[float, float]
    link_2: tuple[float, float]
    busiest_link: int | None
    start_F2: FloatArray
    finish_F2: FloatArray


def bound_parts(topology: Topology, traffic: Traffic) -> BoundParts:
    """Return both bounds with what decides them."""
    start_F2 = np.zeros((traffic.num_flows, 2))
    finish_F2 = np.zeros((traffic.num_flows, 2))
    link_L2 = np.zeros((topology.num_links, 2))
    bound_times(
        traffic.source_F,
        traffic.size_bytes_F,
        traffic.first_link_F1,
        traffic.link_H,
        traffic.first_dependency_F1,
        traffic.dependency_E,
        topology.source_L,
        topology.destination_L,
        topology.bandwidth_bytes_per_s_L,
        topology.latency_s_L,
        topology.num_nodes,
        start_F2,
        finish_F2,
        link_L2,
    )
    chain_2, _ = _longest(finish_F2)
    link_2, link = _longest(link_L2)
    return BoundParts(
        chain_2=chain_2,
        link_2=link_2,
        busiest_link=link if sum(link_2) > 0 else None,
        start_F2=start_F2,
        finish_F2=finish_F2,
    )


def _longest(times_X2: FloatArray) -> tuple[tuple[float, float], int]:
    if times_X2.size == 0:
        return (0.0, 0.0), 0
    longest = int(np.argmax(times_X2.sum(axis=1)))
    return (float(times_X2[longest, 0]), float(times_X2[longest, 1])), longest


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundModel:
    """The larger of the two bounds; flow times are those of their chains alone."""

    name: str = "bound"

    def run(self, topology: Topology, traffic: Traffic) -> TrafficTimes:
        """Return the bound as if it were a simulation."""
        parts = bound_parts(topology, traffic)
        return TrafficTimes(
            simulator=self.name,
            switching=Switching.CUT_THROUGH,
            synchronisation=Synchronisation.ASYNCHRONOUS,
            duration_s=max(sum(parts.chain_2), sum(parts.link_2)),
            start_s_F=parts.start_F2.sum(axis=1),
            finish_s_F=parts.finish_F2.sum(axis=1),
            busy_s_L=traffic.link_bytes_L(topology) / topology.bandwidth_bytes_per_s_L,
        )


BOUND: Final = BoundModel()
