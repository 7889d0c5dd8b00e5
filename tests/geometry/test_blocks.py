"""Blocks tile and pack grids without overlap, and the search finds what exists."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waferloom.geometry import (
    Block,
    Die,
    block_shapes,
    distance,
    grid_dies,
    neighbours,
    pack_blocks,
    serpentine_blocks,
    uniform_tilings,
)

sides = st.integers(1, 8)


@given(area=st.integers(1, 64), rows=sides, cols=sides)
@settings(deadline=None)
def test_block_shapes_are_all_the_factorisations_that_fit(area: int, rows: int, cols: int) -> None:
    shapes = block_shapes(area, rows, cols)
    expected = {(a, b) for a in range(1, rows + 1) for b in range(1, cols + 1) if a * b == area}
    assert set(shapes) == expected
    assert len(shapes) == len(expected)
    assert [a + b for a, b in shapes] == sorted(a + b for a, b in shapes)


@given(rows=sides, cols=sides, area=st.integers(1, 64))
@settings(deadline=None)
def test_a_uniform_tiling_covers_every_die_once(rows: int, cols: int, area: int) -> None:
    for tiling in uniform_tilings(rows, cols, area):
        assert sorted(die for block in tiling for die in block.dies()) == list(
            grid_dies(rows, cols)
        )
        assert len({(block.rows, block.cols) for block in tiling}) == 1


@given(
    rows=st.integers(1, 6),
    cols=st.integers(1, 6),
    area=st.integers(1, 12),
    wanted=st.integers(1, 12),
    holes=st.integers(0, 2**36 - 1),
    thin=st.integers(0, 2**36 - 1),
)
@settings(deadline=None, max_examples=200)
def test_packed_blocks_do_not_overlap_or_touch_dead_dies(
    rows: int, cols: int, area: int, wanted: int, holes: int, thin: int
) -> None:
    dies = grid_dies(rows, cols)
    dead = {die for i, die in enumerate(dies) if holes & thin & (1 << i)}
    blocks = pack_blocks(rows, cols, area=area, num_blocks=wanted, dead=dead)
    if blocks is None:
        return
    held = [die for block in blocks for die in block.dies()]
    assert len(blocks) == wanted
    assert {block.area for block in blocks} == {area}
    assert len(held) == len(set(held)) == area * wanted
    assert set(held) <= set(dies) - dead


def brute_force_fits(rows: int, cols: int, area: int, wanted: int, dead: set[Die]) -> bool:
    places = [
        frozenset(block.dies())
        for height, width in block_shapes(area, rows, cols)
        for row in range(rows - height + 1)
        for col in range(cols - width + 1)
        for block in [Block(origin=Die(row, col), rows=height, cols=width)]
        if not dead & set(block.dies())
    ]
    return any(
        len(frozenset().union(*chosen)) == area * wanted for chosen in combinations(places, wanted)
    )


@given(
    rows=st.integers(1, 4),
    cols=st.integers(1, 4),
    area=st.integers(1, 6),
    wanted=st.integers(1, 3),
    holes=st.integers(0, 2**16 - 1),
)
@settings(deadline=None, max_examples=100)
def test_packing_fails_only_where_brute_force_fails(
    rows: int, cols: int, area: int, wanted: int, holes: int
) -> None:
    dead = {die for i, die in enumerate(grid_dies(rows, cols)) if holes & (holes >> 5) & (1 << i)}
    found = pack_blocks(rows, cols, area=area, num_blocks=wanted, dead=dead)
    assert (found is not None) == brute_force_fits(rows, cols, area, wanted, dead)


@pytest.mark.parametrize(
    ("area", "num_blocks", "shapes"),
    [
        (4, 14, {(2, 2): 12, (1, 4): 2}),
        (8, 7, {(2, 4): 6, (1, 8): 1}),
    ],
)
def test_fifty_six_dies_split_into_the_known_stages(
    area: int, num_blocks: int, shapes: dict[tuple[int, int], int]
) -> None:
    blocks = pack_blocks(7, 8, area=area, num_blocks=num_blocks)
    assert blocks is not None
    counts = dict.fromkeys(shapes, 0)
    for block in blocks:
        counts[block.rows, block.cols] += 1
    assert counts == shapes


def test_serpentine_blocks_of_a_uniform_tiling_touch() -> None:
    for tiling in uniform_tilings(6, 8, 4):
        for first, second in pairwise(serpentine_blocks(tiling)):
            assert min(distance(a, b) for a in first.dies() for b in second.dies()) == 1


@given(rows=sides, cols=sides)
@settings(deadline=None)
def test_neighbours_are_mutual_and_one_hop_away(rows: int, cols: int) -> None:
    for die in grid_dies(rows, cols):
        for other in neighbours(die, rows, cols):
            assert distance(die, other) == 1
            assert die in neighbours(other, rows, cols)
