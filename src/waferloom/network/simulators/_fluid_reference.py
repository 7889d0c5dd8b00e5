"""The fluid simulator in plain Python, with exact fractions, written to be believed."""

from fractions import Fraction

from waferloom.network.topology import Topology
from waferloom.network.traffic import Traffic


def max_min_rates(
    links_of: dict[int, list[int]], bandwidth: dict[int, Fraction]
) -> dict[int, Fraction]:
    """Return the rates at which no flow can gain without one that has no more losing."""
    rates: dict[int, Fraction] = {}
    free = dict(bandwidth)
    while len(rates) < len(links_of):
        share = {
            link: free[link] / number
            for link in free
            if (number := sum(link in links_of[f] for f in links_of if f not in rates))
        }
        tightest = min(share, key=lambda link: share[link])
        for f, links in links_of.items():
            if f not in rates and tightest in links:
                rates[f] = share[tightest]
                for link in links:
                    free[link] -= share[tightest]
    return rates


def arrivals(topology: Topology, traffic: Traffic) -> list[Fraction]:
    """Return the exact arrival time of every flow on paths (not trees)."""
    links_of = {
        f: [int(h) for h in traffic.link_H[a:b]]
        for f, (a, b) in enumerate(
            zip(traffic.first_link_F1[:-1], traffic.first_link_F1[1:], strict=True)
        )
    }
    latency = {
        f: sum((Fraction(float(topology.latency_s_L[h])) for h in links), Fraction(0))
        for f, links in links_of.items()
    }
    used = {h for links in links_of.values() for h in links}
    bandwidth = {h: Fraction(float(topology.bandwidth_bytes_per_s_L[h])) for h in used}
    left = {f: Fraction(float(traffic.size_bytes_F[f])) for f in links_of}
    needs = {f: {int(e) for e in traffic.dependencies(f)} for f in links_of}
    arrived: dict[int, Fraction] = {}
    sent: set[int] = set()
    now = Fraction(0)
    while len(sent) < len(links_of):
        started = {
            f
            for f in links_of
            if f not in sent
            and all(e in arrived and arrived[e] <= now for e in needs[f])
            and (traffic.previous_F[f] < 0 or int(traffic.previous_F[f]) in sent)
        }
        free = [f for f in started if not links_of[f] or left[f] == 0]
        for f in free:
            sent.add(f)
            arrived[f] = now + latency[f]
        if free:
            continue
        rates = max_min_rates({f: links_of[f] for f in started}, bandwidth)
        steps = [left[f] / rates[f] for f in started]
        steps += [time - now for time in arrived.values() if time > now]
        step = min(steps)
        now += step
        for f in started:
            left[f] -= rates[f] * step
            if left[f] == 0:
                sent.add(f)
                arrived[f] = now + latency[f]
    return [arrived[f] for f in links_of]
