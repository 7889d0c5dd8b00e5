"""Proof that routes cannot deadlock: the graph of which channel waits for which has no circle.

A channel is a virtual channel of a directed link. A packet that holds one and needs the next makes
the second a dependency of the first; if no chain of dependencies closes on itself, some packet can
always move.

`check_deadlock_freedom` looks at all pairs of dies under a policy. `assign_channels` gives any
routes as many virtual channels as they need: those that a policy prescribes, and, where a circle is
left (repairs around faults, unusual policies), further layers of them. Routes that make the
dependency which fewest routes make move up a layer, until every layer is free of circles.

Source:
    Dally and Seitz 1987, doi:10.1109/TC.1987.1676939 (acyclic dependencies);
    Domke, Hoefler and Nagel 2011, doi:10.1109/IPDPS.2011.65 (layers, weakest dependency first).
"""

from dataclasses import dataclass

import numpy as np

from waferloom.network.routing._channel_kernel import find_circle, split_layer
from waferloom.network.routing.base import Routes, RoutingPolicy
from waferloom.network.topology import IntArray, Topology


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelDependencies:
    """Which channel some route takes directly after which.

    Axes: C1 channels and one more; E dependencies, each once; H hops. A channel's number is
    `link * num_virtual_channels + virtual channel`.

    Attributes:
        num_virtual_channels: On each link.
        first_C1: Where a channel's dependencies begin.
        after_E: Channel that comes next.
        edge_H: Dependency that leads to each hop, -1 for first hops.
    """

    num_virtual_channels: int
    first_C1: IntArray
    after_E: IntArray
    edge_H: IntArray

    @property
    def before_E(self) -> IntArray:
        """Channel that comes before."""
        return np.repeat(np.arange(self.first_C1.size - 1), np.diff(self.first_C1))

    def circle(self) -> IntArray | None:
        """Return the channels of one circle, in order, or None: then routes cannot deadlock."""
        num_channels = self.first_C1.size - 1
        circle_E = np.empty(num_channels + 1, dtype=np.int64)
        ahead_C, stack_C = (np.empty(num_channels, dtype=np.int64) for _ in range(2))
        uses_E = np.ones_like(self.after_E)
        length = find_circle(self.first_C1, self.after_E, uses_E, ahead_C, stack_C, circle_E)
        return self.before_E[circle_E[:length]] if length else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelAssignment:
    """A virtual channel for every hop of some routes, under which they cannot deadlock.

    Attributes:
        channel_H: From 0.
        num_virtual_channels: How many are needed; 1 means any will do.
    """

    channel_H: IntArray
    num_virtual_channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlockCheck:
    """What is known about a policy on a topology.

    Attributes:
        policy: Key in `ROUTING`.
        num_virtual_channels: With how many virtual channels the graph was built.
        num_dependencies: Its size.
        circle: Links of a circle as `(source node, destination node, virtual channel)`, or None
            if there is none.
    """

    policy: str
    num_virtual_channels: int
    num_dependencies: int
    circle: tuple[tuple[int, int, int], ...] | None

    @property
    def is_deadlock_free(self) -> bool:
        """Whether no circle exists."""
        return self.circle is None


def all_pairs(topology: Topology) -> tuple[IntArray, IntArray]:
    """Return sources and destinations of all ordered pairs of live dies."""
    live = np.flatnonzero(topology.is_live_D)
    source, destination = np.meshgrid(live, live, indexing="ij")
    keep = source != destination
    return source[keep], destination[keep]


def channel_dependencies(
    topology: Topology, routes: Routes, channel_H: IntArray | None = None
) -> ChannelDependencies:
    """Return which channels follow each other on routes.

    Args:
        topology: Where.
        routes: Paths.
        channel_H: Virtual channel of each hop; None for one virtual channel.
    """
    num_hops = routes.link_H.size
    virtual_H = np.zeros(num_hops, dtype=np.int64) if channel_H is None else channel_H
    num_virtual = int(virtual_H.max(initial=0)) + 1
    num_channels = topology.num_links * num_virtual
    channel_of_H = routes.link_H * num_virtual + virtual_H
    follows_H = np.ones(num_hops, dtype=np.bool_)
    starts = routes.first_F1[:-1]
    follows_H[starts[starts < routes.first_F1[1:]]] = False
    later = np.flatnonzero(follows_H)
    code, edge = np.unique(
        channel_of_H[later - 1] * num_channels + channel_of_H[later], return_inverse=True
    )
    edge_H = np.full(num_hops, -1, dtype=np.int64)
    edge_H[later] = edge
    before_E, after_E = np.divmod(code, max(num_channels, 1))
    return ChannelDependencies(
        num_virtual_channels=num_virtual,
        first_C1=np.searchsorted(before_E, np.arange(num_channels + 1)),
        after_E=after_E,
        edge_H=edge_H,
    )


def assign_channels(
    topology: Topology, routes: Routes, prescribed_H: IntArray | None = None
) -> ChannelAssignment:
    """Return virtual channels under which routes cannot deadlock, whatever they are.

    Args:
        topology: Where.
        routes: Paths.
        prescribed_H: Virtual channels to begin with, as a policy's `channels` returns. Every layer
            has them all, so if one layer does not suffice, layers without them are tried as well.
    """
    num_routes = routes.first_F1.size - 1
    route_H = np.repeat(np.arange(num_routes), routes.hops_F)
    layer_F, num_prescribed = _layers(topology, routes, route_H, prescribed_H)
    channel_H = layer_F[route_H] * num_prescribed
    if prescribed_H is not None:
        channel_H += prescribed_H
        if layer_F.any() and num_prescribed > 1:
            bare_F, _ = _layers(topology, routes, route_H, None)
            if bare_F.max() < channel_H.max():
                channel_H = bare_F[route_H]
    return ChannelAssignment(
        channel_H=channel_H, num_virtual_channels=int(channel_H.max(initial=0)) + 1
    )


def _layers(
    topology: Topology, routes: Routes, route_H: IntArray, prescribed_H: IntArray | None
) -> tuple[IntArray, int]:
    """Return the layer of each route, and the virtual channels of a layer."""
    graph = channel_dependencies(topology, routes, prescribed_H)
    used = np.flatnonzero(graph.edge_H >= 0)
    by_edge = used[np.argsort(graph.edge_H[used], kind="stable")]
    first_use_E1 = np.searchsorted(graph.edge_H[by_edge], np.arange(graph.after_E.size + 1))
    layer_F = np.zeros(routes.first_F1.size - 1, dtype=np.int64)
    layer = 0
    moved = layer_F.size
    while moved:
        inside = used[layer_F[route_H[used]] == layer]
        uses_E = np.bincount(graph.edge_H[inside], minlength=graph.after_E.size)
        moved = split_layer(
            graph.first_C1,
            graph.after_E,
            uses_E,
            first_use_E1,
            route_H[by_edge],
            routes.first_F1,
            graph.edge_H,
            layer_F,
            layer,
        )
        layer += 1
    return layer_F, graph.num_virtual_channels


def check_deadlock_freedom(
    policy: RoutingPolicy, topology: Topology, *, num_virtual_channels: int | None = None
) -> DeadlockCheck:
    """Look for circles among the routes of all pairs of live dies.

    Args:
        policy: Any.
        topology: Any, in one part.
        num_virtual_channels: 1 checks the bare links; None allows as many as `assign_channels`
            finds necessary.

    Raises:
        RoutingError: Two dies are not connected; the message names them.
        ValueError: Another number of virtual channels.

    Example:
        >>> from waferloom.hardware import system
        >>> from waferloom.network.routing import ROUTING
        >>> from waferloom.network.topology import build_topology
        >>> check = check_deadlock_freedom(ROUTING["xy"], build_topology(system("temp-6x8")))
        >>> check.is_deadlock_free, check.num_virtual_channels
        (True, 1)
    """
    if num_virtual_channels not in (None, 1):
        msg = f"num_virtual_channels must be 1 or None, found {num_virtual_channels}"
        raise ValueError(msg)
    source, destination = all_pairs(topology)
    routes = policy.routes(topology, source, destination)
    channel_H = None
    if num_virtual_channels is None:
        prescribed_H = policy.channels(topology, source, destination, routes)
        channel_H = assign_channels(topology, routes, prescribed_H).channel_H
    graph = channel_dependencies(topology, routes, channel_H)
    circle = graph.circle()
    named = None
    if circle is not None:
        link, virtual = np.divmod(circle, graph.num_virtual_channels)
        ends = (topology.source_L[link], topology.destination_L[link], virtual)
        named = tuple((int(a), int(b), int(v)) for a, b, v in zip(*ends, strict=True))
    return DeadlockCheck(
        policy=policy.name,
        num_virtual_channels=graph.num_virtual_channels,
        num_dependencies=int(graph.after_E.size),
        circle=named,
    )
