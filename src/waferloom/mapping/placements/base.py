"""A placement orders the live dies; rank `r` runs on the `r`-th of them.

Ranks are numbered with tp fastest, then cp, dp and pp, so a tp group is `tp` consecutive dies of
the order. What an order has to get right is therefore the shape of consecutive runs.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Dies = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class DieGrid:
    """The dies of a system on a grid.

    Attributes:
        is_live_RC: Axes: row, column. Die `row * columns + column`.
    """

    is_live_RC: NDArray[np.bool_]

    @property
    def live_dies(self) -> Dies:
        """Live dies, row by row."""
        return np.flatnonzero(self.is_live_RC)


class Placement(Protocol):
    """Orders the live dies for groups of `tp` consecutive ranks."""

    def order(self, grid: DieGrid, tp: int) -> Dies:
        """Return every live die once."""
        ...
