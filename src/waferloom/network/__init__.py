"""Networks: topologies, routes, traffic, collectives, and what they cost."""

from waferloom.network.collectives import COLLECTIVES
from waferloom.network.collectives.all_to_all_v import all_to_all_v_traffic
from waferloom.network.interpreter import interpret
from waferloom.network.profile import (
    CollectiveProfile,
    algorithms_for,
    collective_traffic,
    profile_collective,
)
from waferloom.network.ring_order import ring_order
from waferloom.network.routing import ROUTING, Routes, RoutingPolicy
from waferloom.network.simulate import simulate_traffic
from waferloom.network.simulators import SIMULATORS, Switching, Synchronisation, TrafficTimes
from waferloom.network.topology import (
    LinkKind,
    Topology,
    build_topology,
    components,
    largest_component,
)
from waferloom.network.traffic import Action, Traffic, TrafficBuilder, merged

__all__ = [
    "COLLECTIVES",
    "ROUTING",
    "SIMULATORS",
    "Action",
    "CollectiveProfile",
    "LinkKind",
    "Routes",
    "RoutingPolicy",
    "Switching",
    "Synchronisation",
    "Topology",
    "Traffic",
    "TrafficBuilder",
    "TrafficTimes",
    "algorithms_for",
    "all_to_all_v_traffic",
    "build_topology",
    "collective_traffic",
    "components",
    "interpret",
    "largest_component",
    "merged",
    "profile_collective",
    "ring_order",
    "simulate_traffic",
]
