"""The table of routing policies."""

from collections.abc import Mapping
from typing import Final

from waferloom.network.routing.base import RoutingPolicy
from waferloom.network.routing.dimension_order import XY, YX
from waferloom.network.routing.fault_aware import FAULT_AWARE
from waferloom.network.routing.o1turn import O1TURN
from waferloom.network.routing.switched import SWITCHED
from waferloom.network.routing.turn_models import ODD_EVEN_ROUTING, WEST_FIRST_ROUTING
from waferloom.network.routing.up_down import UP_DOWN

ROUTING: Final[Mapping[str, RoutingPolicy]] = {
    policy.name: policy
    for policy in (
        XY,
        YX,
        O1TURN,
        WEST_FIRST_ROUTING,
        ODD_EVEN_ROUTING,
        UP_DOWN,
        FAULT_AWARE,
        SWITCHED,
    )
}
