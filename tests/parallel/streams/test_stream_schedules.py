"""One suite over every stream schedule, and a validator that sees what is wrong."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waferloom.parallel.streams import (
    STREAMS,
    Arrangement,
    Movement,
    Send,
    StreamTable,
    faults_of,
    held_pieces,
    trace,
    traits_of,
)

SIZES = range(2, 65)
BLOCKS = [(rows, cols) for rows in range(1, 9) for cols in range(1, 9) if rows * cols > 1]


@pytest.mark.parametrize("name", STREAMS)
def test_every_schedule_is_listed_under_its_name(name: str):
    assert STREAMS[name].name == name
    assert STREAMS[name].table(6, 2).arrangement is STREAMS[name].arrangement


@pytest.mark.parametrize("name", STREAMS)
def test_for_every_number_of_positions_the_table_keeps_the_rules_and_costs_what_traits_say(
    name: str,
):
    for n in SIZES:
        table = STREAMS[name].table(n)
        promised, counted = STREAMS[name].traits(n), traits_of(table)
        assert faults_of(table, promised=promised) == (), n
        if name != "grid":  # which promises room for a whole gather
            assert counted.transient_pieces == promised.transient_pieces, n
        assert replace(counted, transient_pieces=promised.transient_pieces) == promised, n


@pytest.mark.parametrize(("rows", "cols"), BLOCKS)
def test_for_every_block_the_grid_keeps_the_rules_and_costs_what_traits_say(rows: int, cols: int):
    table = STREAMS["grid"].table(rows * cols, rows)
    assert faults_of(table) == ()
    promised, counted = STREAMS["grid"].traits(rows * cols, rows), traits_of(table)
    assert counted.transient_pieces <= promised.transient_pieces
    assert replace(counted, transient_pieces=promised.transient_pieces) == promised


@pytest.mark.parametrize("name", ["line", "ring", "split_ring", "grid"])
def test_no_send_of_a_physical_schedule_is_longer_than_one_hop(name: str):
    for n in SIZES:
        assert STREAMS[name].traits(n).max_hops == 1


def test_no_schedule_has_fewer_hops_than_a_ring_which_delivers_every_piece_once():
    for n in SIZES:
        least = n * (n - 1)
        assert STREAMS["ring"].traits(n).piece_hops == least
        assert all(schedule.traits(n).piece_hops >= least for schedule in STREAMS.values())


def test_a_square_grid_meets_the_corner_bound_and_a_4x4_one_takes_seven_and_a_half_pieces():
    for side in range(2, 9):
        traits = traits_of(STREAMS["grid"].table(side * side, side))
        assert traits.serial_pieces == (side * side - 1) / 2
    four = STREAMS["grid"].traits(16, 4)
    assert (four.serial_pieces, four.chain_hops) == (7.5, 6)


def test_a_4x4_grid_holds_nine_pieces_in_transit():
    held = held_pieces(STREAMS["grid"].table(16, 4))
    assert max(visiting + arriving for visiting, arriving in held.values()) == 9


@pytest.mark.parametrize("name", STREAMS)
def test_a_schedule_run_backwards_twice_is_itself(name: str):
    for n in (2, 3, 5, 8, 12):
        table = STREAMS[name].table(n)
        backwards = table.reversed()
        assert backwards.movement is Movement.REDUCE
        assert backwards.reversed() == table
        assert faults_of(backwards) == ()
        assert traits_of(backwards) == traits_of(table)


@pytest.mark.parametrize("name", STREAMS)
def test_a_reduce_sends_every_accumulator_once_and_after_what_it_is_made_of(name: str):
    for n in (3, 4, 7, 8):
        table = STREAMS[name].table(n)
        parent = trace(table).parent
        for s, send in enumerate(table.sends):
            if parent[s] is not None:
                before = table.sends[parent[s]]
                assert before.round < send.round
                assert before.destination == send.source
                assert (before.piece, before.part) == (send.piece, send.part)
            else:
                assert send.source == send.piece


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize(("n", "rows"), [(1, 1), (0, 1), (6, 4), (6, 0)])
def test_impossible_numbers_are_refused_with_the_reason(name: str, n: int, rows: int):
    for ask in (STREAMS[name].table, STREAMS[name].traits):
        with pytest.raises(ValueError, match=r"at least 2 positions|do not fill"):
            ask(n, rows)


def test_a_reduce_cannot_be_traced():
    with pytest.raises(ValueError, match="reversed"):
        trace(STREAMS["line"].table(4).reversed())


@pytest.mark.parametrize("arrangement", Arrangement)
def test_routes_go_from_neighbour_to_neighbour(arrangement: Arrangement):
    table = StreamTable(num_positions=12, arrangement=arrangement, rows=3, work=(), sends=())
    neighbours = {
        Arrangement.PATH: lambda a, b: abs(a - b) == 1,
        Arrangement.CYCLE: lambda a, b: (a - b) % 12 in (1, 11),
        Arrangement.GRID: lambda a, b: abs(a // 4 - b // 4) + abs(a % 4 - b % 4) == 1,
    }[arrangement]
    for a in range(12):
        for b in range(12):
            route = table.route(a, b)
            assert (route[0], route[-1]) == (a, b)
            assert all(neighbours(x, y) for x, y in pairwise(route))


def broken(table: StreamTable, kind: str) -> tuple[StreamTable, str]:
    """Return a table with one fault, and a word that its description must have."""
    first = table.sends[0]
    n, last = table.num_positions, table.num_rounds - 1
    match kind:
        case "round missing":
            return replace(table, work=table.work[:-1]), "rounds for"
        case "send missing":
            return replace(table, sends=table.sends[1:]), "not there"
        case "send twice":
            return replace(table, sends=(first, *table.sends)), "for nothing"
        case "sent too early":
            far = Send(0, first.destination, first.source, (first.destination + 1) % n)
            return replace(table, sends=tuple(sorted((*table.sends, far)))), "not there"
        case "sent too late":
            extra = Send(last, first.source, first.destination, first.piece)
            return replace(table, sends=(*table.sends, extra)), "last round"
        case "used twice":
            row = (table.work[0][1], *table.work[0][1:])
            return replace(table, work=(row, *table.work[1:])), "times, not"
        case _:
            row = ((None,) * table.num_parts, *table.work[last][1:])
            return replace(table, work=(*table.work[:last], row)), "0 times, not 1"


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize(
    "kind",
    [
        "round missing",
        "send missing",
        "send twice",
        "sent too early",
        "sent too late",
        "used twice",
        "not used",
    ],
)
def test_the_validator_names_what_is_broken(name: str, kind: str):
    for n in (4, 5, 8):
        table, word = broken(STREAMS[name].table(n), kind)
        assert any(word in fault for fault in faults_of(table)), (n, faults_of(table))


def test_the_validator_names_a_link_with_two_pieces():
    table = STREAMS["ring"].table(4)
    extra = Send(0, 0, 1, 0)
    faults = faults_of(replace(table, sends=tuple(sorted((*table.sends, extra)))))
    assert "round 0: 2 pieces from position 0 to 1" in faults


def longest_kept(table: StreamTable) -> int:
    """Rounds between the arrival and the last use of a copy."""
    return max(
        last_use - send.round
        for send, last_use in zip(table.sends, trace(table).last_use, strict=True)
        if last_use is not None
    )


@settings(max_examples=60)
@given(data=st.data())
def test_without_any_of_its_sends_a_schedule_is_wrong_or_keeps_pieces_longer(data: st.DataObject):
    """A copy that the line turns could be kept instead; nothing else can be left out."""
    name = data.draw(st.sampled_from(sorted(STREAMS)))
    n = data.draw(st.integers(3, 20))
    rows = data.draw(st.sampled_from([r for r in range(1, n + 1) if n % r == 0]))
    table = STREAMS[name].table(n, rows)
    left_out = data.draw(st.integers(0, len(table.sends) - 1))
    shorter = replace(table, sends=table.sends[:left_out] + table.sends[left_out + 1 :])
    if not faults_of(shorter):
        assert name == "line"
        assert longest_kept(shorter) > longest_kept(table)


def test_the_validator_names_longer_sends_and_more_pieces_than_promised():
    table = STREAMS["naive_ring"].table(8)
    promised = STREAMS["naive_ring"].traits(8)
    assert faults_of(table, promised=promised) == ()
    tighter = replace(promised, max_hops=6, transient_pieces=1.0)
    faults = faults_of(table, promised=tighter)
    assert "round 0: 7 hops from position 7 to 0, not 6" in faults
    assert "round 1: position 0 holds 2 pieces in transit, not 1" in faults


@settings(max_examples=60)
@given(data=st.data())
def test_a_schedule_with_two_pieces_exchanged_does_not_pass(data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(STREAMS)))
    n = data.draw(st.integers(3, 20))
    table = STREAMS[name].table(n)
    t = data.draw(st.integers(0, n - 1))
    d = data.draw(st.integers(0, n - 1))
    part = data.draw(st.integers(0, table.num_parts - 1))
    parts = list(table.work[t][d])
    parts[part] = (parts[part] + data.draw(st.integers(1, n - 1))) % n
    row = (*table.work[t][:d], tuple(parts), *table.work[t][d + 1 :])
    assert faults_of(replace(table, work=(*table.work[:t], row, *table.work[t + 1 :])))
