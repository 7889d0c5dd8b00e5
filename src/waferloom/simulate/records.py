"""What a simulation says: `StepReport` and its parts."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from waferloom.hardware.resources import Resource
from waferloom.network.topology import Topology
from waferloom.parallel.memory import MemoryBreakdown
from waferloom.parallel.pipelines import StageTimes
from waferloom.parallel.stages import Stage
from waferloom.parallel.strategy import Violation


class TimePart(StrEnum):
    """Where the time of a step goes; the parts of a report add up to its `step_s`."""

    FORWARD = "forward"
    BACKWARD = "backward"
    RECOMPUTE = "recompute"
    TP = "tp communication"
    CP = "cp communication"
    EP = "ep communication"
    PP = "pp communication"
    DP = "dp communication"
    CONTENTION = "links and hidden communication that outlast compute"
    BUBBLE = "bubble"
    OPTIMIZER = "optimizer"
    STRAGGLERS = "waiting for the slowest device"


class EnergyPart(StrEnum):
    """Where the energy of a step goes."""

    COMPUTE = "compute"
    SRAM = "sram"
    NOC = "noc"
    DRAM = "dram"
    NETWORK = "d2d and network"
    STATIC = "static"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """One pipeline rank.

    Attributes:
        stage: Its layers.
        dies: Die ids of its ranks.
        times: Seconds of one micro-batch, exposed communication included.
        compute_s: Of `times`, compute without recomputation.
        recompute_s: Of `times`, recomputation.
        memory: Bytes on one die, at the peak.
    """

    stage: Stage
    dies: tuple[int, ...]
    times: StageTimes
    compute_s: float
    recompute_s: float
    memory: MemoryBreakdown


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """What improving one resource by 10 % gives.

    Attributes:
        resource: What is improved; latency falls, everything else rises.
        step_s: Step time then, with the plan unchanged.
        speedup: Step time now over step time then; at least 1 up to rounding.
    """

    resource: Resource
    step_s: float
    speedup: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinkLoads:
    """Bytes every directed link carries in one step.

    Attributes:
        topology: The links.
        bytes_L: Axis: link of `topology`.
        step_s: The time over which they are carried.
    """

    topology: Topology
    bytes_L: NDArray[np.float64]
    step_s: float

    @property
    def utilization_L(self) -> NDArray[np.float64]:
        """Share of the step that each link is busy."""
        return self.bytes_L / (self.topology.bandwidth_bytes_per_s_L * self.step_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One training step of a plan, as the model sees it.

    Attributes:
        step_s: Start of the first forward to the end of the update.
        parts_s: `step_s` by cause, along the critical pipeline rank.
        num_micro_batches: Per dp rank.
        tokens_per_step: Of the whole job.
        model_flops: FLOPs of forward and backward, recomputation and padding excluded.
        executed_flops: FLOPs that the dies execute, recomputation and uneven shards included.
        peak_flops_per_s: Of all live dies, used or not.
        stages: One per pipeline rank.
        memory_capacity_bytes: Of one die.
        violations: Why the plan cannot run; empty for a feasible plan.
        links: What the links carry.
        energy_j: Energy of a step by component; all zero where the system states no energies.
        bottleneck: What +10 % of each resource gives, best first; empty if not asked for.
        collectives: Algorithm chosen per kind and axis.
        network: Fidelity of the communication times.
    """

    step_s: float
    parts_s: Mapping[TimePart, float]
    num_micro_batches: int
    tokens_per_step: int
    model_flops: float
    executed_flops: float
    peak_flops_per_s: float
    stages: tuple[StageReport, ...]
    memory_capacity_bytes: float
    violations: tuple[Violation, ...]
    links: LinkLoads
    energy_j: Mapping[EnergyPart, float]
    bottleneck: tuple[Sensitivity, ...] = ()
    collectives: Mapping[str, str]
    network: str = "bound"

    @property
    def is_feasible(self) -> bool:
        """Whether the plan can run."""
        return not self.violations

    @property
    def tokens_per_s(self) -> float:
        """Training throughput of the job."""
        return self.tokens_per_step / self.step_s

    @property
    def mfu(self) -> float:
        """Model FLOPs over what all live dies could have done, 0 to 1."""
        return self.model_flops / (self.step_s * self.peak_flops_per_s)

    @property
    def hfu(self) -> float:
        """Executed FLOPs over what all live dies could have done, 0 to 1."""
        return self.executed_flops / (self.step_s * self.peak_flops_per_s)

    @property
    def power_w(self) -> float:
        """Mean power."""
        return sum(self.energy_j.values()) / self.step_s

    @property
    def peak_memory(self) -> StageReport:
        """The stage whose dies hold most."""
        return max(self.stages, key=lambda stage: stage.memory.total)
