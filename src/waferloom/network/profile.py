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

from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.errors import did_you_mean
from waferloom.network import _profile_kernel as kernels
from waferloom.network.collectives import COLLECTIVES, Collective, CollectiveProfile, Exchange
from waferloom.network.routing import ROUTING
from waferloom.network.topology import IntArray, Topology
from waferloom.network.traffic import Traffic

__all__ = [
    "BEST",
    "CollectiveProfile",
    "algorithms_for",
    "collective_traffic",
    "profile_collective",
]

BEST: Final = "best"
# Never faster than the two-way ring, halving-doubling and direct, which `best` does consider.
_NEVER_BEST: Final = frozenset({"one_way_ring", "double_binary_tree", "relay"})
MOST_DIRECT_PEERS: Final = 128
"""`best` considers direct reductions up to this many members. An assumption: issuing a message
costs a device some tenths of a microsecond, so that beyond it what one latency saves is spent on
issuing."""


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
        algorithm: A key of `COLLECTIVES`, or `best`: the least `duration_s(reference_bytes)` of
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
        >>> kind = CollectiveKind.ALL_REDUCE
        >>> profile = profile_collective(topology, block, kind, algorithm="ring")
        >>> profile.algorithm, round(profile.duration_s(64e6) * 1e6, 2)
        ('ring', 16.8)
    """
    exchange = _exchange(topology, groups, kind, reference_bytes, routing, reorder)
    if algorithm != BEST:
        profile = _named(algorithm, kind).profile(exchange)
        if profile is None:
            raise _unsuitable(algorithm, topology)
        return profile
    best: CollectiveProfile | None = None
    for name in _candidates(exchange):
        limit_s = float("inf") if best is None else best.duration_s(reference_bytes)
        if COLLECTIVES[name].at_least_s(exchange) >= limit_s:
            continue
        profile = COLLECTIVES[name].profile(exchange)
        if profile is not None and profile.duration_s(reference_bytes) < limit_s:
            best = profile
    if best is None:
        raise AssertionError(kind)  # every kind has an algorithm that suits any groups
    return best


def collective_traffic(
    topology: Topology,
    groups: IntArray,
    kind: CollectiveKind,
    size_bytes: float,
    *,
    algorithm: str = BEST,
    routing: str = "xy",
    reorder: bool = True,
) -> Traffic:
    """Return the flows of one collective that every group performs at the same time.

    Args:
        topology: Where.
        groups: As in `profile_collective`.
        kind: What each group does.
        size_bytes: As `CollectiveKind` defines it.
        algorithm: A key of `COLLECTIVES`, or `best` at this size.
        routing: A key of `ROUTING`.
        reorder: As in `profile_collective`.

    Raises:
        ValueError: Groups that are no groups of live dies, or an algorithm that is unknown or does
            not apply.
        RoutingError: Two members are not connected.
    """
    exchange = _exchange(topology, groups, kind, size_bytes, routing, reorder)
    name = algorithm
    if algorithm == BEST:
        name = profile_collective(
            topology, groups, kind, reference_bytes=size_bytes, routing=routing, reorder=reorder
        ).algorithm
    traffic = _named(name, kind).traffic(exchange, size_bytes)
    if traffic is None:
        raise _unsuitable(name, topology)
    return traffic


def algorithms_for(kind: CollectiveKind) -> tuple[str, ...]:
    """Return the algorithms that perform a collective, in the order in which ties are broken."""
    return tuple(name for name, one in COLLECTIVES.items() if kind in one.kinds)


def _candidates(exchange: Exchange) -> list[str]:
    kind = exchange.kind
    skipped = set(_NEVER_BEST)
    is_reduction = kind in COLLECTIVES["ring"].kinds
    if is_reduction and exchange.groups_GN.shape[1] > MOST_DIRECT_PEERS:
        skipped.add("direct")
    return [name for name in algorithms_for(kind) if name not in skipped]


def _exchange(
    topology: Topology,
    groups: IntArray,
    kind: CollectiveKind,
    reference_bytes: float,
    routing: str,
    reorder: bool,
) -> Exchange:
    groups_GN = np.ascontiguousarray(groups, dtype=np.int64)
    _check(topology, groups_GN, kind, reference_bytes)
    if routing not in ROUTING:
        msg = f"unknown routing {routing!r}; {did_you_mean(routing, ROUTING)}"
        raise ValueError(msg)
    return Exchange(
        topology=topology,
        policy=ROUTING[routing],
        groups_GN=groups_GN,
        kind=kind,
        reference_bytes=reference_bytes,
        reorder=reorder,
    )


def _named(algorithm: str, kind: CollectiveKind) -> Collective:
    if algorithm not in COLLECTIVES:
        msg = f"unknown algorithm {algorithm!r}; {did_you_mean(algorithm, [BEST, *COLLECTIVES])}"
        raise ValueError(msg)
    if kind not in COLLECTIVES[algorithm].kinds:
        suitable = ", ".join(algorithms_for(kind))
        msg = f"{algorithm} does not perform {kind}; use {BEST} or {suitable}"
        raise ValueError(msg)
    return COLLECTIVES[algorithm]


def _unsuitable(algorithm: str, topology: Topology) -> ValueError:
    return ValueError(
        f"{algorithm} does not suit these groups of {topology.name}: hierarchical needs equally "
        f"many members, more than one, in each of several nodes, wafers or slices, "
        f"two_dimensional a full block of rows and columns; use {BEST}"
    )


def _check(
    topology: Topology, groups_GN: IntArray, kind: CollectiveKind, reference_bytes: float
) -> None:
    if groups_GN.ndim != 2 or groups_GN.size == 0:
        msg = f"groups must be rows of die ids, found an array of shape {groups_GN.shape}"
        raise ValueError(msg)
    if not 0 < reference_bytes < float("inf"):
        msg = f"the size must be a positive number of bytes, found {reference_bytes}"
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
