"""Barriers between the rounds of a traffic, as bulk-synchronous programs have them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from waferloom.network.topology import IntArray
from waferloom.network.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Synchronised:
    """Traffic with barriers, and where the flows of the original are in it.

    Attributes:
        traffic: Flows sorted by round, with a join behind each round but the last.
        position_F: Number in `traffic` of each original flow.
    """

    traffic: Traffic
    position_F: IntArray


def round_of_each_flow(traffic: Traffic) -> IntArray:
    """Return how many flows with bytes lie before each flow on the longest chain it waits for."""
    round_F = np.zeros(traffic.num_flows, dtype=np.int64)
    takes_F = (traffic.size_bytes_F > 0).astype(np.int64)
    first = traffic.first_dependency_F1
    for flow in np.flatnonzero(np.diff(first)).tolist():
        before = traffic.dependency_E[first[flow] : first[flow + 1]]
        round_F[flow] = (round_F[before] + takes_F[before]).max()
    return round_F


def with_barriers(traffic: Traffic) -> Synchronised:
    """Make every flow wait until all flows of the rounds before its own have arrived."""
    round_F = round_of_each_flow(traffic)
    num_rounds = int(round_F.max(initial=0)) + 1
    order = np.argsort(round_F, kind="stable")
    # The join of round r stands behind its flows, so every flow moves up by its round number.
    position_F = np.empty(traffic.num_flows, dtype=np.int64)
    position_F[order] = np.arange(traffic.num_flows) + round_F[order]
    num_flows = traffic.num_flows + num_rounds - 1
    ends = np.searchsorted(round_F[order], np.arange(num_rounds), side="right")
    join_R = ends[:-1] + np.arange(num_rounds - 1)
    waits_for_F = np.concatenate([[-1], join_R])[round_F]

    depends: list[IntArray] = [np.empty(0, dtype=np.int64)] * num_flows
    members_R = [position_F[round_F == r] for r in range(num_rounds - 1)]
    first = traffic.first_dependency_F1
    for flow in range(traffic.num_flows):
        earlier = traffic.dependency_E[first[flow] : first[flow + 1]]
        same_round = earlier[round_F[earlier] == round_F[flow]]
        barrier = waits_for_F[flow : flow + 1]
        depends[position_F[flow]] = np.concatenate([position_F[same_round], barrier[barrier >= 0]])
    for r, join in enumerate(join_R.tolist()):
        depends[join] = members_R[r]

    def spread(values_F: NDArray[np.signedinteger], filler: int) -> IntArray:
        column = np.full(num_flows, filler, dtype=np.int64)
        column[position_F] = values_F
        return column

    sizes = np.zeros(num_flows)
    sizes[position_F] = traffic.size_bytes_F
    # A channel that would send a later round first has nothing to say any more.
    earlier_F = traffic.previous_F
    keeps_F = (earlier_F >= 0) & (round_F[earlier_F] <= round_F)
    previous = np.where(keeps_F, position_F[earlier_F], -1)
    rows = _moved(traffic.first_link_F1, position_F, num_flows)
    payload = _moved(traffic.first_payload_F1, position_F, num_flows)
    die = int(traffic.source_F[0]) if traffic.num_flows else 0
    return Synchronised(
        traffic=replace(
            traffic,
            source_F=spread(traffic.source_F, die).astype(np.int32),
            destination_F=spread(traffic.destination_F, die).astype(np.int32),
            size_bytes_F=sizes,
            phase_F=spread(traffic.phase_F, 0).astype(np.int16),
            first_link_F1=rows.first_F1,
            link_H=traffic.link_H[rows.row_H],
            first_dependency_F1=np.concatenate([[0], np.cumsum([d.size for d in depends])]),
            dependency_E=np.concatenate([np.empty(0), *depends]).astype(np.int32),
            previous_F=spread(previous, -1).astype(np.int32),
            first_payload_F1=payload.first_F1,
            read_P=traffic.read_P[payload.row_H],
            write_P=traffic.write_P[payload.row_H],
            count_P=traffic.count_P[payload.row_H],
            action_P=traffic.action_P[payload.row_H],
            receiver_P=traffic.receiver_P[payload.row_H],
        ),
        position_F=position_F,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """Offsets of the new flows, and the old row that each new row is."""

    first_F1: IntArray
    row_H: IntArray


def _moved(first_F1: IntArray, position_F: IntArray, num_flows: int) -> _Rows:
    number = np.zeros(num_flows, dtype=np.int64)
    number[position_F] = np.diff(first_F1)
    start = np.zeros(num_flows, dtype=np.int64)
    start[position_F] = first_F1[:-1]
    new_first = np.concatenate([[0], np.cumsum(number)])
    within = np.arange(int(new_first[-1])) - np.repeat(new_first[:-1], number)
    return _Rows(first_F1=new_first, row_H=np.repeat(start, number) + within)
