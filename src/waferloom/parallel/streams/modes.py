"""Which operand of a GEMM streams, in the forward pass and in both gradients.

`O = I W` with `I` of tokens x in-features and `W` of in-features x out-features. Position `d` owns
row block `I_d` or column block `I_{:,d}`, and so on; `j` is the piece that visits.

    WS  resident I_d;         forward  O_{d,j} = I_d W_j               gather of W
                              dgrad    dI_d += dO_{d,j} W_j^T          gather of W
                              wgrad    dW_j += I_d^T dO_{d,j}          reduce of dW
    IS  resident W_d (cols);  forward  O_{j,d} = I_j W_d               gather of I
                              dgrad    dI_j += dO_{j,d} W_d^T          reduce of dI
                              wgrad    dW_d += I_j^T dO_{j,d}          gather of I
    OS  resident I_{:,d},     forward  O_j += I_{j,d} W_d              reduce of O
        W_d (rows);           dgrad    dI_{j,d} = dO_j W_d^T           gather of dO
                              wgrad    dW_d += I_{j,d}^T dO_j          gather of dO, the same one

Weights, gradients and activations stay divided; only pieces in transit are extra. The backward
passes are our design; the forward modes follow TEMP, arXiv 2512.14256, section IV.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from waferloom.parallel.streams.base import Movement


class StreamMode(StrEnum):
    """Which operand streams: weights, inputs or outputs."""

    WEIGHTS = "ws"
    INPUTS = "is"
    OUTPUTS = "os"


class GemmPass(StrEnum):
    """One of the three products of a linear layer."""

    FORWARD = "forward"
    INPUT_GRADIENT = "dgrad"
    WEIGHT_GRADIENT = "wgrad"


class Operand(StrEnum):
    """A matrix of a GEMM, or its gradient, which has its shape."""

    INPUT = "input"
    WEIGHT = "weight"
    OUTPUT = "output"


class Divided(StrEnum):
    """Which dimension of an activation is cut over the positions."""

    TOKENS = "tokens"
    FEATURES = "features"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedOperand:
    """What travels in one pass.

    Attributes:
        operand: Which matrix, or, in a reduce, whose sum. In the backward passes an output, and a
            reduced input or weight, is a gradient.
        movement: Gather (read on its way) or reduce (accumulators).
    """

    operand: Operand
    movement: Movement


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLayout:
    """How a mode wants its input divided, and how it leaves its output."""

    input: Divided
    output: Divided


@dataclass(frozen=True, slots=True, kw_only=True)
class GemmShape:
    """The whole GEMM of a group of positions.

    Attributes:
        num_tokens: Rows of input and output.
        in_features: Columns of the input, rows of the weight.
        out_features: Columns of weight and output.
    """

    num_tokens: int
    in_features: int
    out_features: int

    @property
    def flops(self) -> float:
        """Operations of one pass; a multiply-add is two."""
        return 2.0 * self.num_tokens * self.in_features * self.out_features

    def elements(self, operand: Operand) -> float:
        """Return the elements of a whole matrix."""
        match operand:
            case Operand.INPUT:
                return float(self.num_tokens) * self.in_features
            case Operand.WEIGHT:
                return float(self.in_features) * self.out_features
            case Operand.OUTPUT:
                return float(self.num_tokens) * self.out_features


def _gather(operand: Operand) -> StreamedOperand:
    return StreamedOperand(operand=operand, movement=Movement.GATHER)


def _reduce(operand: Operand) -> StreamedOperand:
    return StreamedOperand(operand=operand, movement=Movement.REDUCE)


STREAMED: Final[Mapping[tuple[StreamMode, GemmPass], StreamedOperand]] = {
    (StreamMode.WEIGHTS, GemmPass.FORWARD): _gather(Operand.WEIGHT),
    (StreamMode.WEIGHTS, GemmPass.INPUT_GRADIENT): _gather(Operand.WEIGHT),
    (StreamMode.WEIGHTS, GemmPass.WEIGHT_GRADIENT): _reduce(Operand.WEIGHT),
    (StreamMode.INPUTS, GemmPass.FORWARD): _gather(Operand.INPUT),
    (StreamMode.INPUTS, GemmPass.INPUT_GRADIENT): _reduce(Operand.INPUT),
    (StreamMode.INPUTS, GemmPass.WEIGHT_GRADIENT): _gather(Operand.INPUT),
    (StreamMode.OUTPUTS, GemmPass.FORWARD): _reduce(Operand.OUTPUT),
    (StreamMode.OUTPUTS, GemmPass.INPUT_GRADIENT): _gather(Operand.OUTPUT),
    (StreamMode.OUTPUTS, GemmPass.WEIGHT_GRADIENT): _gather(Operand.OUTPUT),
}
"""What streams in every mode and pass. The two gathers of `OUTPUTS` are one: both gradients are
computed from the piece that visits."""

RESIDENT: Final[Mapping[StreamMode, Operand]] = {
    StreamMode.WEIGHTS: Operand.INPUT,
    StreamMode.INPUTS: Operand.WEIGHT,
    StreamMode.OUTPUTS: Operand.WEIGHT,
}
"""The operand (or its gradient) of which a position uses the same block in every round."""

RESULTS: Final[Mapping[GemmPass, Operand]] = {
    GemmPass.FORWARD: Operand.OUTPUT,
    GemmPass.INPUT_GRADIENT: Operand.INPUT,
    GemmPass.WEIGHT_GRADIENT: Operand.WEIGHT,
}
"""What a product makes: the output, or a gradient of the operand's shape."""

LAYOUTS: Final[Mapping[StreamMode, StreamLayout]] = {
    StreamMode.WEIGHTS: StreamLayout(input=Divided.TOKENS, output=Divided.TOKENS),
    StreamMode.INPUTS: StreamLayout(input=Divided.TOKENS, output=Divided.FEATURES),
    StreamMode.OUTPUTS: StreamLayout(input=Divided.FEATURES, output=Divided.TOKENS),
}


def streamed_bytes(
    shape: GemmShape,
    mode: StreamMode,
    gemm_pass: GemmPass,
    *,
    element_bytes: float,
    accumulator_bytes: float = 4.0,
) -> float:
    """Return the bytes of all pieces together; a piece is one N-th of it.

    Args:
        shape: Of the whole group.
        mode: What streams.
        gemm_pass: In which product.
        element_bytes: Of one element of a gathered operand.
        accumulator_bytes: Of one element of an accumulator; FP32 by default, which sums of N
            shares need.

    Example:
        >>> ffn = GemmShape(num_tokens=2048, in_features=12288, out_features=49152)
        >>> streamed_bytes(ffn, StreamMode.WEIGHTS, GemmPass.FORWARD, element_bytes=2) / 1e6
        1207.959552
        >>> streamed_bytes(ffn, StreamMode.INPUTS, GemmPass.FORWARD, element_bytes=2) / 1e6
        50.331648
    """
    streamed = STREAMED[mode, gemm_pass]
    is_read = streamed.movement is Movement.GATHER
    return shape.elements(streamed.operand) * (element_bytes if is_read else accumulator_bytes)
