"""Operator time: what one operator takes on one die.

    duration = max(compute, DRAM, NoC) + launch

*Compute* of a matmul is tile quantisation: the product is cut into whole tiles, and waves of one
tile per core run one after another; the best dataflow, tile shape and split count. *DRAM* is the
traffic of the best SRAM tiling. *NoC* is what the cores take in. Attention is fused (work items of
one query block) or stored (matmuls and a softmax over a score matrix in memory). Everything else
is a vector operator, bound by its bytes or its vector operations.

Scalar functions answer one question; the plural ones answer many, in compiled code, and agree with
the scalar ones exactly.

Not modelled: the overlap of one operator's tail with the next one's start, and bank conflicts.
"""

import math

import numpy as np
import numpy.typing as npt

from waferloom.simulate import _operator_time_kernel as compiled
from waferloom.simulate import _operator_time_reference as reference
from waferloom.simulate.die_parameters import DieParameters, die_parameters
from waferloom.simulate.operator_cost import OperatorCost, OperatorCosts

__all__ = [
    "DieParameters",
    "OperatorCost",
    "OperatorCosts",
    "attention_cost",
    "attention_costs",
    "die_parameters",
    "matmul_cost",
    "matmul_costs",
    "matmul_flops_per_s_limit",
    "vector_cost",
    "vector_costs",
]

Floats = npt.NDArray[np.float64]
Sizes = npt.ArrayLike
LARGEST_SIZE = 2.0**40
"""Sizes above this would lose whole numbers in the products of the model."""


def matmul_cost(
    params: DieParameters,
    *,
    m: int,
    n: int,
    k: int,
    count: int = 1,
    bytes_in: float = 2.0,
    bytes_out: float = 2.0,
) -> OperatorCost:
    """Cost of `count` independent matmuls of `m x k` with `k x n`, run together.

    Args:
        params: The die.
        m: Rows of the left operand (tokens); 0 costs nothing.
        n: Columns of the right operand (output features).
        k: The contracted dimension (input features).
        count: Independent copies, such as batch or experts of equal load.
        bytes_in: Per element of both operands.
        bytes_out: Per element of the result.

    Raises:
        ValueError: A size is negative, not whole or absurdly large.
    """
    _check_sizes(m=m, n=n, k=k, count=count)
    _check_bytes(bytes_in=bytes_in, bytes_out=bytes_out)
    return reference.matmul(params, float(m), float(n), float(k), float(count), bytes_in, bytes_out)


def attention_cost(
    params: DieParameters,
    *,
    num_queries: int,
    num_keys: int,
    num_heads: int,
    num_kv_heads: int,
    head_dim_qk: int,
    head_dim_v: int,
    batch: int,
    is_causal: bool,
    is_stored: bool,
    is_backward: bool,
    bytes_per_element: float = 2.0,
) -> OperatorCost:
    """Cost of softmax(q k^T) v without projections, or of its gradient.

    Decoding is `num_queries=1`: its time is the bytes of the keys and values.

    Args:
        params: The die.
        num_queries: Tokens that ask, per sequence.
        num_keys: Tokens that are asked, per sequence.
        num_heads: Query heads on this die.
        num_kv_heads: Key/value heads on this die.
        head_dim_qk: Width of queries and keys.
        head_dim_v: Width of values.
        batch: Sequences.
        is_causal: The last query sees every key, each earlier one a key less.
        is_stored: The score matrix is kept in memory; else attention is fused (FlashAttention).
        is_backward: The gradient instead; fused attention computes the scores again.
        bytes_per_element: Of queries, keys, values, results and stored scores.

    Raises:
        ValueError: A size is negative, not whole or absurdly large, or a causal attention has more
            queries than keys.
    """
    sizes = {
        "num_queries": num_queries,
        "num_keys": num_keys,
        "num_heads": num_heads,
        "num_kv_heads": num_kv_heads,
        "head_dim_qk": head_dim_qk,
        "head_dim_v": head_dim_v,
        "batch": batch,
    }
    _check_sizes(**sizes)
    _check_bytes(bytes_per_element=bytes_per_element)
    _check_attention(np.array([[float(size)] for size in sizes.values()]), np.array([is_causal]))
    return reference.attention(
        params,
        *(float(size) for size in sizes.values()),
        is_causal=is_causal,
        is_stored=is_stored,
        is_backward=is_backward,
        bytes_per_element=bytes_per_element,
    )


def vector_cost(
    params: DieParameters, *, num_bytes: float, flops: float, is_stream: bool = False
) -> OperatorCost:
    """Cost of an operator without matrix products.

    Args:
        params: The die.
        num_bytes: Read and written in memory.
        flops: Vector operations.
        is_stream: Long contiguous arrays, as in a weight update or a copy, which reach the full
            sustained bandwidth; norms, activations and rotary embedding do not.

    Raises:
        ValueError: A value is negative or not finite.
    """
    for name, value in (("num_bytes", num_bytes), ("flops", flops)):
        if not (math.isfinite(value) and value >= 0):
            msg = f"{name} must be finite and at least 0, found {value}"
            raise ValueError(msg)
    return reference.vector(params, float(num_bytes), float(flops), is_stream)


def matmul_costs(
    params: DieParameters,
    m_B: Sizes,
    n_B: Sizes,
    k_B: Sizes,
    count_B: Sizes = 1,
    *,
    bytes_in: float = 2.0,
    bytes_out: float = 2.0,
) -> OperatorCosts:
    """Cost of many matmuls, each as `matmul_cost` has it.

    Args:
        params: The die.
        m_B: Rows, one per matmul; every size may also be a scalar, which holds for all.
        n_B: Columns.
        k_B: Contracted sizes.
        count_B: Copies.
        bytes_in: Per element of both operands.
        bytes_out: Per element of the result.

    Raises:
        ValueError: A size is negative, not whole or absurdly large, or lengths differ.
    """
    m, n, k, count = _columns(m=m_B, n=n_B, k=k_B, count=count_B)
    _check_bytes(bytes_in=bytes_in, bytes_out=bytes_out)
    costs = np.empty((7, m.shape[0]))
    compiled.matmuls(
        params.values,
        params.tiles_T2,
        m,
        n,
        k,
        count,
        float(bytes_in),
        float(bytes_out),
        costs,
    )
    return _operator_costs(costs)


def attention_costs(
    params: DieParameters,
    *,
    num_queries: Sizes,
    num_keys: Sizes,
    num_heads: Sizes,
    num_kv_heads: Sizes,
    head_dim_qk: Sizes,
    head_dim_v: Sizes,
    batch: Sizes,
    is_causal: npt.ArrayLike,
    is_stored: npt.ArrayLike,
    is_backward: npt.ArrayLike,
    bytes_per_element: float = 2.0,
) -> OperatorCosts:
    """Cost of many attentions, each as `attention_cost` has it; every argument may be a scalar.

    Raises:
        ValueError: As for `attention_cost`, or lengths differ.
    """
    columns = _columns(
        num_queries=num_queries,
        num_keys=num_keys,
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        head_dim_qk=head_dim_qk,
        head_dim_v=head_dim_v,
        batch=batch,
        is_causal=is_causal,
        is_stored=is_stored,
        is_backward=is_backward,
    )
    _check_bytes(bytes_per_element=bytes_per_element)
    sizes = np.array(columns[:7])
    causal, stored, backward = (column != 0 for column in columns[7:])
    _check_attention(sizes, causal)
    costs = np.empty((7, sizes.shape[1]))
    compiled.attentions(
        params.values,
        params.tiles_T2,
        sizes,
        causal,
        stored,
        backward,
        float(bytes_per_element),
        costs,
    )
    return _operator_costs(costs)


def vector_costs(
    params: DieParameters,
    num_bytes_B: npt.ArrayLike,
    flops_B: npt.ArrayLike,
    *,
    is_stream: bool = False,
) -> OperatorCosts:
    """Cost of many vector operators, each as `vector_cost` has it.

    Raises:
        ValueError: A value is negative or not finite, or lengths differ.
    """
    num_bytes, flops = _broadcast(num_bytes=num_bytes_B, flops=flops_B)
    costs = np.empty((7, num_bytes.shape[0]))
    compiled.vectors(params.values, num_bytes, flops, is_stream, costs)
    return _operator_costs(costs)


def matmul_flops_per_s_limit(params: DieParameters) -> float:
    """Return the sustained FLOP/s that no matmul on this die exceeds.

    Every tile computes at least its own share of the product, so `2 m n k / duration` is at most
    the sustained rate of all cores, whatever the shape.
    """
    return params.num_cores * params.core_flops_per_s


def _broadcast(**columns: npt.ArrayLike) -> tuple[Floats, ...]:
    arrays = {name: np.atleast_1d(np.asarray(each, np.float64)) for name, each in columns.items()}
    length = max(array.shape[0] for array in arrays.values())
    for name, array in arrays.items():
        if array.ndim != 1 or array.shape[0] not in (1, length):
            msg = f"{name} has shape {array.shape}; expected a scalar or {length} values"
            raise ValueError(msg)
        if not (np.isfinite(array) & (array >= 0)).all():
            msg = f"{name} must be finite and at least 0, found {array.min()}"
            raise ValueError(msg)
    return tuple(np.ascontiguousarray(np.broadcast_to(array, length)) for array in arrays.values())


def _columns(**columns: Sizes) -> tuple[Floats, ...]:
    arrays = _broadcast(**columns)
    for name, array in zip(columns, arrays, strict=True):
        wrong = (array != np.floor(array)) | (array > LARGEST_SIZE)
        if wrong.any():
            msg = f"{name} must be whole and at most 2**40, found {array[wrong][0]:g}"
            raise ValueError(msg)
    return arrays


def _check_sizes(**sizes: int) -> None:
    _columns(**sizes)


def _check_bytes(**sizes: float) -> None:
    for name, value in sizes.items():
        if not (math.isfinite(value) and value > 0):
            msg = f"{name} must be positive, found {value}"
            raise ValueError(msg)


def _check_attention(sizes_7B: Floats, is_causal_B: npt.NDArray[np.bool_]) -> None:
    queries, keys, heads, kv_heads = sizes_7B[:4]
    if (heads < 1).any() or (kv_heads < 1).any() or (sizes_7B[4:6] < 1).any():
        msg = "heads and head dims must be at least 1"
        raise ValueError(msg)
    wrong = is_causal_B & (queries > keys)
    if wrong.any():
        msg = (
            f"causal attention of {queries[wrong][0]:g} queries over {keys[wrong][0]:g} keys:"
            " every query sees itself, so there must be at least as many keys as queries"
        )
        raise ValueError(msg)


def _operator_costs(costs_7B: Floats) -> OperatorCosts:
    return OperatorCosts(
        duration_s=costs_7B[0],
        compute_s=costs_7B[1],
        dram_s=costs_7B[2],
        noc_s=costs_7B[3],
        flops=costs_7B[4],
        dram_bytes=costs_7B[5],
        sram_bytes=costs_7B[6],
    )
