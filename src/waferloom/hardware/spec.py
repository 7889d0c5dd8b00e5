"""What a system is made of: dies, memories, links, and how they are joined. Read from TOML."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from waferloom.units import (
    Bytes,
    BytesPerSecond,
    FlopsPerSecond,
    Hertz,
    JoulesPerByte,
    JoulesPerFlop,
    Metres,
    Seconds,
    Watts,
)


class Spec(BaseModel):
    """Base of every record that comes from a file: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Dtype(StrEnum):
    """Number formats; `bytes_per_element` is their storage."""

    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"
    FP16 = "fp16"
    FP8 = "fp8"
    FP4 = "fp4"

    @property
    def bytes_per_element(self) -> float:
        """Bytes of one stored element."""
        return {"fp32": 4.0, "tf32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "fp4": 0.5}[
            self.value
        ]


Size = Annotated[int, Field(gt=0)]
"""A count or extent of at least one."""


class Dataflow(StrEnum):
    """Which operand of a matmul a core keeps while the others pass by."""

    OUTPUT_STATIONARY = "output_stationary"
    WEIGHT_STATIONARY = "weight_stationary"
    INPUT_STATIONARY = "input_stationary"


class LinkSpec(Spec):
    """A directed link: what one direction carries."""

    bandwidth_bytes_per_s: BytesPerSecond = Field(gt=0)
    latency_s: Seconds = Field(ge=0)
    energy_j_per_byte: JoulesPerByte = Field(default=0.0, ge=0)


class MemorySpec(Spec):
    """The main memory of one die (HBM, or the SRAM of a die that has nothing else)."""

    capacity_bytes: Bytes = Field(gt=0)
    bandwidth_bytes_per_s: BytesPerSecond = Field(gt=0)
    latency_s: Seconds = Field(default=0.0, ge=0)
    energy_j_per_byte: JoulesPerByte = Field(default=0.0, ge=0)


class CoreArraySpec(Spec):
    """The cores of a die, each with a MAC array and SRAM (on a GPU: streaming multiprocessors).

    Attributes:
        rows: Rows of cores.
        cols: Columns of cores.
        tile_shapes: Output tiles (rows, cols) a core can be given, in elements; a core array
            computes whole tiles, so ragged edges are wasted work. For a systolic core the natural
            entry is its MAC array; for a GPU the CTA tiles of its GEMM library.
        tile_fill: Steps along the contracted dimension that each tile wastes filling its pipeline.
        sram_bytes: SRAM of one core.
        noc_bandwidth_bytes_per_s: What one core takes in from the NoC; absent where the NoC is not
            modelled apart from the shared cache (GPUs).
        dataflows: Loop orders the cores support; GEMM libraries of GPUs keep outputs only.
        max_split_k: Most pieces into which the contracted dimension of an output tile may be cut,
            so that few large tiles still fill the cores (split-K); the partial sums are then added
            up.
        has_sram_blocks: A core computes several tiles from operands held in its SRAM, so that it
            takes fewer in; not on GPUs, whose tile is already what a core can hold.
        attention_block: Queries of one work item of fused attention, and keys of one of its steps.
        attention_fill: Steps that each work item of fused attention wastes starting and ending.
        attention_tail: How long cores wait for the last work item of causal attention, whose items
            differ in length, over the longest item: about a half where items are handed out as
            cores fall idle, one and more where they are dealt out beforehand.
    """

    rows: int = Field(gt=0)
    cols: int = Field(gt=0)
    tile_shapes: tuple[tuple[Size, Size], ...] = Field(min_length=1)
    tile_fill: float = Field(default=0.0, ge=0)
    sram_bytes: Bytes = Field(gt=0)
    noc_bandwidth_bytes_per_s: BytesPerSecond | None = Field(default=None, gt=0)
    dataflows: tuple[Dataflow, ...] = Field(default=tuple(Dataflow), min_length=1)
    max_split_k: int = Field(default=32, gt=0)
    has_sram_blocks: bool = True
    attention_block: tuple[Size, Size] = (128, 128)
    attention_fill: float = Field(default=0.0, ge=0)
    attention_tail: float = Field(default=0.5, ge=0)

    @property
    def num_cores(self) -> int:
        """Cores of the die."""
        return self.rows * self.cols


class EfficiencySpec(Spec):
    """Documented efficiencies of a device class; 1 and 0 mean ideal.

    A die that runs one kernel for a moment (a microbenchmark) clocks higher than one that is kept
    busy for seconds (training): `matmul` is the first, `matmul * sustained_clock` the second, and
    `burst_s` and `throttled_clock` say what happens in between.

    Attributes:
        matmul: Short-run over peak MAC rate, after tile quantisation.
        sustained_clock: Matmul rate of a die kept busy for seconds, over that of short runs.
        burst_s: How long one matmul runs before the power limit lowers the clock, when nothing else
            has kept the die busy; absent where no limit shows.
        throttled_clock: Matmul rate past `burst_s`, over that of short runs.
        dram: Sustained over peak memory bandwidth: streams, keys and values of attention.
        matmul_dram: The same for the operands of matmuls; absent means `dram`.
        vector_dram: The same for norms, activations, rotary embedding and their like, whose kernels
            do not stream evenly; absent means `dram`.
        attention_forward: Sustained over peak MAC rate of the fused attention kernel, forward.
        attention_backward: The same, backward.
        softmax_flops: Vector operations per score of fused attention, run beside the MACs.
        launch_s: Cost of starting one operator.
        split_k_s: Extra cost of a matmul whose contracted dimension is split, such as the kernel
            that adds the parts up.
        attention_launch_s: Cost of starting one fused attention; absent means `launch_s`.
    """

    matmul: float = Field(default=1.0, gt=0, le=1)
    sustained_clock: float = Field(default=1.0, gt=0, le=1)
    burst_s: Seconds | None = Field(default=None, ge=0)
    throttled_clock: float = Field(default=1.0, gt=0, le=1)
    dram: float = Field(default=1.0, gt=0, le=1)
    matmul_dram: float | None = Field(default=None, gt=0, le=1)
    vector_dram: float | None = Field(default=None, gt=0, le=1)
    attention_forward: float = Field(default=1.0, gt=0, le=1)
    attention_backward: float = Field(default=1.0, gt=0, le=1)
    softmax_flops: float = Field(default=5.0, ge=0)
    launch_s: Seconds = Field(default=0.0, ge=0)
    split_k_s: Seconds = Field(default=0.0, ge=0)
    attention_launch_s: Seconds | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("matmul_dram", "vector_dram"):
            value = getattr(self, name)
            if value is not None and value > self.dram:
                msg = f"{name} = {value} must not exceed dram = {self.dram}, the best of any kernel"
                raise ValueError(msg)
        return self


class EnergySpec(Spec):
    """Energy of a die by component; links and memory carry their own.

    Attributes:
        mac_j_per_flop: Per operation.
        sram_j_per_byte: Per byte that cores take in or give out.
        noc_j_per_byte: The same on the way, where `mac_j_per_flop` does not include it.
        static_w: While the job runs, whatever it does.
    """

    mac_j_per_flop: JoulesPerFlop = Field(default=0.0, ge=0)
    sram_j_per_byte: JoulesPerByte = Field(default=0.0, ge=0)
    noc_j_per_byte: JoulesPerByte = Field(default=0.0, ge=0)
    static_w: Watts = Field(default=0.0, ge=0)


class DieSpec(Spec):
    """One die (or GPU or TPU chip): compute, SRAM, memory, energy.

    Attributes:
        peak_flops_per_s: Dense matrix peak per number format.
        vector_flops_per_s: Peak of the vector units, any format.
        sram_bytes: On-die SRAM shared by the tiling of one operator (L2 cache on a GPU).
        clock_hz: Nominal clock.
        width_m: Along the wafer's columns; None where no floorplan is meant.
        height_m: Along the wafer's rows.
    """

    name: str
    peak_flops_per_s: Mapping[Dtype, Annotated[FlopsPerSecond, Field(gt=0)]] = Field(min_length=1)
    vector_flops_per_s: FlopsPerSecond = Field(gt=0)
    sram_bytes: Bytes = Field(gt=0)
    clock_hz: Hertz = Field(gt=0)
    width_m: Metres | None = Field(default=None, gt=0)
    height_m: Metres | None = Field(default=None, gt=0)
    cores: CoreArraySpec
    memory: MemorySpec
    efficiency: EfficiencySpec = EfficiencySpec()
    energy: EnergySpec = EnergySpec()


class MeshSpec(Spec):
    """A 2D mesh of dies on one wafer: neighbours only, no wrap-around."""

    kind: Literal["mesh"]
    rows: int = Field(gt=0)
    cols: int = Field(gt=0)
    link: LinkSpec


class TorusSpec(Spec):
    """A torus of chips; every dimension of more than two wraps around.

    `shape` has two or three entries, as in `[16, 16]` or `[4, 4, 8]`.
    """

    kind: Literal["torus"]
    shape: tuple[Size, ...] = Field(min_length=2, max_length=3)
    link: LinkSpec
    num_slices: int = Field(default=1, gt=0)
    slice_link: LinkSpec | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.num_slices > 1 and self.slice_link is None:
            msg = "num_slices above 1 needs a slice_link (the data-centre network, per chip)"
            raise ValueError(msg)
        return self


class WaferGridSpec(Spec):
    """Wafers of `rows x cols` dies in a grid, facing edge dies joined by `wafer_link`.

    `wafer_link` is what one facing pair of edge dies has, per direction; `2x2@8x8` in short.
    """

    kind: Literal["wafer_grid"]
    wafer_rows: int = Field(gt=0)
    wafer_cols: int = Field(gt=0)
    rows: int = Field(gt=0)
    cols: int = Field(gt=0)
    link: LinkSpec
    wafer_link: LinkSpec


class SwitchedSpec(Spec):
    """Nodes of devices behind a non-blocking switch, joined by one scale-out port per device."""

    kind: Literal["switched"]
    num_nodes: int = Field(gt=0)
    devices_per_node: int = Field(gt=0)
    link: LinkSpec
    scale_out_link: LinkSpec | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.num_nodes > 1 and self.scale_out_link is None:
            msg = "more than one node needs a scale_out_link (one port per device)"
            raise ValueError(msg)
        return self


Interconnect = Annotated[
    MeshSpec | TorusSpec | WaferGridSpec | SwitchedSpec, Field(discriminator="kind")
]


class DefectMap(Spec):
    """What is dead, in positions `(row, col)` on `SystemSpec.grid_shape`.

    On a switched system that is `(node, device)`. A torus lists its planes, and then its slices,
    one under another.

    Attributes:
        dead_dies: Dies that do no work and carry no traffic.
        dead_links: Pairs of neighbouring dies whose link is dead in both directions.
        dead_core_fraction: Share of the cores lost on every live die, in [0, 1).
    """

    dead_dies: tuple[tuple[int, int], ...] = ()
    dead_links: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    dead_core_fraction: float = Field(default=0.0, ge=0, lt=1)


class Source(Spec):
    """Where a preset's numbers come from."""

    title: str
    url: str = ""
    note: str = ""


class SystemSpec(Spec):
    """A whole system: identical dies and the network that joins them.

    Attributes:
        flags: Sentences that every report repeats, such as `not buildable as a planar floorplan`.
        assumptions: Dotted key of this file -> why it has that value though no source says so.
    """

    name: str
    description: str = ""
    die: DieSpec
    interconnect: Interconnect
    defects: DefectMap = DefectMap()
    flags: tuple[str, ...] = ()
    source: tuple[Source, ...] = Field(min_length=1)
    assumptions: Mapping[str, str] = {}

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of the die grid; switched systems are nodes x devices."""
        net = self.interconnect
        match net:
            case MeshSpec():
                return net.rows, net.cols
            case WaferGridSpec():
                return net.wafer_rows * net.rows, net.wafer_cols * net.cols
            case SwitchedSpec():
                return net.num_nodes, net.devices_per_node
            case TorusSpec():
                depth = net.shape[2] if len(net.shape) == 3 else 1
                return net.num_slices * depth * net.shape[0], net.shape[1]

    @property
    def num_dies(self) -> int:
        """Dies, dead ones included."""
        rows, cols = self.grid_shape
        return rows * cols

    @property
    def num_live_dies(self) -> int:
        """Dies that are not dead."""
        return self.num_dies - len(set(self.defects.dead_dies))

    @property
    def is_wafer(self) -> bool:
        """Whether dies sit on a mesh, so that placement and coordinates matter."""
        return isinstance(self.interconnect, MeshSpec | WaferGridSpec)

    @property
    def has_grid(self) -> bool:
        """Whether dies have meaningful coordinates."""
        return not isinstance(self.interconnect, SwitchedSpec)
