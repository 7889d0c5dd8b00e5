"""Streams on dies: replayed they are the dense product, simulated they take their closed forms."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waferloom.errors import RoutingError
from waferloom.hardware.spec import (
    CoreArraySpec,
    DefectMap,
    DieSpec,
    Interconnect,
    LinkSpec,
    MemorySpec,
    MeshSpec,
    Source,
    SystemSpec,
    TorusSpec,
)
from waferloom.mapping.stream_lowering import StreamTraffic, lower_stream, stream_positions
from waferloom.network.interpreter import interpret
from waferloom.network.routing import ROUTING
from waferloom.network.simulators import SIMULATORS, Switching
from waferloom.network.simulators.queue import QueueModel
from waferloom.network.topology import Topology, build_topology
from waferloom.parallel.streams import STREAMS, Arrangement, Movement, StreamTable
from waferloom.parallel.streams.latency import (
    StreamRound,
    gather_s,
    naive_ring_asynchronous_s,
    naive_ring_barrier_s,
    naive_ring_cut_through_s,
    one_hop_s,
    split_ring_s,
)
from waferloom.parallel.streams.modes import STREAMED, GemmPass, Operand, StreamMode

LINK = LinkSpec(bandwidth_bytes_per_s=4e12, latency_s=200e-9, energy_j_per_byte=4e-11)
PIECE_BYTES = 3e6
SIZES = [pytest.param(n, marks=[pytest.mark.slow] if n > 20 else []) for n in range(2, 65)]
BLOCKS = [(rows, cols) for rows in range(1, 9) for cols in range(1, 9) if rows * cols > 1]


def topology_of(interconnect: Interconnect, dead_dies: tuple[tuple[int, int], ...] = ()):
    die = DieSpec(
        name="die",
        peak_flops_per_s={"bf16": 1e14},
        vector_flops_per_s=1e13,
        sram_bytes=1e8,
        clock_hz=1e9,
        cores=CoreArraySpec(rows=4, cols=4, tile_shapes=((16, 16),), sram_bytes=1e6),
        memory=MemorySpec(capacity_bytes=1e10, bandwidth_bytes_per_s=1e12),
    )
    return build_topology(
        SystemSpec(
            name="test system",
            die=die,
            interconnect=interconnect,
            defects=DefectMap(dead_dies=dead_dies),
            source=(Source(title="test"),),
        )
    )


@cache
def mesh(rows: int, cols: int, dead_dies: tuple[tuple[int, int], ...] = ()) -> Topology:
    return topology_of(MeshSpec(kind="mesh", rows=rows, cols=cols, link=LINK), dead_dies)


@cache
def torus(n: int) -> Topology:
    return topology_of(TorusSpec(kind="torus", shape=(1, n), link=LINK))


def dies_of(name: str, rows: int, cols: int) -> list[int] | None:
    """The dies of a block that is the whole mesh, in the order of the schedule."""
    positions = stream_positions(STREAMS[name].arrangement, rows, cols)
    return positions and [die.row * cols + die.col for die in positions]


def on_line(name: str, n: int) -> tuple[Topology, list[int], StreamTable]:
    """A schedule on a row of dies; rings on two rows, or on a torus where their number is odd."""
    is_ring = STREAMS[name].arrangement is Arrangement.CYCLE
    if is_ring and n % 2:
        return torus(n), list(range(n)), STREAMS[name].table(n)
    rows, cols = (2, n // 2) if is_ring else (1, n)
    dies = dies_of(name, rows, cols)
    assert dies is not None
    return mesh(rows, cols), dies, STREAMS[name].table(n, rows)


@lru_cache(maxsize=2)
def lowered_on_line(name: str, n: int, movement: Movement) -> StreamTraffic:
    topology, dies, table = on_line(name, n)
    way = table if movement is Movement.GATHER else table.reversed()
    return lower_stream(topology, dies, way, PIECE_BYTES, reuse=True)


Blocks = list[list[np.ndarray]]


def start_of(
    lowered: StreamTraffic, num_dies: int, shape: tuple[int, ...], dtype: type = np.int64
) -> np.ndarray:
    return np.zeros((num_dies, lowered.slots.num_slots, *shape), dtype=dtype)


def visited(
    lowered: StreamTraffic,
    dies: Sequence[int],
    num_dies: int,
    pieces: Blocks,
    order: np.random.Generator | None,
) -> Callable[[int, int, int], np.ndarray]:
    """Replay a gather; return what a position had at hand when it used a part of a piece."""
    start = start_of(lowered, num_dies, pieces[0][0].shape, pieces[0][0].dtype)
    for d, parts in enumerate(pieces):
        for part, block in enumerate(parts):
            start[dies[d], lowered.slots.own(part)] = block
    end = interpret(lowered.traffic, start, order=order)
    return lambda d, j, part: end[dies[d], lowered.slots.work(j, part)]


def reduced(
    lowered: StreamTraffic,
    dies: Sequence[int],
    num_dies: int,
    share: Callable[[int, int, int], np.ndarray],
    order: np.random.Generator | None,
) -> Blocks:
    """Replay a reduce of the shares of every position; return the sums at their owners."""
    n, num_parts = len(dies), lowered.slots.num_parts
    example = share(0, 0, 0)
    start = start_of(lowered, num_dies, example.shape, example.dtype)
    for d in range(n):
        for j in range(n):
            for part in range(num_parts):
                start[dies[d], lowered.slots.work(j, part)] = share(d, j, part)
    end = interpret(lowered.traffic, start, order=order)
    return [[end[dies[j], lowered.slots.own(part)] for part in range(num_parts)] for j in range(n)]


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize(("rows", "cols"), BLOCKS)
def test_in_every_block_pieces_arrive_and_sums_come_home_over_links_that_exist(
    name: str, rows: int, cols: int
):
    dies = dies_of(name, rows, cols)
    if dies is None:
        assert STREAMS[name].arrangement == "cycle"
        assert rows * cols % 2 == 1 or min(rows, cols) == 1
        return
    table = STREAMS[name].table(rows * cols, rows)
    check_pieces_and_sums(mesh(rows, cols), dies, table, rng=None)


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_the_timing_four_buffers_are_enough_for_a_line(data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(STREAMS)))
    rows, cols = data.draw(st.sampled_from([block for block in BLOCKS if np.prod(block) <= 24]))
    dies = dies_of(name, rows, cols)
    if dies is None:
        return
    table = STREAMS[name].table(rows * cols, rows)
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    most = check_pieces_and_sums(mesh(rows, cols), dies, table, rng=rng, reuse=True)
    assert most <= table.num_parts * STREAMS[name].traits(rows * cols, rows).transient_pieces


def check_pieces_and_sums(
    topology: Topology,
    dies: list[int],
    table: StreamTable,
    rng: np.random.Generator | None,
    *,
    reuse: bool = False,
) -> int:
    """Gather numbers and reduce others; return the transient slots that this took."""
    n, num_parts = table.num_positions, table.num_parts
    values = np.random.default_rng(n).integers(1, 10**6, size=(n, n, num_parts, 1))
    gather = lower_stream(topology, dies, table, PIECE_BYTES, reuse=reuse)
    seen = visited(gather, dies, topology.num_dies, [list(parts) for parts in values[0]], rng)
    for d in range(n):
        for j in range(n):
            for part in range(num_parts):
                assert seen(d, j, part) == values[0, j, part]
    reduce = lower_stream(topology, dies, table.reversed(), PIECE_BYTES, reuse=reuse)
    sums = reduced(reduce, dies, topology.num_dies, lambda d, j, part: values[d, j, part], rng)
    assert (np.array(sums) == values.sum(axis=0)).all()
    assert reduce.slots == gather.slots
    return gather.slots.num_transient


def cut(matrix: np.ndarray, axis: int, n: int, num_parts: int) -> Blocks:
    return [np.split(block, num_parts, axis) for block in np.split(matrix, n, axis)]


def joined(blocks: Blocks, axis: int) -> np.ndarray:
    return np.concatenate([part for parts in blocks for part in parts], axis)


def streamed_gemm(
    name: str, n: int, mode: StreamMode, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (streamed, dense) results of forward, dgrad and wgrad."""
    topology, dies, table = on_line(name, n)
    parts = table.num_parts
    tokens, k, columns = 2 * n, 2 * n, 2 * n  # every dim can be cut into n pieces of two parts
    x = rng.integers(-9, 10, size=(tokens, k))
    w = rng.integers(-9, 10, size=(k, columns))
    dy = rng.integers(-9, 10, size=(tokens, columns))
    x_d, w_cols, w_rows = np.split(x, n), np.split(w, n, 1), np.split(w, n)
    x_cols, dy_d, dy_cols = np.split(x, n, 1), np.split(dy, n), np.split(dy, n, 1)

    blocks: dict[tuple[int, int], Blocks] = {}

    def block(matrix: np.ndarray, axis: int, j: int, part: int) -> np.ndarray:
        key = (id(matrix), axis)
        if key not in blocks:
            blocks[key] = cut(matrix, axis, n, parts)
        return blocks[key][j][part]

    def gather(matrix: np.ndarray, axis: int, gemm_pass: GemmPass, operand: Operand):
        streamed = STREAMED[mode, gemm_pass]
        assert (streamed.operand, streamed.movement) == (operand, Movement.GATHER)
        lowered = lowered_on_line(name, n, Movement.GATHER)
        seen = visited(lowered, dies, topology.num_dies, cut(matrix, axis, n, parts), rng)
        return [
            [
                (j, part, seen(d, j, part))
                for t in range(table.num_rounds)
                for part, j in enumerate(table.work[t][d])
                if j is not None
            ]
            for d in range(n)
        ]

    def reduce(share: Callable[..., np.ndarray], axis: int, gemm_pass: GemmPass, operand: Operand):
        streamed = STREAMED[mode, gemm_pass]
        assert (streamed.operand, streamed.movement) == (operand, Movement.REDUCE)
        lowered = lowered_on_line(name, n, Movement.REDUCE)
        return joined(reduced(lowered, dies, topology.num_dies, share, rng), axis)

    def in_place(pieces: list[tuple[int, int, np.ndarray]], axis: int) -> np.ndarray:
        """Put products of (piece, part) beside each other."""
        by_place = {(j, part): product for j, part, product in pieces}
        return np.concatenate([by_place[place] for place in sorted(by_place)], axis)

    match mode:
        case StreamMode.WEIGHTS:
            y = [
                in_place([(j, p, x_d[d] @ piece) for j, p, piece in pieces], 1)
                for d, pieces in enumerate(gather(w, 1, GemmPass.FORWARD, Operand.WEIGHT))
            ]
            dx = [
                sum(block(dy_d[d], 1, j, p) @ piece.T for j, p, piece in pieces)
                for d, pieces in enumerate(gather(w, 1, GemmPass.INPUT_GRADIENT, Operand.WEIGHT))
            ]
            dw = reduce(
                lambda d, j, p: x_d[d].T @ block(dy_d[d], 1, j, p),
                1,
                GemmPass.WEIGHT_GRADIENT,
                Operand.WEIGHT,
            )
            found = (np.concatenate(y), np.concatenate(dx), dw)
        case StreamMode.INPUTS:
            y = [
                in_place([(j, p, piece @ w_cols[d]) for j, p, piece in pieces], 0)
                for d, pieces in enumerate(gather(x, 0, GemmPass.FORWARD, Operand.INPUT))
            ]
            dx = reduce(
                lambda d, j, p: block(dy_cols[d], 0, j, p) @ w_cols[d].T,
                0,
                GemmPass.INPUT_GRADIENT,
                Operand.INPUT,
            )
            dw = [
                sum(piece.T @ block(dy_cols[d], 0, j, p) for j, p, piece in pieces)
                for d, pieces in enumerate(gather(x, 0, GemmPass.WEIGHT_GRADIENT, Operand.INPUT))
            ]
            found = (np.concatenate(y, 1), dx, np.concatenate(dw, 1))
        case StreamMode.OUTPUTS:
            y = reduce(
                lambda d, j, p: block(x_cols[d], 0, j, p) @ w_rows[d],
                0,
                GemmPass.FORWARD,
                Operand.OUTPUT,
            )
            dx = [
                in_place([(j, p, piece @ w_rows[d].T) for j, p, piece in pieces], 0)
                for d, pieces in enumerate(gather(dy, 0, GemmPass.INPUT_GRADIENT, Operand.OUTPUT))
            ]
            dw = [
                sum(block(x_cols[d], 0, j, p).T @ piece for j, p, piece in pieces)
                for d, pieces in enumerate(gather(dy, 0, GemmPass.WEIGHT_GRADIENT, Operand.OUTPUT))
            ]
            found = (y, np.concatenate(dx, 1), np.concatenate(dw))
    return list(zip(found, (x @ w, dy @ w.T, x.T @ dy), strict=True))


@pytest.mark.parametrize("mode", StreamMode)
@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("n", [2, 3, 4, 5, 7, 8, 12])
def test_every_mode_of_every_schedule_is_the_dense_product_and_its_gradients(
    name: str, n: int, mode: StreamMode
):
    for streamed, dense in streamed_gemm(name, n, mode, np.random.default_rng(n)):
        assert (streamed == dense).all()


@pytest.mark.parametrize("n", SIZES)
def test_a_line_of_any_length_is_the_dense_product_and_its_gradients_in_every_mode(n: int):
    for mode in StreamMode:
        for streamed, dense in streamed_gemm("line", n, mode, np.random.default_rng(n)):
            assert (streamed == dense).all()


@pytest.mark.parametrize("name", [name for name in STREAMS if name != "line"])
@pytest.mark.parametrize("n", SIZES)
def test_for_every_number_of_positions_the_stream_is_the_dense_product_and_its_gradients(
    name: str, n: int
):
    """One mode for each number, in turn: all of them at every number would take minutes."""
    mode = list(StreamMode)[n % 3]
    for streamed, dense in streamed_gemm(name, n, mode, np.random.default_rng(n)):
        assert (streamed == dense).all()


def test_sums_of_floats_stay_within_rounding_whatever_the_timing():
    topology, dies, table = on_line("line", 9)
    lowered = lower_stream(topology, dies, table.reversed(), PIECE_BYTES, reuse=True)
    shares = np.random.default_rng(1).normal(size=(9, 9, 6))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        sums = reduced(lowered, dies, topology.num_dies, lambda d, j, part: shares[d, j], rng)
        assert np.array(sums)[:, 0] == pytest.approx(shares.sum(axis=0), rel=1e-12, abs=1e-12)


def step_of(n: int, compute_s: float = 0.0) -> StreamRound:
    return StreamRound(
        num_positions=n,
        compute_s=compute_s,
        piece_bytes=PIECE_BYTES,
        bandwidth_bytes_per_s=LINK.bandwidth_bytes_per_s,
        latency_s=LINK.latency_s,
    )


@pytest.mark.parametrize("n", [2, 4, 6, 8, 16])
@pytest.mark.parametrize("movement", Movement)
def test_with_barriers_the_simulators_take_what_the_closed_forms_say(n: int, movement: Movement):
    store_and_forward = QueueModel(switching=Switching.STORE_AND_FORWARD)
    cut_through = [SIMULATORS["fluid"], SIMULATORS["queue"]]
    for name, simulators, closed_form in (
        ("line", [store_and_forward, *cut_through], one_hop_s),
        ("ring", [store_and_forward, *cut_through], one_hop_s),
        ("split_ring", cut_through, split_ring_s),
        ("naive_ring", [store_and_forward], naive_ring_barrier_s),
        ("naive_ring", cut_through, naive_ring_cut_through_s),
    ):
        topology, dies, table = on_line(name, n)
        if movement is Movement.REDUCE:
            table = table.reversed()
        lowered = lower_stream(topology, dies, table, PIECE_BYTES, barrier_per_round=True)
        for simulator in simulators:
            times = simulator.run(topology, lowered.traffic)
            assert times.duration_s == pytest.approx(closed_form(step_of(n)), rel=1e-9), name


@pytest.mark.parametrize("n", [2, 3, 4, 7, 8, 16])
def test_without_barriers_products_wait_as_the_closed_form_of_the_naive_ring_says(n: int):
    """Arrivals from the store-and-forward simulator; dies multiply in order, one at a time."""
    topology, dies, table = on_line("naive_ring", n)
    traffic = lower_stream(topology, dies, table, PIECE_BYTES).traffic
    times = QueueModel(switching=Switching.STORE_AND_FORWARD).run(topology, traffic)
    for compute_s in (0.0, 0.3e-6, 0.9e-6, 1.1e-6, 5e-6, 50e-6):
        done = np.zeros(n)
        work = np.flatnonzero(traffic.phase_F == traffic.phases.index("work"))
        place = {die: d for d, die in enumerate(dies)}
        for flow in work:
            d = place[int(traffic.source_F[flow])]
            done[d] = max(done[d], times.finish_s_F[flow]) + compute_s
        expected = naive_ring_asynchronous_s(step_of(n, compute_s))
        assert done.max() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("piece_bytes", [6.4e4, 6.4e5])
@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize(("rows", "cols"), [(2, 2), (2, 4), (3, 4), (4, 4)])
def test_all_simulators_agree_on_how_long_the_sends_take(
    name: str, rows: int, cols: int, piece_bytes: float
):
    dies = dies_of(name, rows, cols)
    assert dies is not None
    topology, schedule, n = mesh(rows, cols), STREAMS[name], rows * cols
    traffic = lower_stream(topology, dies, schedule.table(n, rows), piece_bytes).traffic
    step, traits = replace(step_of(n), piece_bytes=piece_bytes), schedule.traits(n, rows)
    expected = gather_s(step, traits)
    least = max(traits.chain_hops * step.latency_s, traits.serial_pieces * step.piece_s)
    for simulator in SIMULATORS.values():
        duration_s = simulator.run(topology, traffic).duration_s
        assert duration_s <= expected * 1.001, simulator.name  # packets have a head and whole flits
        assert duration_s >= least * (1 - 1e-9), simulator.name
        if name != "grid":
            assert duration_s == pytest.approx(expected, rel=0.001), simulator.name


def test_bytes_on_links_are_the_piece_hops():
    for name, schedule in STREAMS.items():
        topology, dies, table = on_line(name, 8)
        for way in (table, table.reversed()):
            traffic = lower_stream(topology, dies, way, PIECE_BYTES).traffic
            hops = traffic.link_bytes_L(topology).sum() / PIECE_BYTES
            assert hops == pytest.approx(schedule.traits(8, table.rows).piece_hops)


def test_a_line_runs_on_any_path_of_a_damaged_mesh():
    topology = mesh(3, 3, ((1, 1),))
    dies = [0, 1, 2, 5, 8, 7, 6, 3]
    check_pieces_and_sums(topology, dies, STREAMS["line"].table(8), rng=None)
    check_pieces_and_sums(topology, dies, STREAMS["ring"].table(8), rng=None)


@settings(max_examples=30)
@given(data=st.data())
def test_a_line_runs_on_any_simple_path_over_links_of_the_mesh(data: st.DataObject):
    rows, cols = 4, 5
    path = [data.draw(st.integers(0, rows * cols - 1))]
    while True:
        row, col = divmod(path[-1], cols)
        around = [(row, col - 1), (row, col + 1), (row - 1, col), (row + 1, col)]
        dies = [r * cols + c for r, c in around if 0 <= r < rows and 0 <= c < cols]
        free = [die for die in dies if die not in path]
        if not free:
            break
        path.append(data.draw(st.sampled_from(free)))
    table = STREAMS["line"].table(len(path))
    check_pieces_and_sums(mesh(rows, cols), path, table, np.random.default_rng(1), reuse=True)
    traffic = lower_stream(mesh(rows, cols), path, table, PIECE_BYTES).traffic
    duration_s = SIMULATORS["fluid"].run(mesh(rows, cols), traffic).duration_s
    assert duration_s == pytest.approx(one_hop_s(step_of(len(path))), rel=1e-9)


def test_positions_apart_need_a_routing_policy():
    topology = mesh(2, 4)
    row_major = list(range(8))
    table = STREAMS["line"].table(8)
    with pytest.raises(RoutingError, match=r"die 3 at \(0, 3\) and die 4 at \(1, 0\)"):
        lower_stream(topology, row_major, table, PIECE_BYTES)
    lowered = lower_stream(topology, row_major, table, PIECE_BYTES, routing=ROUTING["xy"])
    pieces = [[np.array([j])] for j in range(8)]
    seen = visited(lowered, row_major, 8, pieces, None)
    assert all(seen(d, j, 0) == j for d in range(8) for j in range(8))


@pytest.mark.parametrize(
    ("dies", "piece_bytes", "reason"),
    [
        ([0, 1, 2], 1.0, "4 positions, found 3 dies"),
        ([0, 1, 2, 2], 1.0, "named twice"),
        ([0, 1, 2, 99], 1.0, "die 99 is not one of the 9"),
        ([0, 1, 4, 3], 1.0, "is dead"),
        ([0, 1, 2, 5], -1.0, "at least 0 bytes"),
        ([0, 1, 2, 5], float("nan"), "at least 0 bytes"),
    ],
)
def test_dies_that_cannot_run_a_schedule_are_refused_with_the_reason(
    dies: list[int], piece_bytes: float, reason: str
):
    with pytest.raises(ValueError, match=reason):
        lower_stream(mesh(3, 3, ((1, 1),)), dies, STREAMS["line"].table(4), piece_bytes)


def test_a_table_that_sends_what_is_not_there_is_refused():
    table = STREAMS["line"].table(4)
    with pytest.raises(ValueError, match="cannot be run"):
        lower_stream(
            mesh(1, 4),
            range(4),
            StreamTable(
                num_positions=4,
                arrangement=table.arrangement,
                work=table.work,
                sends=table.sends[1:],
            ),
            1.0,
        )
