"""The table of network simulators, coarse to fine."""

from collections.abc import Mapping
from typing import Final

from waferloom.network.simulators.base import NetworkModel
from waferloom.network.simulators.bound import BOUND
from waferloom.network.simulators.fluid import FLUID
from waferloom.network.simulators.packet import PACKET
from waferloom.network.simulators.queue import QUEUE

SIMULATORS: Final[Mapping[str, NetworkModel]] = {
    model.name: model for model in (BOUND, QUEUE, FLUID, PACKET)
}
