"""Packet simulation: flits in virtual-channel wormhole routers with credits, cycle by cycle.

The finest fidelity and the judge of the others. Messages are cut into packets and these into flits;
a packet holds a virtual channel of each link it crosses, waits where none is free, and then
everything behind it waits too. A head flit spends a cycle in VC allocation, one in switch
allocation, one in the crossbar and one on the link, or the link's latency if that is longer.

Limits:
    Routes are those of the traffic, chosen before the simulation; multicasts are refused. Where
    routes could deadlock (on tori, and around faults) VCs are divided among layers of routes that
    cannot, as `assign_channels` finds them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from waferloom.errors import RoutingError
from waferloom.network.routing import Routes, assign_channels
from waferloom.network.routing.datelines import dateline_channels
from waferloom.network.simulators._packet_kernel import (
    DEADLOCKED,
    FINISHED,
    Messages,
    Router,
    packet_times,
)
from waferloom.network.simulators.base import Switching, Synchronisation, TrafficTimes
from waferloom.network.topology import FloatArray, IntArray, Topology
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
        num_vcs: Virtual channels per link, more where that many layers are needed.
        buffer_flits: Buffer of one VC; absent, what a round trip of credits needs at full rate.
        injection_cycles: From the source's decision to the first router.
        credit_cycles: A credit's way back, before the link's latency.
        local_ports: Whether a die's links share one injection and one ejection port.
        avoids_deadlock: Divide VCs among layers; otherwise every packet may use them all, and a
            deadlock is reported.
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
    avoids_deadlock: bool = True
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
        messages, router = self.inputs(topology, traffic, flit_bytes, release_F)
        start_F = np.zeros(traffic.num_flows, dtype=np.int64)
        finish_F = np.zeros(traffic.num_flows, dtype=np.int64)
        end = packet_times(messages, router, self.max_cycles, start_F, finish_F)
        if end == DEADLOCKED:
            msg = (
                f"{topology.name}: packets wait for each other in a circle under these routes; "
                f"let the simulator avoid deadlock, or use other routes"
            )
            raise RoutingError(msg)
        if end != FINISHED:
            msg = (
                f"not finished after {self.max_cycles} cycles with flits of {flit_bytes:g} B; "
                f"use larger flits or raise max_cycles"
            )
            raise ValueError(msg)
        return start_F, finish_F

    def _router(self, topology: Topology, flit_bytes: float, num_vcs: int) -> Router:
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
            num_vcs=num_vcs,
            buffer_flits=self.buffer_flits or round_trip,
            packet_flits=self.packet_flits,
            delay_U=np.concatenate(
                [delay_L, np.full(num_ports, self.injection_cycles, dtype=np.int64)]
            ),
            flit_cycles_L=flit_cycles_L,
            eject_delay=_ROUTER_CYCLES,
            credit_delay=self.credit_cycles,
        )

    def inputs(
        self, topology: Topology, traffic: Traffic, flit_bytes: float, release_F: IntArray
    ) -> tuple[Messages, Router]:
        """Return what is sent, and through what, in flits and cycles.

        Raises:
            ValueError: The traffic has multicasts.
        """
        _refuse_multicasts(topology, traffic)
        low_vc_H, high_vc_H, num_vcs = self._channels(topology, traffic)
        messages = self._messages(topology, traffic, flit_bytes, release_F, (low_vc_H, high_vc_H))
        return messages, self._router(topology, flit_bytes, num_vcs)

    def _messages(
        self,
        topology: Topology,
        traffic: Traffic,
        flit_bytes: float,
        release_F: IntArray,
        vcs_H: tuple[IntArray, IntArray],
    ) -> Messages:
        moves_F = np.diff(traffic.first_link_F1) > 0
        first_link_F = np.zeros(traffic.num_flows, dtype=np.int64)
        first_link_F[moves_F] = traffic.link_H[traffic.first_link_F1[:-1][moves_F]]
        per_die = self.local_ports is LocalPorts.PER_DIE
        inject_F = traffic.source_F.astype(np.int64) if per_die else first_link_F
        eject_F = topology.num_links + traffic.destination_F.astype(np.int64)
        first_follower_F1, follower_E = traffic.followers()
        return Messages(
            num_flits_F=np.where(
                moves_F | (per_die & (traffic.size_bytes_F > 0)),
                np.maximum(_cycles(traffic.size_bytes_F / flit_bytes), 1),
                0,
            ),
            first_link_F1=traffic.first_link_F1,
            link_H=traffic.link_H,
            low_vc_H=vcs_H[0],
            high_vc_H=vcs_H[1],
            inject_F=topology.num_links + inject_F,
            eject_F=eject_F if per_die else np.full(traffic.num_flows, -1, dtype=np.int64),
            release_F=release_F,
            first_dependency_F1=traffic.first_dependency_F1,
            first_follower_F1=first_follower_F1,
            follower_E=follower_E,
            next_F=traffic.next_in_channel_F(),
        )

    def _channels(self, topology: Topology, traffic: Traffic) -> tuple[IntArray, IntArray, int]:
        """Return the VCs allowed on each hop, as (first, one past last), and how many there are."""
        num_hops = traffic.link_H.size
        if not self.avoids_deadlock:
            zero_H = np.zeros(num_hops, dtype=np.int64)
            return zero_H, zero_H + self.num_vcs, self.num_vcs
        routes = Routes(first_F1=traffic.first_link_F1, link_H=traffic.link_H.astype(np.int64))
        channels = assign_channels(topology, routes, dateline_channels(topology, routes))
        num_vcs = max(self.num_vcs, channels.num_virtual_channels)
        low_H = channels.channel_H * num_vcs // channels.num_virtual_channels
        high_H = (channels.channel_H + 1) * num_vcs // channels.num_virtual_channels
        return low_H, high_H, num_vcs


def _refuse_multicasts(topology: Topology, traffic: Traffic) -> None:
    """Raise unless every route is a path to its destination."""
    moves_F = np.diff(traffic.first_link_F1) > 0
    first_H = traffic.first_link_F1[:-1][moves_F]
    last_H = traffic.first_link_F1[1:][moves_F] - 1
    continues_H = np.ones(traffic.link_H.size, dtype=np.bool_)
    continues_H[first_H] = False
    breaks_H = topology.source_L[traffic.link_H[1:]] != topology.destination_L[traffic.link_H[:-1]]
    ends_F = topology.destination_L[traffic.link_H[last_H]]
    if (breaks_H & continues_H[1:]).any() or (ends_F != traffic.destination_F[moves_F]).any():
        msg = "the packet simulator has no multicasts; use bound, queue or fluid for them"
        raise ValueError(msg)


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


PACKET: Final = PacketModel()
