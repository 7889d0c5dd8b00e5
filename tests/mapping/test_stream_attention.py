"""Ring attention over streams: keys and values visit, softmax is rescaled as they come.

Queries stay; a piece is keys and values of one position, all of its key-value heads. The backward
pass streams the pieces again for the gradient of the queries and collects those of keys and values
in the reduce of the same schedule.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from waferloom.hardware import system
from waferloom.mapping.stream_lowering import lower_stream, stream_positions
from waferloom.network.interpreter import interpret
from waferloom.network.topology import build_topology
from waferloom.parallel.streams import STREAMS, StreamTable
from waferloom.parallel.streams.causal import CAUSAL_STREAMS

TOPOLOGY = build_topology(system("temp-6x8"))
TOKENS_PER_CHUNK, HEADS, KV_HEADS, HEAD_DIM = 3, 4, 2, 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Attention:
    """Axes: tokens, heads, head dim; keys and values have fewer heads, each for several queries."""

    q: np.ndarray
    kv: np.ndarray  # one more axis in front: keys, values
    d_out: np.ndarray
    is_causal: bool

    def block(self, rows: np.ndarray, cols: np.ndarray, kv: np.ndarray):
        """Return scores of some queries with some keys, and the keys and values per query head."""
        k, v = np.repeat(kv, HEADS // KV_HEADS, axis=2)
        scores = np.einsum("qhe,khe->hqk", self.q[rows], k) / np.sqrt(HEAD_DIM)
        if self.is_causal:
            scores = np.where(cols[None, None, :] <= rows[None, :, None], scores, -np.inf)
        return scores, k, v

    def gradients(self, rows: np.ndarray, cols: np.ndarray, kv: np.ndarray, out, log_sum):
        """Return what a block adds to the gradients of its queries, and of its keys and values."""
        scores, k, v = self.block(rows, cols, kv)
        p = np.exp(scores - log_sum[..., None])
        d_out = self.d_out[rows]
        delta = np.einsum("qhe,qhe->hq", d_out, out)
        d_p = np.einsum("qhe,khe->hqk", d_out, v)
        d_s = p * (d_p - delta[..., None]) / np.sqrt(HEAD_DIM)
        d_k, d_v = np.einsum("hqk,qhe->khe", d_s, self.q[rows]), np.einsum("hqk,qhe->khe", p, d_out)
        shared = (cols.size, KV_HEADS, HEADS // KV_HEADS, HEAD_DIM)
        d_kv = np.stack([d_k.reshape(shared).sum(2), d_v.reshape(shared).sum(2)])
        return np.einsum("hqk,khe->qhe", d_s, k), d_kv

    def dense(self):
        """Return output and gradients, all tokens at once; gradients by the chain rule itself."""
        tokens = np.arange(self.q.shape[0])
        scores, k, v = self.block(tokens, tokens, self.kv)
        p = np.exp(scores - scores.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        out = np.einsum("hqk,khe->qhe", p, v)
        d_p = np.einsum("qhe,khe->hqk", self.d_out, v)
        d_s = (p * d_p - p * (p * d_p).sum(axis=-1, keepdims=True)) / np.sqrt(HEAD_DIM)
        d_k = np.einsum("hqk,qhe->khe", d_s, self.q)
        d_v = np.einsum("hqk,qhe->khe", p, self.d_out)
        shared = (tokens.size, KV_HEADS, HEADS // KV_HEADS, HEAD_DIM)
        d_kv = np.stack([d_k.reshape(shared).sum(2), d_v.reshape(shared).sum(2)])
        return out, np.einsum("hqk,khe->qhe", d_s, k), d_kv


def attention(num_tokens: int, *, is_causal: bool) -> Attention:
    rng = np.random.default_rng(num_tokens)
    return Attention(
        q=3 * rng.normal(size=(num_tokens, HEADS, HEAD_DIM)),
        kv=rng.normal(size=(2, num_tokens, KV_HEADS, HEAD_DIM)),
        d_out=rng.normal(size=(num_tokens, HEADS, HEAD_DIM)),
        is_causal=is_causal,
    )


def streamed(
    work: Attention, table: StreamTable, dies: list[int], chunks: Callable[[int], tuple[int, ...]]
):
    """Return output and gradients, every die seeing only its own tokens and what visits."""
    n, order = table.num_positions, np.random.default_rng(5)

    def tokens(chunk: int) -> np.ndarray:
        return np.arange(chunk * TOKENS_PER_CHUNK, (chunk + 1) * TOKENS_PER_CHUNK)

    def visits(held: np.ndarray, d: int):
        for row in table.work:
            for part, j in enumerate(row[d]):
                if j is not None:
                    yield (
                        j,
                        part,
                        tokens(chunks(j)[part]),
                        held[dies[d], gather.slots.work(j, part)],
                    )

    gather = lower_stream(TOPOLOGY, dies, table, 1.0, reuse=True)
    start = np.zeros((TOPOLOGY.num_dies, gather.slots.num_slots, *work.kv[:, tokens(0)].shape))
    for d in range(n):
        for part, chunk in enumerate(chunks(d)):
            start[dies[d], gather.slots.own(part)] = work.kv[:, tokens(chunk)]
    held = interpret(gather.traffic, start, order=order)

    own = [np.concatenate([tokens(chunk) for chunk in chunks(d)]) for d in range(n)]
    out, d_q, d_kv = np.zeros_like(work.q), np.zeros_like(work.q), np.zeros_like(work.kv)
    reduce = lower_stream(TOPOLOGY, dies, table.reversed(), 1.0, reuse=True)
    shares = np.zeros_like(start)
    for d, rows in enumerate(own):
        largest = np.full((HEADS, rows.size), -np.inf)
        total, acc = np.zeros_like(largest), np.zeros((HEADS, rows.size, HEAD_DIM))
        for _, _, cols, kv in visits(held, d):
            scores, _, v = work.block(rows, cols, kv)
            peak = np.maximum(largest, scores.max(axis=-1))
            safe = np.where(np.isinf(peak), 0.0, peak)  # no key seen yet
            p, rescale = np.exp(scores - safe[..., None]), np.exp(largest - safe)
            total = total * rescale + p.sum(axis=-1)
            acc = acc * rescale[..., None] + np.einsum("hqk,khe->hqe", p, v)
            largest = peak
        out[rows] = (acc / total[..., None]).transpose(1, 0, 2)
        log_sum = largest + np.log(total)
        for j, part, cols, kv in visits(held, d):
            to_queries, share = work.gradients(rows, cols, kv, out[rows], log_sum)
            d_q[rows] += to_queries
            shares[dies[d], reduce.slots.work(j, part)] = share
    summed = interpret(reduce.traffic, shares, order=order)
    for d in range(n):
        for part, chunk in enumerate(chunks(d)):
            d_kv[:, tokens(chunk)] = summed[dies[d], reduce.slots.own(part)]
    return out, d_q, d_kv


def check(work: Attention, table: StreamTable, rows: int, cols: int, chunks) -> None:
    positions = stream_positions(table.arrangement, rows, cols)
    assert positions is not None
    dies = [die.row * 8 + die.col for die in positions]
    for found, expected in zip(streamed(work, table, dies, chunks), work.dense(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize(("rows", "cols"), [(1, 2), (2, 2), (2, 4)])
@pytest.mark.parametrize("name", STREAMS)
def test_attention_over_every_stream_is_the_dense_one_with_its_gradients(
    name: str, rows: int, cols: int, is_causal: bool
):
    table = STREAMS[name].table(rows * cols, rows)
    parts = table.num_parts
    work = attention(rows * cols * parts * TOKENS_PER_CHUNK, is_causal=is_causal)
    check(work, table, rows, cols, lambda d: tuple(range(d * parts, (d + 1) * parts)))


@pytest.mark.parametrize(("rows", "cols"), [(1, 2), (1, 3), (3, 3), (2, 4), (4, 4)])
@pytest.mark.parametrize("name", CAUSAL_STREAMS)
def test_causal_attention_without_the_hidden_pieces_is_the_dense_one_with_its_gradients(
    name: str, rows: int, cols: int
):
    n = rows * cols
    schedule = CAUSAL_STREAMS[name]
    table = schedule.table(n)
    work = attention(n * table.num_parts * TOKENS_PER_CHUNK, is_causal=True)
    check(work, table, rows, cols, lambda d: schedule.chunks(n, d))
