"""Orders of a block visit every die once and keep the edge lengths they promise."""

from itertools import pairwise

import pytest

from waferloom.geometry import (
    Die,
    closed_tour,
    distance,
    folded_serpentine,
    grid_dies,
    hamiltonian_cycle,
    has_hamiltonian_cycle,
    serpentine,
)

BLOCKS = [(rows, cols) for rows in range(1, 9) for cols in range(1, 9)]
every_block = pytest.mark.parametrize(("rows", "cols"), BLOCKS)


def steps(order: tuple[Die, ...]) -> list[int]:
    return [distance(a, b) for a, b in pairwise(order)]


def ring_steps(order: tuple[Die, ...]) -> list[int]:
    return [*steps(order), distance(order[-1], order[0])]


@every_block
def test_a_serpentine_visits_every_die_once_in_single_hops(rows: int, cols: int) -> None:
    order = serpentine(rows, cols)
    assert sorted(order) == list(grid_dies(rows, cols))
    assert set(steps(order)) <= {1}


@every_block
def test_a_hamiltonian_cycle_exists_exactly_for_even_blocks_of_two_rows_and_columns(
    rows: int, cols: int
) -> None:
    expected = rows >= 2 and cols >= 2 and rows * cols % 2 == 0
    assert has_hamiltonian_cycle(rows, cols) is expected
    if not expected:
        with pytest.raises(ValueError, match="no one-hop ring"):
            hamiltonian_cycle(rows, cols)
        return
    order = hamiltonian_cycle(rows, cols)
    assert sorted(order) == list(grid_dies(rows, cols))
    assert set(ring_steps(order)) == {1}


@every_block
def test_a_closed_tour_has_the_longest_edge_that_it_promises(rows: int, cols: int) -> None:
    order = closed_tour(rows, cols)
    assert sorted(order) == list(grid_dies(rows, cols))
    lengths = ring_steps(order)
    if has_hamiltonian_cycle(rows, cols):
        assert set(lengths) == {1}
    elif rows * cols == 1:
        assert lengths == [0]
    elif 1 in (rows, cols):
        assert max(lengths) <= 2
        assert sum(lengths) == 2 * (rows * cols - 1)
    else:
        assert set(lengths[:-1]) == {1}
        assert lengths[-1] == 2


@every_block
def test_a_folded_serpentine_pairs_neighbours_and_turns_as_often_as_it_says(
    rows: int, cols: int
) -> None:
    if rows % 2 and cols % 2:
        with pytest.raises(ValueError, match="cannot be paired"):
            folded_serpentine(rows, cols)
        return
    order = folded_serpentine(rows, cols)
    assert sorted(order) == list(grid_dies(rows, cols))
    assert {distance(a, b) for a, b in zip(order, reversed(order), strict=True)} == {1}
    lengths = steps(order)
    pairs = rows // 2 if rows % 2 == 0 else cols // 2
    assert set(lengths) <= {1, 2}
    assert lengths.count(2) == 2 * (pairs - 1)


def test_a_block_without_dies_is_refused() -> None:
    for order in (serpentine, hamiltonian_cycle, closed_tour, folded_serpentine):
        with pytest.raises(ValueError, match="at least one row"):
            order(0, 3)
