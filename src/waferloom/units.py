"""Quantities: SI constants, and reading and writing text such as "4 TB/s" or "200 ns".

Inside the package every quantity is a plain float in a base unit (s, byte, byte/s, FLOP, FLOP/s, m,
W, J, Hz). Text with units exists only where a number enters (`parse_quantity`, the annotated field
types) or leaves (`format_quantity`).
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
_SCALES: Final = {"K": 1e3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_LARGE_SCALES: Final = _SCALES | {"E": 1e18, "Z": 1e21, "Y": 1e24}

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
    Dimension.FLOPS: {"FLOP": 1.0} | {f"{p}FLOP": s for p, s in _LARGE_SCALES.items()},
    Dimension.FLOP_RATE: {"FLOP/s": 1.0, "FLOPS": 1.0}
    | {f"{p}FLOP/s": s for p, s in _LARGE_SCALES.items()}
    | {f"{p}FLOPS": s for p, s in _LARGE_SCALES.items()},
    Dimension.FREQUENCY: {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9, "THz": 1e12},
    Dimension.ENERGY: {
        "J": 1.0,
        "kJ": 1e3,
        "MJ": 1e6,
        "GJ": 1e9,
        "kWh": 3.6e6,
        "mJ": 1e-3,
        "uJ": 1e-6,
        "nJ": 1e-9,
        "pJ": 1e-12,
    },
    Dimension.ENERGY_PER_BYTE: {
        "J/B": 1.0,
        "pJ/B": 1e-12,
        "pJ/byte": 1e-12,
        "uJ/B": 1e-6,
        "nJ/B": 1e-9,
        "pJ/bit": 8e-12,
        "pJ/b": 8e-12,
    },
    Dimension.ENERGY_PER_FLOP: {
        "J/FLOP": 1.0,
        "nJ/FLOP": 1e-9,
        "pJ/FLOP": 1e-12,
        "fJ/FLOP": 1e-15,
    },
    Dimension.POWER: {"W": 1.0, "uW": 1e-6, "mW": 1e-3, "kW": 1e3, "MW": 1e6},
    Dimension.LENGTH: {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9},
    Dimension.AREA: {"m2": 1.0, "cm2": 1e-4, "mm2": 1e-6, "um2": 1e-12},
    Dimension.COUNT: {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12},
}

_QUANTITY: Final = re.compile(
    r"^\s*(?P<number>[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>[A-Za-z][A-Za-z0-9/]*)?\s*$"
)


def parse_quantity(text: str | float, dimension: Dimension) -> float:
    """Read a quantity into its base unit.

    A bare number is taken to be in the base unit already; text carries its own unit, with or
    without a space. Unit names are case-sensitive, since `b` is a bit and `B` a byte.

    Args:
        text: Such as `"4 TB/s"`, `"64MB"`, `"200 ns"` or `1e12`.
        dimension: What is expected.

    Returns:
        The value in the base unit of `dimension`.

    Raises:
        ValueError: Not a finite number, or a unit that does not measure `dimension`; the message
            lists the units that do.

    Example:
        >>> parse_quantity("4 TB/s", Dimension.BANDWIDTH)
        4000000000000.0
        >>> parse_quantity("64MB", Dimension.BYTES)
        64000000.0
        >>> round(parse_quantity("6 pJ/bit", Dimension.ENERGY_PER_BYTE) * 1e12, 6)
        48.0
    """
    if isinstance(text, bool):
        msg = f"expected {_a(dimension)}, found the truth value {text}"
        raise ValueError(msg)
    try:
        value = _parse_text(text, dimension) if isinstance(text, str) else float(text)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        msg = f"expected a finite {dimension}, found {text!r}"
        raise ValueError(msg)
    return value


def _a(dimension: Dimension) -> str:
    return f"{'an' if dimension.value[0] in 'aeiou' else 'a'} {dimension}"


def _parse_text(text: str, dimension: Dimension) -> float:
    units = UNITS[dimension]
    match = _QUANTITY.match(text)
    if match is None:
        msg = f"{text!r} is not {_a(dimension)}: write a number and one of {_unit_list(units)}"
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

# The units that `format_quantity` writes, largest first; the last is the smallest it goes down to.
_SHOWN_UNITS: Final[Mapping[Dimension, tuple[str, ...]]] = {
    Dimension.BYTES: ("EB", "PB", "TB", "GB", "MB", "kB", "B"),
    Dimension.BANDWIDTH: ("EB/s", "PB/s", "TB/s", "GB/s", "MB/s", "kB/s", "B/s"),
    Dimension.TIME: ("d", "h", "s", "ms", "us", "ns", "ps"),
    Dimension.FLOPS: tuple(f"{p}FLOP" for p in ("Y", "Z", "E", "P", "T", "G", "M", "k", "")),
    Dimension.FLOP_RATE: tuple(f"{p}FLOP/s" for p in ("Y", "Z", "E", "P", "T", "G", "M", "k", "")),
    Dimension.FREQUENCY: ("THz", "GHz", "MHz", "kHz", "Hz"),
    Dimension.ENERGY: ("GJ", "MJ", "kJ", "J", "mJ", "uJ", "nJ", "pJ"),
    Dimension.ENERGY_PER_BYTE: ("J/B", "uJ/B", "nJ/B", "pJ/B"),
    Dimension.ENERGY_PER_FLOP: ("J/FLOP", "nJ/FLOP", "pJ/FLOP", "fJ/FLOP"),
    Dimension.POWER: ("MW", "kW", "W", "mW", "uW"),
    Dimension.LENGTH: ("m", "mm", "um", "nm"),
    Dimension.AREA: ("m2", "mm2", "um2"),
    Dimension.COUNT: ("T", "B", "M", "k", ""),
}


def format_quantity(value: float, dimension: Dimension, *, digits: int = 3) -> str:
    """Write a quantity for a reader, in the largest unit of which it is at least one.

    What it writes, `parse_quantity` reads back.

    Args:
        value: In the base unit of `dimension`.
        dimension: What it measures.
        digits: Significant digits, at least 1.

    Example:
        >>> format_quantity(4e12, Dimension.BANDWIDTH)
        '4 TB/s'
        >>> format_quantity(0.0000123, Dimension.TIME)
        '12.3 us'
        >>> format_quantity(0.0006, Dimension.AREA)
        '600 mm2'
    """
    units = UNITS[dimension]
    shown_units = _SHOWN_UNITS[dimension]
    if value == 0 or not math.isfinite(value):
        base = next(unit for unit in shown_units if units[unit] == 1.0)
        return f"{value:g} {base}".strip()
    magnitude = abs(float(f"{value:.{digits - 1}e}"))
    unit = next((unit for unit in shown_units if magnitude >= units[unit]), shown_units[-1])
    shown = float(f"{value / units[unit]:.{digits - 1}e}")
    # Digits before the point are always written out: 120, not 1.2e+02.
    precision = max(digits, len(f"{abs(shown):.0f}"))
    return f"{shown:.{precision}g} {unit}".strip()
