"""Networks: topologies, routes, and what collectives cost on them."""

from waferloom.network.profile import CollectiveProfile, profile_collective
from waferloom.network.ring_order import ring_order
from waferloom.network.routing import ROUTING, Routes, RoutingPolicy
from waferloom.network.topology import (
    LinkKind,
    Topology,
    build_topology,
    components,
    largest_component,
)

__all__ = [
    "ROUTING",
    "CollectiveProfile",
    "LinkKind",
    "Routes",
    "RoutingPolicy",
    "Topology",
    "build_topology",
    "components",
    "largest_component",
    "profile_collective",
    "ring_order",
]
