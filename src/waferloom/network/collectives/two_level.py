"""Two levels: inside parts of a group, between the parts, and inside again.

An all-reduce becomes a reduce-scatter inside every part, an all-reduce of each shard between the
parts, and an all-gather inside; a reduce-scatter does the first two, an all-gather the last two.
Between two levels all members of a group wait for each other. Hierarchical and two-dimensional
algorithms differ only in what the parts are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.network import _profile_kernel as kernels
from waferloom.network.collectives.base import CollectiveProfile, Exchange
from waferloom.network.collectives.line import add_line
from waferloom.network.collectives.ring import add_ring
from waferloom.network.collectives.slots import Shards, shards_of, slots_per_vector
from waferloom.network.ring_order import hop_table, order_groups
from waferloom.network.topology import IntArray
from waferloom.network.traffic import Traffic, TrafficBuilder

_MOST_CLOSING_HOPS = 2  # a tour whose longest edge is longer than this many shortest ones is a line


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level:
    """Equal subgroups that work at the same time, in travelling order.

    Axes: X subgroups, those of one group together; N members.

    Attributes:
        dies_XN: Members, along a closed tour or an open path.
        is_ring: Which of the two.
    """

    dies_XN: IntArray
    is_ring: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Groups cut into parts, for one share of the data.

    Attributes:
        inner: Members of each part.
        outer: Members of different parts that own the same shard.
        share: Fraction of the data that goes this way.
    """

    inner: Level
    outer: Level
    share: float


def level(exchange: Exchange, dies_XN: IntArray) -> Level:
    """Order subgroups as rings where their tours close well, as lines elsewhere.

    Args:
        exchange: Where.
        dies_XN: Subgroups, members ascending.
    """
    dies_XN = np.ascontiguousarray(dies_XN)
    if not exchange.topology.has_lattice:
        return Level(dies_XN=dies_XN, is_ring=True)
    orders = order_groups(exchange.topology, dies_XN)
    hops_DD = hop_table(exchange.topology)
    if dies_XN.shape[1] > 3 and hops_DD.size > 0:
        hops_XN = hops_DD[orders.ring_GN, np.roll(orders.ring_GN, -1, axis=1)]
        if hops_XN.max() <= _MOST_CLOSING_HOPS * hops_XN.min():
            return Level(dies_XN=orders.ring_GN, is_ring=True)
    return Level(dies_XN=orders.line_GN, is_ring=False)


_KERNEL_KIND: Final = {
    CollectiveKind.ALL_GATHER: 0,
    CollectiveKind.REDUCE_SCATTER: 1,
    CollectiveKind.ALL_REDUCE: 2,
}


def profile_two_level(
    exchange: Exchange, algorithm: str, splits: Sequence[Split]
) -> CollectiveProfile:
    """Return the cost of splits that run side by side."""
    path_G2, loads = exchange.no_cost(), exchange.no_loads()
    for split in splits:
        exchange.check(
            kernels.two_level_profile(
                exchange.network,
                split.inner.dies_XN,
                split.inner.is_ring,
                split.outer.dies_XN,
                split.outer.is_ring,
                _KERNEL_KIND[exchange.kind],
                split.share,
                exchange.reference_bytes,
                path_G2,
                loads,
            )
        )
    return exchange.profile(algorithm, path_G2, loads)


_PIECES = 4  # halves of halves: two ways round the inner ring, and two round the outer one


def traffic_two_level(exchange: Exchange, splits: Sequence[Split], size_bytes: float) -> Traffic:
    """Return the flows of splits that run side by side."""
    builder = exchange.builder()
    num_slots = slots_per_vector(exchange, pieces=_PIECES * len(splits))
    for group in range(exchange.num_groups):
        for index, split in enumerate(splits):
            members = exchange.members(group)
            shards = shards_of(members, members, num_slots).part(index, len(splits))
            inner = _of_group(split.inner, group, exchange.num_groups)
            outer = _of_group(split.outer, group, exchange.num_groups)
            share_bytes = size_bytes * split.share
            _add_group(builder, exchange.kind, members, shards, inner, outer, share_bytes)
    return builder.build(num_slots)


def _of_group(part: Level, group: int, num_groups: int) -> Level:
    dies = part.dies_XN.reshape(num_groups, -1, part.dies_XN.shape[1])
    return Level(dies_XN=dies[group], is_ring=part.is_ring)


def _add_group(
    builder: TrafficBuilder,
    kind: CollectiveKind,
    members: IntArray,
    shards: Shards,
    inner: Level,
    outer: Level,
    share_bytes: float,
) -> None:
    """Add the levels of one group, with a join between each two."""
    index = {int(die): i for i, die in enumerate(members)}
    column = {int(die): x for x, dies in enumerate(outer.dies_XN) for die in dies}
    inner_bytes = share_bytes / inner.dies_XN.shape[1]
    outer_bytes = inner_bytes / outer.dies_XN.shape[1]

    def inside(one: CollectiveKind, depends: int | None) -> list[IntArray]:
        """Each die stands for the shards of all that share its column."""
        flows: list[IntArray] = []
        for dies in inner.dies_XN:
            owned = np.array(
                [[index[int(d)] for d in outer.dies_XN[column[int(die)]]] for die in dies]
            )
            fused = shards.fused(owned)
            flows += _add_level(builder, one, dies, fused, inner_bytes, depends, inner.is_ring)
        return flows

    def between(one: CollectiveKind, depends: int | None) -> list[IntArray]:
        flows: list[IntArray] = []
        for dies in outer.dies_XN:
            owned = shards.taken(np.array([index[int(die)] for die in dies]))
            halves = Shards(
                np.stack([owned.first, owned.first + owned.count // 2], axis=2).reshape(-1, 2),
                np.repeat(owned.count // 2, 2, axis=1),
            )
            flows += _add_level(builder, one, dies, halves, outer_bytes, depends, outer.is_ring)
        return flows

    join: int | None = None
    for at, one in _levels(kind, outer.is_ring):
        flows = (inside if at == "inner" else between)(one, join)
        join = builder.join(int(members[0]), np.concatenate(flows))


def _levels(kind: CollectiveKind, outer_is_ring: bool) -> Iterator[tuple[str, CollectiveKind]]:
    reduce, gather = CollectiveKind.REDUCE_SCATTER, CollectiveKind.ALL_GATHER
    if kind is not gather:
        yield "inner", reduce
    if kind is CollectiveKind.ALL_REDUCE and outer_is_ring:
        yield "outer", kind
    else:
        if kind is not gather:
            yield "outer", reduce
        if kind is not reduce:
            yield "outer", gather
    if kind is not reduce:
        yield "inner", gather


def _add_level(
    builder: TrafficBuilder,
    kind: CollectiveKind,
    dies: IntArray,
    shards: Shards,
    shard_bytes: float,
    depends: int | None,
    is_ring: bool,
) -> list[IntArray]:
    if not is_ring:
        return [add_line(builder, kind, dies, shards, shard_bytes, depends)]
    half = shard_bytes / 2
    one, other = shards.part(0, 2), shards.part(1, 2).reversed()
    return [
        add_ring(builder, kind, dies, one, half, depends),
        add_ring(builder, kind, dies[::-1], other, half, depends),
    ]
