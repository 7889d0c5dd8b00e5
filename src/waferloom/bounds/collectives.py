"""The least time per byte of a collective on placed groups, whatever the algorithm and the routes.

- Every member of an all-to-all or reduce-scatter sends, and every member of an all-gather receives,
  all but its own n-th part; in an all-reduce each does at least as much. Its links bound that.
- Together the members send `n - 1` parts of `n` each, twice that in an all-reduce; the member that
  sends most is at least as busy as the mean, over the links of the best-connected die.
- What an all-to-all moves between the two sides of a straight cut of the grid has to cross it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from waferloom.communication import CollectiveKind
from waferloom.network.topology import Topology

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_EVERYONE_MOVES: Final = (
    CollectiveKind.ALL_TO_ALL,
    CollectiveKind.REDUCE_SCATTER,
    CollectiveKind.ALL_GATHER,
    CollectiveKind.ALL_REDUCE,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ports:
    """What a topology can carry, worked out once.

    Axes: D dies; A axes of the grid (row, column); K straight cuts of each, padded with infinity.

    Attributes:
        out_bytes_per_s_D: What each die can send over all its links.
        in_bytes_per_s_D: What each die can receive.
        place_AD: Row and column of each die; empty behind switches.
        cut_bytes_per_s_AK: What crosses between places `k` and `k + 1`, in the weaker direction.
    """

    out_bytes_per_s_D: Floats
    in_bytes_per_s_D: Floats
    place_AD: Ints
    cut_bytes_per_s_AK: Floats


def ports_of(topology: Topology) -> Ports:
    """Return what the links of a topology can carry."""
    num_dies = topology.num_dies
    sent_N, received_N = np.zeros(topology.num_nodes), np.zeros(topology.num_nodes)
    np.add.at(sent_N, topology.source_L, topology.bandwidth_bytes_per_s_L)
    np.add.at(received_N, topology.destination_L, topology.bandwidth_bytes_per_s_L)
    place_AD = np.zeros((0, num_dies), dtype=np.int64)
    if topology.num_nodes == num_dies:
        place_AD = np.stack([topology.row_D, topology.col_D]).astype(np.int64)
    num_cuts = int(np.max(place_AD, initial=0))
    cut_AK = np.full((len(place_AD), num_cuts), np.inf)
    for a, place_D in enumerate(place_AD):
        first_L, second_L = place_D[topology.source_L], place_D[topology.destination_L]
        for k in range(int(np.max(place_D))):
            forth_L = (first_L <= k) & (second_L > k)
            back_L = (first_L > k) & (second_L <= k)
            cut_AK[a, k] = min(
                float(np.sum(topology.bandwidth_bytes_per_s_L[forth_L])),
                float(np.sum(topology.bandwidth_bytes_per_s_L[back_L])),
            )
    return Ports(
        out_bytes_per_s_D=sent_N[:num_dies],
        in_bytes_per_s_D=received_N[:num_dies],
        place_AD=place_AD,
        cut_bytes_per_s_AK=cut_AK,
    )


def floor_s_per_byte(
    ports: Ports, kind: CollectiveKind, groups_GN: Ints, injected_bytes: float
) -> float:
    """Return seconds per byte of size that no algorithm undercuts.

    Args:
        ports: What the links can carry.
        kind: The collective; all groups perform it at once.
        groups_GN: Dies of every group; axes: group, member.
        injected_bytes: What the busiest die sends at least, per byte of size.
    """
    best = float(np.max(ports.out_bytes_per_s_D))
    floor = injected_bytes / best if best > 0 else 0.0
    if kind not in _EVERYONE_MOVES:
        return floor
    num_members = groups_GN.shape[1]
    moved = (num_members - 1) / num_members
    is_received = kind is CollectiveKind.ALL_GATHER
    rate_D = ports.in_bytes_per_s_D if is_received else ports.out_bytes_per_s_D
    floor = max(floor, moved / float(np.min(rate_D[groups_GN])))
    if kind is CollectiveKind.ALL_TO_ALL:
        floor = max(floor, _cut_s_per_byte(ports, groups_GN))
    return floor


def _cut_s_per_byte(ports: Ports, groups_GN: Ints) -> float:
    """Return what the narrowest straight cut needs for what an all-to-all sends across it."""
    num_groups, num_members = groups_GN.shape
    slowest = 0.0
    for place_D, cut_K in zip(ports.place_AD, ports.cut_bytes_per_s_AK, strict=True):
        num_places = len(cut_K) + 1
        offset_G1 = num_places * np.arange(num_groups, dtype=np.int64)[:, None]
        at_GN: Ints = np.add(place_D[groups_GN], offset_G1, dtype=np.int64)
        count_GK = np.zeros(num_groups * num_places)
        np.add.at(count_GK, at_GN, 1.0)
        before_GK = np.cumsum(count_GK.reshape(num_groups, num_places), axis=1)[:, :-1]
        crossing_K = np.sum(before_GK * (num_members - before_GK), axis=0) / num_members
        used = crossing_K > 0
        slowest = max(slowest, float(np.max(crossing_K[used] / cut_K[used], initial=0.0)))
    return slowest
