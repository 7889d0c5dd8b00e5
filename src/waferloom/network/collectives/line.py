"""Line: an open path used in both directions, for groups that have no cycle.

A reduce-scatter moves partial sums from both ends towards the owner of each shard, an all-gather
moves each shard from its owner to both ends. An all-reduce cuts the vector in two halves; one is
summed up towards the far end and sent back from there, the other the other way round, in
`PIPELINE_CHUNKS` pieces, so that the busiest link carries the vector once:

    all_reduce -> size / bandwidth, plus filling and draining the pipeline

which is the least that any algorithm needs on a path.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.network import _profile_kernel as kernels
from waferloom.network.collectives.base import REDUCING_KINDS, CollectiveProfile, Exchange
from waferloom.network.collectives.slots import Shards, shards_of, slots_per_vector
from waferloom.network.topology import IntArray
from waferloom.network.traffic import Action, Traffic, TrafficBuilder, in_order

PIPELINE_CHUNKS: Final = 32
"""Pieces of a pipelined half or message. An assumption: filling and draining then cost at most 1/32
of it per hop, and pieces of messages that matter stay far above packet size."""

_KERNEL_KIND: Final = {
    CollectiveKind.ALL_GATHER: 0,
    CollectiveKind.REDUCE_SCATTER: 1,
    CollectiveKind.ALL_REDUCE: 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """All-reduce, reduce-scatter and all-gather along a path."""

    name: str = "line"
    kinds: frozenset[CollectiveKind] = REDUCING_KINDS

    def at_least_s(self, exchange: Exchange) -> float:
        """Return 0: the profile itself is cheap."""
        return 0.0

    def profile(self, exchange: Exchange) -> CollectiveProfile:
        """Return the cost in closed form."""
        chunks = PIPELINE_CHUNKS if exchange.kind is CollectiveKind.ALL_REDUCE else 0
        line_GN, reference = exchange.orders.line_GN, exchange.reference_bytes
        path_G2, zero_G2, loads = exchange.no_cost(), exchange.no_cost(), exchange.no_loads()
        network = exchange.network
        exchange.check(kernels.line_paths(network, line_GN, chunks, 1.0, reference, path_G2))
        kernels.line_loads(
            network,
            line_GN,
            _KERNEL_KIND[exchange.kind],
            chunks,
            1.0,
            zero_G2,
            zero_G2,
            reference,
            loads,
        )
        return exchange.profile(self.name, path_G2, loads)

    def traffic(self, exchange: Exchange, size_bytes: float) -> Traffic:
        """Return the flows."""
        builder = exchange.builder()
        is_all_reduce = exchange.kind is CollectiveKind.ALL_REDUCE
        num_slots = slots_per_vector(exchange, pieces=2 * PIPELINE_CHUNKS if is_all_reduce else 1)
        for group in range(exchange.num_groups):
            path = exchange.orders.line_GN[group]
            path = path[path >= 0]
            if is_all_reduce:
                _add_there_and_back(builder, path, num_slots, size_bytes)
            else:
                shards = shards_of(exchange.members(group), path, num_slots)
                add_line(builder, exchange.kind, path, shards, size_bytes / path.size)
        return builder.build(num_slots)


def add_line(
    builder: TrafficBuilder,
    kind: CollectiveKind,
    dies: IntArray,
    shards: Shards,
    shard_bytes: float,
    depends: int | None = None,
) -> IntArray:
    """Add the reduce-scatter or all-gather of one path, both directions; return its flows.

    Args:
        builder: Receives the flows.
        kind: One of the two.
        dies: In order along the path.
        shards: The slots that each of `dies` owns.
        shard_bytes: Bytes of one of them.
        depends: A flow that the first sends wait for.
    """
    n = dies.size
    if n < 2:
        return np.array([] if depends is None else [depends], dtype=np.int64)
    first_wait = -1 if depends is None else depends
    flows: list[IntArray] = []
    for path, owned in ((dies, shards), (dies[::-1], shards.reversed())):
        last = np.full(n, first_wait)  # of each shard
        for edge in range(n - 1):
            # Gathering, what arrives first goes on first; scattering, what has the furthest to go.
            if kind is CollectiveKind.ALL_GATHER:
                moved = np.arange(edge, -1, -1)
            else:
                moved = np.arange(n - 1, edge, -1)
            last[moved] = builder.add(
                np.full(moved.size, path[edge]),
                path[edge + 1],
                shard_bytes,
                depends=last[moved],
                previous=in_order(builder.num_flows, moved.size),
                read=owned.first[moved],
                count=owned.count[moved],
                action=Action.COPY if kind is CollectiveKind.ALL_GATHER else Action.REDUCE,
                phase="gather" if kind is CollectiveKind.ALL_GATHER else "reduce",
            )
            flows.append(last[moved])
    return np.concatenate(flows)


def _add_there_and_back(
    builder: TrafficBuilder, dies: IntArray, num_slots: int, size_bytes: float
) -> None:
    width = num_slots // (2 * PIPELINE_CHUNKS)
    piece_bytes = size_bytes / (2 * PIPELINE_CHUNKS)
    for half, path in enumerate((dies, dies[::-1])):
        first = (half * PIPELINE_CHUNKS + np.arange(PIPELINE_CHUNKS)) * width
        last = np.full(PIPELINE_CHUNKS, -1)
        there, back = pairwise(path), pairwise(path[::-1])
        for edges, action, phase in (
            (there, Action.REDUCE, "reduce"),
            (back, Action.COPY, "gather"),
        ):
            for source, destination in edges:
                last = builder.add(
                    np.full(PIPELINE_CHUNKS, source),
                    destination,
                    piece_bytes,
                    depends=last,
                    previous=in_order(builder.num_flows, PIPELINE_CHUNKS),
                    read=first,
                    count=width,
                    action=action,
                    phase=phase,
                )


LINE: Final = Line()
