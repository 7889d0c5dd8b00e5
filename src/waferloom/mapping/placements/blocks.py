"""Block placements: every tp group gets a compact `a x b` block where the grid allows it.

Blocks are visited row by row (`Blocks`) or in boustrophedon order (`Serpentine`), where consecutive
groups, and so consecutive pipeline stages, are neighbours. Dies that no whole block covers
(borders, holes) are used last, in boustrophedon order.
"""

from dataclasses import dataclass

import numpy as np

from waferloom.mapping.placements.base import DieGrid, Dies


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks row by row."""

    def order(self, grid: DieGrid, tp: int) -> Dies:
        """Return the live dies block by block."""
        return _block_order(grid, tp, is_serpentine=False)


@dataclass(frozen=True, slots=True)
class Serpentine:
    """Blocks in boustrophedon order."""

    def order(self, grid: DieGrid, tp: int) -> Dies:
        """Return the live dies block by block, turning at the border."""
        return _block_order(grid, tp, is_serpentine=True)


def block_shape(rows: int, cols: int, size: int) -> tuple[int, int] | None:
    """Return the most square `a x b = size` that fits the grid, or None.

    Among shapes equally square, the one that leaves fewest dies over, then the wider one.
    """
    shapes = [
        (a, size // a)
        for a in range(1, size + 1)
        if size % a == 0 and a <= rows and size // a <= cols
    ]
    if not shapes:
        return None
    return min(shapes, key=lambda s: (abs(s[0] - s[1]), rows % s[0] * cols + cols % s[1] * rows, s))


def _block_order(grid: DieGrid, tp: int, *, is_serpentine: bool) -> Dies:
    rows, cols = grid.is_live_RC.shape
    shape = block_shape(rows, cols, tp)
    index_RC: Dies = np.arange(rows * cols, dtype=np.int64).reshape((rows, cols))
    taken_RC = np.zeros((rows, cols), dtype=np.bool_)
    blocks: list[Dies] = []
    if shape is not None:
        a, b = shape
        for i in range(rows // a):
            across = range(cols // b)
            for j in reversed(across) if is_serpentine and i % 2 else across:
                window = (slice(i * a, (i + 1) * a), slice(j * b, (j + 1) * b))
                if grid.is_live_RC[window].all():
                    blocks.append(index_RC[window].ravel())
                    taken_RC[window] = True
    rest_RC = grid.is_live_RC & ~taken_RC
    for i in range(rows):
        row = index_RC[i][rest_RC[i]]
        blocks.append(row[::-1] if i % 2 else row)
    return np.concatenate(blocks)
