"""Routing policies: one file each, all listed in `ROUTING`, and the proof that none deadlocks."""

from waferloom.network.routing.base import Routes, RoutingPolicy
from waferloom.network.routing.channel_dependencies import (
    ChannelAssignment,
    DeadlockCheck,
    assign_channels,
    check_deadlock_freedom,
)
from waferloom.network.routing.policies import ROUTING
from waferloom.network.routing.tables import link_bytes

__all__ = [
    "ROUTING",
    "ChannelAssignment",
    "DeadlockCheck",
    "Routes",
    "RoutingPolicy",
    "assign_channels",
    "check_deadlock_freedom",
    "link_bytes",
]
