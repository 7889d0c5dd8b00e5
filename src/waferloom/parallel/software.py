"""How the software that runs a strategy falls short of the hardware, in a handful of numbers."""

import math
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveLibrary:
    """What a library of collectives reaches of the links; the defaults are ideal.

    "Inside" is a node, wafer or slice; "across" is a group with members in several of them.

    Attributes:
        inside_efficiency: Sustained over peak bandwidth of links.
        inside_latency_s: Start of one collective, beside the latency of its links.
        across_efficiency: The same across.
        across_latency_s: The same across.
    """

    inside_efficiency: float = 1.0
    inside_latency_s: float = 0.0
    across_efficiency: float = 1.0
    across_latency_s: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: A number is out of range.
        """
        for name in ("inside_efficiency", "across_efficiency"):
            if not 0 < getattr(self, name) <= 1:
                msg = f"{name} must be in (0, 1], found {getattr(self, name):g}"
                raise ValueError(msg)
        for name in ("inside_latency_s", "across_latency_s"):
            if not 0 <= getattr(self, name) < math.inf:
                msg = f"{name} must be at least 0, found {getattr(self, name):g}"
                raise ValueError(msg)


IDEAL_LIBRARY: Final = CollectiveLibrary()


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """A training stack; the defaults are one that wastes nothing.

    Attributes:
        attention_forward: Rate of its fused attention over that of the die's best, forward.
        attention_backward: The same, backward.
        vector_traffic: Bytes that norms, activations and the like move, over one read of every
            input and one write of every output in 16 bits. Below 1 where they are fused with each
            other or with matmuls; above 1 where a stack adds casts, copies or 32-bit formats.
        cast_bytes: Bytes moved per parameter to cast weights before the passes that use them, and
            gradients after the backward pass: 6 where 32-bit weights are cast to 16 bits.
        gather_bytes: Bytes per parameter on the wire when sharded weights are gathered; None for
            the format that matmuls read.
        selective_share: Share of a layer's forward compute, attention left out, that selective
            recomputation repeats; None where it repeats attention and nothing else.
        interference: Share of the hidden communication time that compute loses, since communication
            takes cores and memory bandwidth from it.
        jitter: Standard deviation of a device's step time over its mean; a step waits for the
            slowest device.
        collectives: The library of collectives.
    """

    attention_forward: float = 1.0
    attention_backward: float = 1.0
    vector_traffic: float = 1.0
    cast_bytes: float = 0.0
    gather_bytes: float | None = None
    selective_share: float | None = None
    interference: float = 0.0
    jitter: float = 0.0
    collectives: CollectiveLibrary = IDEAL_LIBRARY

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: A number is out of range; all faults are named.
        """
        faults = [
            f"{name} must be positive, found {getattr(self, name):g}"
            for name in ("attention_forward", "attention_backward", "vector_traffic")
            if not 0 < getattr(self, name) < math.inf
        ]
        faults += [
            f"{name} must be at least 0, found {getattr(self, name):g}"
            for name in ("cast_bytes", "gather_bytes", "selective_share", "interference", "jitter")
            if getattr(self, name) is not None and not 0 <= getattr(self, name) < math.inf
        ]
        if faults:
            raise ValueError("; ".join(faults))

    def slowest_of(self, num_ranks: int) -> float:
        """Return the step time of the slowest of `num_ranks` devices, over the mean.

        The expected largest of `n` normal variables is close to, and below, `sqrt(2 ln n)` standard
        deviations above their mean.
        """
        return 1.0 + self.jitter * math.sqrt(2.0 * math.log(num_ranks))


IDEAL: Final = Software()
"""A stack that wastes nothing."""
