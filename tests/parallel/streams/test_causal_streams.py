"""Streams under a causal mask: what is skipped, and how even the work is."""

import tomllib
from pathlib import Path

import pytest

from waferloom.parallel.streams import STREAMS, faults_of, traits_of
from waferloom.parallel.streams.causal import CAUSAL_STREAMS

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden/streams.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", CAUSAL_STREAMS)
@pytest.mark.parametrize("n", range(2, 65))
def test_tables_keep_the_rules_for_what_is_needed_and_cost_what_traits_say(name: str, n: int):
    schedule = CAUSAL_STREAMS[name]
    table = schedule.table(n)
    assert schedule.name == name
    for way in (table, table.reversed()):
        assert faults_of(way, lambda d, j, part: schedule.needs(n, d, j, part)) == ()
    assert traits_of(table) == schedule.traits(n)
    assert faults_of(table), "some positions see less than everything"


@pytest.mark.parametrize("name", CAUSAL_STREAMS)
@pytest.mark.parametrize("n", [2, 3, 8, 9])
def test_a_position_needs_a_chunk_if_a_query_of_its_own_is_not_earlier(name: str, n: int):
    schedule = CAUSAL_STREAMS[name]
    chunks = [schedule.chunks(n, d) for d in range(n)]
    assert sorted(sum(chunks, ())) == list(range(len(chunks[0]) * n))
    for d in range(n):
        for j in range(n):
            for part, key in enumerate(chunks[j]):
                assert schedule.needs(n, d, j, part) == (key <= max(chunks[d]))


@pytest.mark.parametrize(("n", "hops", "line_hops"), GOLDEN["zigzag_piece_hops"]["expected"])
def test_zigzag_takes_three_quarters_of_the_line(n: int, hops: float, line_hops: int):
    assert CAUSAL_STREAMS["zigzag_line"].traits(n).piece_hops == hops
    assert STREAMS["line"].traits(n).piece_hops == line_hops


def test_every_even_zigzag_takes_three_quarters_of_the_line_and_odd_ones_about_as_much():
    for n in range(2, 65):
        share = (
            CAUSAL_STREAMS["zigzag_line"].traits(n).piece_hops
            / STREAMS["line"].traits(n).piece_hops
        )
        assert share == 0.75 if n % 2 == 0 else 0.73 < share <= 0.76, (n, share)


def test_in_zigzag_order_every_position_multiplies_two_blocks_of_the_mask_per_round():
    for n in (2, 3, 8, 13, 32):
        schedule = CAUSAL_STREAMS["zigzag_line"]
        for row in schedule.table(n).work:
            for d, parts in enumerate(row):
                keys = [
                    schedule.chunks(n, j)[part] for part, j in enumerate(parts) if j is not None
                ]
                blocks = [(q, k) for q in schedule.chunks(n, d) for k in keys if k <= q]
                assert sum(0.5 if q == k else 1.0 for q, k in blocks) == 2.0


def test_in_sequence_order_positions_work_in_little_more_than_half_of_the_rounds():
    for n in (2, 8, 33):
        work = CAUSAL_STREAMS["causal_line"].table(n).work
        busy = sum(parts[0] is not None for row in work for parts in row)
        assert busy / n**2 == (n + 1) / (2 * n)
