"""Kernel of the lower bound: longest dependent chain, and busiest link with its way out.

Every time is a pair: latency (fixed) and bytes over bandwidth (transfer), which grows with the
bytes. Pairs are compared by their sum.

Axes: F flows, F1 one more, H links of routes, E dependencies, L links, N nodes; 2 is (fixed,
transfer).
"""

# pyright: reportArgumentType=false, reportReturnType=false
# (an index read from an array is `Any` to NumPy's stubs, so that every element may be an array)

import numpy as np
from numpy.typing import NDArray

from waferloom.jit import kernel

Ints = NDArray[np.int64]
ShortInts = NDArray[np.int32]
Floats = NDArray[np.float64]


@kernel
def _sum(times_X2: Floats, x: int) -> float:
    return times_X2[x, 0] + times_X2[x, 1]


@kernel
def bound_times(
    source_F: ShortInts,
    size_bytes_F: Floats,
    first_link_F1: Ints,
    link_H: ShortInts,
    first_dependency_F1: Ints,
    dependency_E: ShortInts,
    source_L: Ints,
    destination_L: Ints,
    bandwidth_L: Floats,
    latency_L: Floats,
    num_nodes: int,
    start_F2: Floats,
    finish_F2: Floats,
    link_L2: Floats,
) -> None:
    """Write earliest starts and arrivals of flows, and the earliest end of each link's work.

    Args:
        source_F: Sending die.
        size_bytes_F: Bytes.
        first_link_F1: Offsets into `link_H`.
        link_H: Routes.
        first_dependency_F1: Offsets into `dependency_E`.
        dependency_E: Earlier flows.
        source_L: Of links.
        destination_L: Of links.
        bandwidth_L: Of links.
        latency_L: Of links.
        num_nodes: N.
        start_F2: Written: chains alone.
        finish_F2: Written: chains alone.
        link_L2: Written: earliest start + all bytes + way out of each used link; zero for others.
    """
    num_flows = source_F.size
    num_links = source_L.size
    arrival_N = np.zeros(num_nodes)
    below_N = np.zeros(num_nodes)
    tail_F2 = np.zeros((num_flows, 2))
    head_L2 = np.full((num_links, 2), np.inf)
    out_L2 = np.full((num_links, 2), np.inf)
    bytes_L = np.zeros(num_links)
    for f in range(num_flows):
        start_F2[f] = 0.0
        for e in range(first_dependency_F1[f], first_dependency_F1[f + 1]):
            before = dependency_E[e]
            if _sum(finish_F2, before) > _sum(start_F2, f):
                start_F2[f, 0] = finish_F2[before, 0]
                start_F2[f, 1] = finish_F2[before, 1]
        latency, transfer = 0.0, 0.0
        arrival_N[source_F[f]] = 0.0
        for h in range(first_link_F1[f], first_link_F1[f + 1]):
            link = link_H[h]
            reached = arrival_N[source_L[link]] + latency_L[link]
            arrival_N[destination_L[link]] = reached
            latency = max(latency, reached)
            transfer = max(transfer, size_bytes_F[f] / bandwidth_L[link])
            bytes_L[link] += size_bytes_F[f]
        finish_F2[f, 0] = start_F2[f, 0] + latency
        finish_F2[f, 1] = start_F2[f, 1] + transfer
    for f in range(num_flows - 1, -1, -1):
        tail_fixed = tail_F2[f, 0] + finish_F2[f, 0] - start_F2[f, 0]
        tail_transfer = tail_F2[f, 1] + finish_F2[f, 1] - start_F2[f, 1]
        for e in range(first_dependency_F1[f], first_dependency_F1[f + 1]):
            before = dependency_E[e]
            if tail_fixed + tail_transfer > _sum(tail_F2, before):
                tail_F2[before, 0] = tail_fixed
                tail_F2[before, 1] = tail_transfer
        if size_bytes_F[f] == 0.0:
            continue
        for h in range(first_link_F1[f], first_link_F1[f + 1]):
            link = link_H[h]
            below_N[source_L[link]] = 0.0
            below_N[destination_L[link]] = 0.0
            if _sum(start_F2, f) < _sum(head_L2, link):
                head_L2[link, 0] = start_F2[f, 0]
                head_L2[link, 1] = start_F2[f, 1]
        for h in range(first_link_F1[f + 1] - 1, first_link_F1[f] - 1, -1):
            link = link_H[h]
            way_out = below_N[destination_L[link]]
            below_N[source_L[link]] = max(below_N[source_L[link]], way_out + latency_L[link])
            if _sum(tail_F2, f) + way_out < _sum(out_L2, link):
                out_L2[link, 0] = tail_F2[f, 0] + way_out
                out_L2[link, 1] = tail_F2[f, 1]
    for link in range(num_links):
        link_L2[link] = 0.0
        if bytes_L[link] > 0.0:
            link_L2[link, 0] = head_L2[link, 0] + latency_L[link] + out_L2[link, 0]
            link_L2[link, 1] = (
                head_L2[link, 1] + bytes_L[link] / bandwidth_L[link] + out_L2[link, 1]
            )
