"""Measured times of single operators, as typed rows read from the data directory.

One row is one call on one device, timed by itself. `system` is the name the table gives the device;
`PRESET_OF` says which preset describes it.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from waferloom.errors import SpecError

PRESET_OF: Final[Mapping[str, str]] = {
    "a100_sxm": "dgx-a100",
    "h100_sxm": "dgx-h100",
    "b200_sxm": "dgx-b200",
    "gb200": "gb200-nvl72",
    "a100": "dgx-a100",
    "h100": "dgx-h100",
    "ND A100_v4": "dgx-a100",
    "ND H100_v5": "dgx-h100",
    "ND GB200_v6": "gb200-nvl72",
    "A100 SXM": "dgx-a100",
    "H100 SXM": "dgx-h100",
    "B200 SXM": "dgx-b200",
    "GB200 SXM": "gb200-nvl72",
}
"""Preset of every system name in the tables that one describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatmulRow:
    """A product of `m x k` and `k x n`.

    Attributes:
        system: As the table names it.
        dtype: `bf16`, `fp16`, `fp8` or `fp4`.
        m: Tokens.
        n: Output features.
        k: Input features.
        duration_s: Measured.
        is_sustained: After thousands of warm-up runs, so that the clock has settled.
        quantises_input: The measured call takes 16-bit tokens and first rounds them to `dtype`.
        source: Repository, path and commit.
    """

    system: str
    dtype: str
    m: int
    n: int
    k: int
    duration_s: float
    is_sustained: bool = False
    quantises_input: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionRow:
    """Causal self-attention of `batch` prompts, or one decoding step over `num_keys` cached tokens.

    Attributes:
        system: As the table names it.
        num_queries: Per sequence; 1 when decoding.
        num_keys: Per sequence.
        num_heads: Query heads.
        num_kv_heads: Key/value heads.
        head_dim: Width of a head.
        batch: Sequences.
        writes_cache: The measured call also writes keys and values into the paged cache.
        duration_s: Measured.
        source: Repository, path and commit.
    """

    system: str
    num_queries: int
    num_keys: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    batch: int
    writes_cache: bool
    duration_s: float
    source: str = ""

    @property
    def kv_bytes(self) -> float:
        """Bytes of the keys and values in 16-bit numbers."""
        return 4.0 * self.batch * self.num_keys * self.num_kv_heads * self.head_dim


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorRow:
    """An operator without matrix products.

    Attributes:
        system: As the table names it.
        name: Of the operator.
        num_bytes: Read and written, counting every operand once.
        is_stream: Long contiguous arrays.
        duration_s: Measured.
        source: Repository, path and commit.
    """

    system: str
    name: str
    num_bytes: float
    is_stream: bool
    duration_s: float
    source: str = ""


def read_gemm(data: Path) -> list[MatmulRow]:
    """Read `gemm_aiconfigurator.csv`: matmuls of 1 to 32768 tokens on four GPUs.

    Its fp8 rows time the linear layer of a serving engine, which quantises tokens as they come:
    what exceeds the product grows as m k, by 7 to 10 bytes per element at full bandwidth on H100.
    """
    dtypes = {"bfloat16": "bf16", "fp8": "fp8"}
    return [
        MatmulRow(
            system=row["system"],
            dtype=dtypes[row["gemm_dtype"]],
            m=int(row["m"]),
            n=int(row["n"]),
            k=int(row["k"]),
            duration_s=float(row["latency_us"]) * 1e-6,
            quantises_input=row["gemm_dtype"] == "fp8",
            source=row["source"],
        )
        for row in _rows(data, "gemm_aiconfigurator.csv")
        if row["system"] in PRESET_OF and row["gemm_dtype"] in dtypes
    ]


def read_attention_prefill(data: Path) -> list[AttentionRow]:
    """Read `attention_prefill_aiconfigurator.csv`: prompts through fused attention."""
    return [
        AttentionRow(
            system=row["system"],
            num_queries=int(row["isl"]),
            num_keys=int(row["isl"]),
            num_heads=int(row["num_heads"]),
            num_kv_heads=int(row["num_key_value_heads"]),
            head_dim=int(row["head_dim"]),
            batch=int(row["batch_size"]),
            writes_cache=True,
            duration_s=float(row["latency_us"]) * 1e-6,
            source=row["source"],
        )
        for row in _rows(data, "attention_prefill_aiconfigurator.csv")
        if row["system"] in PRESET_OF
    ]


def read_attention_decode(data: Path) -> list[AttentionRow]:
    """Read `attention_decode_aiconfigurator.csv`: one new token over cached keys and values."""
    return [
        AttentionRow(
            system=row["system"],
            num_queries=1,
            num_keys=int(row["kv_len"]),
            num_heads=int(row["num_heads"]),
            num_kv_heads=int(row["num_key_value_heads"]),
            head_dim=int(row["head_dim"]),
            batch=int(row["batch_size"]),
            writes_cache=False,
            duration_s=float(row["latency_us"]) * 1e-6,
            source=row["source"],
        )
        for row in _rows(data, "attention_decode_aiconfigurator.csv")
        if row["system"] in PRESET_OF
    ]


def read_layer_operators(data: Path) -> tuple[list[MatmulRow], list[VectorRow]]:
    """Read `layer_ops_vidur.csv`: the operators of Llama layers, per tensor-parallel shard.

    Times are printed to the microsecond, so rows below 20 us carry a rounding error of 5 % or more.
    """
    matmuls: list[MatmulRow] = []
    vectors: list[VectorRow] = []
    for row in _rows(data, "layer_ops_vidur.csv"):
        if row["gpu"] not in PRESET_OF:
            continue
        shape = _LayerShape(
            hidden=int(row["hidden"]),
            ffn=int(row["ffn"]) // int(row["tp"]),
            qkv=_qkv_width(row),
            heads=int(row["hidden"]) // int(row["tp"]),
        )
        tokens = int(row["num_tokens"])
        duration_s = float(row["median_ms"]) * 1e-3
        name = row["op"]
        if name in _LAYER_MATMULS:
            n, k = _LAYER_MATMULS[name](shape)
            matmuls.append(
                MatmulRow(
                    system=row["gpu"],
                    dtype="fp16",
                    m=tokens,
                    n=n,
                    k=k,
                    duration_s=duration_s,
                    source=row["source"],
                )
            )
        elif name in _LAYER_ELEMENTS:
            vectors.append(
                VectorRow(
                    system=row["gpu"],
                    name=name,
                    num_bytes=2.0 * tokens * _LAYER_ELEMENTS[name](shape),
                    is_stream=name == "add",
                    duration_s=duration_s,
                    source=row["source"],
                )
            )
    return matmuls, vectors


def read_microbenchmarks(data: Path) -> tuple[list[MatmulRow], list[VectorRow]]:
    """Read `microbench_public.csv`: sustained and best-case matmuls, and STREAM.

    STREAM rows become a pass over 1 GB, long enough that starting it does not count.
    """
    matmuls: list[MatmulRow] = []
    vectors: list[VectorRow] = []
    for row in _rows(data, "microbench_public.csv"):
        test = row["test"]
        if row["system"] not in PRESET_OF:
            continue
        if "STREAM" in test:
            vectors.append(
                VectorRow(
                    system=row["system"],
                    name=test,
                    num_bytes=1e9,
                    is_stream=True,
                    duration_s=1e9 / (float(row["value"]) * 1e12),
                    source=row["source"],
                )
            )
        elif row["unit"] == "TFLOP/s" and ("GEMM" in test or "matmul" in test):
            m, n, k = _printed_shape(row["shape_or_size"])
            matmuls.append(
                MatmulRow(
                    system=row["system"],
                    dtype=_printed_dtype(test),
                    m=m,
                    n=n,
                    k=k,
                    duration_s=2.0 * m * n * k / (float(row["value"]) * 1e12),
                    is_sustained="sustained" in test,
                    source=row["source"],
                )
            )
    return matmuls, vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class _LayerShape:
    """Widths of one tensor-parallel shard of a layer."""

    hidden: int
    ffn: int
    qkv: int
    heads: int


def _qkv_width(row: Mapping[str, str]) -> int:
    head_dim = int(row["hidden"]) // int(row["n_head"])
    tp = int(row["tp"])
    return head_dim * (int(row["n_head"]) // tp + 2 * max(1, int(row["n_kv_head"]) // tp))


# Output and contracted features. The gated MLP computes gate and up as one product.
_LAYER_MATMULS: Final[Mapping[str, Callable[[_LayerShape], tuple[int, int]]]] = {
    "attn_pre_proj": lambda s: (s.qkv, s.hidden),
    "attn_post_proj": lambda s: (s.hidden, s.heads),
    "mlp_up_proj": lambda s: (2 * s.ffn, s.hidden),
    "mlp_down_proj": lambda s: (s.hidden, s.ffn),
}
# Elements read and written per token. A norm reads its input twice: once for the mean square, once
# to scale it. Rotary embedding reads and writes queries and keys.
_LAYER_ELEMENTS: Final[Mapping[str, Callable[[_LayerShape], int]]] = {
    "mlp_act": lambda s: 3 * s.ffn,
    "input_layernorm": lambda s: 3 * s.hidden,
    "add": lambda s: 3 * s.hidden,
    "attn_rope": lambda s: 2 * (s.heads + (s.qkv - s.heads) // 2),
}


def _printed_shape(text: str) -> tuple[int, int, int]:
    """Read `m=1 n=2 k=3` or `MxNxK=1x2x3`."""
    if text.startswith("MxNxK="):
        m, n, k = (int(part) for part in text.removeprefix("MxNxK=").split("x"))
    else:
        m, n, k = (int(part.partition("=")[2]) for part in text.split())
    return m, n, k


def _printed_dtype(test: str) -> str:
    lower = test.lower()
    return next(dtype for dtype in ("bf16", "fp16", "fp8", "fp4") if dtype in lower)


def _rows(data: Path, name: str) -> Iterator[dict[str, str]]:
    path = data / name
    if not path.is_file():
        msg = f"{data} has no {name}; name the directory that holds the measured tables"
        raise SpecError(msg)
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)
