"""Network simulators: one file each, all listed in `SIMULATORS`."""

from waferloom.network.simulators.base import (
    NetworkModel,
    Switching,
    Synchronisation,
    TrafficTimes,
)
from waferloom.network.simulators.table import SIMULATORS

__all__ = ["SIMULATORS", "NetworkModel", "Switching", "Synchronisation", "TrafficTimes"]
