"""The table of routing policies."""

from collections.abc import Mapping
from typing import Final

from waferloom.network.routing.base import RoutingPolicy
from waferloom.network.routing.dimension_order import XY, YX

ROUTING: Final[Mapping[str, RoutingPolicy]] = {policy.name: policy for policy in (XY, YX)}
