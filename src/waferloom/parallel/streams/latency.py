"""Closed forms: how long a streamed GEMM takes when nothing else uses its links.

A round lasts as long as the longer of its product and its sends; after the last send there is one
product left, so with `N` rounds

    T = (N - 1) max(t_c, t_x) + t_c

What differs between realisations is `t_x`, the time of a round's sends. The memory roof joins
`t_c`: a product is done when it has been computed and its operands have gone through memory.

Assumptions:
    - all rounds of a position take equally long, and all links are alike;
    - an asynchronous naive ring stores and forwards pieces without waiting for products.

Source:
    Our own; the TEMP paper (arXiv 2512.14256) reports simulations only.
"""

from dataclasses import dataclass

from waferloom.parallel.streams.base import Movement, StreamTraits
from waferloom.parallel.streams.modes import (
    RESIDENT,
    RESULTS,
    STREAMED,
    GemmPass,
    GemmShape,
    Operand,
    StreamMode,
    streamed_bytes,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRound:
    """One round at every position: a product, and a piece per link.

    Attributes:
        num_positions: Dies of the group, and rounds.
        compute_s: The product of a round, memory roof included.
        piece_bytes: Bytes of a whole piece.
        bandwidth_bytes_per_s: Of a link, one direction.
        latency_s: Of one hop.
    """

    num_positions: int
    compute_s: float
    piece_bytes: float
    bandwidth_bytes_per_s: float
    latency_s: float

    @property
    def piece_s(self) -> float:
        """A whole piece over one link, latency apart."""
        return self.piece_bytes / self.bandwidth_bytes_per_s

    @property
    def hop_s(self) -> float:
        """A whole piece over one hop."""
        return self.latency_s + self.piece_s

    def with_sends_s(self, send_s: float) -> float:
        """Return the time of all rounds if the sends of each take `send_s`."""
        return (self.num_positions - 1) * max(self.compute_s, send_s) + self.compute_s


def one_hop_s(step: StreamRound) -> float:
    """Return the time of the line and of the one-way ring: every send is one hop."""
    return step.with_sends_s(step.hop_s)


def split_ring_s(step: StreamRound) -> float:
    """Return the time of the split ring: half a piece per link and round.

    Two dies have one link each way, which then carries both halves.
    """
    share = 1.0 if step.num_positions == 2 else 0.5
    return step.with_sends_s(step.latency_s + share * step.piece_s)


def folded_s(step: StreamRound) -> float:
    """Return the time of the folded ring with cut-through: two latencies, one piece time."""
    return step.with_sends_s(min(2, step.num_positions - 1) * step.latency_s + step.piece_s)


def naive_ring_barrier_s(step: StreamRound) -> float:
    """Return the time of the naive ring, store-and-forward, a barrier after every round.

    The send of the closing edge takes `N - 1` whole hops: the tail that TEMP sets out to remove.
    """
    return step.with_sends_s((step.num_positions - 1) * step.hop_s)


def naive_ring_cut_through_s(step: StreamRound) -> float:
    """Return the time of the naive ring, cut-through, a barrier after every round."""
    return step.with_sends_s((step.num_positions - 1) * step.latency_s + step.piece_s)


def naive_ring_asynchronous_s(step: StreamRound) -> float:
    """Return the time of the naive ring, store-and-forward, pieces relayed freely.

    Position 0 sets the pace: its `k`-th visitor has come `N - 1` hops, `k - 1` of them behind the
    first, and `N - k` products remain.

        max(N t_c, max over 1 <= k < N of (N - 2 + k) t_x + (N - k) t_c)

    The inner maximum is linear in `k`, so one of its ends is taken.
    """
    n = step.num_positions
    ends = (1, n - 1)
    return max(
        n * step.compute_s,
        *((n - 2 + k) * step.hop_s + (n - k) * step.compute_s for k in ends),
    )


def rounds_s(step: StreamRound, traits: StreamTraits) -> float:
    """Return the time of any realisation with cut-through and a barrier after every round.

    Rounds whose links carry less than the busiest are not told apart: each of the `N - 1` rounds
    with sends is given an equal share of `serial_pieces`.
    """
    share = traits.serial_pieces / (traits.num_rounds - 1)
    return step.with_sends_s(traits.max_hops * step.latency_s + share * step.piece_s)


def gather_s(step: StreamRound, traits: StreamTraits) -> float:
    """Return how long the sends alone take at most, cut-through and without barriers.

    Latencies of dependent hops, then one piece after another on the busiest link; for small pieces,
    as in decoding, this is what counts. Lines and rings take this time, in a grid the two partly
    overlap.
    """
    return traits.chain_hops * step.latency_s + traits.serial_pieces * step.piece_s


def stream_round(
    shape: GemmShape,
    num_positions: int,
    *,
    flops_per_s: float,
    bandwidth_bytes_per_s: float,
    latency_s: float,
    element_bytes: float,
    accumulator_bytes: float = 4.0,
    mode: StreamMode = StreamMode.WEIGHTS,
    gemm_pass: GemmPass = GemmPass.FORWARD,
) -> StreamRound:
    """Return the round of a streamed GEMM, compute roof only.

    Args:
        shape: Of the whole group.
        num_positions: Dies of the group.
        flops_per_s: That a die really reaches, peak times efficiency.
        bandwidth_bytes_per_s: Of a link, one direction.
        latency_s: Of one hop.
        element_bytes: Of an element of a gathered operand.
        accumulator_bytes: Of an element of an accumulator.
        mode: What streams.
        gemm_pass: In which product.
    """
    return StreamRound(
        num_positions=num_positions,
        compute_s=shape.flops / num_positions**2 / flops_per_s,
        piece_bytes=streamed_bytes(
            shape,
            mode,
            gemm_pass,
            element_bytes=element_bytes,
            accumulator_bytes=accumulator_bytes,
        )
        / num_positions,
        bandwidth_bytes_per_s=bandwidth_bytes_per_s,
        latency_s=latency_s,
    )


def round_dram_bytes(
    shape: GemmShape,
    num_positions: int,
    *,
    element_bytes: float,
    accumulator_bytes: float = 4.0,
    piece_through_sram: bool,
    mode: StreamMode = StreamMode.WEIGHTS,
    gemm_pass: GemmPass = GemmPass.FORWARD,
) -> float:
    """Return what a round moves through a die's memory, nothing being reused across rounds.

    - Operands that do not stream are read; a result that is another block in every round is
      written, one that stays and is added to is read and written as an accumulator.
    - A piece is written when it arrives and read when it is used and passed on. An accumulator on
      its way is written, read and written by the product, and read when it leaves. Neither touches
      memory if pieces are cut into tiles that stay in SRAM.

    Args:
        shape: Of the whole group.
        num_positions: Dies of the group.
        element_bytes: Of an element of any operand, and of a finished result.
        accumulator_bytes: Of an element of an accumulator.
        piece_through_sram: Whether pieces stay out of memory.
        mode: What streams.
        gemm_pass: In which product.
    """
    streamed = STREAMED[mode, gemm_pass]
    total = 0.0
    for operand in Operand:
        elements = shape.elements(operand) / num_positions
        if operand not in (streamed.operand, RESIDENT[mode]):
            elements /= num_positions  # the block that this round's product has of it
        if operand is streamed.operand:
            is_read = streamed.movement is Movement.GATHER
            moved = 2 * element_bytes if is_read else 4 * accumulator_bytes
            total += 0.0 if piece_through_sram else elements * moved
        elif operand is RESULTS[gemm_pass] and operand is RESIDENT[mode]:
            total += elements * 2 * accumulator_bytes
        else:
            total += elements * element_bytes
    return total


def hidden_tokens_per_die(
    *, flops_per_s: float, bandwidth_bytes_per_s: float, element_bytes: float
) -> float:
    """Return the tokens per die from which streamed weights hide behind products, latency apart.

    `t_c >= t_x` needs `2 (M / N) >= element_bytes flops_per_s / bandwidth`; in and out features
    cancel.

    Example:
        >>> hidden_tokens_per_die(flops_per_s=1.8e15, bandwidth_bytes_per_s=4e12, element_bytes=2)
        450.0
    """
    return element_bytes * flops_per_s / (2 * bandwidth_bytes_per_s)


def largest_hidden_degree(
    shape: GemmShape,
    *,
    flops_per_s: float,
    bandwidth_bytes_per_s: float,
    dram_bytes_per_s: float,
    element_bytes: float,
) -> float:
    """Return the stream degree up to which streamed weights are bound by products.

    The smaller of two limits, each taken alone: the link's, `2 M B / (e F)`, and that of reading
    the resident input anew in every round, `2 n H / (e F)`.
    """
    per_row = 2 / (element_bytes * flops_per_s)
    return per_row * min(
        shape.num_tokens * bandwidth_bytes_per_s, shape.out_features * dram_bytes_per_s
    )
