"""Kernel of the packet simulator: virtual-channel wormhole routers, flit by flit, cycle by cycle.

A unit is an input of a router: the end of a link, or an injection port. Every unit has V virtual
channels (VCs) with buffers of B flits, and whoever feeds it (the router at the link's other end, or
the source) holds credits for them.

What happens in a cycle, in this order:

1. flits and credits that arrive now are taken in;
2. messages whose time has come join the queue of their injection port;
3. each injection port sends one flit of its current packet; packets of several messages take turns;
4. VC allocation: a packet at the front of a VC takes a free VC of its next link, in rotating order;
5. switch allocation, one iteration of iSLIP: every output grants one unit, every unit accepts one
   output; both move on from what they chose, and only when it was accepted;
6. winning flits leave: they arrive at the next unit after the link's delay, their credits go back.

Axes: F flows, F1 one more, H links of routes, L links, U units (links first, then injection ports),
O outputs (links first, then ejection ports), V VCs, B buffer places, Q packets.

Source:
    Dally and Towles, Principles and Practices of Interconnection Networks, chapters 16 to 19.
    McKeown 1999, doi:10.1109/90.769767 (iSLIP).
"""

# pyright: reportArgumentType=false, reportUnknownMemberType=false
# (an index read from an array is `Any` to NumPy's stubs, so that every element may be an array)

import heapq
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waferloom.jit import kernel

Ints = NDArray[np.int64]
ShortInts = NDArray[np.int32]
Floats = NDArray[np.float64]

IDLE, WAITING, ACTIVE = 0, 1, 2
HEAD, TAIL = 1, 2
FINISHED, DEADLOCKED = -1, -2


class Messages(NamedTuple):
    """What is sent.

    Attributes:
        num_flits_F: Flits of each message; 0 for one that arrives when it is offered.
        first_link_F1: Offsets into the routes.
        link_H: Routes.
        low_vc_H: First VC allowed on each link of a route.
        high_vc_H: One past the last VC allowed.
        inject_F: Injection port (number among units).
        eject_F: Ejection port (number among outputs).
        release_F: Earliest cycle.
        first_dependency_F1: Offsets into dependencies, for their number.
        first_follower_F1: Offsets into `follower_E`.
        follower_E: Flows that wait for each flow.
        next_F: Flow behind each flow in its channel, or -1.
    """

    num_flits_F: Ints
    first_link_F1: Ints
    link_H: ShortInts
    low_vc_H: Ints
    high_vc_H: Ints
    inject_F: Ints
    eject_F: Ints
    release_F: Ints
    first_dependency_F1: Ints
    first_follower_F1: Ints
    follower_E: ShortInts
    next_F: Ints


class Router(NamedTuple):
    """How routers and links work, in cycles.

    Attributes:
        num_units: U.
        num_outputs: O.
        num_links: L.
        num_vcs: V.
        buffer_flits: B.
        packet_flits: Flits of a full packet.
        delay_U: From switch allocation (or injection) to the unit at the other end.
        flit_cycles_L: Cycles a link needs per flit, at least 1.
        eject_delay: From switch allocation to arrival.
        credit_delay: From a flit's leaving to its credit's return.
    """

    num_units: int
    num_outputs: int
    num_links: int
    num_vcs: int
    buffer_flits: int
    packet_flits: int
    delay_U: Ints
    flit_cycles_L: Floats
    eject_delay: int
    credit_delay: int


@kernel
def packet_times(
    messages: Messages, router: Router, max_cycles: int, start_F: Ints, finish_F: Ints
) -> int:
    """Write the cycles in which messages are offered and have arrived.

    Returns:
        `FINISHED`, `DEADLOCKED`, or the cycle at which `max_cycles` stopped the simulation.
    """
    num_flows = messages.num_flits_F.size
    num_units, num_links, num_vcs = router.num_units, router.num_links, router.num_vcs
    places = num_vcs * router.buffer_flits
    num_packets = 0
    for f in range(num_flows):
        num_packets += -(-messages.num_flits_F[f] // router.packet_flits)
    flow_Q = np.empty(num_packets, dtype=np.int64)
    hop_Q = np.zeros(num_packets, dtype=np.int64)
    packets = 0

    packet_UVB = np.empty((num_units, num_vcs, router.buffer_flits), dtype=np.int64)
    flags_UVB = np.empty((num_units, num_vcs, router.buffer_flits), dtype=np.int64)
    front_UV = np.zeros((num_units, num_vcs), dtype=np.int64)
    held_UV = np.zeros((num_units, num_vcs), dtype=np.int64)
    held_U = np.zeros(num_units, dtype=np.int64)
    state_UV = np.zeros((num_units, num_vcs), dtype=np.int64)
    output_UV = np.zeros((num_units, num_vcs), dtype=np.int64)
    output_vc_UV = np.zeros((num_units, num_vcs), dtype=np.int64)
    since_UV = np.zeros((num_units, num_vcs), dtype=np.int64)

    credits_UV = np.full((num_units, num_vcs), router.buffer_flits, dtype=np.int64)
    taken_LV = np.zeros((num_links, num_vcs), dtype=np.bool_)
    free_L = np.zeros(num_links)
    next_vc_L = np.zeros(num_links, dtype=np.int64)

    # Flits and credits under way, as rings of at most `places` entries.
    fly_time_UP = np.empty((num_units, places), dtype=np.int64)
    fly_packet_UP = np.empty((num_units, places), dtype=np.int64)
    fly_flags_UP = np.empty((num_units, places), dtype=np.int64)
    fly_vc_UP = np.empty((num_units, places), dtype=np.int64)
    fly_front_U = np.zeros(num_units, dtype=np.int64)
    fly_count_U = np.zeros(num_units, dtype=np.int64)
    back_time_UP = np.empty((num_units, places), dtype=np.int64)
    back_vc_UP = np.empty((num_units, places), dtype=np.int64)
    back_front_U = np.zeros(num_units, dtype=np.int64)
    back_count_U = np.zeros(num_units, dtype=np.int64)

    # Injection: a queue of messages per port, the packet being sent, and its VC.
    first_U = np.full(num_units, -1, dtype=np.int64)
    last_U = np.full(num_units, -1, dtype=np.int64)
    next_F = np.full(num_flows, -1, dtype=np.int64)
    unsent_F = messages.num_flits_F.copy()
    packet_U = np.full(num_units, -1, dtype=np.int64)
    packet_left_U = np.zeros(num_units, dtype=np.int64)
    inject_vc_U = np.zeros(num_units, dtype=np.int64)

    grant_O = np.zeros(router.num_outputs, dtype=np.int64)
    accept_U = np.zeros(num_units, dtype=np.int64)
    turn_U = np.zeros(num_units, dtype=np.int64)
    best_unit_O = np.full(router.num_outputs, -1, dtype=np.int64)
    best_vc_O = np.zeros(router.num_outputs, dtype=np.int64)
    asked = np.empty(router.num_outputs, dtype=np.int64)
    chosen_U = np.full(num_units, -1, dtype=np.int64)
    winners = np.empty(num_units, dtype=np.int64)
    active = np.empty(num_units, dtype=np.int64)

    waits_F = messages.first_dependency_F1[1:] - messages.first_dependency_F1[:-1]
    for f in range(num_flows):
        if messages.next_F[f] >= 0:
            waits_F[messages.next_F[f]] += 1
    undelivered_F = messages.num_flits_F.copy()
    left = num_flows
    coming = [(np.int64(0), np.int64(0))]
    coming.clear()
    for f in range(num_flows):
        start_F[f] = messages.release_F[f]
        if waits_F[f] == 0:
            heapq.heappush(coming, (start_F[f], np.int64(f)))
    now = 0
    while left > 0:
        if now > max_cycles:
            return max_cycles
        moved = False
        # 1. arrivals
        for u in range(num_units):
            while fly_count_U[u] > 0 and fly_time_UP[u, fly_front_U[u]] <= now:
                at = fly_front_U[u]
                v = fly_vc_UP[u, at]
                place = (front_UV[u, v] + held_UV[u, v]) % router.buffer_flits
                packet_UVB[u, v, place] = fly_packet_UP[u, at]
                flags_UVB[u, v, place] = fly_flags_UP[u, at]
                held_UV[u, v] += 1
                held_U[u] += 1
                fly_front_U[u] = (at + 1) % places
                fly_count_U[u] -= 1
                moved = True
            while back_count_U[u] > 0 and back_time_UP[u, back_front_U[u]] <= now:
                credits_UV[u, back_vc_UP[u, back_front_U[u]]] += 1
                back_front_U[u] = (back_front_U[u] + 1) % places
                back_count_U[u] -= 1
                moved = True
        # 2. messages offered
        while len(coming) > 0 and coming[0][0] <= now:
            f = heapq.heappop(coming)[1]
            moved = True
            if messages.num_flits_F[f] == 0:
                finish_F[f] = start_F[f]
                left -= 1
                g = messages.next_F[f]
                if g >= 0:
                    waits_F[g] -= 1
                    start_F[g] = max(start_F[g], start_F[f])
                    if waits_F[g] == 0:
                        heapq.heappush(coming, (start_F[g], g))
                for e in range(messages.first_follower_F1[f], messages.first_follower_F1[f + 1]):
                    g = np.int64(messages.follower_E[e])
                    waits_F[g] -= 1
                    start_F[g] = max(start_F[g], finish_F[f])
                    if waits_F[g] == 0:
                        heapq.heappush(coming, (start_F[g], g))
                continue
            port = messages.inject_F[f]
            if first_U[port] < 0:
                first_U[port] = f
            else:
                next_F[last_U[port]] = f
            last_U[port] = f
        # 3. injection
        for u in range(num_links, num_units):
            if packet_U[u] < 0 and first_U[u] >= 0:
                for k in range(num_vcs):
                    v = (inject_vc_U[u] + 1 + k) % num_vcs
                    if credits_UV[u, v] > 0:
                        f = first_U[u]
                        flow_Q[packets] = f
                        packet_U[u] = packets
                        packets += 1
                        packet_left_U[u] = min(unsent_F[f], router.packet_flits)
                        unsent_F[f] -= packet_left_U[u]
                        inject_vc_U[u] = v
                        first_U[u] = next_F[f]
                        next_F[f] = -1
                        if unsent_F[f] > 0:
                            if first_U[u] < 0:
                                first_U[u] = f
                            else:
                                next_F[last_U[u]] = f
                            last_U[u] = f
                        break
            if packet_U[u] >= 0 and credits_UV[u, inject_vc_U[u]] > 0:
                v = inject_vc_U[u]
                f = flow_Q[packet_U[u]]
                at = (fly_front_U[u] + fly_count_U[u]) % places
                size = packet_left_U[u]
                is_first = hop_Q[packet_U[u]] == 0
                if is_first:
                    hop_Q[packet_U[u]] = 1
                fly_time_UP[u, at] = now + router.delay_U[u]
                fly_packet_UP[u, at] = packet_U[u]
                fly_flags_UP[u, at] = (HEAD if is_first else 0) | (TAIL if size == 1 else 0)
                fly_vc_UP[u, at] = v
                fly_count_U[u] += 1
                credits_UV[u, v] -= 1
                packet_left_U[u] -= 1
                moved = True
                if packet_left_U[u] == 0:
                    packet_U[u] = -1
                    g = messages.next_F[f]
                    if unsent_F[f] == 0 and g >= 0:
                        waits_F[g] -= 1
                        start_F[g] = max(start_F[g], now)
                        if waits_F[g] == 0:
                            heapq.heappush(coming, (start_F[g], g))
        # 4. VC allocation
        num_active = 0
        for k in range(num_units):
            u = (now + k) % num_units
            if held_U[u] > 0:
                active[num_active] = u
                num_active += 1
        for k in range(num_active):
            u = active[k]
            for j in range(num_vcs):
                v = (now + j) % num_vcs
                if held_UV[u, v] == 0 or state_UV[u, v] == ACTIVE:
                    continue
                packet = packet_UVB[u, v, front_UV[u, v]]
                f = flow_Q[packet]
                if state_UV[u, v] == IDLE:
                    # hop_Q counts one more than the links that the head has crossed.
                    hop = messages.first_link_F1[f] + hop_Q[packet] - 1
                    at_end = hop == messages.first_link_F1[f + 1]
                    output_UV[u, v] = messages.eject_F[f] if at_end else messages.link_H[hop]
                    if at_end and messages.eject_F[f] < 0:
                        output_UV[u, v] = num_links + u
                    state_UV[u, v] = WAITING
                output = output_UV[u, v]
                if output >= num_links:
                    state_UV[u, v] = ACTIVE
                    since_UV[u, v] = now + 1
                    moved = True
                    continue
                hop = messages.first_link_F1[f] + hop_Q[packet] - 1
                low, high = messages.low_vc_H[hop], messages.high_vc_H[hop]
                for i in range(high - low):
                    w = low + (next_vc_L[output] + i) % (high - low)
                    if not taken_LV[output, w]:
                        taken_LV[output, w] = True
                        next_vc_L[output] = w - low + 1
                        output_vc_UV[u, v] = w
                        state_UV[u, v] = ACTIVE
                        since_UV[u, v] = now + 1
                        moved = True
                        break
        # 5. switch allocation
        num_asked = 0
        waiting_for_link = False
        for k in range(num_active):
            u = active[k]
            for v in range(num_vcs):
                if held_UV[u, v] == 0 or state_UV[u, v] != ACTIVE:
                    continue
                if since_UV[u, v] > now:
                    waiting_for_link = True
                    continue
                output = output_UV[u, v]
                if output < num_links:
                    if credits_UV[output, output_vc_UV[u, v]] == 0:
                        continue
                    if free_L[output] > now:
                        waiting_for_link = True
                        continue
                held_by = best_unit_O[output]
                if held_by < 0:
                    asked[num_asked] = output
                    num_asked += 1
                    best_unit_O[output] = u
                    best_vc_O[output] = v
                    continue
                ours = (u - grant_O[output]) % num_units
                theirs = (held_by - grant_O[output]) % num_units
                earlier = (v - turn_U[u]) % num_vcs < (best_vc_O[output] - turn_U[u]) % num_vcs
                if ours < theirs or (ours == theirs and earlier):
                    best_unit_O[output] = u
                    best_vc_O[output] = v
        num_winners = 0
        for k in range(num_asked):
            output = asked[k]
            u = best_unit_O[output]
            if chosen_U[u] < 0:
                winners[num_winners] = u
                num_winners += 1
                chosen_U[u] = output
            else:
                ours = (output - accept_U[u]) % router.num_outputs
                theirs = (chosen_U[u] - accept_U[u]) % router.num_outputs
                if ours < theirs:
                    chosen_U[u] = output
        # 6. departures
        for k in range(num_winners):
            u = winners[k]
            output = chosen_U[u]
            chosen_U[u] = -1
            v = best_vc_O[output]
            grant_O[output] = u + 1
            accept_U[u] = output + 1
            turn_U[u] = v + 1
            packet = packet_UVB[u, v, front_UV[u, v]]
            flags = flags_UVB[u, v, front_UV[u, v]]
            front_UV[u, v] = (front_UV[u, v] + 1) % router.buffer_flits
            held_UV[u, v] -= 1
            held_U[u] -= 1
            at = (back_front_U[u] + back_count_U[u]) % places
            back_time_UP[u, at] = now + router.credit_delay
            back_vc_UP[u, at] = v
            back_count_U[u] += 1
            moved = True
            if output < num_links:
                w = output_vc_UV[u, v]
                credits_UV[output, w] -= 1
                # A gap of less than a cycle is rounding, not idleness: fractions must not be lost.
                idle = now - free_L[output] >= 1.0
                free_L[output] = (now if idle else free_L[output]) + router.flit_cycles_L[output]
                at = (fly_front_U[output] + fly_count_U[output]) % places
                fly_time_UP[output, at] = now + router.delay_U[output]
                fly_packet_UP[output, at] = packet
                fly_flags_UP[output, at] = flags
                fly_vc_UP[output, at] = w
                fly_count_U[output] += 1
                if flags & HEAD:
                    hop_Q[packet] += 1
                if flags & TAIL:
                    taken_LV[output, w] = False
            else:
                f = flow_Q[packet]
                undelivered_F[f] -= 1
                if undelivered_F[f] == 0:
                    finish_F[f] = now + router.eject_delay
                    left -= 1
                    for e in range(
                        messages.first_follower_F1[f], messages.first_follower_F1[f + 1]
                    ):
                        g = np.int64(messages.follower_E[e])
                        waits_F[g] -= 1
                        start_F[g] = max(start_F[g], finish_F[f])
                        if waits_F[g] == 0:
                            heapq.heappush(coming, (start_F[g], g))
            if flags & TAIL:
                state_UV[u, v] = IDLE
        for k in range(num_asked):
            best_unit_O[asked[k]] = -1
        # Nothing moved and nothing can until something arrives: go there at once.
        if moved or waiting_for_link:
            now += 1
            continue
        soonest = np.int64(2**62)
        for u in range(num_units):
            if fly_count_U[u] > 0:
                soonest = min(soonest, fly_time_UP[u, fly_front_U[u]])
            if back_count_U[u] > 0:
                soonest = min(soonest, back_time_UP[u, back_front_U[u]])
        if len(coming) > 0:
            soonest = min(soonest, coming[0][0])
        if soonest == 2**62:
            return DEADLOCKED
        now = soonest
    return FINISHED
