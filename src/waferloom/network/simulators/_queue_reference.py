"""The queueing simulator in plain Python: one object per message and link, no arrays of state."""

import heapq
from collections.abc import Callable
from itertools import count

from waferloom.network.topology import Topology
from waferloom.network.traffic import Traffic


def arrivals(
    topology: Topology, traffic: Traffic, *, overhead_s: float = 0.0, stores: bool = False
) -> list[float]:
    """Return the arrival time of every flow on paths (not trees)."""
    order = count()
    agenda: list[tuple[float, int, Callable[[float], None]]] = []
    free = [0.0] * topology.num_links
    arrived: dict[int, float] = {}
    missing = {
        f: len(traffic.dependencies(f)) + int(traffic.previous_F[f] >= 0)
        for f in range(traffic.num_flows)
    }
    sent: dict[int, float] = {}

    def at(time: float, action: Callable[[float], None]) -> None:
        heapq.heappush(agenda, (time, next(order), action))

    def one_less(later: int) -> None:
        """Count down what a flow waits for; offer it when nothing is left."""
        missing[later] -= 1
        if missing[later] == 0:
            times = [arrived[int(e)] for e in traffic.dependencies(later)]
            if traffic.previous_F[later] >= 0:
                times.append(sent[int(traffic.previous_F[later])])
            at(max(times), lambda now: ask(later, 0, now, 0.0))

    def send(f: int, time: float) -> None:
        sent[f] = time
        for later in range(traffic.num_flows):
            if traffic.previous_F[later] == f:
                one_less(later)

    def arrive(f: int, time: float) -> None:
        arrived[f] = time
        for later in range(traffic.num_flows):
            if f in traffic.dependencies(later):
                one_less(later)

    def ask(f: int, hop: int, time: float, upstream_end: float) -> None:
        """Ask for the next link now, or arrive; the bytes before it end at `upstream_end`."""
        links = traffic.link_H[traffic.first_link_F1[f] : traffic.first_link_F1[f + 1]]
        if hop == len(links):
            send(f, time)
            arrive(f, time)
            return
        at(time, lambda now: take(f, [int(link) for link in links], hop, now, upstream_end))

    def take(f: int, links: list[int], hop: int, now: float, upstream_end: float) -> None:
        link = links[hop]
        begin = max(now, free[link])
        sending = float(traffic.size_bytes_F[f]) / float(topology.bandwidth_bytes_per_s_L[link])
        end = max(begin + sending, upstream_end)
        free[link] = end
        if hop == 0:
            send(f, end)
        delay = float(topology.latency_s_L[link])
        if hop + 1 == len(links):
            arrive(f, end + delay + overhead_s)
        else:
            ask(f, hop + 1, (end if stores else begin) + delay, end + delay)

    for f, number in missing.copy().items():
        if number == 0:
            at(0.0, lambda now, flow=f: ask(flow, 0, now, 0.0))
    while agenda:
        now, _, action = heapq.heappop(agenda)
        action(now)
    return [arrived[f] for f in range(traffic.num_flows)]
