"""Kernel that puts the members of groups into short closed tours and short open paths.

Axes: G groups, N members (padded with -1), D dies.
"""

import numpy as np
from numpy.typing import NDArray

from waferloom.jit import kernel

Ints = NDArray[np.int64]
Hops = NDArray[np.int16]


@kernel
def order_members(
    groups_GN: Ints,
    row_D: Ints,
    col_D: Ints,
    layer_D: Ints,
    hops_DD: Hops,
    improve_all: bool,
    ring_GN: Ints,
    line_GN: Ints,
) -> None:
    """Write a closed tour and an open path of every group.

    Members that are the product of a set of rows and a set of columns get the Hamiltonian cycle of
    that grid (a tour with one two-hop edge where both counts are odd) and its serpentine. Others
    get a serpentine improved by 2-opt moves.

    Args:
        groups_GN: Members, each once.
        row_D: Row of a die on the grid.
        col_D: Column.
        layer_D: Rows of one layer of a 3D lattice lie next to each other; layers alternate.
        hops_DD: Distances for 2-opt; empty to skip it.
        improve_all: Improve products too (distances are not those of a healthy grid).
        ring_GN: Closed tours, written.
        line_GN: Open paths, written.
    """
    ring_GN[:] = -1
    line_GN[:] = -1
    num_rows = row_D[-1] + 1  # dies are numbered row by row
    num_cols = col_D[-1] + 1
    rank_of_row = np.empty(num_rows, dtype=np.int64)
    rank_of_col = np.empty(num_cols, dtype=np.int64)
    can_improve = hops_DD.shape[0] > 0
    for g in range(groups_GN.shape[0]):
        n = 0
        rank_of_row[:] = -1
        rank_of_col[:] = -1
        for i in range(groups_GN.shape[1]):
            die = groups_GN[g, i]
            if die >= 0:
                n += 1
                rank_of_row[row_D[die]] = 0
                rank_of_col[col_D[die]] = 0
        if n == 0:
            continue
        a = _rank_rows(rank_of_row, layer_D, num_cols)
        b = 0
        for col in range(num_cols):
            if rank_of_col[col] >= 0:
                rank_of_col[col] = b
                b += 1
        grid_AB = np.empty((a, b), dtype=np.int64)
        grid_AB[:] = -1
        for i in range(groups_GN.shape[1]):
            die = groups_GN[g, i]
            if die >= 0:
                grid_AB[rank_of_row[row_D[die]], rank_of_col[col_D[die]]] = die
        is_product = a * b == n
        by_rows = _rows_are_shorter(rank_of_row, rank_of_col, a, b)
        serpentine(grid_AB, by_rows, line_GN[g])
        if is_product and a > 1 and b > 1:
            cycle(grid_AB, by_rows, ring_GN[g])
        else:
            for i in range(n):  # assigning slices takes seconds to compile
                ring_GN[g, i] = line_GN[g, i]
        if can_improve and n > 2 and (improve_all or not is_product):
            two_opt(line_GN[g], n, False, hops_DD)
            two_opt(ring_GN[g], n, True, hops_DD)


@kernel
def _rank_rows(rank_of_row: Ints, layer_D: Ints, num_cols: int) -> int:
    """Number the marked rows so that every second layer is walked backwards."""
    num_rows = rank_of_row.size
    a = 0
    layers = 0
    row = 0
    while row < num_rows:
        layer = layer_D[row * num_cols]
        end = row
        count = 0
        while end < num_rows and layer_D[end * num_cols] == layer:
            if rank_of_row[end] >= 0:
                count += 1
            end += 1
        position = 0
        for r in range(row, end):
            if rank_of_row[r] >= 0:
                rank_of_row[r] = a + (position if layers % 2 == 0 else count - 1 - position)
                position += 1
        a += count
        if count > 0:
            layers += 1
        row = end
    return a


@kernel
def _rows_are_shorter(rank_of_row: Ints, rank_of_col: Ints, a: int, b: int) -> bool:
    """Whether walking along rows and stepping between them covers less distance."""
    row_span = _span(rank_of_row)
    col_span = _span(rank_of_col)
    return a * col_span + row_span <= b * row_span + col_span


@kernel
def _span(rank: Ints) -> int:
    first = -1
    last = -1
    for i in range(rank.size):
        if rank[i] >= 0:
            if first < 0:
                first = i
            last = i
    return last - first


@kernel
def serpentine(grid_AB: Ints, by_rows: bool, order_N: Ints) -> None:
    """Write the dies of a grid (holes are -1) row by row, every second one backwards."""
    outer = grid_AB.shape[0] if by_rows else grid_AB.shape[1]
    inner = grid_AB.shape[1] if by_rows else grid_AB.shape[0]
    n = 0
    for i in range(outer):
        for k in range(inner):
            j = k if i % 2 == 0 else inner - 1 - k
            die = grid_AB[i, j] if by_rows else grid_AB[j, i]
            if die >= 0:
                order_N[n] = die
                n += 1


@kernel
def cycle(grid_AB: Ints, by_rows: bool, order_N: Ints) -> None:
    """Write the shortest closed tour of a full grid of at least 2 x 2.

    With an even number of lines: to and fro over all but the first place of every line, and home
    along the first places. With both counts odd the last two lines are walked crosswise and one
    edge is two hops long.
    """
    a, b = grid_AB.shape
    transposed = b % 2 == 0 and (a % 2 == 1 or not by_rows)
    lines, places = (b, a) if transposed else (a, b)
    straight = lines if lines % 2 == 0 else lines - 2
    n = 0
    order_N[n] = grid_AB[0, 0]
    n += 1
    for i in range(straight):
        for k in range(1, places):
            j = k if i % 2 == 0 else places - k
            order_N[n] = grid_AB[j, i] if transposed else grid_AB[i, j]
            n += 1
    if straight < lines:
        for k in range(1, places):
            j = places - k
            first, second = (lines - 2, lines - 1) if k % 2 == 1 else (lines - 1, lines - 2)
            order_N[n] = grid_AB[first, j]
            order_N[n + 1] = grid_AB[second, j]
            n += 2
    for k in range(1, lines):
        i = lines - k
        order_N[n] = grid_AB[0, i] if transposed else grid_AB[i, 0]
        n += 1


@kernel
def two_opt(order_N: Ints, n: int, closed: bool, hops_DD: Hops) -> None:
    """Reverse stretches of a tour while that shortens it; first improvement, in place."""
    improved = True
    while improved:
        improved = False
        for i in range(-1, n - 2):
            if i < 0 and closed:
                continue
            for j in range(i + 2, n):
                before_j = order_N[j]
                after_j = order_N[(j + 1) % n]
                has_after = closed or j + 1 < n
                if closed and (j + 1) % n == i:
                    continue
                change = 0
                if i >= 0:
                    change += hops_DD[order_N[i], before_j] - hops_DD[order_N[i], order_N[i + 1]]
                if has_after:
                    change += hops_DD[order_N[i + 1], after_j] - hops_DD[before_j, after_j]
                if change < 0:
                    low, high = i + 1, j
                    while low < high:
                        order_N[low], order_N[high] = order_N[high], order_N[low]
                        low += 1
                        high -= 1
                    improved = True
