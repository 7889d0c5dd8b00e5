"""Halving and doubling: about log2 n rounds, each moving half of what the round before moved.

As long as the number of members is even, partners differ in one bit of their position, the nearest
first, so that half of the data travels to a neighbour only (in a cluster: inside the node). What is
left, an odd number of equals, uses the circulant scheme: the distances m/2, m/4, ..., 1, each
rounded up, all in one direction. In all `(n - 1) / n` of the size moves per reduce-scatter and
per all-gather:

    all_reduce = 2 (ceil(log2 n) latency + (n - 1) / n * size / bandwidth)

where nothing is shared, as behind a switch.

Source:
    Thakur, Rabenseifner and Gropp 2005, doi:10.1177/1094342005051521 (powers of two);
    Traeff 2024, arXiv:2410.14234 (any number, circulant).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.network import _profile_kernel as kernels
from waferloom.network.collectives.base import REDUCING_KINDS, CollectiveProfile, Exchange
from waferloom.network.collectives.slots import Shards, shards_of, slots_per_vector
from waferloom.network.topology import FloatArray, IntArray
from waferloom.network.traffic import Action, Traffic, TrafficBuilder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Round:
    """One round: every member sends some owners' shards to one other member.

    Axes: N members by position, K shards.

    Attributes:
        partner_N: Position that receives.
        first_N: Position of the first owner whose shard is sent.
        num_shards: K.
        stride: From owner to owner, going round.
        action: Reduce or copy.
    """

    partner_N: IntArray
    first_N: IntArray
    num_shards: int
    stride: int
    action: Action

    def owner_NK(self) -> IntArray:
        """Return the positions whose shards each member sends."""
        steps = np.arange(self.num_shards) * self.stride
        return (self.first_N[:, None] + steps) % self.partner_N.size


def rounds(n: int, kind: CollectiveKind) -> list[Round]:
    """Return the rounds of a group of `n`: reducing, gathering, or one after the other."""
    result: list[Round] = []
    if kind is not CollectiveKind.ALL_GATHER:
        result += _rounds(n, Action.REDUCE)
    if kind is not CollectiveKind.REDUCE_SCATTER:
        result += _rounds(n, Action.COPY)[::-1]
    return result


def _rounds(n: int, action: Action) -> list[Round]:
    """Return reducing rounds in order, or gathering rounds in reverse."""
    reduces = action is Action.REDUCE
    position = np.arange(n)
    result: list[Round] = []
    bit = 1
    while n % (2 * bit) == 0:
        # Reducing, send what the partner goes on with; gathering, what oneself has.
        partner = position ^ bit
        result.append(
            Round(
                partner_N=partner,
                first_N=(partner if reduces else position) % (2 * bit),
                num_shards=n // (2 * bit),
                stride=2 * bit,
                action=action,
            )
        )
        bit *= 2
    reach = n // bit
    while reach > 1:
        # Reducing, send forwards the shards that lie `skip` and more ahead; gathering, backwards.
        skip = (reach + 1) // 2
        ahead = np.roll(position, -skip * bit)
        result.append(
            Round(
                partner_N=ahead if reduces else np.roll(position, skip * bit),
                first_N=ahead if reduces else position,
                num_shards=reach - skip,
                stride=bit,
                action=action,
            )
        )
        reach = skip
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class HalvingDoubling:
    """All-reduce, reduce-scatter and all-gather in few rounds."""

    name: str = "halving_doubling"
    kinds: frozenset[CollectiveKind] = REDUCING_KINDS

    def at_least_s(self, exchange: Exchange) -> float:
        """Return the bytes that one die sends, each round through one link."""
        size_G = (exchange.groups_GN >= 0).sum(axis=1)
        n = int(size_G.max())
        laps = 2 if exchange.kind is CollectiveKind.ALL_REDUCE else 1
        fastest = float(exchange.topology.bandwidth_bytes_per_s_L.max(initial=1.0))
        return laps * (n - 1) / n * exchange.reference_bytes / fastest

    def profile(self, exchange: Exchange) -> CollectiveProfile:
        """Return the cost, round by round."""
        groups_GN = _in_order(exchange)
        size_G = (groups_GN >= 0).sum(axis=1)
        path_G2, loads = exchange.no_cost(), exchange.no_loads()
        for n in np.unique(size_G[size_G > 1]).tolist():
            chosen_G = np.flatnonzero(size_G == n)
            path_X2 = exchange.no_cost(chosen_G.size)
            partner_KN, share_K = _partners(n, exchange.kind)
            exchange.check(
                kernels.rounds_profile(
                    exchange.network,
                    np.ascontiguousarray(groups_GN[chosen_G, :n]),
                    partner_KN,
                    share_K,
                    exchange.reference_bytes,
                    path_X2,
                    loads,
                )
            )
            path_G2[chosen_G] = path_X2
        return exchange.profile(self.name, path_G2, loads)

    def traffic(self, exchange: Exchange, size_bytes: float) -> Traffic:
        """Return the flows."""
        builder = exchange.builder()
        num_slots = slots_per_vector(exchange, pieces=1)
        for group, row in enumerate(_in_order(exchange)):
            dies = row[row >= 0]
            if dies.size > 1:
                shards = shards_of(exchange.members(group), dies, num_slots)
                _add_rounds(builder, rounds(dies.size, exchange.kind), dies, shards, size_bytes)
        return builder.build(num_slots)


@lru_cache(maxsize=256)
def _partners(n: int, kind: CollectiveKind) -> tuple[IntArray, FloatArray]:
    """Return each round's partners, and its bytes per byte of size."""
    steps = rounds(n, kind)
    return (
        np.stack([step.partner_N for step in steps]),
        np.array([step.num_shards / n for step in steps]),
    )


def _in_order(exchange: Exchange) -> IntArray:
    """Return groups row by row and node by node, so that low bits are near."""
    if not exchange.reorder:
        return exchange.groups_GN
    last = exchange.topology.num_dies
    sorted_GN = np.sort(np.where(exchange.groups_GN < 0, last, exchange.groups_GN), axis=1)
    return np.where(sorted_GN == last, -1, sorted_GN)


def _add_rounds(
    builder: TrafficBuilder,
    steps: list[Round],
    dies: IntArray,
    shards: Shards,
    size_bytes: float,
) -> None:
    n = dies.size
    received_NK = np.full((n, len(steps)), -1)
    for k, step in enumerate(steps):
        moved = shards.fused(step.owner_NK())
        sent = builder.add(
            dies,
            dies[step.partner_N],
            size_bytes * step.num_shards / n,
            depends=received_NK.copy(),
            read=moved.first,
            count=moved.count,
            action=step.action,
            phase="reduce" if step.action is Action.REDUCE else "gather",
        )
        received_NK[step.partner_N, k] = sent


HALVING_DOUBLING: Final = HalvingDoubling()
