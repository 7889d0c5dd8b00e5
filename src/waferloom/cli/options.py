"""Options that several commands share, and the records they stand for."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from waferloom.hardware.spec import SystemSpec
    from waferloom.parallel.software import Software
    from waferloom.parallel.strategy import OverlapPolicy, Strategy
    from waferloom.simulate.records import StepReport
    from waferloom.simulate.training_cost import TrainingCost
    from waferloom.studies.stacks import Stack
    from waferloom.workload.job import Precision, Training

DEFAULT_SYSTEM: Final = "temp-6x8"
DEFAULT_SEQ_LEN: Final = 4096


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """What is trained.

    Attributes:
        global_batch_size: Sequences per optimizer step.
        seq_len: Tokens per sequence; by default 4096, or less if the model's position table is.
        attention: Flash keeps no s^2 scores for backward; stored does.
        precision: Format of the matmuls.
        optimizer: Adam keeps two moments, sgd_momentum one.
        fp32_gradients: Accumulate and reduce gradients in fp32, as Megatron does.
    """

    global_batch_size: int = 128
    seq_len: int | None = None
    attention: Literal["flash", "stored"] = "flash"
    precision: Literal["bf16", "fp16", "fp8", "tf32"] = "bf16"
    optimizer: Literal["adam", "sgd_momentum"] = "adam"
    fp32_gradients: bool = False

    def job(self, model_name: str) -> "Training":
        """Return the job on the model of that name or path."""
        from waferloom.workload.job import AttentionStorage, Optimizer, Training
        from waferloom.workload.library import model

        config = model(model_name)
        longest = config.max_position_embeddings or DEFAULT_SEQ_LEN
        return Training(
            config,
            global_batch_size=self.global_batch_size,
            seq_len=min(DEFAULT_SEQ_LEN, longest) if self.seq_len is None else self.seq_len,
            attention=AttentionStorage(self.attention),
            optimizer=Optimizer(self.optimizer),
            precision=self._precision(),
        )

    def _precision(self) -> "Precision":
        from waferloom.workload.job import Precision

        gradient_bytes = 4.0 if self.fp32_gradients else 2.0
        element_bytes = 4.0 if self.precision == "tf32" else 2.0
        return Precision(
            compute=self.precision,
            activation_bytes=element_bytes,
            weight_bytes=element_bytes,
            gradient_bytes=max(gradient_bytes, element_bytes),
            gradient_reduce_bytes=max(gradient_bytes, element_bytes),
            master_weight_bytes=0.0 if self.precision == "tf32" else 4.0,
            optimizer_bytes=8.0 if self.optimizer == "adam" else 4.0,
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LayoutOptions:
    """Choices that can be pinned.

    Attributes:
        data_parallel: Replicas of the model (dp).
        tensor_parallel: Ranks that share every matmul (tp).
        context_parallel: Ranks that share every sequence (cp).
        pipeline_parallel: Pipeline stages (pp).
        expert_parallel: Ranks that share out the experts (ep).
        expert_tensor_parallel: Ranks that share every expert.
        sequence_parallel: Divide norms and the residual stream over the tp ranks.
        zero: ZeRO stage, 0 to 3; 3 is FSDP.
        micro_batch_size: Sequences per forward pass.
        recompute: What backward computes again.
        schedule: Order of the micro-batches in the pipeline.
        model_chunks: Virtual stages per rank of the interleaved schedule.
        placement: How ranks are put on dies.
        overlap: Run gradient, parameter and pipeline traffic behind compute.
        stack: Training software whose losses are charged: kernels, casts, collectives, overlap and
            stragglers, as fitted by `waferloom validate training`; ideal wastes nothing.
    """

    data_parallel: int | None = None
    tensor_parallel: int | None = None
    context_parallel: int | None = None
    pipeline_parallel: int | None = None
    expert_parallel: int | None = None
    expert_tensor_parallel: int | None = None
    sequence_parallel: bool | None = None
    zero: int | None = None
    micro_batch_size: int | None = None
    recompute: Literal["none", "selective", "full"] | None = None
    schedule: Literal["gpipe", "1f1b", "interleaved", "zero_bubble"] | None = None
    model_chunks: int | None = None
    placement: Literal["sequential", "blocks", "serpentine"] | None = None
    overlap: bool = True
    stack: str = "ideal"

    def pinned_degrees(self) -> dict[str, int]:
        """Return the degrees that were given.

        Raises:
            SpecError: One is below 1.
        """
        from waferloom.errors import SpecError

        given = {
            "dp": self.data_parallel,
            "tp": self.tensor_parallel,
            "cp": self.context_parallel,
            "pp": self.pipeline_parallel,
            "ep": self.expert_parallel,
            "expert_tp": self.expert_tensor_parallel,
        }
        pinned = {name: value for name, value in given.items() if value is not None}
        wrong = [f"{name} = {value}" for name, value in pinned.items() if value < 1]
        if wrong:
            msg = f"degrees must be at least 1, found {', '.join(wrong)}"
            raise SpecError(msg)
        return pinned

    def overlap_policy(self) -> "OverlapPolicy":
        """Return what runs behind compute."""
        from waferloom.parallel.strategy import OverlapPolicy

        stack = stack_named(self.stack)
        return OverlapPolicy(
            gradients=self.overlap,
            parameters=self.overlap,
            pipeline=self.overlap,
            tensor=0.0 if stack is None else stack.overlap.tensor,
        )

    def software(self, system: "SystemSpec") -> "Software":
        """Return what the training stack costs on the dies of a system."""
        from waferloom.parallel.software import IDEAL

        stack = stack_named(self.stack)
        return IDEAL if stack is None else stack.software(system.die)

    def strategy(self, system: "SystemSpec") -> "Strategy":
        """Return the strategy that the options describe; what is not given is 1, none or off.

        Args:
            system: Where it runs, for what the training stack costs there.
        """
        from waferloom.parallel.strategy import (
            ParallelDegrees,
            Recompute,
            ScheduleName,
            Strategy,
        )

        schedule = ScheduleName(self.schedule or "1f1b")
        fewest = 2 if schedule is ScheduleName.INTERLEAVED else 1
        return Strategy(
            degrees=ParallelDegrees(**self.pinned_degrees()),
            sequence_parallel=bool(self.sequence_parallel),
            zero=self.zero or 0,
            schedule=schedule,
            num_model_chunks=fewest if self.model_chunks is None else self.model_chunks,
            micro_batch_size=1 if self.micro_batch_size is None else self.micro_batch_size,
            recompute=Recompute(self.recompute or "none"),
            overlap=self.overlap_policy(),
            software=self.software(system),
        )


def stack_named(name: str) -> "Stack | None":
    """Return a training stack; None for the ideal one.

    Raises:
        SpecError: There is no such stack.
    """
    from waferloom.errors import SpecError, did_you_mean
    from waferloom.studies.stacks import stacks

    if name == "ideal":
        return None
    known = stacks()
    if name not in known:
        msg = f"unknown stack {name!r}; {did_you_mean(name, ['ideal', *known])}"
        raise SpecError(msg)
    return known[name]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CostOptions:
    """What a whole run costs.

    Attributes:
        tokens: Training budget in tokens, such as `15T` or `300B`.
        price_per_device_hour: Of one die or device, in any currency.
        price_per_kwh: Of energy, in the same currency.
    """

    tokens: str | None = None
    price_per_device_hour: float | None = None
    price_per_kwh: float | None = None

    def cost(self, report: "StepReport", num_devices: int) -> "TrainingCost | None":
        """Return the cost of the run, if a token budget was given.

        Raises:
            SpecError: Prices without tokens.
        """
        from waferloom.errors import SpecError
        from waferloom.simulate.training_cost import training_cost
        from waferloom.units import Dimension, parse_quantity

        if self.tokens is None:
            if self.price_per_device_hour is not None or self.price_per_kwh is not None:
                msg = "a price needs a budget: add --tokens, such as --tokens 15T"
                raise SpecError(msg)
            return None
        return training_cost(
            report,
            num_devices,
            parse_quantity(self.tokens, Dimension.COUNT),
            price_per_device_hour=self.price_per_device_hour,
            price_per_kwh=self.price_per_kwh,
        )


SystemName = Annotated[str, Parameter(name=["--system"])]
DefectsFile = Annotated[Path | None, Parameter(name=["--defects"])]
AsJson = Annotated[bool, Parameter(name=["--json"], negative="")]


def system_of(name: str, defects: Path | None) -> "SystemSpec":
    """Return a system by name or path, with the defects of a file applied."""
    from waferloom.hardware import read_defects, system, with_defects

    found = system(name)
    return found if defects is None else with_defects(found, read_defects(defects))
