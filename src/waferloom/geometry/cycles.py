"""Orders of the dies of a block: snakes, rings, and the folded snake for pipeline stages.

Every function returns each die of a `rows x cols` block once; positions are relative to the block.
"""

from waferloom.geometry.grid import Die, check_sides


def serpentine(rows: int, cols: int) -> tuple[Die, ...]:
    """Return the snake along the rows: even rows eastward, odd rows westward, one hop per step.

    Example:
        >>> [tuple(die) for die in serpentine(2, 3)]
        [(0, 0), (0, 1), (0, 2), (1, 2), (1, 1), (1, 0)]
    """
    check_sides(rows, cols)
    return tuple(
        Die(row, col if row % 2 == 0 else cols - 1 - col)
        for row in range(rows)
        for col in range(cols)
    )


def has_hamiltonian_cycle(rows: int, cols: int) -> bool:
    """Whether a block has a closed tour of single hops: both sides above 1, an even area.

    A tour alternates the colours of a chessboard, so an odd area has none.
    """
    return rows >= 2 and cols >= 2 and rows * cols % 2 == 0


def hamiltonian_cycle(rows: int, cols: int) -> tuple[Die, ...]:
    """Return a closed tour whose every edge, the closing one included, is one hop.

    The tour snakes through all columns but the first, which leads back.

    Raises:
        ValueError: The block has no such tour; `closed_tour` gives the nearest thing.

    Example:
        >>> [tuple(die) for die in hamiltonian_cycle(2, 3)]
        [(0, 0), (0, 1), (0, 2), (1, 2), (1, 1), (1, 0)]
    """
    check_sides(rows, cols)
    if not has_hamiltonian_cycle(rows, cols):
        msg = (
            f"a {rows} x {cols} block has no one-hop ring, which needs two rows, two columns and "
            "an even number of dies; use closed_tour or serpentine"
        )
        raise ValueError(msg)
    if rows % 2:
        return _transposed(hamiltonian_cycle(cols, rows))
    snake = tuple(Die(die.row, die.col + 1) for die in serpentine(rows, cols - 1))
    return (Die(0, 0), *snake, *(Die(row, 0) for row in range(rows - 1, 0, -1)))


def closed_tour(rows: int, cols: int) -> tuple[Die, ...]:
    """Return the closed tour with the shortest longest edge.

    Blocks with a one-hop ring get it. Odd x odd blocks get single hops and a closing edge of two. A
    line of three or more is walked out over its even places and back over its odd ones, so that no
    edge is longer than two hops, though nearly all are.

    Example:
        >>> [die.col for die in closed_tour(1, 6)]
        [0, 2, 4, 5, 3, 1]
    """
    check_sides(rows, cols)
    if has_hamiltonian_cycle(rows, cols):
        return hamiltonian_cycle(rows, cols)
    if cols == 1 < rows:
        return _transposed(closed_tour(1, rows))
    if rows == 1:
        out, back = range(0, cols, 2), range(1, cols, 2)
        return tuple(Die(0, col) for col in (*out, *reversed(back)))
    return _odd_tour(rows, cols)


def folded_serpentine(rows: int, cols: int) -> tuple[Die, ...]:
    """Return an order in which place s lies beside place n-1-s: pipeline stages that share memory.

    With an even number of rows the snake runs out over the upper row of each row pair and back over
    the lower. Consecutive places are one hop apart, except two hops where a lane changes row pairs,
    `rows/2 - 1` times in each lane. With an odd number of rows and an even one of columns the
    same holds for column pairs.

    Raises:
        ValueError: Both sides are odd, so the dies cannot be paired.

    Example:
        >>> [tuple(die) for die in folded_serpentine(2, 3)]
        [(0, 0), (0, 1), (0, 2), (1, 2), (1, 1), (1, 0)]
    """
    check_sides(rows, cols)
    if rows % 2 == 0:
        lane = serpentine(rows // 2, cols)
        out = [Die(2 * die.row, die.col) for die in lane]
        back = [Die(2 * die.row + 1, die.col) for die in reversed(lane)]
        return (*out, *back)
    if cols % 2 == 0:
        return _transposed(folded_serpentine(cols, rows))
    msg = f"{rows} x {cols} places cannot be paired: one side must be even; use serpentine"
    raise ValueError(msg)


def _odd_tour(rows: int, cols: int) -> tuple[Die, ...]:
    """Return the tour of an odd x odd block whose closing edge alone has two hops.

    The rows below the first have a ring whose first row is straight. Each pair of columns of that
    row detours through the row above it, which takes in all of the first row but its corner; the
    corner is the start, one hop from the ring and two hops from its end.
    """
    ring = [Die(die.row + 1, die.col) for die in hamiltonian_cycle(rows - 1, cols)]
    corner, start, straight, rest = Die(0, 0), ring[0], ring[1:cols], ring[cols:]
    detours: list[Die] = []
    for west, east in zip(straight[::2], straight[1::2], strict=True):
        detours += [west, Die(0, west.col), Die(0, east.col), east]
    return (corner, start, *reversed(rest), *reversed(detours))


def _transposed(order: tuple[Die, ...]) -> tuple[Die, ...]:
    return tuple(Die(die.col, die.row) for die in order)
