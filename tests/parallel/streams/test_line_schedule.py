"""The line: counts and tables worked out beforehand, and what it promises about buffers."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from waferloom.parallel.streams import (
    STREAMS,
    Arrangement,
    Send,
    StreamTable,
    held_pieces,
    trace,
    traits_of,
)

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden/streams.toml").read_text("utf-8"))
LINE = STREAMS["line"]


@pytest.mark.parametrize(("n", "hops"), GOLDEN["line_piece_hops"]["expected"])
def test_piece_hops_are_those_counted_beforehand(n: int, hops: int):
    assert traits_of(LINE.table(n)).piece_hops == hops
    assert LINE.traits(n).piece_hops == hops


def table_drawn(golden: dict[str, Any]) -> StreamTable:
    n = golden["num_positions"]
    work: list[tuple[tuple[int, ...], ...]] = []
    sends: list[Send] = []
    for t, row in enumerate(golden["rounds"]):
        cells = row.split(" | ")
        work.append(tuple((int(re.findall(r"c(\d+)", cell)[0]),) for cell in cells))
        for d, cell in enumerate(cells):
            sends += [Send(t, d, d - 1, int(piece)) for piece in re.findall(r"<(\d+)", cell)]
            sends += [Send(t, d, d + 1, int(piece)) for piece in re.findall(r"(\d+)>", cell)]
    return StreamTable(
        num_positions=n,
        arrangement=Arrangement.PATH,
        work=tuple(work),
        sends=tuple(sorted(sends)),
    )


@pytest.mark.parametrize("golden", GOLDEN["table"], ids=lambda golden: str(golden["num_positions"]))
def test_the_tables_are_those_drawn_beforehand(golden: dict[str, Any]):
    assert LINE.table(golden["num_positions"]) == table_drawn(golden)


@pytest.mark.parametrize("n", range(2, 65))
def test_no_position_holds_more_than_two_visitors_and_two_arrivals(n: int):
    held = held_pieces(LINE.table(n))
    assert max(visiting for visiting, _ in held.values()) <= 2
    assert max(arriving for _, arriving in held.values()) <= 2
    if n >= 5:
        assert LINE.traits(n).transient_pieces == 4


@pytest.mark.parametrize("n", range(2, 65))
def test_even_lines_drop_a_piece_after_a_round_and_odd_ones_keep_some_for_two(n: int):
    table = LINE.table(n)
    rounds_kept = {
        last_use - send.round
        for send, last_use in zip(table.sends, trace(table).last_use, strict=True)
        if last_use is not None
    }
    assert rounds_kept == ({1} if n % 2 == 0 else {1, 2})


def test_the_ends_are_what_makes_n_rounds_the_least():
    """An end has one link in, so it sees at most t + 1 pieces by round t, and uses them."""
    for n in (2, 5, 8, 13, 64):
        table = LINE.table(n)
        into_end = [send for send in table.sends if send.destination == 0]
        assert len(into_end) == n - 1
        assert [send.round for send in into_end] == list(range(n - 1))


@pytest.mark.parametrize("golden", GOLDEN["occupancy"])
def test_about_three_quarters_of_the_links_are_busy(golden: dict[str, Any]):
    for n, percent in zip(golden["num_positions"], golden["expected"], strict=True):
        busy = 100 * LINE.traits(n).piece_hops / (2 * (n - 1) ** 2)
        assert busy == pytest.approx(percent, abs=golden["abs_tol"])


@pytest.mark.parametrize("golden", GOLDEN["transient"])
def test_a_wide_layer_needs_hundreds_of_megabytes_in_transit(golden: dict[str, Any]):
    n = golden["num_positions"]
    piece_mb = 12288 * 49152 * 2 / n / 1e6
    transient_mb = LINE.traits(n).transient_pieces * piece_mb
    assert transient_mb == pytest.approx(golden["expected_mb"], abs=golden["abs_tol_mb"])
