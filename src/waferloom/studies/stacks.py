"""The software stacks of the published training runs, in a handful of numbers each.

A stack's numbers hold for all of its runs, on every device and scale. What belongs to a device is
shared by all stacks: its collectives, and what an attention kernel reaches on it. Nothing is set
per run. The numbers of `Fitted` come from `scripts/fit_training.py`, which names its rows and
prints the error of rows left out; the others follow from how a stack works and say so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from waferloom.hardware.spec import DieSpec
from waferloom.parallel.software import IDEAL_LIBRARY, CollectiveLibrary, Software
from waferloom.parallel.strategy import OverlapPolicy
from waferloom.workload.job import AttentionStorage, Precision

A100, A100_40GB = "A100-SXM4-80GB", "A100-SXM4-40GB"
H100, H100_500W = "H100-SXM5-80GB", "H100-96GB-HBM2e-500W"
B200, GB200 = "B200-SXM-180GB", "GB200 GPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Every fitted number, all stacks together; `scripts/fit_training.py` prints this record.

    Attributes:
        triton_a100: FLOP rate of the Triton flash attention of 2022, forward, over the peak.
        triton_h100: The same on H100, whose wider matrix instructions it does not use.
        flash2_a100: Of FlashAttention-2 on A100.
        flash2_h100: Of FlashAttention-2 on H100.
        backward: Rate of the backward kernels over that of the forward ones.
        traffic_amp: `Software.vector_traffic` of llm-foundry with autocast: the residual stream and
            the loss are in 32 bits, and nothing is fused.
        traffic_pure: Of llm-foundry in pure bf16.
        traffic_eager: Of torchtitan without compilation: norms and rotary embedding in pieces.
        traffic_compiled: Of stacks whose element-wise operators are fused by a compiler or by hand.
        traffic_megatron: Of Megatron-LM.
        traffic_megascale: Of MegaScale, which fuses more.
        overlap_megascale: Share of tensor-parallel communication that MegaScale hides or, with
            attention and MLP side by side, does without.
        overlap_async: The same of torchtitan's asynchronous tensor parallelism.
        interference: `Software.interference`, all stacks.
        jitter: `Software.jitter`, all stacks.
    """

    triton_a100: float = 0.525
    triton_h100: float = 0.298
    flash2_a100: float = 0.535
    flash2_h100: float = 0.42
    backward: float = 0.532
    traffic_amp: float = 1.3
    traffic_pure: float = 1.57
    traffic_eager: float = 1.68
    traffic_compiled: float = 0.579
    traffic_megatron: float = 1.09
    traffic_megascale: float = 0.606
    overlap_megascale: float = 0.473
    overlap_async: float = 0.645
    interference: float = 0.149
    jitter: float = 0.0202


FITTED: Final = Fitted()

_NCCL_A100: Final = CollectiveLibrary(
    inside_efficiency=0.64, inside_latency_s=42e-6, across_efficiency=0.8, across_latency_s=122e-6
)
_NCCL_H100: Final = CollectiveLibrary(
    inside_efficiency=0.68, inside_latency_s=22e-6, across_efficiency=1.0, across_latency_s=122e-6
)
_NCCL_B200: Final = CollectiveLibrary(
    inside_efficiency=0.6, inside_latency_s=26e-6, across_efficiency=1.0, across_latency_s=122e-6
)
COLLECTIVES: Final[Mapping[str, CollectiveLibrary]] = {
    A100: _NCCL_A100,
    A100_40GB: _NCCL_A100,
    H100: _NCCL_H100,
    H100_500W: _NCCL_H100,
    B200: _NCCL_B200,
    GB200: _NCCL_B200,
}
"""NCCL by die.

Inside a node: fitted on `comm_nccl_intranode.csv`, 8 MiB and more (training moves tens of MiB at
a time), 2 and 8 devices, every collective of the table; mean absolute error 9 % (A100), 10 %
(H100), 17 % (B200), where ideal links are 61-93 % off. Across nodes: on 16 to 64 devices of
`comm_nccl_multinode.csv`, 18 % (H100) and 3 % (A100, whose rows are too large to tell a latency, so
it has that of H100; B200 is assumed to do as H100 does). By `fit_training.py --collectives`.
"""


_MIXED: Final = Precision()
_FP32_GRADIENTS: Final = Precision(gradient_bytes=4.0, gradient_reduce_bytes=4.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What one training stack does, the same in all of its runs.

    Attributes:
        vector_traffic: As in `Software`.
        kernel: Fused attention: `triton` or `flash2`, or None for the best of the die.
        is_attention_stored: Attention stores its scores instead.
        precision: Bytes per parameter; `compute` is replaced by that of the run.
        cast_bytes: As in `Software`.
        gather_bytes: As in `Software`.
        selective_share: As in `Software`.
        tensor_overlap: Share of tensor-parallel communication behind its matmuls.
        why: Where the numbers that are not fitted come from.
    """

    vector_traffic: float
    kernel: str | None = None
    is_attention_stored: bool = False
    precision: Precision = _MIXED
    cast_bytes: float = 0.0
    gather_bytes: float | None = None
    selective_share: float | None = None
    tensor_overlap: float = 0.0
    why: str

    @property
    def attention(self) -> AttentionStorage:
        """How attention keeps its scores."""
        return AttentionStorage.STORED if self.is_attention_stored else AttentionStorage.FLASH

    @property
    def overlap(self) -> OverlapPolicy:
        """What runs behind compute."""
        return OverlapPolicy(tensor=self.tensor_overlap)

    def software(self, die: DieSpec, fitted: Fitted = FITTED) -> Software:
        """Return what this stack costs on a die."""
        forward = backward = 1.0
        reached = _kernel_rate(self.kernel, die.name, fitted)
        if reached is not None:
            forward = reached / die.efficiency.attention_forward
            backward = reached * fitted.backward / die.efficiency.attention_backward
        return Software(
            attention_forward=forward,
            attention_backward=backward,
            vector_traffic=self.vector_traffic,
            cast_bytes=self.cast_bytes,
            gather_bytes=self.gather_bytes,
            selective_share=self.selective_share,
            interference=fitted.interference,
            jitter=fitted.jitter,
            collectives=COLLECTIVES.get(die.name, IDEAL_LIBRARY),
        )


def _kernel_rate(kernel: str | None, die_name: str, fitted: Fitted) -> float | None:
    """Return the forward rate of an attention kernel on a die over its peak, where one is known."""
    rates = {
        ("triton", A100): fitted.triton_a100,
        ("triton", A100_40GB): fitted.triton_a100,
        ("triton", H100): fitted.triton_h100,
        ("flash2", A100): fitted.flash2_a100,
        ("flash2", A100_40GB): fitted.flash2_a100,
        ("flash2", H100): fitted.flash2_h100,
        # the part capped at 500 W keeps 0.62 / 0.761 of the 700 W part's clock under load
        ("flash2", H100_500W): fitted.flash2_h100 * 0.62 / 0.761,
    }
    return rates.get((kernel or "", die_name))


def stacks(fitted: Fitted = FITTED) -> Mapping[str, Stack]:
    """Return every stack by name."""
    megatron = Stack(
        vector_traffic=fitted.traffic_megatron,
        is_attention_stored=True,
        precision=_FP32_GRADIENTS,
        why="attention stores its scores; gradients are accumulated and reduced in 32 bits",
    )
    compiled = Stack(
        vector_traffic=fitted.traffic_compiled,
        precision=_FP32_GRADIENTS,
        why="fused attention of the device's own library",
    )
    nvidia = replace(
        compiled,
        tensor_overlap=fitted.overlap_async,
        why="fused attention of the device's own library; matmuls run in pieces beside their "
        "tensor-parallel communication, as in asynchronous tensor parallelism",
    )
    torchtitan = Stack(
        vector_traffic=fitted.traffic_compiled,
        kernel="flash2",
        precision=_FP32_GRADIENTS,
        selective_share=0.5,
        why="PyTorch's FlashAttention-2; selective checkpoints keep every second matmul; gradients "
        "are reduced in 32 bits",
    )
    return {
        "megatron-2021": megatron,
        "megatron-2022": megatron,
        "megatron-2023": megatron,
        "megascale": Stack(
            vector_traffic=fitted.traffic_megascale,
            kernel="flash2",
            tensor_overlap=fitted.overlap_megascale,
            why="FlashAttention-2; the sliding window, of unprinted length, is not modelled",
        ),
        "llama3": Stack(
            vector_traffic=fitted.traffic_compiled,
            kernel="flash2",
            precision=_FP32_GRADIENTS,
            why="gradients are accumulated and reduced in 32 bits",
        ),
        "llm-foundry": Stack(
            vector_traffic=fitted.traffic_amp,
            kernel="triton",
            cast_bytes=6.0,
            gather_bytes=4.0,
            why="mixed precision DEFAULT keeps and gathers 32-bit weights, which autocast turns "
            "into 16 bits; gradients are reduced in 16 bits",
        ),
        "llm-foundry-pure": Stack(
            vector_traffic=fitted.traffic_pure,
            kernel="triton",
            why="mixed precision PURE gathers and reduces 16 bits",
        ),
        "torchtitan": torchtitan,
        "torchtitan-eager": Stack(
            vector_traffic=fitted.traffic_eager,
            kernel="flash2",
            precision=_FP32_GRADIENTS,
            selective_share=0.5,
            why=torchtitan.why,
        ),
        "torchtitan-async-tp": Stack(
            vector_traffic=fitted.traffic_compiled,
            kernel="flash2",
            precision=_FP32_GRADIENTS,
            selective_share=0.5,
            tensor_overlap=fitted.overlap_async,
            why=torchtitan.why,
        ),
        "megatron-bridge": nvidia,
        "nemo": nvidia,
        "automodel": compiled,
        "maxtext": compiled,
    }
