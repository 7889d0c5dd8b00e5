"""Direct: every member sends to every other at once, without relays.

The one algorithm here for all-to-all and for single messages. As a reduce-scatter or all-gather it
pays one latency instead of n - 1, which wins behind a switch and for small messages.

Limits:
    A die starts all its messages at once; what it costs to issue each of them is not modelled
    beyond the latency of links, so `best` does not use it for reductions of very large groups.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.network import _profile_kernel as kernels
from waferloom.network.collectives.base import REDUCING_KINDS, CollectiveProfile, Exchange
from waferloom.network.collectives.slots import slots_per_vector
from waferloom.network.ring_order import hop_table
from waferloom.network.topology import IntArray
from waferloom.network.traffic import Action, Traffic, TrafficBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """All-to-all, point-to-point, and the reducing kinds without relays."""

    name: str = "direct"
    kinds: frozenset[CollectiveKind] = REDUCING_KINDS | {
        CollectiveKind.ALL_TO_ALL,
        CollectiveKind.POINT_TO_POINT,
    }

    def at_least_s(self, exchange: Exchange) -> float:
        """Return the time in which all links together carry all bytes over all their hops."""
        hops_DD = hop_table(exchange.topology)
        if hops_DD.size == 0 or exchange.kind is CollectiveKind.POINT_TO_POINT:
            return 0.0
        laps = 2 if exchange.kind is CollectiveKind.ALL_REDUCE else 1
        byte_hops = laps * kernels.hops_per_member(exchange.groups_GN, hops_DD)
        total = float(exchange.topology.bandwidth_bytes_per_s_L.sum())
        return byte_hops * exchange.reference_bytes / total if total else 0.0

    def profile(self, exchange: Exchange) -> CollectiveProfile:
        """Return the cost, pair by pair, or in closed form where all ports are alike."""
        path_G2, loads = exchange.no_cost(), exchange.no_loads()
        network, groups_GN = exchange.network, exchange.groups_GN
        reference = exchange.reference_bytes
        laps = 2 if exchange.kind is CollectiveKind.ALL_REDUCE else 1
        if exchange.kind is CollectiveKind.POINT_TO_POINT:
            exchange.check(kernels.pairs_profile(network, groups_GN, reference, path_G2, loads))
        elif exchange.topology.has_lattice:
            exchange.check(
                kernels.direct_profile(network, groups_GN, laps, reference, path_G2, loads)
            )
        else:
            kernels.direct_profile_switched(
                network,
                groups_GN,
                exchange.topology.num_domains,
                laps,
                reference,
                path_G2,
                loads,
            )
        return exchange.profile(self.name, path_G2, loads)

    def traffic(self, exchange: Exchange, size_bytes: float) -> Traffic:
        """Return the flows."""
        builder = exchange.builder()
        num_slots = slots_per_vector(exchange, pieces=1)
        for group in range(exchange.num_groups):
            members = exchange.members(group)
            if members.size > 1:
                _add_group(builder, exchange.kind, members, num_slots, size_bytes)
        is_exchange = exchange.kind is CollectiveKind.ALL_TO_ALL
        return builder.build(num_slots * 2 if is_exchange else num_slots)


def _add_group(
    builder: TrafficBuilder,
    kind: CollectiveKind,
    members: IntArray,
    num_slots: int,
    size_bytes: float,
) -> None:
    if kind is CollectiveKind.POINT_TO_POINT:
        builder.add(members[:1], members[1:], size_bytes, read=0, count=num_slots, phase="message")
        return
    n = members.size
    width = num_slots // n
    # Sender i turns first to member i + 1, then to i + 2, ...: no two meet at a receiver.
    turn, sender = np.divmod(np.arange(n * (n - 1)), n)
    receiver = (sender + turn + 1) % n
    source, destination = members[sender], members[receiver]
    if kind is CollectiveKind.ALL_TO_ALL:
        builder.add(
            source,
            destination,
            size_bytes / n,
            read=receiver * width,
            write=num_slots + sender * width,
            count=width,
            phase="exchange",
        )
        return
    wait = np.full(n, -1)
    if kind is not CollectiveKind.ALL_GATHER:
        sent = builder.add(
            source,
            destination,
            size_bytes / n,
            read=receiver * width,
            count=width,
            action=Action.REDUCE,
            phase="reduce",
        )
        if kind is CollectiveKind.REDUCE_SCATTER:
            return
        wait = np.array([builder.join(int(members[j]), sent[receiver == j]) for j in range(n)])
    builder.add(
        source,
        destination,
        size_bytes / n,
        depends=wait[sender],
        read=sender * width,
        count=width,
        phase="gather",
    )


DIRECT: Final = Direct()
