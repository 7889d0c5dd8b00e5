"""Run traffic through a simulator chosen by name, with its switching and synchronisation."""

from dataclasses import replace

from waferloom.errors import did_you_mean
from waferloom.network.simulators import (
    SIMULATORS,
    Switching,
    Synchronisation,
    TrafficTimes,
)
from waferloom.network.simulators.queue import QueueModel
from waferloom.network.synchronisation import with_barriers
from waferloom.network.topology import Topology
from waferloom.network.traffic import Traffic


def simulate_traffic(
    topology: Topology,
    traffic: Traffic,
    *,
    simulator: str = "fluid",
    switching: Switching = Switching.CUT_THROUGH,
    synchronisation: Synchronisation = Synchronisation.ASYNCHRONOUS,
) -> TrafficTimes:
    """Return when each flow starts and arrives.

    Args:
        topology: Where.
        traffic: What is sent.
        simulator: A key of `SIMULATORS`.
        switching: Store-and-forward is for `queue` alone.
        synchronisation: Whether every round waits for the whole round before.

    Raises:
        ValueError: An unknown simulator, or one that has no such switching or no multicasts.
        RoutingError: The packet simulator met a deadlock.

    Example:
        >>> import numpy as np
        >>> from waferloom.communication import CollectiveKind
        >>> from waferloom.hardware import system
        >>> from waferloom.network import build_topology, collective_traffic
        >>> topology = build_topology(system("temp-6x8"))
        >>> row = np.arange(8)[None, :]
        >>> traffic = collective_traffic(topology, row, CollectiveKind.ALL_REDUCE, 64e6)
        >>> round(simulate_traffic(topology, traffic).duration_s * 1e6, 1)
        19.8
    """
    if simulator not in SIMULATORS:
        msg = f"unknown simulator {simulator!r}; {did_you_mean(simulator, SIMULATORS)}"
        raise ValueError(msg)
    model = SIMULATORS[simulator]
    if switching is Switching.STORE_AND_FORWARD:
        if not isinstance(model, QueueModel):
            msg = f"{simulator} has no store-and-forward switching; use queue for it"
            raise ValueError(msg)
        model = replace(model, switching=switching)
    if synchronisation is Synchronisation.ASYNCHRONOUS:
        return model.run(topology, traffic)
    synchronised = with_barriers(traffic)
    times = model.run(topology, synchronised.traffic)
    return replace(
        times,
        synchronisation=synchronisation,
        start_s_F=times.start_s_F[synchronised.position_F],
        finish_s_F=times.finish_s_F[synchronised.position_F],
    )
