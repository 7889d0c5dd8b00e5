"""The packet simulator in plain Python: units, virtual channels and flits as objects.

Follows the six steps listed in `_packet_kernel`, one cycle after another, without skipping any.
"""

from collections import deque
from dataclasses import dataclass, field

from waferloom.network.simulators._packet_kernel import Messages, Router


@dataclass(slots=True, eq=False)
class Packet:
    """A packet: whose it is, how many flits are still at the source, how far its head is."""

    flow: int
    num_flits: int
    unsent: int
    links_crossed: int = 0


@dataclass(slots=True, eq=False)
class Flit:
    """One flit of a packet."""

    packet: Packet
    is_head: bool
    is_tail: bool


@dataclass(slots=True, eq=False)
class Channel:
    """A virtual channel of a unit: its buffer and, while a packet passes, where that goes."""

    buffer: deque[Flit] = field(default_factory=deque[Flit])
    output: int | None = None
    output_vc: int = 0
    is_active: bool = False
    since: int = 0


class Simulation:
    """All state of one run; see `_packet_kernel` for the rules and for the arguments."""

    def __init__(self, messages: Messages, router: Router) -> None:
        """Start with nothing offered and all buffers empty."""
        self.messages, self.router = messages, router
        units, links, vcs = router.num_units, router.num_links, router.num_vcs
        self.flows = range(len(messages.num_flits_F))
        self.channels = [[Channel() for _ in range(vcs)] for _ in range(units)]
        self.credits = [[router.buffer_flits] * vcs for _ in range(units)]
        self.flying: list[deque[tuple[int, Flit, int]]] = [deque() for _ in range(units)]
        self.returning: list[deque[tuple[int, int]]] = [deque() for _ in range(units)]
        self.taken: set[tuple[int, int]] = set()
        self.link_free = [0.0] * links
        self.next_vc = [0] * links
        self.queues: list[deque[int]] = [deque() for _ in range(units)]
        self.sending: list[Packet | None] = [None] * units
        self.inject_vc = [0] * units
        self.unsent = [int(number) for number in messages.num_flits_F]
        self.undelivered = list(self.unsent)
        self.grant = [0] * router.num_outputs
        self.accept = [0] * units
        self.turn = [0] * units
        first = messages.first_dependency_F1
        self.waits = [int(first[f + 1] - first[f]) for f in self.flows]
        for f in self.flows:
            if messages.next_F[f] >= 0:
                self.waits[int(messages.next_F[f])] += 1
        self.start = [int(cycle) for cycle in messages.release_F]
        self.finish: list[int | None] = [None for _ in self.flows]
        self.offered: set[int] = set()

    def run(self, last_cycle: int) -> tuple[list[int], list[int]]:
        """Return the cycles in which messages are offered and arrive.

        Raises:
            RuntimeError: Not all have arrived by `last_cycle`.
        """
        for now in range(last_cycle):
            done = [cycle for cycle in self.finish if cycle is not None]
            if len(done) == len(self.flows):
                return self.start, done
            self.take_in(now)
            self.offer(now)
            self.inject(now)
            self.allocate_channels(now)
            self.move(self.allocate_switch(now), now)
        msg = f"not finished after {last_cycle} cycles"
        raise RuntimeError(msg)

    def arrived(self, f: int, cycle: int) -> None:
        """Note an arrival, and whom it lets start."""
        self.finish[f] = cycle
        first = self.messages.first_follower_F1
        for g in (int(self.messages.follower_E[e]) for e in range(first[f], first[f + 1])):
            self.waits[g] -= 1
            self.start[g] = max(self.start[g], cycle)

    def sent(self, f: int, cycle: int) -> None:
        """Note that a message has left its source, and whom that lets start."""
        g = int(self.messages.next_F[f])
        if g >= 0:
            self.waits[g] -= 1
            self.start[g] = max(self.start[g], cycle)

    def take_in(self, now: int) -> None:
        """Step 1."""
        for u, channels in enumerate(self.channels):
            while self.flying[u] and self.flying[u][0][0] <= now:
                _, flit, v = self.flying[u].popleft()
                channels[v].buffer.append(flit)
            while self.returning[u] and self.returning[u][0][0] <= now:
                self.credits[u][self.returning[u].popleft()[1]] += 1

    def offer(self, now: int) -> None:
        """Step 2: by time, then by number, including those that follow a join at once."""
        while ready := sorted(
            (self.start[f], f)
            for f in self.flows
            if f not in self.offered and self.waits[f] == 0 and self.start[f] <= now
        ):
            f = ready[0][1]
            self.offered.add(f)
            if self.messages.num_flits_F[f] == 0:
                self.arrived(f, self.start[f])
                self.sent(f, self.start[f])
            else:
                self.queues[int(self.messages.inject_F[f])].append(f)

    def inject(self, now: int) -> None:
        """Step 3."""
        vcs = self.router.num_vcs
        for u in range(self.router.num_links, self.router.num_units):
            if self.sending[u] is None and self.queues[u]:
                order = [(self.inject_vc[u] + 1 + k) % vcs for k in range(vcs)]
                open_vcs = [v for v in order if self.credits[u][v] > 0]
                if open_vcs:
                    self.inject_vc[u] = open_vcs[0]
                    self.sending[u] = self.next_packet(u)
            packet, v = self.sending[u], self.inject_vc[u]
            if packet is None or self.credits[u][v] == 0:
                continue
            is_head = packet.unsent == packet.num_flits
            packet.unsent -= 1
            flit = Flit(packet, is_head=is_head, is_tail=packet.unsent == 0)
            self.flying[u].append((now + int(self.router.delay_U[u]), flit, v))
            self.credits[u][v] -= 1
            if flit.is_tail:
                self.sending[u] = None
                if self.unsent[packet.flow] == 0:
                    self.sent(packet.flow, now)

    def next_packet(self, u: int) -> Packet:
        """Cut a packet from the message at the front of a port's queue; the rest goes last."""
        f = self.queues[u].popleft()
        size = min(self.unsent[f], self.router.packet_flits)
        self.unsent[f] -= size
        if self.unsent[f]:
            self.queues[u].append(f)
        return Packet(f, num_flits=size, unsent=size)

    def allocate_channels(self, now: int) -> None:
        """Step 4."""
        units, vcs, links = self.router.num_units, self.router.num_vcs, self.router.num_links
        first = self.messages.first_link_F1
        for u in ((now + k) % units for k in range(units)):
            for channel in (self.channels[u][(now + j) % vcs] for j in range(vcs)):
                if channel.is_active or not channel.buffer:
                    continue
                packet = channel.buffer[0].packet
                hop = int(first[packet.flow]) + packet.links_crossed
                if hop == first[packet.flow + 1]:
                    port = int(self.messages.eject_F[packet.flow])
                    channel.output = links + u if port < 0 else port
                    channel.is_active, channel.since = True, now + 1
                    continue
                link = int(self.messages.link_H[hop])
                low, high = int(self.messages.low_vc_H[hop]), int(self.messages.high_vc_H[hop])
                number = high - low
                for w in (low + (self.next_vc[link] + i) % number for i in range(number)):
                    if (link, w) not in self.taken:
                        self.taken.add((link, w))
                        self.next_vc[link] = w - low + 1
                        channel.output, channel.output_vc = link, w
                        channel.is_active, channel.since = True, now + 1
                        break

    def allocate_switch(self, now: int) -> dict[int, tuple[int, int]]:
        """Step 5: return the (output, VC) that each winning unit sends from and to."""
        units, vcs = self.router.num_units, self.router.num_vcs
        requests: dict[int, list[tuple[int, int]]] = {}
        for u, channels in enumerate(self.channels):
            for v, channel in enumerate(channels):
                if channel.is_active and channel.buffer and channel.since <= now:
                    output = channel.output
                    assert output is not None
                    if output < self.router.num_links and (
                        self.credits[output][channel.output_vc] == 0 or self.link_free[output] > now
                    ):
                        continue
                    requests.setdefault(output, []).append((u, v))
        granted: dict[int, list[tuple[int, int]]] = {}
        for output, asking in requests.items():
            _, _, u, v = min(
                ((u - self.grant[output]) % units, (v - self.turn[u]) % vcs, u, v)
                for u, v in asking
            )
            granted.setdefault(u, []).append((output, v))
        outputs = self.router.num_outputs
        return {
            u: min(offers, key=lambda offer: (offer[0] - self.accept[u]) % outputs)
            for u, offers in granted.items()
        }

    def move(self, winners: dict[int, tuple[int, int]], now: int) -> None:
        """Step 6."""
        for u, (output, v) in winners.items():
            self.grant[output], self.accept[u], self.turn[u] = u + 1, output + 1, v + 1
            channel = self.channels[u][v]
            flit = channel.buffer.popleft()
            self.returning[u].append((now + self.router.credit_delay, v))
            if output < self.router.num_links:
                w = channel.output_vc
                self.credits[output][w] -= 1
                since = self.link_free[output] if now - self.link_free[output] < 1.0 else now
                self.link_free[output] = since + float(self.router.flit_cycles_L[output])
                self.flying[output].append((now + int(self.router.delay_U[output]), flit, w))
                flit.packet.links_crossed += flit.is_head
                if flit.is_tail:
                    self.taken.discard((output, w))
            else:
                f = flit.packet.flow
                self.undelivered[f] -= 1
                if self.undelivered[f] == 0:
                    self.arrived(f, now + self.router.eject_delay)
            if flit.is_tail:
                channel.is_active, channel.output = False, None


def arrivals(
    messages: Messages, router: Router, last_cycle: int = 20_000
) -> tuple[list[int], list[int]]:
    """Return the cycles in which messages are offered and arrive."""
    return Simulation(messages, router).run(last_cycle)
