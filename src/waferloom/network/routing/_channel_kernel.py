"""Kernels on channel dependency graphs: circles found, and routes moved until none is left.

Axes: C channels, C1 one more, E dependencies, F routes, F1 one more, H hops of all routes, U uses
of dependencies by routes. A dependency leads from a channel to the next one of some route.
"""

# pyright: reportArgumentType=false
# (an index read from an array is `Any` to NumPy's stubs, so that every element may be an array)

import numpy as np
from numpy.typing import NDArray

from waferloom.jit import kernel

Ints = NDArray[np.int64]


@kernel
def find_circle(
    first_C1: Ints, after_E: Ints, uses_E: Ints, ahead_C: Ints, stack_C: Ints, circle_E: Ints
) -> int:
    """Write the dependencies of one circle in order; return how many, 0 if there is none.

    Kahn's algorithm takes away channels that wait for none that is left. If some remain, each of
    them waits for another that remains, so following any such dependency leads into a circle.

    Args:
        first_C1: Where a channel's dependencies begin.
        after_E: Channel that each dependency leads to.
        uses_E: Routes that make it; 0 takes it away.
        ahead_C: Written over: dependencies to channels that are left.
        stack_C: Written over.
        circle_E: Written.
    """
    num_channels = ahead_C.size
    # Kahn from the far end needs the dependencies turned round.
    first_back_C1 = np.zeros(num_channels + 1, dtype=np.int64)
    for e in range(after_E.size):
        if uses_E[e] > 0:
            first_back_C1[after_E[e] + 1] += 1
    for c in range(num_channels):
        first_back_C1[c + 1] += first_back_C1[c]
    place_C = first_back_C1[:-1].copy()
    before_E = np.empty(first_back_C1[num_channels], dtype=np.int64)
    left = num_channels
    depth = 0
    for c in range(num_channels):
        ahead_C[c] = 0
        for e in range(first_C1[c], first_C1[c + 1]):
            if uses_E[e] > 0:
                ahead_C[c] += 1
                before_E[place_C[after_E[e]]] = c
                place_C[after_E[e]] += 1
    for c in range(num_channels):
        if ahead_C[c] == 0:
            stack_C[depth] = c
            depth += 1
    while depth > 0:
        depth -= 1
        left -= 1
        c = stack_C[depth]
        for i in range(first_back_C1[c], first_back_C1[c + 1]):
            ahead_C[before_E[i]] -= 1
            if ahead_C[before_E[i]] == 0:
                stack_C[depth] = before_E[i]
                depth += 1
    if left == 0:
        return 0
    here = 0
    while ahead_C[here] == 0:
        here += 1
    step_C = np.full(num_channels, -1, dtype=np.int64)
    steps = 0
    while step_C[here] < 0:
        step_C[here] = steps
        for e in range(first_C1[here], first_C1[here + 1]):
            if uses_E[e] > 0 and ahead_C[after_E[e]] > 0:
                circle_E[steps] = e
                break
        here = after_E[circle_E[steps]]
        steps += 1
    start = step_C[here]
    for i in range(start, steps):
        circle_E[i - start] = circle_E[i]
    return steps - start


@kernel
def split_layer(
    first_C1: Ints,
    after_E: Ints,
    uses_E: Ints,
    first_use_E1: Ints,
    route_U: Ints,
    first_F1: Ints,
    edge_H: Ints,
    layer_F: Ints,
    layer: int,
) -> int:
    """Move routes of one layer to the next until the layer has no circle; return how many.

    Of each circle the dependency that fewest routes make is broken, the first of equal ones.

    Args:
        first_C1: Where a channel's dependencies begin.
        after_E: Channel that each dependency leads to.
        uses_E: Routes of this layer that make it; changed.
        first_use_E1: Where a dependency's routes begin.
        route_U: Routes, of all layers.
        first_F1: Where a route's hops begin.
        edge_H: Dependency that leads to each hop, -1 for first hops.
        layer_F: Layer of each route; changed.
        layer: Which layer.
    """
    num_channels = first_C1.size - 1
    ahead_C = np.empty(num_channels, dtype=np.int64)
    stack_C = np.empty(num_channels, dtype=np.int64)
    circle_E = np.empty(num_channels + 1, dtype=np.int64)
    moved = 0
    while True:
        length = find_circle(first_C1, after_E, uses_E, ahead_C, stack_C, circle_E)
        if length == 0:
            return moved
        weakest = circle_E[0]
        for i in range(1, length):
            if uses_E[circle_E[i]] < uses_E[weakest]:
                weakest = circle_E[i]
        for u in range(first_use_E1[weakest], first_use_E1[weakest + 1]):
            f = route_U[u]
            if layer_F[f] != layer:
                continue
            layer_F[f] = layer + 1
            moved += 1
            for h in range(first_F1[f], first_F1[f + 1]):
                if edge_H[h] >= 0:
                    uses_E[edge_H[h]] -= 1
