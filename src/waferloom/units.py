"""Quantities: SI constants, and reading and writing text such as "4 TB/s" or "200 ns".

Inside the package every quantity is a plain float in a base unit (s, byte, byte/s, FLOP, FLOP/s, m, W,
J, Hz). Text with units exists only where a number enters (`parse_quantity`, the annotated field types)
or leaves (`format_quantity`).
"""

import math
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator

KB: Final = 1e3
MB: Final = 1e6
GB: Final = 1e9
TB: Final = 1e12
KIB: Final = 2.0**10
MIB: Final = 2.0**20
GIB: Final = 2.0**30
TIB: Final = 2.0**40
NS: Final = 1e-9
US: Final = 1e-6
MS: Final = 1e-3
PJ: Final = 1e-12
MM: Final = 1e-3
TFLOPS: Final = 1e12
BITS_PER_BYTE: Final = 8


class Dimension(StrEnum):
    """What a quantity measures; the value is the name used in error messages."""

    BYTES = "bytes"
    BANDWIDTH = "bandwidth"
    TIME = "time"
    FLOPS = "operations"
    FLOP_RATE = "operation rate"
    FREQUENCY = "frequency"
    ENERGY = "energy"
    ENERGY_PER_BYTE = "energy per byte"
    ENERGY_PER_FLOP = "energy per operation"
    POWER = "power"
    LENGTH = "length"
    AREA = "area"
    COUNT = "count"


_BYTE_UNITS: Final = {
    "B": 1.0,
    **{f"{p}B": 1e3 ** (i + 1) for i, p in enumerate("KMGTPE")},
    "kB": 1e3,
    **{f"{p}iB": 1024.0 ** (i + 1) for i, p in enumerate("KMGTPE")},
}
_BIT_UNITS: Final = {"b": 0.125, "bit": 0.125} | {
    f"{p}{name}": 1e3 ** (i + 1) / 8 for i, p in enumerate("KMGTP") for name in ("b", "bit")
}
_SCALES: Final = {"K": 1e3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}

UNITS: Final[Mapping[Dimension, Mapping[str, float]]] = {
    Dimension.BYTES: _BYTE_UNITS,
    Dimension.BANDWIDTH: {f"{unit}/s": scale for unit, scale in (_BYTE_UNITS | _BIT_UNITS).items()},
    Dimension.TIME: {
        "s": 1.0,
        "ms": 1e-3,
        "us": 1e-6,
        "ns": 1e-9,
        "ps": 1e-12,
        "min": 60.0,
        "h": 3600.0,
        "d": 86400.0,
    },
    Dimension.FLOPS: {"FLOP": 1.0} | {f"{p}FLOP": s for p, s in _SCALES.items()},
    Dimension.FLOP_RATE: {"FLOP/s": 1.0, "FLOPS": 1.0}
    | {f"{p}FLOP/s": s for p, s in _SCALES.items()}
    | {f"{p}FLOPS": s for p, s in _SCALES.items()},
    Dimension.FREQUENCY: {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9},
    Dimension.ENERGY: {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12, "kWh": 3.6e6},
    Dimension.ENERGY_PER_BYTE: {
        "J/B": 1.0,
        "pJ/B": 1e-12,
        "pJ/byte": 1e-12,
        "nJ/B": 1e-9,
        "pJ/bit": 8e-12,
        "pJ/b": 8e-12,
    },
    Dimension.ENERGY_PER_FLOP: {"J/FLOP": 1.0, "pJ/FLOP": 1e-12, "fJ/FLOP": 1e-15},
    Dimension.POWER: {"W": 1.0, "mW": 1e-3, "kW": 1e3, "MW": 1e6},
    Dimension.LENGTH: {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6},
    Dimension.AREA: {"m2": 1.0, "cm2": 1e-4, "mm2": 1e-6, "um2": 1e-12},
    Dimension.COUNT: {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12},
}

_QUANTITY: Final = re.compile(
    r"^\s*(?P<number>[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>[A-Za-z][A-Za-z0-9/]*)?\s*$"
)


def parse_quantity(text: str | float, dimension: Dimension) -> float:
    """Read a quantity into its base unit.

    A bare number is taken to be in the base unit already; text carries its own unit, with or without a
    space. Unit names are case-sensitive, since `b` is a bit and `B` a byte.

    Args:
        text: Such as `"4 TB/s"`, `"64MB"`, `"200 ns"` or `1e12`.
        dimension: What is expected.

    Returns:
        The value in the base unit of `dimension`.

    Raises:
        ValueError: Not a finite number, or a unit that does not measure `dimension`; the message lists
            the units that do.

    Example:
        >>> parse_quantity("4 TB/s", Dimension.BANDWIDTH)
        4000000000000.0
        >>> parse_quantity("64MB", Dimension.BYTES)
        64000000.0
        >>> round(parse_quantity("6 pJ/bit", Dimension.ENERGY_PER_BYTE) * 1e12, 6)
        48.0
    """
    if isinstance(text, bool):
        msg = f"expected a {dimension}, found the truth value {text}"
        raise ValueError(msg)
    if isinstance(text, int | float):
        value = float(text)
    else:
        value = _parse_text(text, dimension)
    if not math.isfinite(value):
        msg = f"expected a finite {dimension}, found {text!r}"
        raise ValueError(msg)
    return value


def _parse_text(text: str, dimension: Dimension) -> float:
    units = UNITS[dimension]
    match = _QUANTITY.match(text)
    if match is None:
        msg = f"{text!r} is not a {dimension}: write a number and one of {_unit_list(units)}"
        raise ValueError(msg)
    unit = match["unit"]
    number = float(match["number"].replace("_", ""))
    if unit is None:
        return number
    if unit not in units:
        msg = f"{text!r}: {unit!r} is not a unit of {dimension}; use one of {_unit_list(units)}"
        raise ValueError(msg)
    return number * units[unit]


def _unit_list(units: Mapping[str, float]) -> str:
    return ", ".join(unit for unit in units if unit)


def _reader(dimension: Dimension) -> Callable[[object], object]:
    def read(value: object) -> object:
        if isinstance(value, str | int | float):
            return parse_quantity(value, dimension)
        return value

    return read


Bytes = Annotated[float, BeforeValidator(_reader(Dimension.BYTES))]
BytesPerSecond = Annotated[float, BeforeValidator(_reader(Dimension.BANDWIDTH))]
Seconds = Annotated[float, BeforeValidator(_reader(Dimension.TIME))]
FlopsPerSecond = Annotated[float, BeforeValidator(_reader(Dimension.FLOP_RATE))]
Hertz = Annotated[float, BeforeValidator(_reader(Dimension.FREQUENCY))]
Joules = Annotated[float, BeforeValidator(_reader(Dimension.ENERGY))]
JoulesPerByte = Annotated[float, BeforeValidator(_reader(Dimension.ENERGY_PER_BYTE))]
JoulesPerFlop = Annotated[float, BeforeValidator(_reader(Dimension.ENERGY_PER_FLOP))]
Watts = Annotated[float, BeforeValidator(_reader(Dimension.POWER))]
Metres = Annotated[float, BeforeValidator(_reader(Dimension.LENGTH))]
SquareMetres = Annotated[float, BeforeValidator(_reader(Dimension.AREA))]

_PREFIXES: Final = (
    (1e18, "E"),
    (1e15, "P"),
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "u"),
    (1e-9, "n"),
    (1e-12, "p"),
)
_BASE_UNIT: Final[Mapping[Dimension, str]] = {
    Dimension.BYTES: "B",
    Dimension.BANDWIDTH: "B/s",
    Dimension.TIME: "s",
    Dimension.FLOPS: "FLOP",
    Dimension.FLOP_RATE: "FLOP/s",
    Dimension.FREQUENCY: "Hz",
    Dimension.ENERGY: "J",
    Dimension.ENERGY_PER_BYTE: "J/B",
    Dimension.ENERGY_PER_FLOP: "J/FLOP",
    Dimension.POWER: "W",
    Dimension.LENGTH: "m",
    Dimension.AREA: "m2",
    Dimension.COUNT: "",
}


def format_quantity(value: float, dimension: Dimension, *, digits: int = 3) -> str:
    """Write a quantity for a reader, with the prefix that keeps it between 1 and 1000.

    Args:
        value: In the base unit of `dimension`.
        dimension: What it measures.
        digits: Significant digits.

    Example:
        >>> format_quantity(4e12, Dimension.BANDWIDTH)
        '4 TB/s'
        >>> format_quantity(0.0000123, Dimension.TIME)
        '12.3 us'
    """
    unit = _BASE_UNIT[dimension]
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}".strip()
    magnitude = abs(float(f"{value:.{digits}g}"))
    for scale, prefix in _PREFIXES:
        if magnitude >= scale or scale == _PREFIXES[-1][0]:
            shown = float(f"{value / scale:.{digits}g}")
            return (
                f"{shown:.{digits}g} {prefix}{unit}".strip()
                if shown < 1000
                else (f"{shown:.0f} {prefix}{unit}".strip())
            )
    raise AssertionError(value)
