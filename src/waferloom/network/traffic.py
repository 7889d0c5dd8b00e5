"""`Traffic`: a directed acyclic graph of flows, in columns.

A flow moves bytes along a route once everything it depends on has arrived. What it means for the
data is in its payload: slices of the sender's buffer that are copied over, or added to, slices of
the receiver's. One and the same graph is therefore timed by the simulators and replayed on real
numbers by the interpreter.

Conventions:
    - Flows are listed after all flows they depend on, so that index order is an order of execution.
    - A flow from a die to itself has no route and takes no time: a join, for barriers.
    - Flows of one channel leave in order: a flow is not sent before the one in front of it has
      been. Without that, all pieces of a pipeline would share their first link and arrive together.
    - A route is a path, or a tree whose links are listed root first: a multicast, which loads each
      link once and has arrived when it has arrived everywhere.
    - Buffers are counted in slots; how many bytes a slot has is the business of whoever reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from waferloom.network.routing import Routes, RoutingPolicy
from waferloom.network.routing._route_kernel import route_latencies
from waferloom.network.routing.dimension_order import XY
from waferloom.network.topology import FloatArray, IntArray, Topology

ShortInts = NDArray[np.int32]
NOTHING: Final = -1  # pads rows of dependencies and payloads in `TrafficBuilder.add`


class Action(IntEnum):
    """What a payload does to the receiver's slots."""

    COPY = 0
    REDUCE = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traffic:
    """Flows and what they wait for.

    Axes: F flows and F1 one more; H links of all routes; E dependencies of all flows; P payload
    rows of all flows. The offsets ending in F1 say where a flow's rows begin and, one further, end.

    Attributes:
        source_F: Die that sends.
        destination_F: Die that receives; the last one for a multicast.
        size_bytes_F: Bytes moved.
        phase_F: Index into `phases`.
        phases: Names for reports.
        first_link_F1: Into `link_H`.
        link_H: Links, in order of travel.
        first_dependency_F1: Into `dependency_E`.
        dependency_E: Flows that must have arrived before.
        previous_F: Flow of the same channel that must have been sent before, or -1.
        first_payload_F1: Into the payload columns.
        read_P: First slot read at the sender.
        write_P: First slot written at the receiver.
        count_P: Slots.
        action_P: `Action`.
        receiver_P: Die that writes.
        num_slots: Slots of each die's buffer.
    """

    source_F: ShortInts
    destination_F: ShortInts
    size_bytes_F: FloatArray
    phase_F: NDArray[np.int16]
    phases: tuple[str, ...]
    first_link_F1: IntArray
    link_H: ShortInts
    first_dependency_F1: IntArray
    dependency_E: ShortInts
    previous_F: ShortInts
    first_payload_F1: IntArray
    read_P: ShortInts
    write_P: ShortInts
    count_P: ShortInts
    action_P: NDArray[np.int8]
    receiver_P: ShortInts
    num_slots: int

    @property
    def num_flows(self) -> int:
        """Flows, joins included."""
        return int(self.source_F.size)

    def link_bytes_L(self, topology: Topology) -> FloatArray:
        """Return the bytes on every link."""
        bytes_H = np.repeat(self.size_bytes_F, np.diff(self.first_link_F1))
        bytes_L = np.zeros(topology.num_links)
        np.add.at(bytes_L, self.link_H, bytes_H)
        return bytes_L

    def latency_s_F(self, topology: Topology) -> FloatArray:
        """Return the latency of each route; of a tree, to its furthest leaf."""
        latency_F = np.zeros(self.num_flows)
        route_latencies(
            self.source_F,
            self.first_link_F1,
            self.link_H,
            topology.source_L,
            topology.destination_L,
            topology.latency_s_L,
            topology.num_nodes,
            latency_F,
        )
        return latency_F

    def followers(self) -> tuple[IntArray, ShortInts]:
        """Return the dependencies turned round: offsets, and the flows that wait for each flow."""
        waiting_E = np.repeat(
            np.arange(self.num_flows, dtype=np.int32), np.diff(self.first_dependency_F1)
        )
        order_E = np.argsort(self.dependency_E, kind="stable")
        number_F = np.bincount(self.dependency_E, minlength=self.num_flows)
        return _offsets(number_F), waiting_E[order_E]

    def next_in_channel_F(self) -> IntArray:
        """Return the flow behind each flow in its channel, or -1.

        Raises:
            ValueError: Two flows name the same flow as the one in front of them.
        """
        next_F = np.full(self.num_flows, NOTHING, dtype=np.int64)
        behind = np.flatnonzero(self.previous_F >= 0)
        if np.unique(self.previous_F[behind]).size != behind.size:
            msg = "two flows follow the same flow in a channel; give each its own channel"
            raise ValueError(msg)
        next_F[self.previous_F[behind]] = behind
        return next_F

    def dependencies(self, flow: int) -> ShortInts:
        """Return the flows that one flow waits for."""
        first = self.first_dependency_F1
        return self.dependency_E[first[flow] : first[flow + 1]]


@dataclass(slots=True, eq=False)
class TrafficBuilder:
    """Collects flows block by block and routes them all at once.

    Attributes:
        topology: Where the flows run.
        routing: Routes of flows that bring none.
    """

    topology: Topology
    routing: RoutingPolicy = XY
    _blocks: list["_Block"] = field(default_factory=list["_Block"])
    _num_flows: int = 0
    _phases: list[str] = field(default_factory=list[str])

    def add(
        self,
        source: ArrayLike,
        destination: ArrayLike,
        size_bytes: ArrayLike,
        *,
        depends: ArrayLike | None = None,
        previous: ArrayLike = NOTHING,
        read: ArrayLike | None = None,
        write: ArrayLike | None = None,
        count: ArrayLike = 1,
        action: Action = Action.COPY,
        receivers: ArrayLike | None = None,
        phase: str = "",
    ) -> IntArray:
        """Add a block of flows and return their numbers, in the shape of `source`.

        All arguments are broadcast against `source`; `depends`, `read`, `write` and `count` may
        have one more axis, for several dependencies or payload rows of a flow, padded with -1.

        Args:
            source: Sending dies.
            destination: Receiving dies.
            size_bytes: Bytes.
            depends: Numbers of earlier flows that must have arrived; -1 for none.
            previous: Number of the earlier flow in the same channel; -1 for none.
            read: First slot read, -1 for no payload.
            write: First slot written; `read` if absent.
            count: Slots.
            action: What happens at the receiver.
            receivers: Makes each flow a multicast to these dies, in one more axis than `source`,
                padded with -1; each has its own payload row.
            phase: For reports.

        Raises:
            ValueError: A flow would wait for itself or for one that has not been added yet.
        """
        sources = np.asarray(source, dtype=np.int64)
        shape = sources.shape
        flat = sources.size
        depends_BK = _rows(depends, shape)
        previous_B = np.broadcast_to(previous, shape).ravel().astype(np.int64)
        number_B = np.arange(self._num_flows, self._num_flows + flat)
        if (depends_BK >= number_B[:, None]).any() or (previous_B >= number_B).any():
            msg = "a flow can wait only for flows that were added before it"
            raise ValueError(msg)
        if phase not in self._phases:
            self._phases.append(phase)
        read_BK = _rows(read, shape)
        self._blocks.append(
            _Block(
                source_B=sources.ravel(),
                destination_B=np.broadcast_to(destination, shape).ravel().astype(np.int64),
                size_bytes_B=np.broadcast_to(size_bytes, shape).ravel().astype(np.float64),
                phase=self._phases.index(phase),
                depends_BK=depends_BK,
                previous_B=previous_B,
                read_BK=read_BK,
                write_BK=read_BK if write is None else _rows(write, shape),
                count_BK=_rows(count, shape),
                action=action,
                receiver_BK=None if receivers is None else _rows(receivers, shape),
            )
        )
        self._num_flows += flat
        return number_B.reshape(shape)

    @property
    def num_flows(self) -> int:
        """Flows added so far, which is the number of the next one."""
        return self._num_flows

    def join(self, die: int, depends: ArrayLike, phase: str = "barrier") -> int:
        """Add a flow without bytes that arrives when all of `depends` have; return its number."""
        wait = np.asarray(depends, dtype=np.int64).reshape(1, -1)
        return int(self.add(np.array([die]), [die], [0.0], depends=wait, phase=phase)[0])

    def build(self, num_slots: int) -> Traffic:
        """Route the flows and return them.

        Raises:
            RoutingError: A flow's ends are not connected.
        """
        source = _joined([block.source_B for block in self._blocks])
        destination = _joined([block.destination_B for block in self._blocks])
        routes = self.routing.routes(self.topology, source, destination)
        if any(block.receiver_BK is not None for block in self._blocks):
            routes = self._with_trees(routes)
        return self.build_with(routes, num_slots)

    def _with_trees(self, routes: Routes) -> Routes:
        """Replace the routes of multicasts by the union of the routes to all receivers."""
        links: list[IntArray] = []
        flow = 0
        for block in self._blocks:
            for b in range(block.source_B.size):
                if block.receiver_BK is None:
                    links.append(routes.links(flow))
                else:
                    links.append(self._tree(int(block.source_B[b]), block.receiver_BK[b]))
                flow += 1
        return Routes(
            first_F1=_offsets(np.array([path.size for path in links], dtype=np.int64)),
            link_H=_joined(links),
        )

    def _tree(self, source: int, receiver_K: IntArray) -> IntArray:
        """Return the links to all receivers, each once, parents before children."""
        receivers = receiver_K[receiver_K >= 0]
        routes = self.routing.routes(self.topology, np.full(receivers.size, source), receivers)
        seen: dict[int, None] = {}
        reached = {source}
        for k in range(receivers.size):
            for link in routes.links(k).tolist():
                end = int(self.topology.destination_L[link])
                if link not in seen and end not in reached:
                    seen[link] = None
                    reached.add(end)
        return np.array(list(seen), dtype=np.int64)

    def build_with(self, routes: Routes, num_slots: int) -> Traffic:
        """Return the flows on routes of one's own, one per flow in the order they were added."""
        blocks = self._blocks
        destination = _joined([block.destination_B for block in blocks])
        depends = [_ragged(block.depends_BK, block.depends_BK >= 0) for block in blocks]
        has_payload = [block.has_payload_BK() for block in blocks]
        rows = [
            (
                _ragged(np.broadcast_to(block.read_BK, keep.shape), keep),
                _ragged(np.broadcast_to(block.write_BK, keep.shape), keep),
                _ragged(np.broadcast_to(block.count_BK, keep.shape), keep),
            )
            for block, keep in zip(blocks, has_payload, strict=True)
        ]
        payloads_F = _joined([read[0] for read, _, _ in rows])
        count_P = _joined([count[1] for _, _, count in rows])
        return Traffic(
            source_F=_joined([block.source_B for block in blocks]).astype(np.int32),
            destination_F=destination.astype(np.int32),
            size_bytes_F=np.concatenate([np.empty(0), *(b.size_bytes_B for b in blocks)]),
            phase_F=np.repeat(
                np.array([block.phase for block in blocks], dtype=np.int16),
                [block.source_B.size for block in blocks],
            ),
            phases=tuple(self._phases),
            first_link_F1=routes.first_F1,
            link_H=routes.link_H.astype(np.int32),
            first_dependency_F1=_offsets(_joined([number for number, _ in depends])),
            dependency_E=_joined([flows for _, flows in depends]).astype(np.int32),
            previous_F=_joined([block.previous_B for block in blocks]).astype(np.int32),
            first_payload_F1=_offsets(payloads_F),
            read_P=_joined([read[1] for read, _, _ in rows]).astype(np.int32),
            write_P=_joined([write[1] for _, write, _ in rows]).astype(np.int32),
            count_P=count_P.astype(np.int32),
            action_P=np.repeat(
                np.array([block.action for block in blocks], dtype=np.int8),
                [int(read[0].sum()) for read, _, _ in rows],
            ),
            receiver_P=_joined(
                [_receivers(block, keep) for block, keep in zip(blocks, has_payload, strict=True)]
            ).astype(np.int32),
            num_slots=num_slots,
        )


def _receivers(block: "_Block", keep_BK: NDArray[np.bool_]) -> IntArray:
    if block.receiver_BK is None:
        return np.repeat(block.destination_B, keep_BK.sum(axis=1))
    return np.broadcast_to(block.receiver_BK, keep_BK.shape)[keep_BK]


def in_order(first_flow: int, number: int) -> IntArray:
    """Return for flows about to be added the one before each, so that they form one channel."""
    previous = np.arange(first_flow - 1, first_flow + number - 1)
    previous[:1] = NOTHING
    return previous


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Block:
    """Flows of one call of `add`. Axes: B flows, K entries of a flow."""

    source_B: IntArray
    destination_B: IntArray
    size_bytes_B: FloatArray
    phase: int
    depends_BK: IntArray
    previous_B: IntArray
    read_BK: IntArray
    write_BK: IntArray
    count_BK: IntArray
    action: Action
    receiver_BK: IntArray | None

    def has_payload_BK(self) -> NDArray[np.bool_]:
        """Return which entries are payload rows rather than padding."""
        keep_BK = (self.read_BK >= 0) & (self.count_BK > 0)
        return keep_BK if self.receiver_BK is None else keep_BK & (self.receiver_BK >= 0)


def _rows(values: ArrayLike | None, shape: tuple[int, ...]) -> IntArray:
    """Return `values` as one row of entries per flow."""
    array = np.asarray(NOTHING if values is None else values, dtype=np.int64)
    if array.ndim <= len(shape):
        array = np.broadcast_to(array, shape)[..., None]
    else:
        array = np.broadcast_to(array, (*shape, array.shape[-1]))
    return array.reshape(-1, array.shape[-1])


def _ragged(values_BK: IntArray, keep_BK: NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """Return (how many entries each row keeps, the entries kept)."""
    return keep_BK.sum(axis=1), values_BK[keep_BK]


def _joined(parts: Sequence[IntArray]) -> IntArray:
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


def _offsets(number_F: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(number_F)])


def merged(parts: Sequence[Traffic]) -> Traffic:
    """Return the flows of several traffics side by side, their buffers one after another.

    Args:
        parts: At least one traffic, all on the same topology.
    """
    phases = tuple(dict.fromkeys(name for part in parts for name in part.phases))
    first_flow = np.cumsum([0, *(part.num_flows for part in parts)]).tolist()
    first_slot = np.cumsum([0, *(part.num_slots for part in parts)]).tolist()
    flows = list(zip(parts, first_flow, strict=False))
    slots = list(zip(parts, first_slot, strict=False))

    def offsets(columns: Sequence[IntArray]) -> IntArray:
        return _offsets(np.concatenate([np.diff(column) for column in columns]))

    return Traffic(
        source_F=np.concatenate([part.source_F for part in parts]),
        destination_F=np.concatenate([part.destination_F for part in parts]),
        size_bytes_F=np.concatenate([part.size_bytes_F for part in parts]),
        phase_F=np.concatenate(
            [
                np.array([phases.index(name) for name in part.phases], dtype=np.int16)[part.phase_F]
                for part in parts
            ]
        ),
        phases=phases,
        first_link_F1=offsets([part.first_link_F1 for part in parts]),
        link_H=np.concatenate([part.link_H for part in parts]),
        first_dependency_F1=offsets([part.first_dependency_F1 for part in parts]),
        dependency_E=np.concatenate([part.dependency_E + np.int32(n) for part, n in flows]),
        previous_F=np.concatenate(
            [
                np.where(part.previous_F < 0, NOTHING, part.previous_F + n).astype(np.int32)
                for part, n in flows
            ]
        ),
        first_payload_F1=offsets([part.first_payload_F1 for part in parts]),
        read_P=np.concatenate([part.read_P + np.int32(n) for part, n in slots]),
        write_P=np.concatenate([part.write_P + np.int32(n) for part, n in slots]),
        count_P=np.concatenate([part.count_P for part in parts]),
        action_P=np.concatenate([part.action_P for part in parts]),
        receiver_P=np.concatenate([part.receiver_P for part in parts]),
        num_slots=first_slot[-1],
    )
