"""What a collective costs when all groups of an axis run it at once, in a few microseconds.

`profile_collective` gives the two lower bounds that decide the duration of most collectives: the
chain of sends that wait for each other, and the busiest link under the traffic of all groups. Both
are affine in the bytes moved, so that one profile serves every size:

    duration_s(size) = max(path_latency_s + size * path_s_per_byte,
                           link_latency_s + size * link_s_per_byte)

At `reference_bytes` this equals the `bound` fidelity of the flows that the algorithm generates. At
other sizes it equals it wherever the same chain and the same link decide, and is below it
elsewhere.

Model: cut-through switching; a message leaves when all it depends on has arrived in full;
reductions take no time; no software overhead per message beyond the links' latency.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.errors import did_you_mean
from waferloom.network import _profile_kernel as kernels
from waferloom.network.ring_order import GroupOrders, order_groups
from waferloom.network.routing import ROUTING, RoutingPolicy
from waferloom.network.routing._route_kernel import Network
from waferloom.network.routing.dimension_order import raise_no_route
from waferloom.network.topology import FloatArray, IntArray, Topology

BEST: Final = "best"
PIPELINE_CHUNKS: Final = 32
"""Pieces of a pipelined chain (line all-reduce, broadcast). An assumption: filling and draining a
chain then cost at most 1/32 of the message per hop, and pieces stay far above packet size."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CollectiveProfile:
    """The cost of one collective, all groups of an axis at once, as a function of its size.

    Axes: L links.

    Attributes:
        algorithm: Key of `ALGORITHMS`.
        path_latency_s: Longest chain of dependent sends: the part that does not grow with size.
        path_s_per_byte: The same: seconds per byte of `size_bytes`.
        link_latency_s: Link that is done last: waiting before its first and after its last byte.
        link_s_per_byte: The same: seconds per byte of `size_bytes`.
        link_bytes_L: Bytes on each directed link per byte of `size_bytes`, all groups together.
        injected_bytes: Bytes that leave the busiest die as their source, per byte of `size_bytes`.
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Case:
    """One call: where, who, what."""

    topology: Topology
    network: Network
    groups_GN: IntArray
    orders: GroupOrders
    kind: CollectiveKind
    reference_bytes: float

    def no_cost(self) -> FloatArray:
        """Return (fixed, per byte) zeros for every group."""
        return np.zeros((self.groups_GN.shape[0], 2))

    def no_loads(self) -> kernels.Loads:
        """Return loads of nothing."""
        return kernels.empty_loads(self.topology.num_links, self.topology.num_dies)

    def check(self, pair: int) -> None:
        """Raise if a kernel met a pair without a route."""
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


_LAPS: Final[Mapping[CollectiveKind, int]] = {
    CollectiveKind.ALL_REDUCE: 2,
    CollectiveKind.REDUCE_SCATTER: 1,
    CollectiveKind.ALL_GATHER: 1,
    CollectiveKind.ALL_TO_ALL: 1,
}


def _ring(case: _Case, algorithm: str = "ring", num_directions: int = 2) -> CollectiveProfile:
    laps, ring_GN, reference = _LAPS[case.kind], case.orders.ring_GN, case.reference_bytes
    path_G2, zero_G2, loads = case.no_cost(), case.no_cost(), case.no_loads()
    case.check(
        kernels.ring_paths(case.network, ring_GN, num_directions, laps, 1.0, reference, path_G2)
    )
    kernels.ring_loads(
        case.network, ring_GN, num_directions, laps, 1.0, zero_G2, zero_G2, reference, loads
    )
    return case.profile(algorithm, path_G2, loads)


def _one_way_ring(case: _Case) -> CollectiveProfile:
    return _ring(case, "one_way_ring", 1)


def _line(case: _Case) -> CollectiveProfile:
    path_G2, loads = case.no_cost(), case.no_loads()
    case.check(
        kernels.line_profile(
            case.network,
            case.orders.line_GN,
            (CollectiveKind.ALL_GATHER, CollectiveKind.REDUCE_SCATTER).index(case.kind)
            if case.kind is not CollectiveKind.ALL_REDUCE
            else 2,
            PIPELINE_CHUNKS,
            case.reference_bytes,
            path_G2,
            loads,
        )
    )
    return case.profile("line", path_G2, loads)


def _chain(case: _Case) -> CollectiveProfile:
    path_G2, loads = case.no_cost(), case.no_loads()
    case.check(
        kernels.chain_profile(
            case.network,
            case.orders.ring_GN,
            np.ascontiguousarray(case.groups_GN[:, 0]),
            PIPELINE_CHUNKS,
            case.reference_bytes,
            path_G2,
            loads,
        )
    )
    return case.profile("chain", path_G2, loads)


def _direct(case: _Case) -> CollectiveProfile:
    path_G2, loads = case.no_cost(), case.no_loads()
    laps = _LAPS.get(case.kind, 1)
    if case.kind is CollectiveKind.POINT_TO_POINT:
        case.check(
            kernels.pairs_profile(
                case.network, case.groups_GN, case.reference_bytes, path_G2, loads
            )
        )
    elif case.topology.has_lattice:
        case.check(
            kernels.direct_profile(
                case.network, case.groups_GN, laps, case.reference_bytes, path_G2, loads
            )
        )
    else:
        kernels.direct_profile_switched(
            case.network,
            case.groups_GN,
            case.topology.num_domains,
            laps,
            case.reference_bytes,
            path_G2,
            loads,
        )
    return case.profile("direct", path_G2, loads)


def _hierarchical(case: _Case) -> CollectiveProfile | None:
    """Work inside each domain, between equals of all domains, and inside again, with barriers.

    Returns:
        None if a group has unequal parts in its domains, or lies in one, or has one member in each.
    """
    parts = _split_by_domain(case)
    if parts is None:
        return None
    inner_GN, outer_GN, num_domains, num_inner = parts
    num_groups, reference = case.groups_GN.shape[0], case.reference_bytes
    inner = order_groups(case.topology, inner_GN).ring_GN
    inner_path_G2 = np.zeros((inner.shape[0], 2))
    outer_path_G2 = np.zeros((outer_GN.shape[0], 2))
    outer_laps = _LAPS[case.kind]
    case.check(kernels.ring_paths(case.network, inner, 2, 1, 1.0, reference, inner_path_G2))
    case.check(
        kernels.ring_paths(
            case.network, outer_GN, 2, outer_laps, 1.0 / num_inner, reference, outer_path_G2
        )
    )
    inside_G2 = _slowest(inner_path_G2, num_groups, reference)
    outside_G2 = _slowest(outer_path_G2, num_groups, reference)
    zero_G2 = np.zeros_like(inside_G2)
    loads = case.no_loads()
    match case.kind:
        case CollectiveKind.ALL_REDUCE:
            path_G2, inner_laps = 2 * inside_G2 + outside_G2, 2
            inner_ends, outer_ends = (zero_G2, zero_G2), (inside_G2, inside_G2)
        case CollectiveKind.REDUCE_SCATTER:
            path_G2, inner_laps = inside_G2 + outside_G2, 1
            inner_ends, outer_ends = (zero_G2, outside_G2), (inside_G2, zero_G2)
        case _:
            path_G2, inner_laps = inside_G2 + outside_G2, 1
            inner_ends, outer_ends = (outside_G2, zero_G2), (zero_G2, inside_G2)
    for rings, laps, scale, (head_G2, tail_G2), repeats in (
        (inner, inner_laps, 1.0, inner_ends, num_domains),
        (outer_GN, outer_laps, 1.0 / num_inner, outer_ends, num_inner),
    ):
        kernels.ring_loads(
            case.network,
            rings,
            2,
            laps,
            scale,
            np.repeat(head_G2, repeats, axis=0),
            np.repeat(tail_G2, repeats, axis=0),
            reference,
            loads,
        )
    return case.profile("hierarchical", path_G2, loads)


def _split_by_domain(case: _Case) -> tuple[IntArray, IntArray, int, int] | None:
    """Return (rings inside domains, rings between them, domains of a group, members in each)."""
    groups_GN = np.sort(case.groups_GN, axis=1)
    if case.topology.num_domains == 1 or groups_GN[0, 0] < 0 or groups_GN.min() < 0:
        return None
    num_groups, size = groups_GN.shape
    domain_GN = case.topology.domain_D[groups_GN]
    order_GN = np.argsort(domain_GN, axis=1, kind="stable")
    groups_GN = np.take_along_axis(groups_GN, order_GN, axis=1)
    domain_GN = np.take_along_axis(domain_GN, order_GN, axis=1)
    num_domains = 1 + int((np.diff(domain_GN[0]) != 0).sum())
    num_inner = size // num_domains
    if num_domains in (1, size) or num_inner * num_domains != size:
        return None
    by_domain = domain_GN.reshape(num_groups, num_domains, num_inner)
    if (by_domain != by_domain[:, :, :1]).any():
        return None
    if (np.diff(by_domain[:, :, 0], axis=1) == 0).any():
        return None
    cube = groups_GN.reshape(num_groups, num_domains, num_inner)
    inner_GN = np.ascontiguousarray(cube.reshape(-1, num_inner))
    outer_GN = np.ascontiguousarray(cube.transpose(0, 2, 1).reshape(-1, num_domains))
    return inner_GN, outer_GN, num_domains, num_inner


def _slowest(path_G2: FloatArray, num_groups: int, reference: float) -> FloatArray:
    """Return the longest path among the parts of each group."""
    by_group = path_G2.reshape(num_groups, -1, 2)
    value = by_group[:, :, 0] + reference * by_group[:, :, 1]
    return by_group[np.arange(num_groups), np.argmax(value, axis=1)]


Evaluate = Callable[[_Case], CollectiveProfile | None]

ALGORITHMS: Final[Mapping[str, Evaluate]] = {
    "ring": _ring,
    "one_way_ring": _one_way_ring,
    "line": _line,
    "direct": _direct,
    "hierarchical": _hierarchical,
    "chain": _chain,
}

_REDUCTIONS: Final = ("ring", "one_way_ring", "line", "direct", "hierarchical")
APPLICABLE: Final[Mapping[CollectiveKind, tuple[str, ...]]] = {
    CollectiveKind.ALL_REDUCE: _REDUCTIONS,
    CollectiveKind.REDUCE_SCATTER: _REDUCTIONS,
    CollectiveKind.ALL_GATHER: _REDUCTIONS,
    CollectiveKind.BROADCAST: ("chain",),
    CollectiveKind.MULTICAST: ("chain",),
    CollectiveKind.ALL_TO_ALL: ("direct",),
    CollectiveKind.POINT_TO_POINT: ("direct",),
}
"""Which algorithms perform which collective, in the order in which ties are broken."""

_NEVER_BEST: Final = frozenset({"one_way_ring"})  # the two-way ring is never slower


def profile_collective(
    topology: Topology,
    groups: IntArray,
    kind: CollectiveKind,
    *,
    algorithm: str = BEST,
    reference_bytes: float = 64e6,
    routing: str = "xy",
    reorder: bool = True,
) -> CollectiveProfile:
    """Return the cost of one collective that every group performs at the same time.

    Args:
        topology: Where.
        groups: Die ids, one group a row, shorter groups padded with -1 at the end. The first member
            is the root of a broadcast; a point-to-point group is (source, destination).
        kind: What each group does; `CollectiveKind` says what its `size_bytes` means.
        algorithm: A key of `ALGORITHMS`, or `best`: the least `duration_s(reference_bytes)` of
            those that apply.
        reference_bytes: Size at which chains, links and algorithms are compared.
        routing: A key of `ROUTING`.
        reorder: Put the members of rings and lines into a short tour first; False takes the order
            given, as a naive logical ring does.

    Raises:
        ValueError: Groups that are no groups of live dies, or an algorithm that is unknown or does
            not apply.
        RoutingError: Two members are not connected.

    Example:
        >>> from waferloom.hardware import system
        >>> from waferloom.network.topology import build_topology
        >>> topology = build_topology(system("temp-6x8"))
        >>> block = np.array([[0, 1, 2, 3, 8, 9, 10, 11]])
        >>> profile = profile_collective(topology, block, CollectiveKind.ALL_REDUCE)
        >>> profile.algorithm, round(profile.duration_s(64e6) * 1e6, 2)
        ('ring', 16.8)
    """
    groups_GN = np.ascontiguousarray(groups, dtype=np.int64)
    _check(topology, groups_GN, kind, reference_bytes)
    case = _Case(
        topology=topology,
        network=_policy(routing).network(topology),
        groups_GN=groups_GN,
        orders=order_groups(topology, groups_GN)
        if reorder
        else GroupOrders(ring_GN=groups_GN, line_GN=groups_GN),
        kind=kind,
        reference_bytes=reference_bytes,
    )
    if algorithm != BEST:
        return _chosen(case, algorithm)
    found = [
        profile
        for name in APPLICABLE[kind]
        if name not in _NEVER_BEST and (profile := ALGORITHMS[name](case)) is not None
    ]
    return min(found, key=lambda profile: profile.duration_s(reference_bytes))


def _policy(routing: str) -> RoutingPolicy:
    if routing not in ROUTING:
        msg = f"unknown routing {routing!r}; {did_you_mean(routing, ROUTING)}"
        raise ValueError(msg)
    return ROUTING[routing]


def _chosen(case: _Case, algorithm: str) -> CollectiveProfile:
    if algorithm not in ALGORITHMS:
        msg = f"unknown algorithm {algorithm!r}; {did_you_mean(algorithm, [BEST, *ALGORITHMS])}"
        raise ValueError(msg)
    applicable = APPLICABLE[case.kind]
    if algorithm not in applicable:
        msg = f"{algorithm} does not perform {case.kind}; use {BEST} or {', '.join(applicable)}"
        raise ValueError(msg)
    profile = ALGORITHMS[algorithm](case)
    if profile is None:
        msg = (
            f"{algorithm} needs groups with equally many members, more than one, in each of "
            f"several nodes, wafers or slices of {case.topology.name}; use {BEST}"
        )
        raise ValueError(msg)
    return profile


def _check(
    topology: Topology, groups_GN: IntArray, kind: CollectiveKind, reference_bytes: float
) -> None:
    if groups_GN.ndim != 2 or groups_GN.size == 0:
        msg = f"groups must be rows of die ids, found an array of shape {groups_GN.shape}"
        raise ValueError(msg)
    if not reference_bytes > 0:
        msg = f"reference_bytes must be positive, found {reference_bytes}"
        raise ValueError(msg)
    if kind is CollectiveKind.POINT_TO_POINT and groups_GN.shape[1] > 2:
        msg = f"point_to_point needs pairs of dies, found groups of {groups_GN.shape[1]}"
        raise ValueError(msg)
    fault, die = kernels.check_groups(groups_GN, topology.is_live_D)
    if fault:
        reason = {
            1: f"{topology.name} has dies 0..{topology.num_dies - 1}",
            2: "it is dead",
            3: "it is twice in one group",
            4: "it comes after the padding -1 of its group",
        }[fault]
        msg = f"groups contain die {die}, but {reason}"
        raise ValueError(msg)
