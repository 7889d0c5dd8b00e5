"""Kernels that fill next-link tables and walk them.

Axes: N nodes, D dies, P ports, F flows, H hops of all routes one after another, 3 lattice
dimensions (depth, row, column).
"""

# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# (numba compiles this file; NumPy's stubs cannot follow scalar indexing of untyped empties)

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waferloom.jit import kernel

Ints = NDArray[np.int64]
ShortInts = NDArray[np.int32]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Network(NamedTuple):
    """The arrays of a topology and a routing policy that kernels read.

    Attributes:
        next_link_ND: Link on which a node sends what is meant for a die, -1 if there is none; empty
            (0 x 0) where every route goes through a switch and needs no table.
        second_link_ND: Table of the pairs that take the second of two ways (`takes_second_way`);
            empty (0 x 0) where there is one way.
        seed: Which pairs these are.
        port_link_DP: As in `Topology`.
        domain_D: As in `Topology`.
        destination_L: As in `Topology`.
        bandwidth_L: As in `Topology`.
        latency_L: As in `Topology`.
        max_hops: An upper limit on the links of a route.
    """

    next_link_ND: ShortInts
    second_link_ND: ShortInts
    seed: int
    port_link_DP: Ints
    domain_D: Ints
    destination_L: Ints
    bandwidth_L: Floats
    latency_L: Floats
    max_hops: int


@kernel
def takes_second_way(source: int, destination: int, seed: int) -> bool:
    """Return one bit of a mixed (source, destination, seed): half of all pairs, without a pattern.

    Parities of coordinates would send whole permutations, such as a transpose, the same way. The
    mixing is a linear congruence and a xor with higher bits, three times, in 32 bits.
    """
    mixed = (seed * 2654435761 + source) & 0xFFFFFFFF
    for term in (destination, 0x9E3779B9, 0x85EBCA6B):
        mixed = ((mixed ^ (mixed >> 15)) * 739982445 + term) & 0xFFFFFFFF
    return ((mixed >> 16) ^ (mixed >> 24)) & 1 == 1


@kernel
def take_second_way(source_F: Ints, destination_F: Ints, seed: int) -> Ints:
    """Return 1 for pairs that take the second way, 0 for the others."""
    way_F = np.zeros(source_F.size, dtype=np.int64)
    for f in range(source_F.size):
        if takes_second_way(source_F[f], destination_F[f], seed):
            way_F[f] = 1
    return way_F


@kernel
def route_into(network: Network, source: int, destination: int, path_H: Ints) -> int:
    """Write the links from one die to another into `path_H`; return how many, -1 if cut off."""
    if source == destination:
        return 0
    if network.next_link_ND.shape[0] == 0:
        same = network.domain_D[source] == network.domain_D[destination]
        up = 6 if same else 8
        path_H[0] = network.port_link_DP[source, up]
        path_H[1] = network.port_link_DP[destination, up + 1]
        return -1 if path_H[0] < 0 or path_H[1] < 0 else 2
    second = network.second_link_ND.shape[0] > 0
    second = second and takes_second_way(source, destination, network.seed)
    node = source
    hops = 0
    while node != destination:
        if second:
            link = network.second_link_ND[node, destination]
        else:
            link = network.next_link_ND[node, destination]
        if link < 0:
            return -1
        path_H[hops] = link
        hops += 1
        node = network.destination_L[link]
    return hops


@kernel
def count_hops(network: Network, source_F: Ints, destination_F: Ints, first_F1: Ints) -> int:
    """Write where each flow's hops begin; return the first flow that has no route, -1 if all do."""
    path_H = np.empty(network.max_hops, dtype=np.int64)
    first_F1[0] = 0
    for f in range(source_F.size):
        hops = route_into(network, source_F[f], destination_F[f], path_H)
        if hops < 0:
            return f
        first_F1[f + 1] = first_F1[f] + hops
    return -1


@kernel
def fill_routes(
    network: Network, source_F: Ints, destination_F: Ints, first_F1: Ints, link_H: Ints
) -> None:
    """Write the links of every flow into `link_H`."""
    path_H = np.empty(network.max_hops, dtype=np.int64)
    for f in range(source_F.size):
        hops = route_into(network, source_F[f], destination_F[f], path_H)
        for h in range(hops):
            link_H[first_F1[f] + h] = path_H[h]


@kernel
def add_link_bytes(
    network: Network, source_F: Ints, destination_F: Ints, size_bytes_F: Floats, bytes_L: Floats
) -> int:
    """Add every flow to the links of its route; return the first without a route, -1 if none."""
    path_H = np.empty(network.max_hops, dtype=np.int64)
    has_one_table = network.next_link_ND.shape[0] > 0 and network.second_link_ND.shape[0] == 0
    for f in range(source_F.size):
        if has_one_table:  # as `route_into`, without writing the route down: a fifth faster
            node = source_F[f]
            end = destination_F[f]
            size = size_bytes_F[f]
            while node != end:
                link = network.next_link_ND[node, end]
                if link < 0:
                    return f
                bytes_L[link] += size
                node = network.destination_L[link]
            continue
        hops = route_into(network, source_F[f], destination_F[f], path_H)
        if hops < 0:
            return f
        for h in range(hops):
            bytes_L[path_H[h]] += size_bytes_F[f]
    return -1


@kernel
def dimension_order_port(
    here_3: Ints,
    there_3: Ints,
    shape_3: Ints,
    wraps_3: Bools,
    order_3: Ints,
    balances_ties: bool,
) -> int:
    """Return the port that leads one step along the first dimension still to go, -1 on arrival.

    Around a ring the shorter way is taken; of two equal ways, the positive one, or, to balance
    ties, the positive one from even places (sum of coordinates) and the negative one from odd
    places, so that neither fills up alone.
    """
    for i in range(3):
        dim = order_3[i]
        delta = there_3[dim] - here_3[dim]
        if delta == 0:
            continue
        forward = delta > 0
        if wraps_3[dim]:
            ahead = delta % shape_3[dim]
            behind = shape_3[dim] - ahead
            forward = ahead < behind
            if ahead == behind:
                forward = not balances_ties or (here_3[0] + here_3[1] + here_3[2]) % 2 == 0
        return 2 * (2 - dim) + (0 if forward else 1)
    return -1


@kernel
def fill_dimension_order(
    lattice_D3: Ints,
    domain_D: Ints,
    is_live_D: Bools,
    port_link_DP: Ints,
    shape_3: Ints,
    wraps_3: Bools,
    order_3: Ints,
    balances_ties: bool,
    same_lattice: bool,
    next_link_ND: ShortInts,
) -> None:
    """Fill the table for healthy lattices; a missing link is left as -1.

    Args:
        lattice_D3: Depth, row and column.
        domain_D: Slice of each die.
        is_live_D: Dead dies get no entries.
        port_link_DP: Links by port.
        shape_3: Of the lattice.
        wraps_3: Which dimensions close.
        order_3: Dimensions, first to be walked first.
        balances_ties: See `dimension_order_port`.
        same_lattice: All dies are on one lattice whatever their domain (wafers of a grid).
        next_link_ND: Written for the dies' rows and for the fabric's (the last node), if present.
    """
    num_dies = domain_D.size
    has_fabric = next_link_ND.shape[0] > num_dies
    for d in range(num_dies):
        if not is_live_D[d]:
            continue
        for s in range(num_dies):
            if s == d or not is_live_D[s]:
                continue
            if same_lattice or domain_D[s] == domain_D[d]:
                port = dimension_order_port(
                    lattice_D3[s], lattice_D3[d], shape_3, wraps_3, order_3, balances_ties
                )
            else:
                port = 8
            next_link_ND[s, d] = port_link_DP[s, port]
        if has_fabric:
            next_link_ND[next_link_ND.shape[0] - 1, d] = port_link_DP[d, 9]


WEST_FIRST, ODD_EVEN = 0, 1
_EAST, _WEST = 0, 1


@kernel
def allowed_turns(rule: int, east: bool, to_go: int, column: int) -> tuple[bool, bool]:
    """Return whether a packet may now go along its row, and whether along its column.

    Asked only where both dimensions are still to go.

    Args:
        rule: `WEST_FIRST` or `ODD_EVEN`.
        east: Whether its row leads it east.
        to_go: Columns still to go.
        column: Where it is.
    """
    if rule == WEST_FIRST:
        return True, east
    if column % 2 == 0:
        # Turns from east to a column are forbidden here, those from a column to west allowed.
        return True, not east
    # The other way round. It must turn now if the column of its destination forbids the turn.
    return not (east and to_go == 1), east


@kernel
def fill_minimal_adaptive(
    lattice_D3: Ints,
    domain_D: Ints,
    is_live_D: Bools,
    port_link_DP: Ints,
    shape_3: Ints,
    wraps_3: Bools,
    same_lattice: bool,
    rule: int,
    load_L: Floats,
    next_link_ND: ShortInts,
) -> None:
    """Fill the table by a turn model for healthy lattices; a missing link is left as -1.

    Of two allowed steps the one on the less loaded link is taken, of equal ones that along the
    dimension with more hops to go, then that along the row. The third dimension comes last.

    Args:
        lattice_D3: Depth, row and column.
        domain_D: Slice of each die.
        is_live_D: Dead dies get no entries.
        port_link_DP: Links by port.
        shape_3: Of the lattice.
        wraps_3: Which dimensions close; the shorter way round is taken, of equal ones forwards.
        same_lattice: All dies are on one lattice whatever their domain.
        rule: `WEST_FIRST` or `ODD_EVEN`.
        load_L: Any measure; empty for none.
        next_link_ND: Written for the dies' rows and for the fabric's (the last node), if present.
    """
    num_dies = domain_D.size
    has_fabric = next_link_ND.shape[0] > num_dies
    togo_3 = np.zeros(3, dtype=np.int64)
    port_3 = np.zeros(3, dtype=np.int64)
    for d in range(num_dies):
        if not is_live_D[d]:
            continue
        if has_fabric:
            next_link_ND[next_link_ND.shape[0] - 1, d] = port_link_DP[d, 9]
        for s in range(num_dies):
            if s == d or not is_live_D[s]:
                continue
            if not same_lattice and domain_D[s] != domain_D[d]:
                next_link_ND[s, d] = port_link_DP[s, 8]
                continue
            for dim in range(3):
                delta = lattice_D3[d, dim] - lattice_D3[s, dim]
                forward = delta > 0
                togo_3[dim] = abs(delta)
                if wraps_3[dim] and delta != 0:
                    ahead = delta % shape_3[dim]
                    forward = ahead <= shape_3[dim] - ahead
                    togo_3[dim] = min(ahead, shape_3[dim] - ahead)
                port_3[dim] = 2 * (2 - dim) + (0 if forward else 1)
            if togo_3[1] == 0 and togo_3[2] == 0:
                next_link_ND[s, d] = port_link_DP[s, port_3[0]]
                continue
            along_row, along_column = togo_3[2] > 0, togo_3[1] > 0
            if along_row and along_column:
                along_row, along_column = allowed_turns(
                    rule, port_3[2] == _EAST, togo_3[2], lattice_D3[s, 2]
                )
            row_link = port_link_DP[s, port_3[2]]
            column_link = port_link_DP[s, port_3[1]]
            if along_row and along_column:
                along_row = togo_3[2] >= togo_3[1]
                if load_L.size > 0 and row_link >= 0 and column_link >= 0:
                    if load_L[row_link] < load_L[column_link]:
                        along_row = True
                    elif load_L[row_link] > load_L[column_link]:
                        along_row = False
            next_link_ND[s, d] = row_link if along_row else column_link


@kernel
def sum_distances(
    destination_L: Ints, first_out_N1: Ints, part_N: Ints, distance_N: Ints, sum_N: Ints
) -> None:
    """Write the distances from each node to all that it reaches, added up, and its part.

    Args:
        destination_L: Ends of links, sorted by source.
        first_out_N1: Where each node's links begin.
        part_N: Written: the least node that is reached.
        distance_N: Written over.
        sum_N: Written.
    """
    num_nodes = part_N.size
    queue_N = np.empty(num_nodes, dtype=np.int64)
    for root in range(num_nodes):
        breadth_first(destination_L, first_out_N1, root, distance_N, queue_N)
        part_N[root] = num_nodes
        sum_N[root] = 0
        for node in range(num_nodes - 1, -1, -1):
            if distance_N[node] >= 0:
                part_N[root] = node
                sum_N[root] += distance_N[node]


@kernel
def breadth_first(
    destination_L: Ints, first_out_N1: Ints, root: int, distance_N: Ints, queue_N: Ints
) -> None:
    """Write the links between `root` and every node, -1 where there is no way."""
    distance_N[:] = -1
    distance_N[root] = 0
    queue_N[0] = root
    head, tail = 0, 1
    while head < tail:
        node = queue_N[head]
        head += 1
        for link in range(first_out_N1[node], first_out_N1[node + 1]):
            end = destination_L[link]
            if distance_N[end] < 0:
                distance_N[end] = distance_N[node] + 1
                queue_N[tail] = end
                tail += 1


@kernel
def fill_up_down(
    source_L: Ints,
    destination_L: Ints,
    first_out_N1: Ints,
    rank_N: Ints,
    node_R: Ints,
    is_live_D: Bools,
    next_link_ND: ShortInts,
) -> None:
    """Fill the table with routes that go up some links and then down some, never up again.

    A link goes up if it leads to a node of lower rank. Where a way down exists the shortest one is
    taken, so that whatever has gone down once goes on going down; elsewhere the step up from which
    the rest is shortest. Of equal steps the one with fewest table entries so far is taken.

    Args:
        source_L: Links, sorted by source.
        destination_L: Their ends.
        first_out_N1: Where each node's links begin.
        rank_N: Distinct ranks, the root of each part having the least.
        node_R: Nodes in order of rank.
        is_live_D: Dead dies get no entries.
        next_link_ND: Written.
    """
    num_nodes, num_dies = next_link_ND.shape
    unknown = 2 * num_nodes
    down_N = np.empty(num_nodes, dtype=np.int64)
    total_N = np.empty(num_nodes, dtype=np.int64)
    used_L = np.zeros(source_L.size, dtype=np.int64)
    for d in range(num_dies):
        if not is_live_D[d]:
            continue
        down_N[:] = unknown
        down_N[d] = 0
        for r in range(num_nodes - 1, -1, -1):
            node = node_R[r]
            for link in range(first_out_N1[node], first_out_N1[node + 1]):
                end = destination_L[link]
                if rank_N[end] > rank_N[node]:
                    down_N[node] = min(down_N[node], down_N[end] + 1)
        for r in range(num_nodes):
            node = node_R[r]
            total_N[node] = down_N[node]
            goes_up = down_N[node] >= unknown
            if goes_up:
                for link in range(first_out_N1[node], first_out_N1[node + 1]):
                    end = destination_L[link]
                    if rank_N[end] < rank_N[node]:
                        total_N[node] = min(total_N[node], total_N[end] + 1)
            if node == d or total_N[node] >= unknown:
                continue
            best = -1
            for link in range(first_out_N1[node], first_out_N1[node + 1]):
                end = destination_L[link]
                if (rank_N[end] < rank_N[node]) != goes_up:
                    continue
                rest = total_N[end] if goes_up else down_N[end]
                if rest + 1 == total_N[node] and (best < 0 or used_L[link] < used_L[best]):
                    best = link
            next_link_ND[node, d] = best
            used_L[best] += 1


@kernel
def find_broken(
    is_live_D: Bools, destination_L: Ints, next_link_ND: ShortInts, d: int, is_broken_D: Bools
) -> None:
    """Write from which live dies the table does not lead to `d`. What reaches the fabric does."""
    num_dies = is_live_D.size
    for s in range(num_dies):
        node = s
        while node < num_dies and node != d and next_link_ND[node, d] >= 0:
            node = destination_L[next_link_ND[node, d]]
        is_broken_D[s] = is_live_D[s] and node < num_dies and node != d


@kernel
def take_detours(
    is_live_D: Bools,
    destination_L: Ints,
    detour_link_ND: ShortInts,
    next_link_ND: ShortInts,
    is_detour_ND: Bools,
) -> None:
    """Where a tabled route meets a missing link, step along another table, and mark the entry."""
    num_dies = is_live_D.size
    is_broken_D = np.empty(num_dies, dtype=np.bool_)
    for d in range(num_dies):
        if not is_live_D[d]:
            continue
        find_broken(is_live_D, destination_L, next_link_ND, d, is_broken_D)
        for s in range(num_dies):
            if is_broken_D[s]:
                next_link_ND[s, d] = detour_link_ND[s, d]
                is_detour_ND[s, d] = True


@kernel
def repair_with_shortest_paths(
    is_live_D: Bools,
    port_link_DP: Ints,
    destination_L: Ints,
    port_order: Ints,
    next_link_ND: ShortInts,
) -> None:
    """Where a tabled route meets a missing link, send along a shortest path of live lattice links.

    Of several next steps the first port in `port_order` is taken. Tabled routes are shortest paths
    themselves and any tail of one is one, so the mixed table never loops. Dies that no lattice path
    joins go through the fabric if there is one.
    """
    num_dies = is_live_D.size
    distance_D = np.empty(num_dies, dtype=np.int64)
    queue_D = np.empty(num_dies, dtype=np.int64)
    is_broken_D = np.empty(num_dies, dtype=np.bool_)
    has_fabric = next_link_ND.shape[0] > num_dies
    for d in range(num_dies):
        if not is_live_D[d]:
            continue
        distance_D[:] = -1
        distance_D[d] = 0
        queue_D[0] = d
        head, tail = 0, 1
        while head < tail:
            node = queue_D[head]
            head += 1
            for p in range(port_order.size):
                link = port_link_DP[node, port_order[p]]
                if link >= 0 and distance_D[destination_L[link]] < 0:
                    distance_D[destination_L[link]] = distance_D[node] + 1
                    queue_D[tail] = destination_L[link]
                    tail += 1
        find_broken(is_live_D, destination_L, next_link_ND, d, is_broken_D)
        for s in range(num_dies):
            if not is_broken_D[s]:
                continue
            next_link_ND[s, d] = -1
            if distance_D[s] < 0:
                if has_fabric:
                    next_link_ND[s, d] = port_link_DP[s, 8]
                continue
            for p in range(port_order.size):
                link = port_link_DP[s, port_order[p]]
                if link >= 0 and distance_D[destination_L[link]] == distance_D[s] - 1:
                    next_link_ND[s, d] = link
                    break


@kernel
def fill_hops(network: Network, hops_DD: NDArray[np.int16]) -> None:
    """Write the hops between every two dies; pairs without a route are as far apart as can be."""
    path_H = np.empty(network.max_hops, dtype=np.int64)
    for s in range(hops_DD.shape[0]):
        for d in range(hops_DD.shape[1]):
            hops = route_into(network, s, d, path_H)
            hops_DD[s, d] = hops if hops >= 0 else 16383


@kernel
def route_latencies(
    source_F: ShortInts,
    first_link_F1: Ints,
    link_H: ShortInts,
    source_L: Ints,
    destination_L: Ints,
    latency_L: Floats,
    num_nodes: int,
    latency_F: Floats,
) -> None:
    """Write the latency of each route, paths and trees (parents listed before children)."""
    arrival_N = np.zeros(num_nodes)
    for f in range(source_F.size):
        arrival_N[source_F[f]] = 0.0
        latency_F[f] = 0.0
        for h in range(first_link_F1[f], first_link_F1[f + 1]):
            link = link_H[h]
            reached = arrival_N[source_L[link]] + latency_L[link]
            arrival_N[destination_L[link]] = reached
            latency_F[f] = max(latency_F[f], reached)
