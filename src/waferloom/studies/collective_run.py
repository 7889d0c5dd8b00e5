"""One collective on one network, timed by any of the simulators, with any of the algorithms."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.errors import RoutingError, SpecError, did_you_mean
from waferloom.hardware.spec import SystemSpec
from waferloom.network.profile import (
    BEST,
    CollectiveProfile,
    algorithms_for,
    collective_traffic,
    profile_collective,
)
from waferloom.network.simulators import SIMULATORS
from waferloom.network.simulators.packet import PacketModel, default_flit_bytes
from waferloom.network.topology import FloatArray, IntArray, Topology

ALL: Final = "all"
MOST_FLOWS: Final = 20_000_000
"""Messages of one traffic that a simulator is given; they take some 4 GB."""
_SQUARE: Final = frozenset({"ring", "one_way_ring", "line", "direct"})
"""Algorithms that send at least one message per pair of members."""
_NEVER_LEAST: Final = frozenset({"one_way_ring", "double_binary_tree", "relay"})
"""Left out of `best`: the two-way ring, halving-doubling and direct exchange send the same bytes
over fewer or the same links in fewer or the same rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveTime:
    """What one simulator says of one algorithm.

    The two rates are those of the NCCL tests. They are None where no byte moves.

    Attributes:
        network: Key of `SIMULATORS`.
        algorithm: Key of `COLLECTIVES`.
        duration_s: First send to last receive, of the slowest group.
        algorithm_bytes_per_s: Size over time.
        bus_bytes_per_s: What each member must send at least, over time: comparable with the
            bandwidth of its links, whatever the number of members.
        flit_bytes: Of a flit, where there are any.
    """

    network: str
    algorithm: str
    duration_s: float
    algorithm_bytes_per_s: float | None
    bus_bytes_per_s: float | None
    flit_bytes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CollectiveRun:
    """A collective on a network.

    Axes: G groups, N members, L links.

    Attributes:
        system: Where.
        topology: Its nodes and links.
        kind: What each group does.
        size_bytes: As `CollectiveKind` defines it.
        groups_GN: Die ids, padded with -1.
        times: Every algorithm asked for, on every simulator asked for.
        shown: The one of `times` whose links are shown: the least of the finest simulator.
        link_bytes_L: Bytes on each link.
        busy_s_L: How long each link sends.
        left_out: Simulators asked for among others that cannot run this, with the reason.
    """

    system: SystemSpec
    topology: Topology
    kind: CollectiveKind
    size_bytes: float
    groups_GN: IntArray
    times: tuple[CollectiveTime, ...]
    shown: CollectiveTime
    link_bytes_L: FloatArray
    busy_s_L: FloatArray
    left_out: Mapping[str, str]

    @property
    def num_members(self) -> int:
        """Members of the largest group."""
        return self.groups_GN.shape[1]

    @property
    def utilization_L(self) -> FloatArray:
        """Share of the time that each link sends."""
        duration_s = self.shown.duration_s
        return self.busy_s_L / duration_s if duration_s > 0 else np.zeros_like(self.busy_s_L)


def bus_factor(kind: CollectiveKind, num_members: int) -> float:
    """Return the bytes that each member must send or receive, per byte of size.

    Source:
        The performance notes of NVIDIA/nccl-tests, doc/PERFORMANCE.md.
    """
    others = (num_members - 1) / num_members
    match kind:
        case CollectiveKind.ALL_REDUCE:
            return 2.0 * others
        case CollectiveKind.REDUCE_SCATTER | CollectiveKind.ALL_GATHER | CollectiveKind.ALL_TO_ALL:
            return others
        case CollectiveKind.BROADCAST | CollectiveKind.MULTICAST | CollectiveKind.POINT_TO_POINT:
            return 1.0 if num_members > 1 else 0.0


def run_collective(
    system: SystemSpec,
    topology: Topology,
    groups_GN: IntArray,
    kind: CollectiveKind,
    size_bytes: float,
    *,
    algorithm: str = BEST,
    networks: Sequence[str] = ("fluid",),
    routing: str = "xy",
    flit_bytes: float | None = None,
) -> CollectiveRun:
    """Time a collective that all groups perform at once.

    Args:
        system: Where.
        topology: Of `system`.
        groups_GN: Die ids, padded with -1; the first member is the root of a broadcast.
        kind: What each group does.
        size_bytes: As `CollectiveKind` defines it.
        algorithm: A key of `COLLECTIVES`; `best`, the one of the least time by the finest simulator
            asked for, short of `packet`; or `all` that suit.
        networks: Keys of `SIMULATORS`.
        routing: A key of `ROUTING`.
        flit_bytes: Of the packet simulator's flits; None for what takes it seconds.

    Raises:
        ValueError: An unknown name, groups that are none, or an algorithm that does not suit.
        RoutingError: Two members are not connected.
        SpecError: More messages than can be simulated.
    """
    for network in networks:
        if network not in SIMULATORS:
            msg = f"unknown network {network!r}; {did_you_mean(network, SIMULATORS)}"
            raise ValueError(msg)
    ordered = [name for name in SIMULATORS if name in networks]
    if kind is CollectiveKind.POINT_TO_POINT and groups_GN.shape[1] > 2:
        msg = f"point_to_point joins two dies, found a group of {groups_GN.shape[1]}; name both"
        raise SpecError(msg)
    runner = _Runner(topology, groups_GN, kind, size_bytes, routing, flit_bytes)
    if algorithm == ALL:
        names = runner.all_suitable()
    else:
        names = [runner.best(_judge(ordered)) if algorithm == BEST else algorithm]
    times: list[CollectiveTime] = []
    shown: _Timed | None = None
    left_out: dict[str, str] = {}
    for network in ordered:
        try:
            timed = [runner.time(network, name) for name in names]
        except (ValueError, RoutingError) as error:
            if len(ordered) == 1:
                raise
            left_out[network] = str(error)
            continue
        times += [each.time for each in timed]
        shown = min(timed, key=lambda each: each.time.duration_s)
    assert shown is not None, "the bound and the queue run everything"
    return CollectiveRun(
        system=system,
        topology=topology,
        kind=kind,
        size_bytes=size_bytes,
        groups_GN=groups_GN,
        times=tuple(times),
        shown=shown.time,
        link_bytes_L=shown.link_bytes_L,
        busy_s_L=shown.link_bytes_L / topology.bandwidth_bytes_per_s_L,
        left_out=left_out,
    )


def _judge(networks: Sequence[str]) -> str:
    """Return the simulator that chooses: packets take too long to try every algorithm with."""
    finest = networks[-1]
    return "fluid" if finest == "packet" else finest


@dataclass(frozen=True, slots=True, eq=False)
class _Timed:
    """A time, with the bytes on every link."""

    time: CollectiveTime
    link_bytes_L: FloatArray


@dataclass(frozen=True, slots=True)
class _Runner:
    """One collective, to be timed in several ways."""

    topology: Topology
    groups_GN: IntArray
    kind: CollectiveKind
    size_bytes: float
    routing: str
    flit_bytes: float | None

    def all_suitable(self) -> list[str]:
        """Return the algorithms that suit the groups."""
        return [name for name, _ in self._suitable(algorithms_for(self.kind))]

    def best(self, judge: str) -> str:
        """Return the algorithm of the least time; a bound above a time found needs no run."""
        if judge == "bound":
            return self._profile(BEST).algorithm
        names = [name for name in algorithms_for(self.kind) if name not in _NEVER_LEAST]
        for name in names:
            self._check_number(name)
        best, least_s = "", float("inf")
        for name, bound_s in sorted(self._suitable(names), key=lambda pair: pair[1]):
            if bound_s >= least_s:
                break
            duration_s = self.time(judge, name).time.duration_s
            if duration_s < least_s:
                best, least_s = name, duration_s
        return best

    def time(self, network: str, algorithm: str) -> _Timed:
        """Time one algorithm with one simulator."""
        if network == "bound":
            profile = self._profile(algorithm)
            bytes_L = profile.link_bytes_L * self.size_bytes
            duration_s = profile.duration_s(self.size_bytes)
            return _Timed(self._rated(network, algorithm, duration_s), bytes_L)
        self._check_number(algorithm)
        traffic = collective_traffic(
            self.topology,
            self.groups_GN,
            self.kind,
            self.size_bytes,
            algorithm=algorithm,
            routing=self.routing,
        )
        model, flit_bytes = SIMULATORS[network], None
        if isinstance(model, PacketModel):
            flit_bytes = self.flit_bytes or default_flit_bytes(traffic)
            model = replace(model, flit_bytes=flit_bytes)
        found = model.run(self.topology, traffic)
        return _Timed(
            self._rated(network, algorithm, found.duration_s, flit_bytes),
            traffic.link_bytes_L(self.topology),
        )

    def _check_number(self, algorithm: str) -> None:
        num_groups, num_members = self.groups_GN.shape
        if algorithm in _SQUARE and num_groups * num_members**2 > MOST_FLOWS:
            msg = (
                f"{algorithm} among {num_groups} x {num_members} dies sends more than "
                f"{MOST_FLOWS:,} messages; ask for the bound, fewer members, or another algorithm"
            )
            raise SpecError(msg)

    def _rated(
        self, network: str, algorithm: str, duration_s: float, flit_bytes: float | None = None
    ) -> CollectiveTime:
        rate = self.size_bytes / duration_s if duration_s > 0 else None
        factor = bus_factor(self.kind, self.groups_GN.shape[1])
        return CollectiveTime(
            network=network,
            algorithm=algorithm,
            duration_s=duration_s,
            algorithm_bytes_per_s=rate,
            bus_bytes_per_s=None if rate is None else rate * factor,
            flit_bytes=flit_bytes if rate is not None else None,
        )

    def _suitable(self, algorithms: Sequence[str]) -> Iterator[tuple[str, float]]:
        """Yield the algorithms that suit the groups, and the least time each can take."""
        self._profile(BEST)  # refuses what are no groups
        for name in algorithms:
            # what is wrong now is the algorithm alone: it suits other groups
            with suppress(ValueError):
                yield name, self._profile(name).duration_s(self.size_bytes)

    def _profile(self, algorithm: str) -> CollectiveProfile:
        return profile_collective(
            self.topology,
            self.groups_GN,
            self.kind,
            algorithm=algorithm,
            reference_bytes=self.size_bytes,
            routing=self.routing,
        )
