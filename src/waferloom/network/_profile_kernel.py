"""Kernels that add up what one collective of many groups puts on links and on its critical path.

Costs are affine in the size of the collective: a fixed part in seconds and a part in seconds per
byte of `size_bytes`. Where the larger of two costs is needed they are compared at `reference`.

Axes: G groups, N members (padded with -1), L links, D dies, H hops; 2 is (fixed, per byte) and 3 is
(value at the reference, fixed, per byte).
"""

# pyright: reportArgumentType=false, reportReturnType=false
# (an index read from an array is `Any` to NumPy's stubs, so that every element may be an array)

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waferloom.jit import kernel
from waferloom.network.routing._route_kernel import Network, route_into

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Loads(NamedTuple):
    """What flows have put on the network so far.

    Attributes:
        bytes_L: Per byte of `size_bytes`.
        head_L3: Earliest start of a flow that uses a link.
        tail_L3: Least time that must pass after the last byte has crossed a link.
        injected_D: Bytes that leave a die as their source, per byte of `size_bytes`.
    """

    bytes_L: Floats
    head_L3: Floats
    tail_L3: Floats
    injected_D: Floats


@kernel
def empty_loads(num_links: int, num_dies: int) -> Loads:
    """Return loads of nothing."""
    return Loads(
        np.zeros(num_links),
        np.full((num_links, 3), np.inf),
        np.full((num_links, 3), np.inf),
        np.zeros(num_dies),
    )


@kernel
def _lower(best_L3: Floats, link: int, fixed: float, per_byte: float, reference: float) -> None:
    value = fixed + per_byte * reference
    if value < best_L3[link, 0]:
        best_L3[link, 0] = value
        best_L3[link, 1] = fixed
        best_L3[link, 2] = per_byte


@kernel
def _raise(best_G2: Floats, g: int, fixed: float, per_byte: float, reference: float) -> None:
    if fixed + per_byte * reference > best_G2[g, 0] + best_G2[g, 1] * reference:
        best_G2[g, 0] = fixed
        best_G2[g, 1] = per_byte


@kernel
def route_latency_s(network: Network, path_H: Ints, hops: int) -> float:
    """Return the sum of latencies along a route."""
    total = 0.0
    for h in range(hops):
        total += network.latency_L[path_H[h]]
    return total


@kernel
def route_s_per_byte(network: Network, path_H: Ints, hops: int) -> float:
    """Return the time per byte of the slowest link of a route."""
    slowest = np.inf
    for h in range(hops):
        slowest = min(slowest, network.bandwidth_L[path_H[h]])
    return 1.0 / slowest


@kernel
def add_flow(
    network: Network,
    loads: Loads,
    source: int,
    path_H: Ints,
    hops: int,
    num_bytes: float,
    head_2: tuple[float, float],
    tail_2: tuple[float, float],
    reference: float,
) -> None:
    """Put a flow's bytes on its route; it starts after `head_2`, and `tail_2` follows it."""
    after = route_latency_s(network, path_H, hops)
    loads.injected_D[source] += num_bytes
    for h in range(hops):
        link = path_H[h]
        after -= network.latency_L[link]
        loads.bytes_L[link] += num_bytes
        _lower(loads.head_L3, link, head_2[0], head_2[1], reference)
        _lower(loads.tail_L3, link, tail_2[0] + max(after, 0.0), tail_2[1], reference)


@kernel
def busiest_link(network: Network, loads: Loads, reference: float) -> tuple[float, float]:
    """Return (fixed, per byte) of the link that is done last: head + bytes / bandwidth + tail."""
    best_12 = np.zeros((1, 2))
    for link in range(loads.bytes_L.size):
        if loads.bytes_L[link] > 0.0:
            fixed = loads.head_L3[link, 1] + network.latency_L[link] + loads.tail_L3[link, 1]
            per_byte = (
                loads.head_L3[link, 2]
                + loads.bytes_L[link] / network.bandwidth_L[link]
                + loads.tail_L3[link, 2]
            )
            _raise(best_12, 0, fixed, per_byte, reference)
    return best_12[0, 0], best_12[0, 1]


@kernel
def num_members(group_N: Ints) -> int:
    """Return how many entries come before the padding."""
    n = 0
    while n < group_N.size and group_N[n] >= 0:
        n += 1
    return n


@kernel
def check_groups(groups_GN: Ints, is_live_D: NDArray[np.bool_]) -> tuple[int, int]:
    """Return (fault, die) of the first fault found: 1 no such die, 2 dead, 3 twice, 4 gap; or 0."""
    seen_D = np.full(is_live_D.size, -1, dtype=np.int64)
    for g in range(groups_GN.shape[0]):
        ended = False
        for i in range(groups_GN.shape[1]):
            die = groups_GN[g, i]
            if die == -1:
                ended = True
                continue
            if die < 0 or die >= is_live_D.size:
                return 1, die
            if not is_live_D[die]:
                return 2, die
            if seen_D[die] == g:
                return 3, die
            if ended:
                return 4, die
            seen_D[die] = g
    return 0, 0


@kernel
def ring_paths(
    network: Network,
    ring_GN: Ints,
    num_directions: int,
    laps: int,
    scale: float,
    reference: float,
    path_G2: Floats,
) -> int:
    """Raise `path_G2` to the longest chain of dependent sends of each ring.

    A chunk of `scale / (n * num_directions)` travels `laps * (n - 1)` edges in a row. Return a die
    pair without route as `source * D + destination`, or -1.
    """
    path_H = np.empty(network.max_hops, dtype=np.int64)
    fixed_N = np.empty(ring_GN.shape[1])
    per_byte_N = np.empty(ring_GN.shape[1])
    for g in range(ring_GN.shape[0]):
        n = num_members(ring_GN[g])
        if n < 2:
            continue
        chunk = scale / (n * num_directions)
        for direction in range(num_directions):
            fixed = 0.0
            per_byte = 0.0
            for i in range(n):
                source = ring_GN[g, i if direction == 0 else n - 1 - i]
                destination = ring_GN[g, (i + 1) % n if direction == 0 else (2 * n - 2 - i) % n]
                hops = route_into(network, source, destination, path_H)
                if hops < 0:
                    return source * network.domain_D.size + destination
                fixed_N[i] = route_latency_s(network, path_H, hops)
                per_byte_N[i] = chunk * route_s_per_byte(network, path_H, hops)
                fixed += fixed_N[i]
                per_byte += per_byte_N[i]
            for i in range(n):
                # Every chain leaves out `laps` edges next to each other of `laps` rounds.
                out_fixed = fixed_N[i]
                out_per_byte = per_byte_N[i]
                if laps == 2:
                    out_fixed += fixed_N[(i + 1) % n]
                    out_per_byte += per_byte_N[(i + 1) % n]
                _raise(
                    path_G2,
                    g,
                    laps * fixed - out_fixed,
                    laps * per_byte - out_per_byte,
                    reference,
                )
    return -1


@kernel
def ring_loads(
    network: Network,
    ring_GN: Ints,
    num_directions: int,
    laps: int,
    scale: float,
    head_G2: Floats,
    tail_G2: Floats,
    reference: float,
    loads: Loads,
) -> None:
    """Add the sends of every ring; `head_G2` comes before the first, `tail_G2` after the last."""
    path_H = np.empty(network.max_hops, dtype=np.int64)
    for g in range(ring_GN.shape[0]):
        n = num_members(ring_GN[g])
        if n < 2:
            continue
        num_bytes = laps * (n - 1) * scale / (n * num_directions)
        head_2 = (head_G2[g, 0], head_G2[g, 1])
        tail_2 = (tail_G2[g, 0], tail_G2[g, 1])
        for direction in range(num_directions):
            for i in range(n):
                source = ring_GN[g, i]
                destination = ring_GN[g, (i + 1) % n if direction == 0 else (i + n - 1) % n]
                hops = route_into(network, source, destination, path_H)
                add_flow(network, loads, source, path_H, hops, num_bytes, head_2, tail_2, reference)


@kernel
def line_costs(
    network: Network,
    line_N: Ints,
    n: int,
    chunk: float,
    path_H: Ints,
    fixed_2N: Floats,
    per_byte_2N: Floats,
) -> int:
    """Write the cost of a chunk on every edge, both ways; return a pair without route, or -1."""
    for direction in range(2):
        for i in range(n - 1):
            source = line_N[i if direction == 0 else n - 1 - i]
            destination = line_N[i + 1 if direction == 0 else n - 2 - i]
            hops = route_into(network, source, destination, path_H)
            if hops < 0:
                return source * network.domain_D.size + destination
            fixed_2N[direction, i] = route_latency_s(network, path_H, hops)
            per_byte_2N[direction, i] = chunk * route_s_per_byte(network, path_H, hops)
    return -1


@kernel
def _totals(
    fixed_2N: Floats, per_byte_2N: Floats, direction: int, edges: int
) -> tuple[float, float]:
    """Return the cost of one direction of a line."""
    fixed = 0.0
    per_byte = 0.0
    for i in range(edges):
        fixed += fixed_2N[direction, i]
        per_byte += per_byte_2N[direction, i]
    return fixed, per_byte


@kernel
def line_paths(
    network: Network,
    line_GN: Ints,
    num_chunks: int,
    scale: float,
    reference: float,
    path_G2: Floats,
) -> int:
    """Raise `path_G2` to the longest chain of dependent sends along open paths.

    With `num_chunks` 0 whole shards (`scale / n`) run from end to end, as in an all-gather or a
    reduce-scatter; otherwise pieces of half the vector run there and back, as in an all-reduce.
    Returns a die pair without route as in `ring_paths`, or -1.
    """
    path_H = np.empty(network.max_hops, dtype=np.int64)
    fixed_2N = np.zeros((2, line_GN.shape[1]))
    per_byte_2N = np.zeros((2, line_GN.shape[1]))
    for g in range(line_GN.shape[0]):
        n = num_members(line_GN[g])
        if n < 2:
            continue
        chunk = scale / n if num_chunks == 0 else 0.5 * scale / num_chunks
        lost = line_costs(network, line_GN[g], n, chunk, path_H, fixed_2N, per_byte_2N)
        if lost >= 0:
            return lost
        there_2 = _totals(fixed_2N, per_byte_2N, 0, n - 1)
        back_2 = _totals(fixed_2N, per_byte_2N, 1, n - 1)
        if num_chunks > 0:
            _raise(path_G2, g, there_2[0] + back_2[0], there_2[1] + back_2[1], reference)
        else:
            _raise(path_G2, g, there_2[0], there_2[1], reference)
            _raise(path_G2, g, back_2[0], back_2[1], reference)
    return -1


@kernel
def line_loads(
    network: Network,
    line_GN: Ints,
    kind: int,
    num_chunks: int,
    scale: float,
    head_G2: Floats,
    tail_G2: Floats,
    reference: float,
    loads: Loads,
) -> None:
    """Add what open paths carry; `head_G2` comes before the first send, `tail_G2` after the last.

    Args:
        network: Routes.
        line_GN: Members in order along the path.
        kind: 0 all-gather, 1 reduce-scatter, 2 all-reduce in `num_chunks` pieces each way.
        num_chunks: See `line_paths`.
        scale: Bytes of the line's vector per byte of size.
        head_G2: Of each group.
        tail_G2: Of each group.
        reference: Bytes at which costs are compared.
        loads: Added to.
    """
    path_H = np.empty(network.max_hops, dtype=np.int64)
    fixed_2N = np.zeros((2, line_GN.shape[1]))
    per_byte_2N = np.zeros((2, line_GN.shape[1]))
    for g in range(line_GN.shape[0]):
        n = num_members(line_GN[g])
        if n < 2:
            continue
        chunk = scale / n if num_chunks == 0 else 0.5 * scale / num_chunks
        line_costs(network, line_GN[g], n, chunk, path_H, fixed_2N, per_byte_2N)
        for direction in range(2):
            before_2 = (0.0, 0.0)
            after_2 = _totals(fixed_2N, per_byte_2N, direction, n - 1)
            for i in range(n - 1):
                source = line_GN[g, i if direction == 0 else n - 1 - i]
                destination = line_GN[g, i + 1 if direction == 0 else n - 2 - i]
                hops = route_into(network, source, destination, path_H)
                # Gathering, the nearest shard starts here; scattering, it ends here.
                head_2 = before_2 if kind != 0 else (0.0, 0.0)
                tail_2 = (0.0, 0.0)
                after_2 = (
                    max(after_2[0] - fixed_2N[direction, i], 0.0),
                    max(after_2[1] - per_byte_2N[direction, i], 0.0),
                )
                if kind != 1:
                    tail_2 = after_2
                share = 1.0
                if kind == 0:
                    share = (i + 1.0) / n
                elif kind == 1:
                    share = (n - 1.0 - i) / n
                add_flow(
                    network,
                    loads,
                    source,
                    path_H,
                    hops,
                    share * scale,
                    (head_G2[g, 0] + head_2[0], head_G2[g, 1] + head_2[1]),
                    (tail_G2[g, 0] + tail_2[0], tail_G2[g, 1] + tail_2[1]),
                    reference,
                )
                before_2 = (
                    before_2[0] + fixed_2N[direction, i],
                    before_2[1] + per_byte_2N[direction, i],
                )


@kernel
def chain_profile(
    network: Network,
    ring_GN: Ints,
    root_G: Ints,
    num_chunks: int,
    reference: float,
    arm_G: Ints,
    path_G2: Floats,
    loads: Loads,
) -> int:
    """Add a pipelined broadcast along two arms of a tour, cut where the longer arm is shortest.

    Writes the edges of the forward arm to `arm_G`. Returns a die pair without route as in
    `ring_paths`, or -1.
    """
    path_H = np.empty(network.max_hops, dtype=np.int64)
    width = ring_GN.shape[1]
    fixed_2N = np.zeros((2, width + 1))
    per_byte_2N = np.zeros((2, width + 1))
    for g in range(ring_GN.shape[0]):
        n = num_members(ring_GN[g])
        if n < 2:
            continue
        start = 0
        while ring_GN[g, start] != root_G[g]:
            start += 1
        # Sums of costs from the root to the i-th die of each arm, as if it took in all the others.
        for arm in range(2):
            step = 1 if arm == 0 else n - 1
            for i in range(n - 1):
                source = ring_GN[g, (start + i * step) % n]
                destination = ring_GN[g, (start + (i + 1) * step) % n]
                hops = route_into(network, source, destination, path_H)
                if hops < 0:
                    return source * network.domain_D.size + destination
                fixed_2N[arm, i + 1] = fixed_2N[arm, i] + route_latency_s(network, path_H, hops)
                per_byte_2N[arm, i + 1] = (
                    per_byte_2N[arm, i] + route_s_per_byte(network, path_H, hops) / num_chunks
                )
        best = np.inf
        first_arm = 0
        for length in range(n):
            one = fixed_2N[0, length] + per_byte_2N[0, length] * reference
            other = fixed_2N[1, n - 1 - length] + per_byte_2N[1, n - 1 - length] * reference
            if max(one, other) < best:
                best = max(one, other)
                first_arm = length
        arm_G[g] = first_arm
        for arm in range(2):
            step = 1 if arm == 0 else n - 1
            length = first_arm if arm == 0 else n - 1 - first_arm
            end_2 = (fixed_2N[arm, length], per_byte_2N[arm, length])
            _raise(path_G2, g, end_2[0], end_2[1], reference)
            for i in range(length):
                source = ring_GN[g, (start + i * step) % n]
                destination = ring_GN[g, (start + (i + 1) * step) % n]
                hops = route_into(network, source, destination, path_H)
                add_flow(
                    network,
                    loads,
                    source,
                    path_H,
                    hops,
                    1.0,
                    (fixed_2N[arm, i], per_byte_2N[arm, i]),
                    (
                        max(end_2[0] - fixed_2N[arm, i + 1], 0.0),
                        max(end_2[1] - per_byte_2N[arm, i + 1], 0.0),
                    ),
                    reference,
                )
    return -1


@kernel
def direct_profile(
    network: Network,
    groups_GN: Ints,
    laps: int,
    reference: float,
    path_G2: Floats,
    loads: Loads,
) -> int:
    """Add `laps` exchanges in which every member sends `1 / n` of the size to every other.

    Returns a die pair without route as in `ring_paths`, or -1.
    """
    path_H = np.empty(network.max_hops, dtype=np.int64)
    zero_2 = (0.0, 0.0)
    for g in range(groups_GN.shape[0]):
        n = num_members(groups_GN[g])
        if n < 2:
            continue
        out_N2 = np.zeros((n, 2))
        in_N2 = np.zeros((n, 2))
        for i in range(n):
            source = groups_GN[g, i]
            for k in range(1, n):
                j = (i + k) % n
                destination = groups_GN[g, j]
                hops = route_into(network, source, destination, path_H)
                if hops < 0:
                    return source * network.domain_D.size + destination
                fixed = route_latency_s(network, path_H, hops)
                per_byte = route_s_per_byte(network, path_H, hops) / n
                _raise(out_N2, i, fixed, per_byte, reference)
                _raise(in_N2, j, fixed, per_byte, reference)
                add_flow(network, loads, source, path_H, hops, laps / n, zero_2, zero_2, reference)
        for i in range(n):
            if laps == 1:
                _raise(path_G2, g, out_N2[i, 0], out_N2[i, 1], reference)
            else:
                fixed = in_N2[i, 0] + out_N2[i, 0]
                _raise(path_G2, g, fixed, in_N2[i, 1] + out_N2[i, 1], reference)
    return -1


@kernel
def direct_profile_switched(
    network: Network,
    groups_GN: Ints,
    num_domains: int,
    laps: int,
    reference: float,
    path_G2: Floats,
    loads: Loads,
) -> None:
    """Do what `direct_profile` does where all ports of a kind are alike, without visiting pairs."""
    count_D = np.zeros(num_domains, dtype=np.int64)
    for g in range(groups_GN.shape[0]):
        n = num_members(groups_GN[g])
        if n < 2:
            continue
        for i in range(n):
            count_D[network.domain_D[groups_GN[g, i]]] = 0
        for i in range(n):
            count_D[network.domain_D[groups_GN[g, i]]] += 1
        for i in range(n):
            source = groups_GN[g, i]
            own = network.domain_D[source]
            near = count_D[own] - 1
            far = n - 1 - near
            slowest_12 = np.zeros((1, 2))
            for tier in range(2):
                peers = near if tier == 0 else far
                if peers == 0:
                    continue
                # Its own down port stands for its peers': all ports of a kind are alike.
                up = network.port_link_DP[source, 6 if tier == 0 else 8]
                down = network.port_link_DP[source, 7 if tier == 0 else 9]
                fixed = network.latency_L[up] + network.latency_L[down]
                slowest = min(network.bandwidth_L[up], network.bandwidth_L[down])
                _raise(slowest_12, 0, fixed, 1.0 / slowest / n, reference)
                loads.bytes_L[up] += laps * peers / n
                loads.bytes_L[down] += laps * peers / n
                loads.injected_D[source] += laps * peers / n
                _lower(loads.head_L3, up, 0.0, 0.0, reference)
                _lower(loads.tail_L3, up, network.latency_L[down], 0.0, reference)
                _lower(loads.head_L3, down, 0.0, 0.0, reference)
                _lower(loads.tail_L3, down, 0.0, 0.0, reference)
            _raise(path_G2, g, laps * slowest_12[0, 0], laps * slowest_12[0, 1], reference)


@kernel
def pairs_profile(
    network: Network, groups_GN: Ints, reference: float, path_G2: Floats, loads: Loads
) -> int:
    """Add one message from the first to the second member of every group."""
    path_H = np.empty(network.max_hops, dtype=np.int64)
    zero_2 = (0.0, 0.0)
    for g in range(groups_GN.shape[0]):
        if num_members(groups_GN[g]) < 2:
            continue
        source, destination = groups_GN[g, 0], groups_GN[g, 1]
        hops = route_into(network, source, destination, path_H)
        if hops < 0:
            return source * network.domain_D.size + destination
        fixed = route_latency_s(network, path_H, hops)
        _raise(path_G2, g, fixed, route_s_per_byte(network, path_H, hops), reference)
        add_flow(network, loads, source, path_H, hops, 1.0, zero_2, zero_2, reference)
    return -1


@kernel
def rounds_profile(
    network: Network,
    groups_XN: Ints,
    partner_KN: Ints,
    share_K: Floats,
    reference: float,
    path_X2: Floats,
    loads: Loads,
) -> int:
    """Add rounds in which every member sends to one partner, after all that it received before.

    Args:
        network: Routes.
        groups_XN: Groups of one size, by position.
        partner_KN: Position to which each position sends in each round.
        share_K: Bytes of a round's messages per byte of size.
        reference: Bytes at which costs are compared.
        path_X2: Raised to the critical path.
        loads: Added to.

    Returns:
        A die pair without route as in `ring_paths`, or -1.
    """
    path_H = np.empty(network.max_hops, dtype=np.int64)
    num_rounds, n = partner_KN.shape
    cost_KN2 = np.empty((num_rounds, n, 2))
    start_KN2 = np.empty((num_rounds, n, 2))
    for g in range(groups_XN.shape[0]):
        ready_N2 = np.zeros((n, 2))
        for k in range(num_rounds):
            for p in range(n):
                start_KN2[k, p, 0] = ready_N2[p, 0]
                start_KN2[k, p, 1] = ready_N2[p, 1]
                source, destination = groups_XN[g, p], groups_XN[g, partner_KN[k, p]]
                hops = route_into(network, source, destination, path_H)
                if hops < 0:
                    return source * network.domain_D.size + destination
                cost_KN2[k, p, 0] = route_latency_s(network, path_H, hops)
                cost_KN2[k, p, 1] = share_K[k] * route_s_per_byte(network, path_H, hops)
            for p in range(n):
                fixed = start_KN2[k, p, 0] + cost_KN2[k, p, 0]
                per_byte = start_KN2[k, p, 1] + cost_KN2[k, p, 1]
                _raise(ready_N2, partner_KN[k, p], fixed, per_byte, reference)
                _raise(path_X2, g, fixed, per_byte, reference)
        follows_N2 = np.zeros((n, 2))
        for k in range(num_rounds - 1, -1, -1):
            tail_N2 = follows_N2.copy()
            for p in range(n):
                to = partner_KN[k, p]
                hops = route_into(network, groups_XN[g, p], groups_XN[g, to], path_H)
                add_flow(
                    network,
                    loads,
                    groups_XN[g, p],
                    path_H,
                    hops,
                    share_K[k],
                    (start_KN2[k, p, 0], start_KN2[k, p, 1]),
                    (tail_N2[to, 0], tail_N2[to, 1]),
                    reference,
                )
            for p in range(n):
                to = partner_KN[k, p]
                fixed = cost_KN2[k, p, 0] + tail_N2[to, 0]
                per_byte = cost_KN2[k, p, 1] + tail_N2[to, 1]
                _raise(follows_N2, p, fixed, per_byte, reference)
    return -1


@kernel
def hops_per_member(groups_GN: Ints, hops_DD: NDArray[np.int16]) -> float:
    """Return the hops between all pairs of each group, over its size, summed over groups."""
    total = 0.0
    for g in range(groups_GN.shape[0]):
        n = num_members(groups_GN[g])
        hops = 0
        for i in range(n):
            for j in range(n):
                hops += hops_DD[groups_GN[g, i], groups_GN[g, j]]
        total += hops / max(n, 1)
    return total


@kernel
def _slowest(path_X2: Floats, num_groups: int, reference: float) -> Floats:
    """Return the longest path among the subgroups of each group."""
    path_G2 = np.zeros((num_groups, 2))
    repeats = path_X2.shape[0] // num_groups
    for x in range(path_X2.shape[0]):
        _raise(path_G2, x // repeats, path_X2[x, 0], path_X2[x, 1], reference)
    return path_G2


@kernel
def _repeated(path_G2: Floats, num_rows: int) -> Floats:
    """Return each group's path once for each of its subgroups."""
    repeats = num_rows // path_G2.shape[0]
    path_X2 = np.empty((num_rows, 2))
    for x in range(num_rows):
        path_X2[x, 0] = path_G2[x // repeats, 0]
        path_X2[x, 1] = path_G2[x // repeats, 1]
    return path_X2


@kernel
def _level_paths(
    network: Network, dies_XN: Ints, is_ring: bool, laps: int, scale: float, reference: float
) -> tuple[int, Floats]:
    path_X2 = np.zeros((dies_XN.shape[0], 2))
    if is_ring:
        lost = ring_paths(network, dies_XN, 2, laps, scale, reference, path_X2)
    else:
        lost = line_paths(network, dies_XN, 0, scale, reference, path_X2)
        path_X2 *= laps
    return lost, path_X2


@kernel
def _level_loads(
    network: Network,
    dies_XN: Ints,
    is_ring: bool,
    kind: int,
    scale: float,
    head_G2: Floats,
    tail_G2: Floats,
    reference: float,
    loads: Loads,
) -> None:
    head_X2 = _repeated(head_G2, dies_XN.shape[0])
    tail_X2 = _repeated(tail_G2, dies_XN.shape[0])
    if is_ring:
        laps = 2 if kind == 2 else 1
        ring_loads(network, dies_XN, 2, laps, scale, head_X2, tail_X2, reference, loads)
    else:
        line_loads(network, dies_XN, kind, 0, scale, head_X2, tail_X2, reference, loads)


@kernel
def two_level_profile(
    network: Network,
    inner_XN: Ints,
    inner_is_ring: bool,
    outer_XN: Ints,
    outer_is_ring: bool,
    kind: int,
    share: float,
    reference: float,
    path_G2: Floats,
    loads: Loads,
) -> int:
    """Add work inside parts, between parts, and inside again, with barriers between the three.

    Args:
        network: Routes.
        inner_XN: Parts of all groups, those of one group together, in travelling order.
        inner_is_ring: Whether parts are closed tours.
        outer_XN: Equals of different parts, those of one group together.
        outer_is_ring: Whether these are closed tours.
        kind: 0 all-gather, 1 reduce-scatter, 2 all-reduce.
        share: Bytes that go this way per byte of size.
        reference: Bytes at which costs are compared.
        path_G2: Raised to the longest path.
        loads: Added to.

    Returns:
        A die pair without route as in `ring_paths`, or -1.
    """
    num_groups = path_G2.shape[0]
    shard = share / inner_XN.shape[1]
    lost, inner_X2 = _level_paths(network, inner_XN, inner_is_ring, 1, share, reference)
    if lost >= 0:
        return lost
    outer_laps = 2 if kind == 2 else 1
    lost, outer_X2 = _level_paths(network, outer_XN, outer_is_ring, outer_laps, shard, reference)
    if lost >= 0:
        return lost
    inside_G2 = _slowest(inner_X2, num_groups, reference)
    outside_G2 = _slowest(outer_X2, num_groups, reference)
    zero_G2 = np.zeros((num_groups, 2))
    inner_head, inner_tail, outer_head, outer_tail = zero_G2, zero_G2, zero_G2, zero_G2
    if kind != 0:
        outer_head = inside_G2
    if kind != 1:
        outer_tail = inside_G2
    if kind == 0:
        inner_head = outside_G2
    if kind == 1:
        inner_tail = outside_G2
    inner_laps = 2 if kind == 2 else 1
    for g in range(num_groups):
        fixed = inner_laps * inside_G2[g, 0] + outside_G2[g, 0]
        per_byte = inner_laps * inside_G2[g, 1] + outside_G2[g, 1]
        _raise(path_G2, g, fixed, per_byte, reference)
    _level_loads(
        network, inner_XN, inner_is_ring, kind, share, inner_head, inner_tail, reference, loads
    )
    _level_loads(
        network, outer_XN, outer_is_ring, kind, shard, outer_head, outer_tail, reference, loads
    )
    return -1
