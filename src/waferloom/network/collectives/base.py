"""What a collective algorithm is: flows to generate, and what they cost without generating them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.network import _profile_kernel as kernels
from waferloom.network.ring_order import GroupOrders, order_groups
from waferloom.network.routing import RoutingPolicy
from waferloom.network.routing._route_kernel import Network
from waferloom.network.routing.tables import raise_no_route
from waferloom.network.simulators.bound import bound_parts
from waferloom.network.topology import FloatArray, IntArray, Topology
from waferloom.network.traffic import Traffic, TrafficBuilder

REDUCING_KINDS = frozenset(
    {CollectiveKind.ALL_REDUCE, CollectiveKind.REDUCE_SCATTER, CollectiveKind.ALL_GATHER}
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CollectiveProfile:
    """The cost of one collective, all groups of an axis at once, as a function of its size.

    Axes: L links.

    Attributes:
        algorithm: Key of `COLLECTIVES`.
        path_latency_s: Longest chain of dependent sends: the part that does not grow with size.
        path_s_per_byte: The same: seconds per byte of `size_bytes`.
        link_latency_s: Link that is done last: waiting before its first and after its last byte.
        link_s_per_byte: The same: seconds per byte of `size_bytes`.
        link_bytes_L: Bytes on each directed link per byte of `size_bytes`, all groups together.
        injected_bytes: Bytes that leave the busiest die as their source, per byte of
            `size_bytes`.
    """

    algorithm: str
    path_latency_s: float
    path_s_per_byte: float
    link_latency_s: float
    link_s_per_byte: float
    link_bytes_L: FloatArray
    injected_bytes: float

    def duration_s(self, size_bytes: float) -> float:
        """Return seconds from the first send to the last receive."""
        return max(
            self.path_latency_s + size_bytes * self.path_s_per_byte,
            self.link_latency_s + size_bytes * self.link_s_per_byte,
        )

    def energy_j(self, size_bytes: float, topology: Topology) -> float:
        """Return the energy that the links spend."""
        return size_bytes * float(self.link_bytes_L @ topology.energy_j_per_byte_L)


@dataclass(frozen=True, kw_only=True, eq=False)
class Exchange:
    """One collective to be performed: where, by whom, what.

    Axes: G groups, N members.

    Attributes:
        topology: Where.
        policy: Routes.
        groups_GN: Die ids, shorter groups padded with -1; the first member is the root.
        kind: What each group does.
        reference_bytes: Size at which chains and links are compared.
        reorder: Whether rings and lines may put members into a better order than the one given.
    """

    topology: Topology
    policy: RoutingPolicy
    groups_GN: IntArray
    kind: CollectiveKind
    reference_bytes: float
    reorder: bool = True

    @cached_property
    def network(self) -> Network:
        """What kernels need of topology and routes."""
        return self.policy.network(self.topology)

    @cached_property
    def orders(self) -> GroupOrders:
        """Closed tours and open paths through the groups."""
        if not self.reorder:
            return GroupOrders(ring_GN=self.groups_GN, line_GN=self.groups_GN)
        return order_groups(self.topology, self.groups_GN)

    @property
    def largest_group(self) -> int:
        """Members of the largest group; as many as columns unless all groups are padded."""
        return self.groups_GN.shape[1]

    @property
    def num_groups(self) -> int:
        """Groups that work at the same time."""
        return self.groups_GN.shape[0]

    def members(self, group: int) -> IntArray:
        """Return a group as it was given, without padding."""
        row = self.groups_GN[group]
        return row[row >= 0]

    def no_cost(self, num_groups: int | None = None) -> FloatArray:
        """Return (fixed, per byte) zeros for every group."""
        return np.zeros((self.num_groups if num_groups is None else num_groups, 2))

    def no_loads(self) -> kernels.Loads:
        """Return loads of nothing."""
        return kernels.empty_loads(self.topology.num_links, self.topology.num_dies)

    def builder(self) -> TrafficBuilder:
        """Return an empty traffic on this exchange's routes."""
        return TrafficBuilder(self.topology, self.policy)

    def check(self, pair: int) -> None:
        """Raise if a kernel met a pair without a route (`source * D + destination`, or -1).

        Raises:
            RoutingError: It did.
        """
        if pair >= 0:
            raise_no_route(self.topology, *divmod(pair, self.topology.num_dies))

    def profile(
        self, algorithm: str, path_G2: FloatArray, loads: kernels.Loads
    ) -> CollectiveProfile:
        """Put the longest path and the busiest link into a profile."""
        slowest = int(np.argmax(path_G2[:, 0] + path_G2[:, 1] * self.reference_bytes))
        fixed, per_byte = kernels.busiest_link(self.network, loads, self.reference_bytes)
        return CollectiveProfile(
            algorithm=algorithm,
            path_latency_s=float(path_G2[slowest, 0]),
            path_s_per_byte=float(path_G2[slowest, 1]),
            link_latency_s=fixed,
            link_s_per_byte=per_byte,
            link_bytes_L=loads.bytes_L,
            injected_bytes=float(loads.injected_D.max()),
        )


class Collective(Protocol):
    """An algorithm that performs some kinds of collectives."""

    @property
    def name(self) -> str:
        """The algorithm's key in `COLLECTIVES`."""
        ...

    @property
    def kinds(self) -> frozenset[CollectiveKind]:
        """What it can perform."""
        ...

    def at_least_s(self, exchange: Exchange) -> float:
        """Return seconds at `reference_bytes` that the profile cannot be below, at little cost.

        `best` does not look closer at an algorithm that loses on this already; 0 says nothing.
        """
        ...

    def profile(self, exchange: Exchange) -> CollectiveProfile | None:
        """Return the cost at any size, or None where the groups do not suit the algorithm."""
        ...

    def traffic(self, exchange: Exchange, size_bytes: float) -> Traffic | None:
        """Return the flows, or None where the groups do not suit the algorithm.

        Slots of the buffers, S being a multiple of every group's size:

        - all_reduce: every member starts with its own S slots and ends with the sum of all;
        - reduce_scatter: the same, but member i ends with the i-th of n equal parts of the sum;
        - all_gather: member i starts with the i-th part, all end with all parts;
        - broadcast, multicast: the first member's S slots; point_to_point: likewise, for a pair;
        - all_to_all: 2 S slots; part j of the first S goes to member j, where part i of the second
          S comes from member i (its own part stays where it is).
        """
        ...


def profile_of_traffic(
    exchange: Exchange, algorithm: str, traffic: Traffic, size_bytes: float
) -> CollectiveProfile:
    """Return the profile of flows generated for `size_bytes`: exact, and slower than a formula."""
    parts = bound_parts(exchange.topology, traffic)
    injected_D = np.zeros(exchange.topology.num_dies)
    moves = np.diff(traffic.first_link_F1) > 0
    np.add.at(injected_D, traffic.source_F[moves], traffic.size_bytes_F[moves])
    return CollectiveProfile(
        algorithm=algorithm,
        path_latency_s=parts.chain_2[0],
        path_s_per_byte=parts.chain_2[1] / size_bytes,
        link_latency_s=parts.link_2[0],
        link_s_per_byte=parts.link_2[1] / size_bytes,
        link_bytes_L=traffic.link_bytes_L(exchange.topology) / size_bytes,
        injected_bytes=float(injected_D.max()) / size_bytes,
    )
