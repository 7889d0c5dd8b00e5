"""Replays traffic on numbers: what every die holds when all flows have arrived.

A flow reads its slots when it starts and writes when it arrives. Which of two flows that do not
wait for each other comes first is a matter of timing, so a schedule is right only if every order
allowed by its dependencies gives the same result; `order` draws one of them.
"""

import numpy as np
from numpy.typing import NDArray

from waferloom.network.traffic import Action, Traffic

Values = NDArray[np.int64] | NDArray[np.float64]


def interpret(
    traffic: Traffic, buffers_DS: Values, order: np.random.Generator | None = None
) -> Values:
    """Return the buffers after all flows.

    Args:
        traffic: The flows.
        buffers_DS: What each die (D) holds in each slot (S) at the start; further axes are allowed,
            so that a slot may be a whole tensor. Not changed.
        order: Draws at each step whether a flow starts or arrives, and which; absent, flows run one
            after another as listed.

    Raises:
        ValueError: The buffers have fewer slots than the traffic needs.
    """
    if buffers_DS.shape[1] < traffic.num_slots:
        msg = f"traffic uses {traffic.num_slots} slots, the buffers have {buffers_DS.shape[1]}"
        raise ValueError(msg)
    held_DS = buffers_DS.copy()
    if order is None:
        for flow in range(traffic.num_flows):
            _write(traffic, flow, held_DS, _read(traffic, flow, held_DS))
    else:
        _replay(traffic, held_DS, order)
    return held_DS


def _replay(traffic: Traffic, held_DS: Values, order: np.random.Generator) -> None:
    waits_F = np.diff(traffic.first_dependency_F1)
    followers: list[list[int]] = [[] for _ in range(traffic.num_flows)]
    for flow in range(traffic.num_flows):
        for earlier in traffic.dependencies(flow):
            followers[int(earlier)].append(flow)
    ready: list[int] = np.flatnonzero(waits_F == 0).tolist()
    travelling: list[tuple[int, list[Values]]] = []
    while ready or travelling:
        choice = int(order.integers(len(ready) + len(travelling)))
        if choice < len(ready):
            flow = ready.pop(choice)
            travelling.append((flow, _read(traffic, flow, held_DS)))
            continue
        flow, carried = travelling.pop(choice - len(ready))
        _write(traffic, flow, held_DS, carried)
        for later in followers[flow]:
            waits_F[later] -= 1
            if waits_F[later] == 0:
                ready.append(later)


def _rows(traffic: Traffic, flow: int) -> range:
    return range(traffic.first_payload_F1[flow], traffic.first_payload_F1[flow + 1])


def _read(traffic: Traffic, flow: int, held_DS: Values) -> list[Values]:
    source = traffic.source_F[flow]
    return [
        held_DS[source, traffic.read_P[p] : traffic.read_P[p] + traffic.count_P[p]].copy()
        for p in _rows(traffic, flow)
    ]


def _write(traffic: Traffic, flow: int, held_DS: Values, carried: list[Values]) -> None:
    for p, values in zip(_rows(traffic, flow), carried, strict=True):
        first = traffic.write_P[p]
        slots = held_DS[traffic.receiver_P[p], first : first + traffic.count_P[p]]
        if traffic.action_P[p] == Action.REDUCE:
            slots += values
        else:
            slots[...] = values
