"""Queueing simulation: whole messages wait for whole links, first come first served.

This is what the analytical backends of the field compute. With store-and-forward a message is
received in full before its next link is asked for; with cut-through the next link is asked for as
soon as the first byte is there, and is held until the last byte has passed.

Limits:
    Buffers are unlimited: a message that waits for a link does not block the links behind it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from waferloom.network.simulators._queue_kernel import queue_times
from waferloom.network.simulators.base import Switching, Synchronisation, TrafficTimes
from waferloom.network.topology import Topology
from waferloom.network.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueModel:
    """First come, first served.

    Attributes:
        name: Key in `SIMULATORS`.
        switching: Cut-through or store-and-forward.
        overhead_s: Delay of each message at its receiver, such as the 10 ns of ASTRA-sim.
    """

    name: str = "queue"
    switching: Switching = Switching.CUT_THROUGH
    overhead_s: float = 0.0

    def run(self, topology: Topology, traffic: Traffic) -> TrafficTimes:
        """Return when each flow starts and arrives."""
        start_F = np.zeros(traffic.num_flows)
        finish_F = np.zeros(traffic.num_flows)
        first_follower_F1, follower_E = traffic.followers()
        queue_times(
            traffic.source_F,
            traffic.size_bytes_F,
            traffic.first_link_F1,
            traffic.link_H,
            traffic.first_dependency_F1,
            first_follower_F1,
            follower_E,
            traffic.next_in_channel_F(),
            topology.source_L,
            topology.destination_L,
            topology.bandwidth_bytes_per_s_L,
            topology.latency_s_L,
            self.overhead_s,
            self.switching is Switching.STORE_AND_FORWARD,
            start_F,
            finish_F,
        )
        return TrafficTimes(
            simulator=self.name,
            switching=self.switching,
            synchronisation=Synchronisation.ASYNCHRONOUS,
            duration_s=float(finish_F.max(initial=0.0)),
            start_s_F=start_F,
            finish_s_F=finish_F,
            busy_s_L=traffic.link_bytes_L(topology) / topology.bandwidth_bytes_per_s_L,
        )


QUEUE: Final = QueueModel()
