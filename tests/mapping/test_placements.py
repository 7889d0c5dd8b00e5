"""Every placement uses every live die once, and keeps its promises of compactness."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waferloom.mapping.placements import PLACEMENTS, DieGrid
from waferloom.mapping.placements.blocks import block_shape


@pytest.mark.parametrize("name", PLACEMENTS)
@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 8),
    cols=st.integers(1, 8),
    tp=st.integers(1, 16),
    seed=st.integers(0, 1000),
    num_dead=st.integers(0, 6),
)
def test_every_live_die_is_placed_once(
    name: str, rows: int, cols: int, tp: int, seed: int, num_dead: int
) -> None:
    is_live_RC = np.ones((rows, cols), dtype=np.bool_)
    rng = np.random.default_rng(seed)
    dead = rng.choice(rows * cols, size=min(num_dead, rows * cols - 1), replace=False)
    is_live_RC.ravel()[dead] = False
    order = PLACEMENTS[name].order(DieGrid(is_live_RC), tp)
    assert sorted(order) == list(np.flatnonzero(is_live_RC))


@pytest.mark.parametrize("name", ["blocks", "serpentine"])
@pytest.mark.parametrize("tp", [2, 4, 6, 8, 12, 16, 24])
def test_tp_groups_are_blocks_on_a_whole_wafer(name: str, tp: int) -> None:
    order = PLACEMENTS[name].order(DieGrid(np.ones((6, 8), dtype=np.bool_)), tp)
    shape = block_shape(6, 8, tp)
    assert shape is not None
    num_blocks = (6 // shape[0]) * (8 // shape[1])
    for group in order[: num_blocks * tp].reshape(num_blocks, tp):
        rows, cols = group // 8, group % 8
        assert (np.ptp(rows) + 1, np.ptp(cols) + 1) == shape


def test_consecutive_serpentine_blocks_are_neighbours() -> None:
    order = PLACEMENTS["serpentine"].order(DieGrid(np.ones((6, 8), dtype=np.bool_)), 4)
    corners = order.reshape(12, 4)[:, 0]
    steps = np.abs(np.diff(corners // 8)) + np.abs(np.diff(corners % 8))
    assert set(steps) == {2}


@pytest.mark.parametrize(
    ("size", "shape"), [(8, (2, 4)), (16, (4, 4)), (48, (6, 8)), (7, (1, 7)), (11, None)]
)
def test_blocks_are_as_square_as_the_wafer_allows(size: int, shape: tuple[int, int] | None) -> None:
    assert block_shape(6, 8, size) == shape
