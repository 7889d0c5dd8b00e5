"""Traffic keeps what was added, merges side by side, waits at barriers, and stays small."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_systems import LINK, mesh

from waferloom.communication import CollectiveKind
from waferloom.network import (
    Action,
    Switching,
    Synchronisation,
    Traffic,
    TrafficBuilder,
    all_to_all_v_traffic,
    build_topology,
    collective_traffic,
    interpret,
    merged,
    simulate_traffic,
)
from waferloom.network.synchronisation import round_of_each_flow, with_barriers

TOPOLOGY = build_topology(mesh(4, 5))
ALPHA, BETA = LINK.latency_s, LINK.bandwidth_bytes_per_s


def arrays(traffic: Traffic) -> dict[str, np.ndarray]:
    return {
        name: value
        for name in Traffic.__slots__
        if isinstance(value := getattr(traffic, name), np.ndarray)
    }


def test_flows_keep_their_columns_in_the_order_added():
    builder = TrafficBuilder(TOPOLOGY)
    first = builder.add(np.array([0, 5]), [1, 7], [10.0, 20.0], read=3, phase="one")
    second = builder.add(
        np.array([1]),
        [2],
        30.0,
        depends=[[0, 1, -1]],
        previous=first[0],
        read=[[0, 4]],
        write=[[8, -1]],
        count=[[2, 0]],
        action=Action.REDUCE,
        phase="two",
    )
    traffic = builder.build(num_slots=10)
    assert (first.tolist(), second.tolist()) == ([0, 1], [2])
    assert traffic.size_bytes_F.tolist() == [10.0, 20.0, 30.0]
    assert [traffic.phases[p] for p in traffic.phase_F] == ["one", "one", "two"]
    assert traffic.dependencies(2).tolist() == [0, 1]
    assert traffic.previous_F.tolist() == [-1, -1, 0]
    assert traffic.read_P.tolist() == [3, 3, 0]
    assert traffic.write_P.tolist() == [3, 3, 8]
    assert traffic.count_P.tolist() == [1, 1, 2]  # the padded row is gone
    assert traffic.action_P.tolist() == [0, 0, 1]
    assert traffic.receiver_P.tolist() == [1, 7, 2]
    assert np.diff(traffic.first_link_F1).tolist() == [1, 2, 1]


def test_bytes_on_links_are_bytes_times_hops():
    builder = TrafficBuilder(TOPOLOGY)
    builder.add(np.array([0, 0, 7]), [19, 4, 7], [3.0, 5.0, 11.0])
    assert builder.build(0).link_bytes_L(TOPOLOGY).sum() == 3 * 7 + 5 * 4


def test_two_flows_cannot_follow_the_same_one_in_a_channel():
    builder = TrafficBuilder(TOPOLOGY)
    builder.add(np.array([0]), 1, 1.0)
    builder.add(np.array([0, 0]), 1, 1.0, previous=0)
    with pytest.raises(ValueError, match="give each its own channel"):
        builder.build(0).next_in_channel_F()


def test_a_channel_sends_in_order_at_full_rate():
    builder = TrafficBuilder(TOPOLOGY)
    builder.add(np.array([0, 0, 0]), 1, 1e6, previous=[-1, 0, 1])
    times = simulate_traffic(TOPOLOGY, builder.build(0))
    assert times.finish_s_F == pytest.approx([n * 1e6 / BETA + ALPHA for n in (1, 2, 3)])


def test_a_multicast_loads_each_link_once_and_reaches_all():
    builder = TrafficBuilder(TOPOLOGY)
    receivers = np.array([[1, 2, 7, 12]])
    builder.add(np.array([0]), 12, 1e6, read=[[0] * 4], receivers=receivers)
    traffic = builder.build(num_slots=1)
    assert traffic.link_bytes_L(TOPOLOGY).tolist().count(1e6) == 4  # 0-1, 1-2, 2-7, 7-12
    assert traffic.link_bytes_L(TOPOLOGY).sum() == 4e6
    held = np.arange(20)[:, None] * 100
    assert interpret(traffic, held)[[0, 1, 2, 7, 12, 3], 0].tolist() == [0, 0, 0, 0, 0, 300]
    for simulator in ("bound", "queue", "fluid"):
        times = simulate_traffic(TOPOLOGY, traffic, simulator=simulator)
        assert times.duration_s == pytest.approx(4 * ALPHA + 1e6 / BETA)


def test_a_multicast_branches_where_routes_part():
    builder = TrafficBuilder(TOPOLOGY)
    builder.add(np.array([7]), 19, 1e6, read=[[0, 0]], receivers=np.array([[5, 19]]))
    traffic = builder.build(num_slots=1)
    for simulator in ("bound", "queue", "fluid"):
        times = simulate_traffic(TOPOLOGY, traffic, simulator=simulator)
        assert times.duration_s == pytest.approx(4 * ALPHA + 1e6 / BETA)


def test_merged_traffics_do_not_touch_each_other():
    parts = [
        collective_traffic(TOPOLOGY, np.array([dies]), kind, 1e6, algorithm=algorithm)
        for dies, kind, algorithm in (
            ([0, 1, 5, 6], CollectiveKind.ALL_REDUCE, "ring"),
            ([2, 3, 4], CollectiveKind.ALL_GATHER, "line"),
        )
    ]
    both = merged(parts)
    slots = parts[0].num_slots
    rng = np.random.default_rng(0)
    held = rng.integers(0, 1000, size=(20, both.num_slots))
    found = interpret(both, held, order=rng)
    assert (found[:, :slots] == interpret(parts[0], held[:, :slots])).all()
    assert (found[:, slots:] == interpret(parts[1], held[:, slots:])).all()
    alone = [simulate_traffic(TOPOLOGY, part).finish_s_F for part in parts]
    together = simulate_traffic(TOPOLOGY, both)
    assert together.finish_s_F == pytest.approx(np.concatenate(alone))  # they share no link
    assert both.phases == ("reduce", "gather")


@given(st.data())
def test_an_uneven_exchange_delivers_every_part(data: st.DataObject):
    members = np.array(data.draw(st.permutations(range(20))))[: data.draw(st.integers(1, 6))]
    n = members.size
    count = np.array(
        data.draw(st.lists(st.integers(0, 3), min_size=n * n, max_size=n * n))
    ).reshape(n, n)
    traffic = all_to_all_v_traffic(TOPOLOGY, members, count, 1e3)
    landing = int(count.sum(axis=1).max())
    held = np.random.default_rng(1).integers(1, 10**9, size=(20, max(traffic.num_slots, 1)))
    found = interpret(traffic, held, order=np.random.default_rng(2))
    for j, receiver in enumerate(members):
        at = landing
        for i, sender in enumerate(members):
            start = int(count[i, :j].sum())
            if i != j:
                sent = held[sender, start : start + count[i, j]]
                assert found[receiver, at : at + count[i, j]].tolist() == sent.tolist()
            at += count[i, j]
    off_diagonal = count.sum() - np.trace(count)
    assert traffic.size_bytes_F.sum() == 1e3 * off_diagonal


@pytest.mark.parametrize(
    ("count", "message"), [(np.zeros((2, 3)), r"shape \(3, 3\)"), (-np.eye(3), "negative")]
)
def test_impossible_counts_are_refused(count: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        all_to_all_v_traffic(TOPOLOGY, np.arange(3), count.astype(np.int64), 1.0)


@pytest.mark.parametrize("algorithm", ["ring", "line", "two_dimensional", "direct"])
def test_barriers_keep_the_values_and_never_save_time(algorithm: str):
    dies = np.arange(20)[None, :]
    traffic = collective_traffic(
        TOPOLOGY, dies, CollectiveKind.ALL_REDUCE, 4e6, algorithm=algorithm
    )
    synchronised = with_barriers(traffic)
    held = np.random.default_rng(5).integers(0, 1000, size=(20, traffic.num_slots))
    found = interpret(synchronised.traffic, held, order=np.random.default_rng(6))
    assert (found == interpret(traffic, held)).all()
    for name, column in arrays(traffic).items():
        if name in ("source_F", "destination_F", "size_bytes_F", "phase_F"):
            moved = getattr(synchronised.traffic, name)[synchronised.position_F]
            assert (moved == column).all()
    free = simulate_traffic(TOPOLOGY, traffic)
    barred = simulate_traffic(TOPOLOGY, traffic, synchronisation=Synchronisation.BARRIER_PER_ROUND)
    assert barred.duration_s >= free.duration_s * (1 - 1e-9)
    rounds = round_of_each_flow(traffic)
    for r in range(1, int(rounds.max()) + 1):
        last = barred.finish_s_F[rounds == r - 1].max()
        assert (barred.start_s_F[rounds == r] >= last * (1 - 1e-12)).all()


def test_a_naive_ring_on_a_row_takes_the_four_times_that_switching_and_barriers_give():
    """A one-way all-gather of 8 shards over 8 dies in a row, whose wrap is 7 links long."""
    topology = build_topology(mesh(1, 8))
    n, shard = 8, 1e6
    traffic = collective_traffic(
        topology,
        np.arange(n)[None, :],
        CollectiveKind.ALL_GATHER,
        n * shard,
        algorithm="one_way_ring",
        reorder=False,
    )
    hop = ALPHA + shard / BETA
    cases = {
        # Every round has the wrap in it, link by link or as a stream.
        (Switching.STORE_AND_FORWARD, Synchronisation.BARRIER_PER_ROUND): (n - 1) * (n - 1) * hop,
        (Switching.CUT_THROUGH, Synchronisation.BARRIER_PER_ROUND): (n - 1)
        * ((n - 1) * ALPHA + shard / BETA),
        # Each piece crosses the wrap once, so a piece that does waits for it once.
        (Switching.STORE_AND_FORWARD, Synchronisation.ASYNCHRONOUS): (n - 2 + n - 1) * hop,
        (Switching.CUT_THROUGH, Synchronisation.ASYNCHRONOUS): (n - 2) * hop
        + (n - 1) * ALPHA
        + shard / BETA,
    }
    for (switching, synchronisation), expected in cases.items():
        times = simulate_traffic(
            topology,
            traffic,
            simulator="queue",
            switching=switching,
            synchronisation=synchronisation,
        )
        assert times.duration_s == pytest.approx(expected, rel=1e-9)
        assert (times.switching, times.synchronisation) == (switching, synchronisation)


def test_unknown_simulators_and_switching_they_lack_are_refused():
    traffic = TrafficBuilder(TOPOLOGY).build(0)
    with pytest.raises(ValueError, match="did you mean fluid"):
        simulate_traffic(TOPOLOGY, traffic, simulator="fluit")
    with pytest.raises(ValueError, match="use queue"):
        simulate_traffic(TOPOLOGY, traffic, switching=Switching.STORE_AND_FORWARD)


@pytest.mark.parametrize("simulator", ["bound", "queue", "fluid", "packet"])
def test_no_traffic_takes_no_time(simulator: str):
    assert (
        simulate_traffic(
            TOPOLOGY, TrafficBuilder(TOPOLOGY).build(0), simulator=simulator
        ).duration_s
        == 0
    )


def test_buffers_that_are_too_small_are_refused():
    traffic = collective_traffic(
        TOPOLOGY, np.array([[0, 1]]), CollectiveKind.ALL_REDUCE, 1e6, algorithm="ring"
    )
    with pytest.raises(ValueError, match="4 slots, the buffers have 2"):
        interpret(traffic, np.zeros((20, 2)))


def test_a_million_flows_fit_in_two_hundred_megabytes():
    topology = build_topology(mesh(8, 8))
    rng = np.random.default_rng(0)
    number = 1_000_000
    builder = TrafficBuilder(topology)
    builder.add(
        rng.integers(0, 64, number),
        rng.integers(0, 64, number),
        1e3,
        depends=np.arange(number) - 1,
        read=0,
    )
    traffic = builder.build(num_slots=1)
    assert sum(column.nbytes for column in arrays(traffic).values()) < 200e6
