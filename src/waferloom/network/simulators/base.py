"""What a network simulator is, and what it returns."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from waferloom.network.topology import FloatArray, Topology
from waferloom.network.traffic import Traffic


class Switching(StrEnum):
    """How a message crosses several links.

    Cut-through sends on what has arrived so far; store-and-forward waits for the whole message at
    every node, as some simulators do.
    """

    CUT_THROUGH = "cut_through"
    STORE_AND_FORWARD = "store_and_forward"


class Synchronisation(StrEnum):
    """When a flow may start.

    Asynchronous flows wait for what they depend on and nothing else; with a barrier per round they
    also wait until every flow of the round before (one dependency less deep) has arrived.
    """

    ASYNCHRONOUS = "asynchronous"
    BARRIER_PER_ROUND = "barrier_per_round"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrafficTimes:
    """When each flow of a traffic starts and arrives.

    Axes: F flows, L links.

    Attributes:
        simulator: Key of `SIMULATORS`.
        switching: Rule for several links.
        synchronisation: Rule for starting.
        duration_s: From the first start to the last arrival.
        start_s_F: When everything that a flow waits for has arrived.
        finish_s_F: When its last byte has arrived.
        busy_s_L: Time that each link spends sending.
    """

    simulator: str
    switching: Switching
    synchronisation: Synchronisation
    duration_s: float
    start_s_F: FloatArray
    finish_s_F: FloatArray
    busy_s_L: FloatArray


class NetworkModel(Protocol):
    """Times traffic at one level of detail."""

    @property
    def name(self) -> str:
        """The model's key in `SIMULATORS`."""
        ...

    def run(self, topology: Topology, traffic: Traffic) -> TrafficTimes:
        """Return when each flow starts and arrives, all flows being offered at time 0."""
        ...
