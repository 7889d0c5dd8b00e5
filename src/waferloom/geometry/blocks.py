"""Blocks of dies, and cutting a grid into them."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from waferloom.geometry.grid import Die, check_sides, grid_dies


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A rectangle of dies whose north-west corner is `origin`."""

    origin: Die
    rows: int
    cols: int

    @property
    def area(self) -> int:
        """Dies of the block."""
        return self.rows * self.cols

    def dies(self) -> tuple[Die, ...]:
        """Return the dies row by row."""
        return self.place(grid_dies(self.rows, self.cols))

    def place(self, order: Sequence[Die]) -> tuple[Die, ...]:
        """Return positions relative to a block of this shape as dies of the grid.

        Example:
            >>> from waferloom.geometry.cycles import serpentine
            >>> block = Block(origin=Die(4, 4), rows=1, cols=2)
            >>> block.place(serpentine(1, 2))
            (Die(row=4, col=4), Die(row=4, col=5))
        """
        return tuple(Die(self.origin.row + row, self.origin.col + col) for row, col in order)


def block_shapes(area: int, max_rows: int, max_cols: int) -> tuple[tuple[int, int], ...]:
    """Return every (rows, cols) of this area that fits, squarest first, wide before tall.

    Example:
        >>> block_shapes(8, 6, 8)
        ((2, 4), (4, 2), (1, 8))
    """
    check_sides(area, 1)
    shapes = [
        (rows, area // rows)
        for rows in range(1, min(area, max_rows) + 1)
        if area % rows == 0 and area // rows <= max_cols
    ]
    return tuple(sorted(shapes, key=lambda shape: (sum(shape), shape[0])))


def uniform_tilings(rows: int, cols: int, area: int) -> Iterator[tuple[Block, ...]]:
    """Yield the tilings of a grid by blocks of one shape, squarest first; blocks row by row.

    Example:
        >>> [(tiling[0].rows, tiling[0].cols) for tiling in uniform_tilings(6, 8, 8)]
        [(2, 4), (1, 8)]
    """
    check_sides(rows, cols)
    for height, width in block_shapes(area, rows, cols):
        if rows % height == 0 and cols % width == 0:
            yield tuple(
                Block(origin=Die(row, col), rows=height, cols=width)
                for row in range(0, rows, height)
                for col in range(0, cols, width)
            )


def pack_blocks(
    rows: int,
    cols: int,
    *,
    area: int,
    num_blocks: int,
    dead: Collection[Die] = (),
    max_states: int = 100_000,
) -> tuple[Block, ...] | None:
    """Find places for blocks of one area, of any shapes, on a grid with holes.

    Every die is visited row by row; it becomes the corner of a block, squarest shapes first, or
    stays unused while spare dies remain. States that failed are remembered, so the search is exact
    unless it stops at `max_states`.

    Args:
        rows: Rows of the grid.
        cols: Columns of the grid.
        area: Dies of one block.
        num_blocks: Blocks wanted.
        dead: Dies that no block may hold.
        max_states: States to visit before giving up.

    Returns:
        The blocks ordered by corner, row by row; None if they do not fit, or if none was found
        within `max_states`.

    Example:
        >>> found = pack_blocks(7, 8, area=4, num_blocks=14)
        >>> sorted({(block.rows, block.cols) for block in found})
        [(1, 4), (2, 2)]
    """
    check_sides(rows, cols)
    packer = _Packer(
        cols=cols,
        shapes=[
            (height, width, _mask(grid_dies(height, width), cols))
            for height, width in block_shapes(area, rows, cols)
        ],
        budget=max_states,
    )
    free = _mask(set(grid_dies(rows, cols)) - set(dead), cols)
    spare = free.bit_count() - area * num_blocks
    return None if spare < 0 else packer.fill(free, num_blocks, spare)


def serpentine_blocks(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Return blocks in snake order: bands by their first row, alternately eastward and westward.

    Example:
        >>> tiling = next(uniform_tilings(4, 4, 4))
        >>> [tuple(block.origin) for block in serpentine_blocks(tiling)]
        [(0, 0), (0, 2), (2, 2), (2, 0)]
    """
    bands: dict[int, list[Block]] = {}
    for block in sorted(blocks, key=lambda block: block.origin):
        bands.setdefault(block.origin.row, []).append(block)
    return tuple(
        block
        for index, band in enumerate(bands.values())
        for block in (band if index % 2 == 0 else reversed(band))
    )


def _mask(dies: Collection[Die], cols: int) -> int:
    return sum(1 << (die.row * cols + die.col) for die in dies)


class _Packer:
    """Depth-first filling; a bit per die, the lowest free bit is filled next."""

    def __init__(self, *, cols: int, shapes: list[tuple[int, int, int]], budget: int) -> None:
        self._cols = cols
        self._shapes = shapes
        self._budget = budget
        self._failed: set[tuple[int, int]] = set()

    def fill(self, free: int, num_blocks: int, spare: int) -> tuple[Block, ...] | None:
        """Place `num_blocks` in the free dies, leaving at most `spare` of them unused."""
        if num_blocks == 0:
            return ()
        if free == 0 or (free, num_blocks) in self._failed or self._budget <= 0:
            return None
        self._budget -= 1
        place = (free & -free).bit_length() - 1
        row, col = divmod(place, self._cols)
        for height, width, mask in self._shapes:
            if col + width <= self._cols and free & (mask << place) == mask << place:
                rest = self.fill(free ^ (mask << place), num_blocks - 1, spare)
                if rest is not None:
                    return (Block(origin=Die(row, col), rows=height, cols=width), *rest)
        if spare > 0:
            rest = self.fill(free & (free - 1), num_blocks, spare - 1)
            if rest is not None:
                return rest
        self._failed.add((free, num_blocks))
        return None
