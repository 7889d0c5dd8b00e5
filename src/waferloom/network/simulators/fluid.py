"""Fluid simulation: every flow is a stream, and links are shared max-min fairly.

Between two events (a flow starts, a flow has sent all) rates are constant: each flow gets as much
as it can without taking from one that has less. A flow occupies its whole route at one rate, as
cut-through messages of many packets do; its last byte arrives the route's latency after it was
sent.

Limits:
    No packets, so no head-of-line blocking and no arbitration: a flow's share changes at once.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from waferloom.network.simulators._fluid_kernel import fluid_times
from waferloom.network.simulators.base import Switching, Synchronisation, TrafficTimes
from waferloom.network.topology import Topology
from waferloom.network.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class FluidModel:
    """Max-min fair sharing, event by event.

    Attributes:
        name: Key in `SIMULATORS`.
        resolution: 0 is exact. For tens of thousands of flows of different sizes, 1e-2 shares
            rates out again at most every hundredth of the time elapsed, which is about that much
            too late in the end and never below the bound.
    """

    name: str = "fluid"
    resolution: float = 0.0

    def run(self, topology: Topology, traffic: Traffic) -> TrafficTimes:
        """Return when each flow starts and arrives."""
        start_F = np.zeros(traffic.num_flows)
        finish_F = np.zeros(traffic.num_flows)
        first_follower_F1, follower_E = traffic.followers()
        fluid_times(
            traffic.size_bytes_F,
            traffic.latency_s_F(topology),
            traffic.first_link_F1,
            traffic.link_H,
            traffic.first_dependency_F1,
            first_follower_F1,
            follower_E,
            traffic.next_in_channel_F(),
            topology.bandwidth_bytes_per_s_L,
            self.resolution,
            start_F,
            finish_F,
        )
        return TrafficTimes(
            simulator=self.name,
            switching=Switching.CUT_THROUGH,
            synchronisation=Synchronisation.ASYNCHRONOUS,
            duration_s=float(finish_F.max(initial=0.0)),
            start_s_F=start_F,
            finish_s_F=finish_F,
            busy_s_L=traffic.link_bytes_L(topology) / topology.bandwidth_bytes_per_s_L,
        )


FLUID: Final = FluidModel()
