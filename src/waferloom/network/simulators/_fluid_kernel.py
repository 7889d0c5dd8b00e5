"""Kernel of the fluid simulator: flows as streams that share links max-min fairly.

Axes: F flows, F1 one more, H links of routes, E dependencies, L links.
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

ROUNDING = 1e-12  # of a flow's bytes or of the clock: what is closer counts as equal


@kernel
def max_min_rates(
    active_A: Ints,
    first_link_F1: Ints,
    link_H: ShortInts,
    bandwidth_L: Floats,
    user_first_L: Ints,
    free_L: Floats,
    users_L: Ints,
    rate_F: Floats,
) -> None:
    """Write the max-min fair rates of the active flows by progressive filling.

    The link that can give its users least fixes their rates; what they take is gone from their
    other links; and so on. `user_first_L`, `free_L` and `users_L` are scratch space, zero on entry
    and on exit.
    """
    num_entries = 0
    for a in range(active_A.size):
        f = active_A[a]
        rate_F[f] = -1.0
        for h in range(first_link_F1[f], first_link_F1[f + 1]):
            users_L[link_H[h]] += 1
            num_entries += 1
    used = np.empty(num_entries, dtype=np.int64)
    num_used = 0
    flow_of_entry = np.empty(num_entries, dtype=np.int64)
    position = 0
    for a in range(active_A.size):
        f = active_A[a]
        for h in range(first_link_F1[f], first_link_F1[f + 1]):
            link = link_H[h]
            if free_L[link] == 0.0:
                free_L[link] = bandwidth_L[link]
                used[num_used] = link
                num_used += 1
                user_first_L[link] = position
                position += users_L[link]
    for a in range(active_A.size):
        f = active_A[a]
        for h in range(first_link_F1[f], first_link_F1[f + 1]):
            link = link_H[h]
            flow_of_entry[user_first_L[link]] = f
            user_first_L[link] += 1
    # user_first_L now points behind each link's users; their number is needed to step back.
    number = np.empty(num_used, dtype=np.int64)
    for u in range(num_used):
        number[u] = users_L[used[u]]
    # What a link can give each user only grows while flows are fixed elsewhere, so an entry of the
    # heap that is out of date is too low, and is put back when it comes up.
    shares = [(0.0, np.int64(0))]
    shares.clear()
    for u in range(num_used):
        link = used[u]
        shares.append((free_L[link] / users_L[link], np.int64(u)))
    heapq.heapify(shares)
    while len(shares) > 0:
        share, u = heapq.heappop(shares)
        link = used[u]
        if users_L[link] == 0:
            continue
        least = free_L[link] / users_L[link]
        if least > share * (1.0 + ROUNDING):
            heapq.heappush(shares, (least, u))
            continue
        for entry in range(user_first_L[link] - number[u], user_first_L[link]):
            f = flow_of_entry[entry]
            if rate_F[f] >= 0.0:
                continue
            rate_F[f] = least
            for h in range(first_link_F1[f], first_link_F1[f + 1]):
                free_L[link_H[h]] = max(free_L[link_H[h]] - least, 0.0)
                users_L[link_H[h]] -= 1
    for u in range(num_used):
        users_L[used[u]] = 0
        free_L[used[u]] = 0.0
        user_first_L[used[u]] = 0


@kernel
def fluid_times(
    size_bytes_F: Floats,
    latency_F: Floats,
    first_link_F1: Ints,
    link_H: ShortInts,
    first_dependency_F1: Ints,
    first_follower_F1: Ints,
    follower_E: ShortInts,
    next_F: Ints,
    bandwidth_L: Floats,
    resolution: float,
    start_F: Floats,
    finish_F: Floats,
) -> None:
    """Write when each flow starts and has arrived.

    Rates are shared out again when a flow starts or has sent all, but with a `resolution` above 0
    not before that fraction of the time elapsed has passed: what is freed meanwhile lies idle.
    It starts when all it waits for has arrived and the flow before it in its channel is sent. Its
    bytes leave the source at its rate and arrive the route's latency later.
    """
    num_flows = size_bytes_F.size
    user_first_L = np.zeros(bandwidth_L.size, dtype=np.int64)
    free_L = np.zeros(bandwidth_L.size)
    users_L = np.zeros(bandwidth_L.size, dtype=np.int64)
    waits_F = first_dependency_F1[1:] - first_dependency_F1[:-1]
    for f in range(num_flows):
        if next_F[f] >= 0:
            waits_F[next_F[f]] += 1
    rate_F = np.zeros(num_flows)
    left_F = size_bytes_F.copy()
    active_A = np.empty(num_flows, dtype=np.int64)
    num_active = 0
    start_F[:] = 0.0
    coming = [(0.0, 0)]
    coming.clear()
    for f in range(num_flows):
        if waits_F[f] == 0:
            heapq.heappush(coming, (0.0, f))
    now = 0.0
    while True:
        changed = False
        while len(coming) > 0 and coming[0][0] <= now * (1.0 + ROUNDING):
            f = heapq.heappop(coming)[1]
            if first_link_F1[f] < first_link_F1[f + 1] and size_bytes_F[f] > 0.0:
                active_A[num_active] = f
                num_active += 1
                changed = True
                continue
            finish_F[f] = start_F[f] + latency_F[f]
            if next_F[f] >= 0:
                g = next_F[f]
                waits_F[g] -= 1
                start_F[g] = max(start_F[g], start_F[f])
                if waits_F[g] == 0:
                    heapq.heappush(coming, (start_F[g], np.int64(g)))
            for e in range(first_follower_F1[f], first_follower_F1[f + 1]):
                g = follower_E[e]
                waits_F[g] -= 1
                start_F[g] = max(start_F[g], finish_F[f])
                if waits_F[g] == 0:
                    heapq.heappush(coming, (start_F[g], np.int64(g)))
        if num_active == 0:
            if len(coming) == 0:
                return
            now = coming[0][0]
            continue
        if changed:
            max_min_rates(
                active_A[:num_active],
                first_link_F1,
                link_H,
                bandwidth_L,
                user_first_L,
                free_L,
                users_L,
                rate_F,
            )
        until = np.inf
        for a in range(num_active):
            until = min(until, left_F[active_A[a]] / rate_F[active_A[a]])
        if len(coming) > 0:
            until = min(until, coming[0][0] - now)
        until = max(until, resolution * now)
        kept = 0
        for a in range(num_active):
            f = active_A[a]
            needed = left_F[f] / rate_F[f]
            left_F[f] -= rate_F[f] * until
            if left_F[f] > size_bytes_F[f] * ROUNDING:
                active_A[kept] = f
                kept += 1
                continue
            sent = now + min(needed, until)
            finish_F[f] = sent + latency_F[f]
            if next_F[f] >= 0:
                g = next_F[f]
                waits_F[g] -= 1
                start_F[g] = max(start_F[g], sent)
                if waits_F[g] == 0:
                    heapq.heappush(coming, (start_F[g], np.int64(g)))
            for e in range(first_follower_F1[f], first_follower_F1[f + 1]):
                g = follower_E[e]
                waits_F[g] -= 1
                start_F[g] = max(start_F[g], finish_F[f])
                if waits_F[g] == 0:
                    heapq.heappush(coming, (start_F[g], np.int64(g)))
        now += until
        if kept < num_active:
            num_active = kept
            if num_active > 0:
                max_min_rates(
                    active_A[:num_active],
                    first_link_F1,
                    link_H,
                    bandwidth_L,
                    user_first_L,
                    free_L,
                    users_L,
                    rate_F,
                )
