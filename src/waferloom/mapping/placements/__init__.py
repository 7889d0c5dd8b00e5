"""Placements, one idea per file; `PLACEMENTS` lists them."""

from collections.abc import Mapping
from typing import Final

from waferloom.mapping.placements.base import DieGrid, Dies, Placement
from waferloom.mapping.placements.blocks import Blocks, Serpentine
from waferloom.mapping.placements.sequential import Sequential

__all__ = ["PLACEMENTS", "DieGrid", "Dies", "Placement"]

PLACEMENTS: Final[Mapping[str, Placement]] = {
    "sequential": Sequential(),
    "blocks": Blocks(),
    "serpentine": Serpentine(),
}
