"""SMap: ranks in row-major order, no search."""

from dataclasses import dataclass

from waferloom.mapping.placements.base import DieGrid, Dies


@dataclass(frozen=True, slots=True)
class Sequential:
    """Row by row, from the north-west corner."""

    def order(self, grid: DieGrid, tp: int) -> Dies:
        """Return the live dies row by row."""
        return grid.live_dies
