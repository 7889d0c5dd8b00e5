"""The lower bound in plain Python, written to be believed."""

from functools import cache

from waferloom.network.topology import Topology
from waferloom.network.traffic import Traffic


def bound_s(topology: Topology, traffic: Traffic) -> tuple[float, float]:
    """Return (longest dependent chain, latest end of a link's work) in seconds."""
    routes = {
        f: [
            int(link)
            for link in traffic.link_H[traffic.first_link_F1[f] : traffic.first_link_F1[f + 1]]
        ]
        for f in range(traffic.num_flows)
    }
    bandwidth = topology.bandwidth_bytes_per_s_L
    latency = topology.latency_s_L
    followers: dict[int, list[int]] = {f: [] for f in routes}
    for f in routes:
        for before in traffic.dependencies(f):
            followers[int(before)].append(f)

    def way_in(f: int, link: int) -> float:
        """Latency from the source to the beginning of a link, back along the route's tree."""
        node = int(topology.source_L[link])
        if node == int(traffic.source_F[f]):
            return 0.0
        before = next(h for h in routes[f] if int(topology.destination_L[h]) == node)
        return way_in(f, before) + float(latency[before])

    def way_out(f: int, link: int) -> float:
        """Latency from the end of a link to the furthest leaf behind it."""
        node = int(topology.destination_L[link])
        after = [h for h in routes[f] if int(topology.source_L[h]) == node]
        return max((float(latency[h]) + way_out(f, h) for h in after), default=0.0)

    def alone(f: int) -> float:
        """Time of a flow that shares its links with nothing."""
        size = float(traffic.size_bytes_F[f])
        reach = max((way_in(f, h) + float(latency[h]) for h in routes[f]), default=0.0)
        return reach + max((size / float(bandwidth[h]) for h in routes[f]), default=0.0)

    @cache
    def start(f: int) -> float:
        return max((start(int(e)) + alone(int(e)) for e in traffic.dependencies(f)), default=0.0)

    @cache
    def tail(f: int) -> float:
        return max((alone(later) + tail(later) for later in followers[f]), default=0.0)

    chain = max((start(f) + alone(f) for f in routes), default=0.0)
    users: dict[int, list[int]] = {}
    for f, links in routes.items():
        if traffic.size_bytes_F[f] > 0:
            for link in links:
                users.setdefault(link, []).append(f)
    busiest = 0.0
    for link, flows in users.items():
        total = sum(float(traffic.size_bytes_F[f]) for f in flows) / float(bandwidth[link])
        before = min(start(f) for f in flows)
        after = min(way_out(f, link) + tail(f) for f in flows)
        busiest = max(busiest, before + float(latency[link]) + total + after)
    return chain, busiest
