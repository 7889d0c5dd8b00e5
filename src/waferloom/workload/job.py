"""What is to be done with a model: train it, or serve it."""

from dataclasses import dataclass, field
from enum import StrEnum

from waferloom.workload.model import ModelConfig


class AttentionStorage(StrEnum):
    """Whether attention stores its s^2 scores for backward or recomputes them (`flash`)."""

    FLASH = "flash"
    STORED = "stored"


class Optimizer(StrEnum):
    """Update rule, for its state and traffic."""

    ADAM = "adam"
    SGD_MOMENTUM = "sgd_momentum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """Bytes per parameter of every kind of state, and the format of the matmuls.

    The default is mixed-precision Adam: 2 (weights) + 2 (gradients) + 12 (fp32 copy and two
    moments) = 16 bytes per parameter. Megatron-style fp32 gradient accumulation makes the second
    term 4.

    Attributes:
        compute: Format of matmul inputs; a key of `DieSpec.peak_flops_per_s`.
        activation_bytes: Per stored activation element.
        weight_bytes: Per parameter in the format that matmuls read.
        gradient_bytes: Per parameter.
        gradient_reduce_bytes: Per parameter on the wire of the gradient reduction.
        master_weight_bytes: Per parameter; 0 without a separate copy.
        optimizer_bytes: Per parameter, moments only.
    """

    compute: str = "bf16"
    activation_bytes: float = 2.0
    weight_bytes: float = 2.0
    gradient_bytes: float = 2.0
    gradient_reduce_bytes: float = 2.0
    master_weight_bytes: float = 4.0
    optimizer_bytes: float = 8.0

    @property
    def state_bytes(self) -> float:
        """Bytes per parameter of all state."""
        return (
            self.weight_bytes
            + self.gradient_bytes
            + self.master_weight_bytes
            + self.optimizer_bytes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Train `model` with steps of `global_batch_size` sequences of `seq_len` tokens.

    `seq_len` may exceed a learned position table: studies stretch GPT-3 to 16K tokens, and the few
    rows that are missing change no result.
    """

    model: ModelConfig = field(kw_only=False)
    global_batch_size: int
    seq_len: int
    precision: Precision = Precision()
    optimizer: Optimizer = Optimizer.ADAM
    attention: AttentionStorage = AttentionStorage.FLASH
    is_causal: bool = True

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ValueError: A size is not positive.
        """
        for name in ("global_batch_size", "seq_len"):
            value = getattr(self, name)
            if value < 1:
                msg = f"{name} must be at least 1, found {value}"
                raise ValueError(msg)

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one optimizer step."""
        return self.global_batch_size * self.seq_len


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """Serve `batch_size` requests of `prompt_len` tokens that generate `output_len` tokens each."""

    model: ModelConfig
    batch_size: int
    prompt_len: int
    output_len: int
    precision: Precision = Precision(
        gradient_bytes=0.0, gradient_reduce_bytes=0.0, master_weight_bytes=0.0, optimizer_bytes=0.0
    )

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ValueError: A size is not positive.
        """
        for name in ("batch_size", "prompt_len", "output_len"):
            value = getattr(self, name)
            if value < 1:
                msg = f"{name} must be at least 1, found {value}"
                raise ValueError(msg)
