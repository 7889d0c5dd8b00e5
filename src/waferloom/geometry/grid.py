"""Dies on a grid: row 0 is north, column 0 west."""

from collections.abc import Iterator
from typing import NamedTuple


class Die(NamedTuple):
    """A place on the grid."""

    row: int
    col: int


def grid_dies(rows: int, cols: int) -> tuple[Die, ...]:
    """Return the dies of a grid, row by row.

    Raises:
        ValueError: A side is below 1.
    """
    check_sides(rows, cols)
    return tuple(Die(row, col) for row in range(rows) for col in range(cols))


def distance(a: Die, b: Die) -> int:
    """Return the hops between two dies on a whole mesh.

    Example:
        >>> distance(Die(0, 0), Die(2, 3))
        5
    """
    return abs(a.row - b.row) + abs(a.col - b.col)


def neighbours(die: Die, rows: int, cols: int) -> Iterator[Die]:
    """Yield the dies beside `die`: north, west, east, south.

    Example:
        >>> list(neighbours(Die(0, 1), 2, 2))
        [Die(row=0, col=0), Die(row=1, col=1)]
    """
    for row_step, col_step in ((-1, 0), (0, -1), (0, 1), (1, 0)):
        row, col = die.row + row_step, die.col + col_step
        if 0 <= row < rows and 0 <= col < cols:
            yield Die(row, col)


def check_sides(rows: int, cols: int) -> None:
    """Check that a grid or block has at least one row and one column.

    Raises:
        ValueError: A side is below 1.
    """
    if rows < 1 or cols < 1:
        msg = f"a grid needs at least one row and one column, found {rows} x {cols}"
        raise ValueError(msg)
