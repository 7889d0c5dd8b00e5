"""How a training job is divided: degrees, options, and what they must satisfy."""

from dataclasses import dataclass
from enum import StrEnum

from waferloom.parallel.software import IDEAL, Software
from waferloom.workload.job import Training
from waferloom.workload.operators import Recompute


class ScheduleName(StrEnum):
    """Pipeline schedules; see `parallel.pipelines`."""

    GPIPE = "gpipe"
    ONE_F_ONE_B = "1f1b"
    INTERLEAVED = "interleaved"
    ZERO_BUBBLE = "zero_bubble"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelDegrees:
    """Sizes of the axes a job is divided along.

    `dp * tp * cp * pp` ranks; inside a pipeline stage the same `dp * cp * tp` ranks are regrouped
    for experts as `expert_dp * ep * expert_tp`.
    """

    dp: int = 1
    tp: int = 1
    cp: int = 1
    pp: int = 1
    ep: int = 1
    expert_tp: int = 1

    def __post_init__(self) -> None:
        """Check the degrees.

        Raises:
            ValueError: A degree is below 1, or `ep * expert_tp` does not divide the ranks of a
                stage.
        """
        for name in ("dp", "tp", "cp", "pp", "ep", "expert_tp"):
            value = getattr(self, name)
            if value < 1:
                msg = f"{name} must be at least 1, found {value}"
                raise ValueError(msg)
        if self.ranks_per_stage % (self.ep * self.expert_tp) != 0:
            msg = (
                f"ep * expert_tp = {self.ep} * {self.expert_tp} must divide the "
                f"dp * cp * tp = {self.dp} * {self.cp} * {self.tp} ranks of a pipeline stage"
            )
            raise ValueError(msg)

    @property
    def ranks_per_stage(self) -> int:
        """Ranks that share one pipeline stage."""
        return self.dp * self.cp * self.tp

    @property
    def num_ranks(self) -> int:
        """Ranks of the whole job."""
        return self.ranks_per_stage * self.pp

    @property
    def expert_dp(self) -> int:
        """Copies of every routed expert."""
        return self.ranks_per_stage // (self.ep * self.expert_tp)

    def __str__(self) -> str:
        """Short form that leaves out degrees of 1, such as `dp=2 tp=8`."""
        names = ("dp", "tp", "cp", "pp", "ep", "expert_tp")
        shown = [f"{name}={getattr(self, name)}" for name in names if getattr(self, name) > 1]
        return " ".join(shown) or "one rank"


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapPolicy:
    """Which communications run behind compute.

    Attributes:
        gradients: The gradient reduction runs behind the last backward, layer by layer.
        parameters: Gathers of sharded parameters (ZeRO-1 after the update, ZeRO-3 in every pass)
            run behind the computation of neighbouring layers.
        pipeline: Stage-to-stage messages run behind the computation of other micro-batches.
        tensor: Share of tensor-parallel communication that runs behind its matmuls, 0 to 1.
    """

    gradients: bool = True
    parameters: bool = True
    pipeline: bool = True
    tensor: float = 0.0

    def __post_init__(self) -> None:
        """Check the share.

        Raises:
            ValueError: `tensor` is outside [0, 1].
        """
        if not 0 <= self.tensor <= 1:
            msg = f"overlap of tensor parallelism must be a share in [0, 1], found {self.tensor:g}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One way of dividing a training job.

    Attributes:
        degrees: Sizes of the axes.
        sequence_parallel: Norms and the residual stream divide tokens over the tp ranks.
        zero: ZeRO stage over the `dp * cp` ranks: 1 shards optimizer state, 2 also gradients, 3
            also weights (FSDP).
        schedule: Order of micro-batches in the pipeline.
        num_model_chunks: Virtual stages per rank; above 1 only with the interleaved schedule.
        micro_batch_size: Sequences per forward pass of one dp rank.
        recompute: What backward recomputes.
        overlap: What runs behind compute.
        software: What the training stack costs.
    """

    degrees: ParallelDegrees
    sequence_parallel: bool = False
    zero: int = 0
    schedule: ScheduleName = ScheduleName.ONE_F_ONE_B
    num_model_chunks: int = 1
    micro_batch_size: int = 1
    recompute: Recompute = Recompute.NONE
    overlap: OverlapPolicy = OverlapPolicy()
    software: Software = IDEAL

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ValueError: An option is out of range, or contradicts another.
        """
        if self.zero not in (0, 1, 2, 3):
            msg = f"zero must be 0, 1, 2 or 3, found {self.zero}"
            raise ValueError(msg)
        for name in ("micro_batch_size", "num_model_chunks"):
            value = getattr(self, name)
            if value < 1:
                msg = f"{name} must be at least 1, found {value}"
                raise ValueError(msg)
        if self.num_model_chunks > 1 and self.schedule is not ScheduleName.INTERLEAVED:
            msg = (
                f"num_model_chunks = {self.num_model_chunks} needs the interleaved schedule, "
                f"found {self.schedule}"
            )
            raise ValueError(msg)
        if self.num_model_chunks < 2 and self.schedule is ScheduleName.INTERLEAVED:
            msg = "the interleaved schedule needs num_model_chunks of at least 2"
            raise ValueError(msg)

    def num_micro_batches(self, job: Training) -> int:
        """Micro-batches per step of one dp rank; a ragged last one (ceil) is scored as full."""
        per_round = self.degrees.dp * self.micro_batch_size
        return -(-job.global_batch_size // per_round)

    def __str__(self) -> str:
        """One line for tables."""
        parts = [str(self.degrees)]
        if self.sequence_parallel:
            parts.append("sequence_parallel")
        if self.zero:
            parts.append(f"zero={self.zero}")
        if self.degrees.pp > 1:
            chunks = f" x{self.num_model_chunks}" if self.num_model_chunks > 1 else ""
            parts.append(f"{self.schedule}{chunks}")
        parts.append(f"micro_batch={self.micro_batch_size}")
        if self.recompute is not Recompute.NONE:
            parts.append(f"recompute={self.recompute}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Why a strategy cannot run, in numbers.

    Attributes:
        what: The limit, such as `dram_capacity` or `ranks`.
        where: The stage or axis, for people.
        needed: In the unit of the limit (bytes, ranks, ...).
        available: In the same unit.
        message: The sentence shown.
    """

    what: str
    where: str
    needed: float
    available: float
    message: str


def layers_of_stages(num_layers: int, num_stages: int) -> tuple[int, ...]:
    """Return how many consecutive layers each (virtual) stage holds.

    An uneven division gives the extra layers to inner stages first, since the first stage also
    holds the embedding and the last the head.

    Raises:
        ValueError: There are more stages than layers.

    Example:
        >>> layers_of_stages(10, 4)
        (2, 3, 3, 2)
    """
    if not 1 <= num_stages <= num_layers:
        msg = (
            f"{num_layers} layers cannot fill {num_stages} pipeline stages; lower pp or the chunks"
        )
        raise ValueError(msg)
    base, extra = divmod(num_layers, num_stages)
    order = [*range(1, num_stages - 1), 0, num_stages - 1] if num_stages > 1 else [0]
    layers = [base] * num_stages
    for stage in order[:extra]:
        layers[stage] += 1
    return tuple(layers)
