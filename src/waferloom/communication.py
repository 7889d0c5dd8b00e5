"""The records that `parallel` emits and `network` realises: who exchanges how many bytes, when."""

from dataclasses import dataclass
from enum import StrEnum


class CollectiveKind(StrEnum):
    """What a group of ranks does together.

    `size_bytes` of a communication always means, per group:

    - all_reduce, broadcast, multicast: the vector that every member ends with;
    - all_gather: the gathered vector; reduce_scatter: the vector before scattering;
    - all_to_all: what one member holds before the exchange (1/n of it stays at home);
    - point_to_point: the message.
    """

    ALL_REDUCE = "all_reduce"
    REDUCE_SCATTER = "reduce_scatter"
    ALL_GATHER = "all_gather"
    BROADCAST = "broadcast"
    MULTICAST = "multicast"
    ALL_TO_ALL = "all_to_all"
    POINT_TO_POINT = "point_to_point"


class ParallelAxis(StrEnum):
    """One way of dividing the work; a group of ranks differs in the axes it spans."""

    TP = "tp"
    CP = "cp"
    DP = "dp"
    PP = "pp"
    EP = "ep"
    EXPERT_TP = "expert_tp"
    EXPERT_DP = "expert_dp"
    STREAM = "stream"


class Phase(StrEnum):
    """When in a training step something happens."""

    FORWARD = "forward"
    BACKWARD = "backward"
    RECOMPUTE = "recompute"
    GRADIENTS = "gradients"
    OPTIMIZER = "optimizer"


class Overlap(StrEnum):
    """What a communication may hide behind."""

    NONE = "none"
    LAYER_COMPUTE = "layer_compute"
    BACKWARD_OF_STEP = "backward_of_step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Communication:
    """One exchange that every group of an axis performs at the same time.

    Attributes:
        name: Such as `tp attention all_reduce`.
        kind: What the group does.
        axes: The axes whose ranks form a group; data-parallel gradients of a job with context
            parallelism span `(dp, cp)`.
        size_bytes: Bytes as `CollectiveKind` defines them, of one exchange.
        count: Exchanges of this size, one after another, per phase.
        phase: When it happens.
        overlap: What it may hide behind.
    """

    name: str
    kind: CollectiveKind
    axes: tuple[ParallelAxis, ...]
    size_bytes: float
    count: float = 1.0
    phase: Phase
    overlap: Overlap = Overlap.NONE
