"""The operators of a layer, before anything is divided.

An operator states what it computes per token and which of its dimensions a parallel scheme may cut;
it does not know degrees or hardware. Widths are sums of `FeatureBlock`s, so that cutting into
uneven shards (`ceil`) respects whole heads.
"""

from dataclasses import dataclass
from enum import StrEnum


class OperatorKind(StrEnum):
    """How an operator's time is modelled."""

    MATMUL = "matmul"
    EXPERT_MATMUL = "expert_matmul"
    ATTENTION = "attention"
    VECTOR = "vector"
    EMBEDDING = "embedding"


class Split(StrEnum):
    """What tensor parallelism may cut.

    - OUT: the output features (column parallel); IN: the input features (row parallel);
    - HEADS: whole heads (attention and what happens inside it);
    - TOKENS: the tokens, and only under sequence parallelism (norms, residual stream);
    - WHOLE: nothing; every tensor-parallel rank repeats it.
    """

    OUT = "out"
    IN = "in"
    HEADS = "heads"
    TOKENS = "tokens"
    WHOLE = "whole"


class SavedUntil(StrEnum):
    """Which recompute policy still stores an activation.

    - ALWAYS: even full recomputation keeps it (the input of the layer);
    - SELECTIVE: kept by none and selective recompute, dropped by full;
    - NONE: kept only without recomputation (the s^2 part of stored attention).
    """

    ALWAYS = "always"
    SELECTIVE = "selective"
    NONE = "none"


class Recompute(StrEnum):
    """What backward computes again instead of reading it from memory."""

    NONE = "none"
    SELECTIVE = "selective"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureBlock:
    """`num_units` indivisible units of `unit_width` features, such as heads of `head_dim`."""

    num_units: int
    unit_width: int = 1

    @property
    def width(self) -> int:
        """All features of the block."""
        return self.num_units * self.unit_width

    def shard_width(self, degree: int) -> int:
        """Features of the largest of `degree` shards: whole units, at least one each."""
        return -(-self.num_units // degree) * self.unit_width


Features = tuple[FeatureBlock, ...]


def width(features: Features) -> int:
    """Return all features of the blocks."""
    return sum(block.width for block in features)


def shard_width(features: Features, degree: int) -> int:
    """Return the features of the largest of `degree` shards."""
    return sum(block.shard_width(degree) for block in features)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedActivation:
    """A tensor that forward keeps for backward.

    Attributes:
        name: For reports.
        features: Elements per token, as blocks.
        bytes_per_element: 2 for activations of 16-bit training, 1 for masks, 4 for fp32 statistics.
        split: HEADS or OUT: divided by tp; TOKENS: divided by tp under sequence parallelism; WHOLE:
            never.
        saved_until: Which recompute policies drop it.
        per_key: The tensor has this many elements for every (token, key) pair: stored attention.
        is_routed: One copy per (token, expert) pair; `top_k` copies per token.
    """

    name: str
    features: Features
    bytes_per_element: float
    split: Split
    saved_until: SavedUntil = SavedUntil.SELECTIVE
    per_key: bool = False
    is_routed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator of a layer (or of the embedding and the head).

    Attributes:
        name: Unique in its layer.
        kind: How it is timed.
        split: What tensor parallelism cuts.
        in_features: Contracted width of a matmul; input width of a vector operator.
        out_features: Output width.
        num_parameters: Weights and biases of the operator (all routed experts together).
        head_dim_qk: Attention: query/key width per head.
        head_dim_v: Attention: value width per head.
        heads: Attention: query heads as one block of `unit_width` 1.
        kv_heads: Attention: key/value heads.
        vector_flops_per_token: Vector operations per token of a VECTOR operator.
        vector_bytes_per_token: Bytes a VECTOR or EMBEDDING operator reads and writes per token,
            forward, unfused from its neighbours.
        backward_vector_bytes_per_token: The same, backward.
        is_routed: Works on (token, expert) pairs.
        is_attention_core: Recomputed by selective recomputation.
        is_expansion: Turns the latent of a token into keys and values. Context parallelism gathers
            latents, so that every rank expands those of the whole sequence.
        saved: What forward keeps.
    """

    name: str
    kind: OperatorKind
    split: Split
    in_features: Features = ()
    out_features: Features = ()
    num_parameters: int = 0
    head_dim_qk: int = 0
    head_dim_v: int = 0
    heads: FeatureBlock | None = None
    kv_heads: FeatureBlock | None = None
    vector_flops_per_token: float = 0.0
    vector_bytes_per_token: float = 0.0
    backward_vector_bytes_per_token: float = 0.0
    is_routed: bool = False
    is_attention_core: bool = False
    is_expansion: bool = False
    saved: tuple[SavedActivation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGraph:
    """The operators of one layer in execution order; backward runs them in reverse."""

    operators: tuple[Operator, ...]

    @property
    def num_parameters(self) -> int:
        """Parameters of the layer."""
        return sum(operator.num_parameters for operator in self.operators)
