"""`DieParameters`: what the operator model needs to know of a die for one number format."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from waferloom.errors import SpecError
from waferloom.hardware.spec import Dataflow, DieSpec, Dtype

Floats = npt.NDArray[np.float64]
ACCUMULATOR_BYTES: Final = 4.0
"""Partial sums are kept in fp32."""

FIELDS: Final = (
    "num_cores",
    "core_flops_per_s",
    "tile_fill",
    "max_split_k",
    "is_output_stationary",
    "is_weight_stationary",
    "is_input_stationary",
    "block_elements",
    "burst_s",
    "throttled_clock",
    "vector_flops_per_s",
    "dram_bytes_per_s",
    "matmul_dram_bytes_per_s",
    "vector_dram_bytes_per_s",
    "noc_bytes_per_s",
    "sram_bytes",
    "attention_forward_flops_per_s",
    "attention_backward_flops_per_s",
    "softmax_flops",
    "query_block",
    "key_block",
    "attention_fill",
    "attention_tail",
    "launch_s",
    "split_k_s",
    "attention_launch_s",
)
"""Order of the entries of `DieParameters.values`; the kernels unpack it by position."""


@dataclass(frozen=True, kw_only=True)
class DieParameters:
    """A die as the operator model sees it: rates after efficiencies, for one number format.

    Not slotted, since the array that the kernels read is made once and kept.

    Attributes:
        name: Of the die.
        dtype: Format of the matmul inputs.
        num_cores: Live cores.
        core_flops_per_s: Matmul rate of one core that computes whole tiles.
        tile_shapes: Tiles (rows, cols) that a core can be given.
        tile_fill: Steps that each tile wastes filling its pipeline.
        max_split_k: Most pieces into which the contracted dimension of an output tile is cut.
        dataflows: Loop orders the cores support.
        block_elements: Outputs that one core holds in SRAM while it computes a block of tiles; 0
            where the tile is all it holds.
        burst_s: How long a matmul keeps its rate; infinite for a die that is kept busy anyway.
        throttled_clock: Rate after that, over the rate before.
        vector_flops_per_s: Of all live cores together.
        dram_bytes_per_s: Sustained memory bandwidth of streams and of attention.
        matmul_dram_bytes_per_s: Of the operands of matmuls.
        vector_dram_bytes_per_s: Of vector operators.
        noc_bytes_per_s: What one core takes in; infinite where the NoC is not modelled.
        sram_bytes: Shared SRAM of the tiling of one operator.
        attention_forward_flops_per_s: Sustained rate of one core in fused attention, forward.
        attention_backward_flops_per_s: The same, backward.
        softmax_flops: Vector operations per score of fused attention.
        query_block: Queries of one work item of fused attention.
        key_block: Keys of one step of it.
        attention_fill: Steps that each work item wastes.
        attention_tail: Wait for the last work item, over the longest one.
        launch_s: Cost of starting one operator.
        split_k_s: Extra cost of splitting the contracted dimension.
        attention_launch_s: Cost of starting one fused attention.
    """

    name: str
    dtype: Dtype
    num_cores: int
    core_flops_per_s: float
    tile_shapes: tuple[tuple[int, int], ...]
    tile_fill: float
    max_split_k: int
    dataflows: tuple[Dataflow, ...]
    block_elements: float
    burst_s: float
    throttled_clock: float
    vector_flops_per_s: float
    dram_bytes_per_s: float
    matmul_dram_bytes_per_s: float
    vector_dram_bytes_per_s: float
    noc_bytes_per_s: float
    sram_bytes: float
    attention_forward_flops_per_s: float
    attention_backward_flops_per_s: float
    softmax_flops: float
    query_block: int
    key_block: int
    attention_fill: float
    attention_tail: float
    launch_s: float
    split_k_s: float
    attention_launch_s: float

    @property
    def is_output_stationary(self) -> bool:
        """Whether the cores can keep output tiles."""
        return Dataflow.OUTPUT_STATIONARY in self.dataflows

    @property
    def is_weight_stationary(self) -> bool:
        """Whether the cores can keep weight tiles."""
        return Dataflow.WEIGHT_STATIONARY in self.dataflows

    @property
    def is_input_stationary(self) -> bool:
        """Whether the cores can keep input tiles."""
        return Dataflow.INPUT_STATIONARY in self.dataflows

    @cached_property
    def values(self) -> Floats:
        """The numbers named by `FIELDS`, in that order."""
        return np.array([float(getattr(self, name)) for name in FIELDS])

    @cached_property
    def tiles_T2(self) -> Floats:
        """Tile shapes, one row each."""
        return np.array(self.tile_shapes, dtype=np.float64)


def die_parameters(
    die: DieSpec, dtype: str, *, dead_core_fraction: float = 0.0, is_sustained: bool = True
) -> DieParameters:
    """Resolve what the operator model needs of `die`.

    Dead cores take their matrix and vector rate and their share of the SRAM with them.

    Args:
        die: The die.
        dtype: A key of `die.peak_flops_per_s`, such as `bf16`.
        dead_core_fraction: Share of the cores that is lost, in [0, 1); rounded to whole cores, and
            at least one core lives.
        is_sustained: The die is kept busy for seconds, as in training and serving; else each
            operator is timed by itself, as in a microbenchmark.

    Raises:
        SpecError: The die has no peak for `dtype`.
        ValueError: `dead_core_fraction` is outside [0, 1).
    """
    known = {str(name): name for name in die.peak_flops_per_s}
    if dtype not in known:
        msg = (
            f"{die.name} has no matrix peak for {dtype}; it has {', '.join(sorted(known))}: choose"
            " one of these or add it to die.peak_flops_per_s of the system file"
        )
        raise SpecError(msg)
    if not 0 <= dead_core_fraction < 1:
        msg = f"dead_core_fraction must be in [0, 1), found {dead_core_fraction}"
        raise ValueError(msg)
    cores, efficiency = die.cores, die.efficiency
    num_dead = math.ceil(dead_core_fraction * cores.num_cores - 1e-9)
    num_live = max(1, cores.num_cores - num_dead)
    live = num_live / cores.num_cores
    bandwidth = die.memory.bandwidth_bytes_per_s
    core_peak = die.peak_flops_per_s[known[dtype]] / cores.num_cores
    return DieParameters(
        name=die.name,
        dtype=known[dtype],
        num_cores=num_live,
        core_flops_per_s=core_peak
        * efficiency.matmul
        * (efficiency.sustained_clock if is_sustained else 1.0),
        tile_shapes=cores.tile_shapes,
        tile_fill=cores.tile_fill,
        max_split_k=cores.max_split_k,
        dataflows=cores.dataflows,
        block_elements=cores.sram_bytes / 2 / ACCUMULATOR_BYTES if cores.has_sram_blocks else 0.0,
        burst_s=math.inf if is_sustained or efficiency.burst_s is None else efficiency.burst_s,
        throttled_clock=efficiency.throttled_clock,
        vector_flops_per_s=die.vector_flops_per_s * live,
        dram_bytes_per_s=bandwidth * efficiency.dram,
        matmul_dram_bytes_per_s=bandwidth * (efficiency.matmul_dram or efficiency.dram),
        vector_dram_bytes_per_s=bandwidth * (efficiency.vector_dram or efficiency.dram),
        noc_bytes_per_s=cores.noc_bandwidth_bytes_per_s or math.inf,
        sram_bytes=die.sram_bytes * live,
        attention_forward_flops_per_s=core_peak * efficiency.attention_forward,
        attention_backward_flops_per_s=core_peak * efficiency.attention_backward,
        softmax_flops=efficiency.softmax_flops,
        query_block=cores.attention_block[0],
        key_block=cores.attention_block[1],
        attention_fill=cores.attention_fill,
        attention_tail=cores.attention_tail,
        launch_s=efficiency.launch_s,
        split_k_s=efficiency.split_k_s,
        attention_launch_s=(
            efficiency.launch_s
            if efficiency.attention_launch_s is None
            else efficiency.attention_launch_s
        ),
    )
