"""All-to-all of uneven parts: each member says how much it has for each other."""

import numpy as np

from waferloom.network.routing import ROUTING
from waferloom.network.topology import IntArray, Topology
from waferloom.network.traffic import Traffic, TrafficBuilder


def all_to_all_v_traffic(
    topology: Topology,
    members: IntArray,
    count_NN: IntArray,
    slot_bytes: float,
    *,
    routing: str = "xy",
) -> Traffic:
    """Return the flows of one exchange, such as the dispatch of a mixture of experts.

    A member's buffer begins with what it sends, part by part in the order of the receivers, the own
    part included; what it receives follows from slot `count_NN.sum(axis=1).max()` on, in the order
    of the senders. Merge the traffics of several groups with `merged`.

    Args:
        topology: Where.
        members: Dies, N of them.
        count_NN: Slots that the row's member has for the column's; axes: sender, receiver. The
            diagonal stays where it is.
        slot_bytes: Bytes of a slot, such as one token's activations.
        routing: A key of `ROUTING`.

    Raises:
        ValueError: Counts that are negative or not one per pair of members.
        RoutingError: Two members are not connected.
    """
    n = members.size
    if count_NN.shape != (n, n):
        msg = f"{n} members need counts of shape ({n}, {n}), found {count_NN.shape}"
        raise ValueError(msg)
    if (count_NN < 0).any():
        msg = f"counts must not be negative, found {int(count_NN.min())}"
        raise ValueError(msg)
    read_NN = np.cumsum(count_NN, axis=1) - count_NN
    landing = int(count_NN.sum(axis=1).max(initial=0))
    write_NN = landing + np.cumsum(count_NN, axis=0) - count_NN
    builder = TrafficBuilder(topology, ROUTING[routing])
    # Sender i turns first to member i + 1, then to i + 2, ...: no two meet at a receiver.
    turn, sender = np.divmod(np.arange(n * (n - 1)), max(n, 1))
    receiver = (sender + turn + 1) % max(n, 1)
    has_any = count_NN[sender, receiver] > 0
    sender, receiver = sender[has_any], receiver[has_any]
    count = count_NN[sender, receiver]
    builder.add(
        members[sender],
        members[receiver],
        slot_bytes * count,
        read=read_NN[sender, receiver],
        write=write_NN[sender, receiver],
        count=count,
        phase="exchange",
    )
    return builder.build(landing + int(count_NN.sum(axis=0).max(initial=0)))
