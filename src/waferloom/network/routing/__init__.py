"""Routing policies: one file each, all listed in `ROUTING`."""

from waferloom.network.routing.base import Routes, RoutingPolicy
from waferloom.network.routing.policies import ROUTING

__all__ = ["ROUTING", "Routes", "RoutingPolicy"]
