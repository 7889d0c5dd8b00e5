"""Kernel of the queueing simulator: whole messages, first come first served at every link.

Axes: F flows, F1 one more, H links of routes, E dependencies, L links, N nodes.
"""

# pyright: reportArgumentType=false, reportUnknownMemberType=false
# (an index read from an array is `Any` to NumPy's stubs, so that every element may be an array)

import heapq

import numpy as np
from numpy.typing import NDArray

from waferloom.jit import kernel

Ints = NDArray[np.int64]
ShortInts = NDArray[np.int32]
Floats = NDArray[np.float64]


@kernel
def queue_times(
    source_F: ShortInts,
    size_bytes_F: Floats,
    first_link_F1: Ints,
    link_H: ShortInts,
    first_dependency_F1: Ints,
    first_follower_F1: Ints,
    follower_E: ShortInts,
    next_F: Ints,
    source_L: Ints,
    destination_L: Ints,
    bandwidth_L: Floats,
    latency_L: Floats,
    overhead_s: float,
    stores: bool,
    start_F: Floats,
    finish_F: Floats,
) -> None:
    """Write when each flow starts and has arrived, `overhead_s` after its last byte.

    Events are requests of a message for a link. They are served in the order of time and, of equal
    times, in the order in which they were made.
    """
    num_flows = source_F.size
    waits_F = first_dependency_F1[1:] - first_dependency_F1[:-1]
    hops_F = first_link_F1[1:] - first_link_F1[:-1]
    free_L = np.zeros(bandwidth_L.size)
    end_H = np.zeros(link_H.size)
    flow_H = np.empty(link_H.size, dtype=np.int64)
    start_F[:] = 0.0
    finish_F[:] = 0.0
    for f in range(num_flows):
        flow_H[first_link_F1[f] : first_link_F1[f + 1]] = f
    # (time, order of request, hop asked for or -1 - flow for a start, hop before or -1)
    events = [(0.0, 0, 0, 0)]
    events.clear()
    requests = 0
    for f in range(num_flows):
        if next_F[f] >= 0:
            waits_F[next_F[f]] += 1
    for f in range(num_flows):
        if waits_F[f] == 0:
            heapq.heappush(events, (0.0, requests, -1 - f, -1))
            requests += 1
    while len(events) > 0:
        time, _, hop, before = heapq.heappop(events)
        if hop < 0:
            f = -1 - hop
            node = np.int64(source_F[f])
            reached = time
        else:
            f = flow_H[hop]
            link = link_H[hop]
            begin = max(time, free_L[link])
            end = begin + size_bytes_F[f] / bandwidth_L[link]
            if before >= 0:
                end = max(end, end_H[before] + latency_L[link_H[before]])
            free_L[link] = end
            end_H[hop] = end
            node = destination_L[link]
            reached = (end if stores else begin) + latency_L[link]
            finish_F[f] = max(finish_F[f], end + latency_L[link])
            hops_F[f] -= 1
            if hop == first_link_F1[f] and next_F[f] >= 0:
                g = next_F[f]
                waits_F[g] -= 1
                start_F[g] = max(start_F[g], end)
                if waits_F[g] == 0:
                    heapq.heappush(events, (start_F[g], requests, -1 - g, -1))
                    requests += 1
        for h in range(first_link_F1[f], first_link_F1[f + 1]):
            if source_L[link_H[h]] == node:
                heapq.heappush(events, (reached, requests, h, hop if hop >= 0 else -1))
                requests += 1
        if hops_F[f] > 0:
            continue
        if hop < 0:
            finish_F[f] = time
            if next_F[f] >= 0:
                g = next_F[f]
                waits_F[g] -= 1
                start_F[g] = max(start_F[g], time)
                if waits_F[g] == 0:
                    heapq.heappush(events, (start_F[g], requests, -1 - g, -1))
                    requests += 1
        else:
            finish_F[f] += overhead_s
        for e in range(first_follower_F1[f], first_follower_F1[f + 1]):
            g = np.int64(follower_E[e])
            waits_F[g] -= 1
            start_F[g] = max(start_F[g], finish_F[f])
            if waits_F[g] == 0:
                heapq.heappush(events, (start_F[g], requests, -1 - g, -1))
                requests += 1
