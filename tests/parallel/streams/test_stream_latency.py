"""Closed forms against numbers worked out beforehand, and against rounds played one by one."""

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waferloom.parallel.streams import STREAMS, StreamTable, trace
from waferloom.parallel.streams.latency import (
    StreamRound,
    folded_s,
    gather_s,
    hidden_tokens_per_die,
    largest_hidden_degree,
    naive_ring_asynchronous_s,
    naive_ring_barrier_s,
    naive_ring_cut_through_s,
    one_hop_s,
    round_dram_bytes,
    rounds_s,
    split_ring_s,
    stream_round,
)
from waferloom.parallel.streams.modes import GemmPass, GemmShape, StreamMode, streamed_bytes
from waferloom.parallel.streams.trace import sends_by_round

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden/streams.toml").read_text("utf-8"))
CLOSED_FORMS = {
    "one_hop_us": one_hop_s,
    "naive_ring_barrier_us": naive_ring_barrier_s,
    "naive_ring_asynchronous_us": naive_ring_asynchronous_s,
    "naive_ring_cut_through_us": naive_ring_cut_through_s,
    "split_ring_us": split_ring_s,
}
STEPS = st.builds(
    StreamRound,
    num_positions=st.integers(2, 16),
    compute_s=st.floats(1e-7, 1e-4),
    piece_bytes=st.floats(1e3, 1e9),
    bandwidth_bytes_per_s=st.floats(1e11, 1e13),
    latency_s=st.floats(0, 1e-5),
)


def round_of(golden: dict[str, Any]) -> StreamRound:
    return stream_round(
        GemmShape(
            num_tokens=golden["num_tokens"],
            in_features=golden["in_features"],
            out_features=golden["out_features"],
        ),
        golden["num_positions"],
        flops_per_s=1.8e15,
        element_bytes=2,
        bandwidth_bytes_per_s=golden["bandwidth_tb_per_s"] * 1e12,
        latency_s=200e-9,
    )


def half_a_digit(written: float) -> float:
    return 0.5 if isinstance(written, int) else 0.05


@pytest.mark.parametrize("golden", GOLDEN["latency"])
def test_times_are_those_worked_out_beforehand(golden: dict[str, Any]):
    step = round_of(golden)
    found = {
        "piece_mb": step.piece_bytes / 1e6,
        "compute_us": step.compute_s * 1e6,
        "hop_us": step.hop_s * 1e6,
    } | {key: closed_form(step) * 1e6 for key, closed_form in CLOSED_FORMS.items()}
    for key, value in found.items():
        assert value == pytest.approx(golden[key], rel=0, abs=half_a_digit(golden[key])), key


@pytest.mark.parametrize("golden", GOLDEN["dram"])
def test_memory_traffic_is_that_worked_out_beforehand(golden: dict[str, Any]):
    shape = GemmShape(
        num_tokens=16 * golden["num_tokens_per_die"], in_features=12288, out_features=49152
    )
    for key, piece_through_sram in (("expected_us", False), ("expected_through_sram_us", True)):
        moved = round_dram_bytes(shape, 16, element_bytes=2, piece_through_sram=piece_through_sram)
        assert moved / 1e12 * 1e6 == pytest.approx(golden[key], rel=0, abs=golden["abs_tol_us"])


def test_the_limits_of_hiding_are_those_worked_out_beforehand():
    """450 and 900 tokens per die; degrees of 27, 9.1 and 6.8 where the input is read anew."""
    for bandwidth, tokens in ((4e12, 450), (2e12, 900)):
        assert (
            hidden_tokens_per_die(
                flops_per_s=1.8e15, bandwidth_bytes_per_s=bandwidth, element_bytes=2
            )
            == tokens
        )
    for out_features, degree in ((49152, 27), (16384, 9.1), (12288, 6.8)):
        largest = largest_hidden_degree(
            GemmShape(num_tokens=10**9, in_features=1, out_features=out_features),
            flops_per_s=1.8e15,
            bandwidth_bytes_per_s=4e12,
            dram_bytes_per_s=1e12,
            element_bytes=2,
        )
        assert largest == pytest.approx(degree, abs=0.4 if degree == 27 else 0.05)
    by_links = largest_hidden_degree(
        GemmShape(num_tokens=7200, in_features=1, out_features=10**9),
        flops_per_s=1.8e15,
        bandwidth_bytes_per_s=4e12,
        dram_bytes_per_s=1e12,
        element_bytes=2,
    )
    assert by_links == 16


def test_at_the_limit_a_product_lasts_as_long_as_its_piece():
    tokens = hidden_tokens_per_die(flops_per_s=1.8e15, bandwidth_bytes_per_s=4e12, element_bytes=2)
    step = stream_round(
        GemmShape(num_tokens=round(8 * tokens), in_features=4096, out_features=16384),
        8,
        flops_per_s=1.8e15,
        element_bytes=2,
        bandwidth_bytes_per_s=4e12,
        latency_s=0.0,
    )
    assert step.compute_s == pytest.approx(step.hop_s, rel=1e-12)


def rounds_played(table: StreamTable, step: StreamRound, *, is_cut_through: bool) -> float:
    """A barrier after every round; sends of a round share links in proportion."""
    total = 0.0
    for t, sends in enumerate(sends_by_round(table)):
        load: dict[tuple[int, int], float] = {}
        longest = 0.0
        for _, send in sends:
            route = list(pairwise(table.route(send.source, send.destination)))
            for link in route:
                load[link] = load.get(link, 0.0) + step.piece_s / table.num_parts
            whole = step.latency_s + step.piece_s / table.num_parts
            alone = len(route) * whole
            if is_cut_through:
                alone = len(route) * step.latency_s + step.piece_s / table.num_parts
            longest = max(longest, alone)
        shared = max(load.values(), default=0.0) + (step.latency_s if load else 0.0)
        assert len(table.work[t]) == table.num_positions
        total += max(step.compute_s, longest, shared)
    return total


def played_freely(table: StreamTable, step: StreamRound) -> float:
    """Store-and-forward, no barrier: links take sends in order, dies their products in order."""
    history = trace(table)
    arrival = [0.0] * len(table.sends)
    free: dict[tuple[int, int], float] = {}
    for s, send in enumerate(table.sends):
        copy = history.parent[s]
        now = 0.0 if copy is None else arrival[copy]
        for link in pairwise(table.route(send.source, send.destination)):
            now = max(now, free.get(link, 0.0))
            free[link] = now + step.piece_s / table.num_parts
            now = free[link] + step.latency_s
            free[link] = now  # the closed forms give a hop its latency and its bytes together
        arrival[s] = now
    done = [0.0] * table.num_positions
    for t, row in enumerate(table.work):
        for d, parts in enumerate(row):
            copies = [history.used[t, d, part] for part in range(len(parts))]
            ready = max(0.0 if copy is None else arrival[copy] for copy in copies)
            done[d] = max(done[d], ready) + step.compute_s
    return max(done)


@given(step=STEPS)
def test_with_barriers_the_closed_forms_are_the_rounds_one_by_one(step: StreamRound):
    n = step.num_positions
    for name, is_cut_through, closed_form in (
        ("line", False, one_hop_s),
        ("ring", False, one_hop_s),
        ("split_ring", False, split_ring_s),
        ("folded", True, folded_s),
        ("naive_ring", False, naive_ring_barrier_s),
        ("naive_ring", True, naive_ring_cut_through_s),
    ):
        table = STREAMS[name].table(n)
        played = rounds_played(table, step, is_cut_through=is_cut_through)
        assert closed_form(step) == pytest.approx(played, rel=1e-9), name


@given(step=STEPS)
def test_without_barriers_the_naive_ring_takes_what_its_closed_form_says(step: StreamRound):
    played = played_freely(STREAMS["naive_ring"].table(step.num_positions), step)
    assert naive_ring_asynchronous_s(step) == pytest.approx(played, rel=1e-9)


@given(step=STEPS)
def test_barriers_never_help_and_no_schedule_beats_its_products_or_its_links(step: StreamRound):
    n = step.num_positions
    for name in ("line", "ring", "naive_ring"):
        table = STREAMS[name].table(n)
        freely = played_freely(table, step)
        assert freely <= rounds_played(table, step, is_cut_through=False) * (1 + 1e-9)
        assert freely >= n * step.compute_s * (1 - 1e-9)
        assert freely >= ((n - 1) * step.hop_s + step.compute_s) * (1 - 1e-9)


@given(step=STEPS)
def test_the_form_over_traits_is_that_of_each_schedule(step: StreamRound):
    n = step.num_positions
    for name, closed_form in (
        ("line", one_hop_s),
        ("ring", one_hop_s),
        ("split_ring", split_ring_s),
        ("folded", folded_s),
        ("naive_ring", naive_ring_cut_through_s),
    ):
        assert rounds_s(step, STREAMS[name].traits(n)) == pytest.approx(closed_form(step), rel=1e-9)


def test_the_grid_wins_where_latency_counts_and_the_split_ring_where_nothing_is_small():
    def step(piece_bytes: float) -> StreamRound:
        return StreamRound(
            num_positions=16,
            compute_s=0.0,
            piece_bytes=piece_bytes,
            bandwidth_bytes_per_s=4e12,
            latency_s=200e-9,
        )

    small = step(1e4)
    traits = {name: schedule.traits(16, 4) for name, schedule in STREAMS.items()}
    assert min(traits, key=lambda name: gather_s(small, traits[name])) == "grid"
    assert gather_s(small, traits["grid"]) == pytest.approx(6 * 200e-9 + 7.5 * 1e4 / 4e12)
    large = step(1e9)
    assert gather_s(large, traits["split_ring"]) < 0.51 * gather_s(large, traits["ring"])


def test_with_few_tokens_inputs_stream_cheaper_than_weights():
    ffn = GemmShape(num_tokens=2048, in_features=12288, out_features=49152)
    by_mode = {
        mode: streamed_bytes(ffn, mode, GemmPass.FORWARD, element_bytes=2) for mode in StreamMode
    }
    assert by_mode[StreamMode.WEIGHTS] == pytest.approx(1.2e9, rel=0.01)
    assert by_mode[StreamMode.INPUTS] == pytest.approx(50e6, rel=0.01)
    assert by_mode[StreamMode.OUTPUTS] == 2048 * 49152 * 4


@pytest.mark.parametrize("gemm_pass", GemmPass)
@pytest.mark.parametrize("mode", StreamMode)
def test_memory_traffic_counts_every_block_of_a_round(mode: StreamMode, gemm_pass: GemmPass):
    """By hand for M = 8, K = 12, n = 20 on 4 dies: elements read, written and accumulated."""
    small = GemmShape(num_tokens=8, in_features=12, out_features=20)
    x, w, o = (24.0, 60.0, 10.0) if mode is not StreamMode.OUTPUTS else (6.0, 60.0, 40.0)
    streamed, rest = {
        ("ws", "forward"): (2 * 2 * w, 2 * x + 2 * o),
        ("ws", "dgrad"): (2 * 2 * w, 2 * o + 8 * x),
        ("ws", "wgrad"): (16 * w, 2 * x + 2 * o),
        ("is", "forward"): (2 * 2 * x, 2 * w + 2 * o),
        ("is", "dgrad"): (16 * x, 2 * w + 2 * o),
        ("is", "wgrad"): (2 * 2 * x, 2 * o + 8 * w),
        ("os", "forward"): (16 * o, 2 * x + 2 * w),
        ("os", "dgrad"): (2 * 2 * o, 2 * w + 2 * x),
        ("os", "wgrad"): (2 * 2 * o, 2 * x + 8 * w),
    }[mode.value, gemm_pass.value]
    for piece_through_sram, expected in ((False, streamed + rest), (True, rest)):
        found = round_dram_bytes(
            small,
            4,
            element_bytes=2,
            piece_through_sram=piece_through_sram,
            mode=mode,
            gemm_pass=gemm_pass,
        )
        assert found == expected


def test_a_round_of_inputs_has_their_bytes_and_the_same_product():
    ffn = GemmShape(num_tokens=2048, in_features=12288, out_features=49152)
    weights, inputs, gradients = (
        stream_round(
            ffn,
            8,
            flops_per_s=1.8e15,
            bandwidth_bytes_per_s=4e12,
            latency_s=200e-9,
            element_bytes=2,
            mode=mode,
            gemm_pass=gemm_pass,
        )
        for mode, gemm_pass in (
            (StreamMode.WEIGHTS, GemmPass.FORWARD),
            (StreamMode.INPUTS, GemmPass.FORWARD),
            (StreamMode.WEIGHTS, GemmPass.WEIGHT_GRADIENT),
        )
    )
    assert weights.compute_s == inputs.compute_s
    assert weights.piece_bytes == 24 * inputs.piece_bytes
    assert gradients.piece_bytes == 2 * weights.piece_bytes  # accumulators of four bytes
