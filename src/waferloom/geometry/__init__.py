"""Pure geometry of grids of dies: blocks, tilings, snakes and rings; knows no hardware."""

from waferloom.geometry.blocks import (
    Block,
    block_shapes,
    pack_blocks,
    serpentine_blocks,
    uniform_tilings,
)
from waferloom.geometry.cycles import (
    closed_tour,
    folded_serpentine,
    hamiltonian_cycle,
    has_hamiltonian_cycle,
    serpentine,
)
from waferloom.geometry.grid import Die, distance, grid_dies, neighbours

__all__ = [
    "Block",
    "Die",
    "block_shapes",
    "closed_tour",
    "distance",
    "folded_serpentine",
    "grid_dies",
    "hamiltonian_cycle",
    "has_hamiltonian_cycle",
    "neighbours",
    "pack_blocks",
    "serpentine",
    "serpentine_blocks",
    "uniform_tilings",
]
