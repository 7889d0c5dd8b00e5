"""The one decorator that compiles a kernel, and keeps the machine code on disk where it can.

Three traps it steps around:

- `numba.njit(cache=True)` raises at import where neither the package's folder nor the user's cache
  folder can be written (a read-only install without a home): the kernel is then compiled anew in
  each process;
- a cached kernel is keyed by the file it stands in, not by kernels that it calls in other files:
  kernels that call each other belong in one file, or the caller is touched when the callee changes;
- `NUMBA_DISABLE_JIT=1` leaves the plain Python function, for coverage and for bounds errors.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

_njit = cast("Callable[..., Callable[[Any], Any]]", getattr(numba, "njit"))  # noqa: B009 (untyped)


def kernel(function: Function) -> Function:
    """Compile `function` in nopython mode on its first call, and cache the result if possible.

    No `fastmath`: a kernel must equal its plain reference to the last bit.

    Example:
        >>> @kernel
        ... def twice(value: float) -> float:
        ...     return 2.0 * value
        >>> twice(21.0)
        42.0
    """
    try:
        compiled = _njit(cache=True)(function)
    except RuntimeError:
        compiled = _njit(function)
    return cast("Function", compiled)
