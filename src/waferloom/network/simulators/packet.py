"""Packet simulation: flits in virtual-channel wormhole routers with credits, cycle by cycle.

The finest fidelity and the judge of the others. Messages are cut into packets and these into flits;
a packet holds a virtual channel of each link it crosses, waits where none is free, and then
everything behind it waits too. A head flit spends a cycle in VC allocation, one in switch
allocation, one in the crossbar and one on the link, or the link's latency if that is longer.

Limits:
    Routes are those of the traffic, chosen before the simulation; multicasts are refused. On tori
    half of the VCs are kept for packets that have crossed the wrap of their dimension, so that
    dimension order cannot deadlock; other routes can, and a deadlock is reported.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from waferloom.errors import RoutingError
from waferloom.network.simulators._packet_kernel import (
    DEADLOCKED,
    FINISHED,
    Messages,
    Router,
    packet_times,
)
from waferloom.network.simulators.base import Switching, Synchronisation, TrafficTimes
from waferloom.network.topology import NUM_LATTICE_PORTS, FloatArray, IntArray, Topology
from waferloom.network.traffic import Traffic


class LocalPorts(StrEnum):
    """How many flits a die can send and receive in a cycle: one for each link, or one in all.

    With one port in all, a message from a die to itself takes its turn there too.
    """

    PER_LINK = "per_link"
    PER_DIE = "per_die"


_ROUTER_CYCLES: Final = 3  # switch allocation, crossbar, link; VC allocation comes before
_TARGET_FLIT_HOPS: Final = 1e6  # a run of a few seconds
_MEAN_MESSAGE_FLITS: Final = 50.0
_LEAST_FLIT_BYTES: Final = 32.0  # an assumption: the usual phit of a wide on-wafer link


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketModel:
    """Wormhole routers.

    Attributes:
        name: Key in `SIMULATORS`.
        flit_bytes: Bytes of a flit; absent, chosen so that the run takes seconds, see
            `default_flit_bytes`.
        packet_flits: Flits of a full packet.
        num_vcs: Virtual channels per link.
        buffer_flits: Buffer of one VC; absent, what a round trip of credits needs at full rate.
        injection_cycles: From the source's decision to the first router.
        credit_cycles: A credit's way back, before the link's latency.
        local_ports: Whether a die's links share one injection and one ejection port.
        max_cycles: Where to give up.
    """

    name: str = "packet"
    flit_bytes: float | None = None
    packet_flits: int = 16
    num_vcs: int = 4
    buffer_flits: int | None = None
    injection_cycles: int = 2
    credit_cycles: int = 2
    local_ports: LocalPorts = LocalPorts.PER_LINK
    max_cycles: int = 50_000_000

    def run(self, topology: Topology, traffic: Traffic) -> TrafficTimes:
        """Return when each flow starts and arrives.

        Raises:
            ValueError: The traffic has multicasts, or takes more than `max_cycles`.
            RoutingError: Packets wait for each other in a circle.
        """
        flit_bytes = self.flit_bytes or default_flit_bytes(traffic)
        release_F = np.zeros(traffic.num_flows, dtype=np.int64)
        start_F, finish_F = self.run_cycles(topology, traffic, flit_bytes, release_F)
        cycle_s = flit_bytes / float(topology.bandwidth_bytes_per_s_L.max(initial=1.0))
        return TrafficTimes(
            simulator=self.name,
            switching=Switching.CUT_THROUGH,
            synchronisation=Synchronisation.ASYNCHRONOUS,
            duration_s=float(finish_F.max(initial=0)) * cycle_s,
            start_s_F=start_F.astype(np.float64) * cycle_s,
            finish_s_F=finish_F.astype(np.float64) * cycle_s,
            busy_s_L=traffic.link_bytes_L(topology) / topology.bandwidth_bytes_per_s_L,
        )

    def run_cycles(
        self, topology: Topology, traffic: Traffic, flit_bytes: float, release_F: IntArray
    ) -> tuple[IntArray, IntArray]:
        """Return the cycles in which flows are offered and arrive.

        A cycle is the time the fastest link needs for a flit.

        Args:
            topology: Where.
            traffic: Flows; multicasts are refused.
            flit_bytes: Bytes of a flit.
            release_F: Earliest cycle of each flow.

        Raises:
            ValueError: The traffic has multicasts, or takes more than `max_cycles`.
            RoutingError: Packets wait for each other in a circle.
        """
        router = self.router(topology, flit_bytes)
        messages = self.messages(topology, traffic, flit_bytes, release_F)
        start_F = np.zeros(traffic.num_flows, dtype=np.int64)
        finish_F = np.zeros(traffic.num_flows, dtype=np.int64)
        end = packet_times(messages, router, self.max_cycles, start_F, finish_F)
        if end == DEADLOCKED:
            msg = (
                f"{topology.name}: packets wait for each other in a circle under these routes; "
                f"route with a policy that cannot deadlock, such as xy on a healthy mesh"
            )
            raise RoutingError(msg)
        if end != FINISHED:
            msg = (
                f"not finished after {self.max_cycles} cycles with flits of {flit_bytes:g} B; "
                f"use larger flits or raise max_cycles"
            )
            raise ValueError(msg)
        return start_F, finish_F

    def router(self, topology: Topology, flit_bytes: float) -> Router:
        """Return routers and links in cycles."""
        fastest = float(topology.bandwidth_bytes_per_s_L.max(initial=1.0))
        flit_cycles_L = fastest / topology.bandwidth_bytes_per_s_L
        latency_L = _cycles(topology.latency_s_L * fastest / flit_bytes)
        delay_L = np.maximum(_ROUTER_CYCLES, latency_L - 1) + _cycles(flit_cycles_L) - 1
        per_die = self.local_ports is LocalPorts.PER_DIE
        num_ports = topology.num_dies if per_die else topology.num_links
        num_units = topology.num_links + num_ports
        round_trip = int(delay_L.max(initial=0)) + 1 + self.credit_cycles
        return Router(
            num_units=num_units,
            num_outputs=topology.num_links + (topology.num_dies if per_die else num_units),
            num_links=topology.num_links,
            num_vcs=self.num_vcs,
            buffer_flits=self.buffer_flits or round_trip,
            packet_flits=self.packet_flits,
            delay_U=np.concatenate(
                [delay_L, np.full(num_ports, self.injection_cycles, dtype=np.int64)]
            ),
            flit_cycles_L=flit_cycles_L,
            eject_delay=_ROUTER_CYCLES,
            credit_delay=self.credit_cycles,
        )

    def messages(
        self, topology: Topology, traffic: Traffic, flit_bytes: float, release_F: IntArray
    ) -> Messages:
        """Return what is sent, in flits and cycles.

        Raises:
            ValueError: The traffic has multicasts.
        """
        hops_F = np.diff(traffic.first_link_F1)
        moves_F = hops_F > 0
        last_H = traffic.first_link_F1[1:][moves_F] - 1
        leaf_F = topology.destination_L[traffic.link_H[last_H]]
        follows_H = topology.source_L[traffic.link_H[1:]]
        is_first_H = np.zeros(traffic.link_H.size, dtype=np.bool_)
        is_first_H[traffic.first_link_F1[:-1][moves_F]] = True
        broken_H = follows_H != topology.destination_L[traffic.link_H[:-1]]
        if (broken_H & ~is_first_H[1:]).any() or (leaf_F != traffic.destination_F[moves_F]).any():
            msg = "the packet simulator has no multicasts; use bound, queue or fluid for them"
            raise ValueError(msg)
        first_link_F = np.zeros(traffic.num_flows, dtype=np.int64)
        first_link_F[moves_F] = traffic.link_H[traffic.first_link_F1[:-1][moves_F]]
        per_die = self.local_ports is LocalPorts.PER_DIE
        inject_F = traffic.source_F.astype(np.int64) if per_die else first_link_F
        eject_F = topology.num_links + traffic.destination_F.astype(np.int64)
        low_vc_H, high_vc_H = self._vc_classes(topology, traffic)
        first_follower_F1, follower_E = traffic.followers()
        return Messages(
            num_flits_F=np.where(
                moves_F | (per_die & (traffic.size_bytes_F > 0)),
                np.maximum(_cycles(traffic.size_bytes_F / flit_bytes), 1),
                0,
            ),
            first_link_F1=traffic.first_link_F1,
            link_H=traffic.link_H,
            low_vc_H=low_vc_H,
            high_vc_H=high_vc_H,
            inject_F=topology.num_links + inject_F,
            eject_F=eject_F if per_die else np.full(traffic.num_flows, -1, dtype=np.int64),
            release_F=release_F,
            first_dependency_F1=traffic.first_dependency_F1,
            first_follower_F1=first_follower_F1,
            follower_E=follower_E,
            next_F=traffic.next_in_channel_F(),
        )

    def _vc_classes(self, topology: Topology, traffic: Traffic) -> tuple[IntArray, IntArray]:
        """Return the VCs allowed on each hop: on tori, other ones behind a wrap than before it."""
        num_hops = traffic.link_H.size
        low_H = np.zeros(num_hops, dtype=np.int64)
        high_H = np.full(num_hops, self.num_vcs, dtype=np.int64)
        if not any(topology.wraps):
            return low_H, high_H
        if self.num_vcs < 2:
            msg = f"a torus needs at least 2 virtual channels, found num_vcs={self.num_vcs}"
            raise ValueError(msg)
        dim_L, wraps_L = _dimensions(topology)
        dim_H, wraps_H = dim_L[traffic.link_H], wraps_L[traffic.link_H]
        is_first_H = np.zeros(num_hops, dtype=np.bool_)
        starts = traffic.first_link_F1[:-1]
        is_first_H[starts[starts < traffic.first_link_F1[1:]]] = True
        turns_H = is_first_H | (dim_H != np.roll(dim_H, 1))
        # Wraps crossed since the last turn; the wrap link itself still belongs to the first half.
        crossed_H = np.cumsum(wraps_H) - wraps_H
        at_turn_H = np.maximum.accumulate(np.where(turns_H, np.arange(num_hops), 0))
        is_behind_H = crossed_H > crossed_H[at_turn_H]
        half = self.num_vcs // 2
        return np.where(is_behind_H, half, 0), np.where(is_behind_H, self.num_vcs, half)


def default_flit_bytes(traffic: Traffic) -> float:
    """Return a flit size that gives about a million flit-hops, or finer where messages are small.

    Rounding messages up to whole flits then adds about a percent to their bytes.
    """
    hops_F = np.diff(traffic.first_link_F1)
    size_F = traffic.size_bytes_F[(hops_F > 0) & (traffic.size_bytes_F > 0)]
    if size_F.size == 0:
        return _LEAST_FLIT_BYTES
    wanted = float((traffic.size_bytes_F * hops_F).sum()) / _TARGET_FLIT_HOPS
    return max(_LEAST_FLIT_BYTES, min(wanted, float(size_F.mean()) / _MEAN_MESSAGE_FLITS))


def _cycles(exact: FloatArray) -> IntArray:
    """Round up to whole cycles, forgiving what floating point adds."""
    return np.ceil(exact * (1 - 1e-12)).astype(np.int64)


def _dimensions(topology: Topology) -> tuple[IntArray, IntArray]:
    """Return each link's lattice dimension (others share one more), and 1 where it wraps."""
    dim_L = np.full(topology.num_links, NUM_LATTICE_PORTS, dtype=np.int64)
    wraps_L = np.zeros(topology.num_links, dtype=np.int64)
    for port in range(NUM_LATTICE_PORTS):
        link_D = topology.port_link_DP[:, port]
        links = link_D[link_D >= 0]
        dim = 2 - port // 2
        dim_L[links] = dim
        here = topology.lattice_D3[topology.source_L[links], dim]
        there = topology.lattice_D3[topology.destination_L[links], dim]
        wraps_L[links] = (np.abs(there - here) > 1) & topology.wraps[dim]
    return dim_L, wraps_L


PACKET: Final = PacketModel()
