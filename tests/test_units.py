"""Quantities are read and written without loss; a wrong one is refused and the right ones named."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from waferloom.units import UNITS, BytesPerSecond, Dimension, format_quantity, parse_quantity

DIMENSIONS = st.sampled_from(list(Dimension))
ALL_UNITS = sorted({unit for units in UNITS.values() for unit in units})
VALUES = st.floats(min_value=1e-18, max_value=1e27) | st.floats(min_value=-1e27, max_value=-1e-18)


@given(dimension=DIMENSIONS, value=VALUES, digits=st.integers(1, 9))
def test_what_is_written_reads_back_to_its_digits(dimension: Dimension, value: float, digits: int):
    text = format_quantity(value, dimension, digits=digits)
    rel_tol = 0.5 * 10.0 ** (1 - digits) + 1e-12
    assert parse_quantity(text, dimension) == pytest.approx(value, rel=rel_tol, abs=0)


@given(dimension=DIMENSIONS, data=st.data(), number=st.floats(1e-6, 1e6))
def test_a_unit_scales_its_number_with_or_without_a_space(
    dimension: Dimension, data: st.DataObject, number: float
):
    unit = data.draw(st.sampled_from(sorted(UNITS[dimension])))
    expected = number * UNITS[dimension][unit]
    assert parse_quantity(f"{number!r} {unit}", dimension) == expected
    assert parse_quantity(f"  {number!r}{unit} ", dimension) == expected


@given(dimension=DIMENSIONS, unit=st.sampled_from(ALL_UNITS))
def test_a_unit_of_something_else_is_refused_and_every_right_one_listed(
    dimension: Dimension, unit: str
):
    assume(unit not in UNITS[dimension] and unit != "")
    with pytest.raises(ValueError, match="use one of") as error:
        parse_quantity(f"3 {unit}", dimension)
    message = str(error.value)
    listed = message.split("use one of ")[1].split(", ")
    assert listed == [known for known in UNITS[dimension] if known]
    assert repr(unit) in message
    assert dimension.value in message


@given(dimension=DIMENSIONS, number=st.floats(allow_nan=False, allow_infinity=False))
def test_a_bare_number_is_in_the_base_unit(dimension: Dimension, number: float):
    assert parse_quantity(number, dimension) == number
    assert parse_quantity(repr(number), dimension) == number


@pytest.mark.parametrize("dimension", Dimension)
@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, True, False, 10**400, "1e999", "nan", "inf", "", "GB", "1 2"],
    ids=str,
)
def test_what_is_not_a_finite_number_is_refused(dimension: Dimension, value: str | float):
    with pytest.raises(ValueError, match=dimension.value):
        parse_quantity(value, dimension)


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("4 TB/s", Dimension.BANDWIDTH, 4e12),
        ("400 Gb/s", Dimension.BANDWIDTH, 50e9),
        ("400Gbit/s", Dimension.BANDWIDTH, 50e9),
        ("1_024 B", Dimension.BYTES, 1024.0),
        ("80 GiB", Dimension.BYTES, 80 * 2**30),
        (".5e-3s", Dimension.TIME, 5e-4),
        ("6 pJ/bit", Dimension.ENERGY_PER_BYTE, 48e-12),
        ("989 TFLOPS", Dimension.FLOP_RATE, 989e12),
        ("814 mm2", Dimension.AREA, 814e-6),
        ("70B", Dimension.COUNT, 70e9),
    ],
)
def test_reads_the_spellings_of_data_sheets(text: str, dimension: Dimension, value: float):
    assert parse_quantity(text, dimension) == pytest.approx(value, rel=1e-12)


def test_a_bit_is_not_a_byte():
    byte_rate = parse_quantity("8 Gb/s", Dimension.BANDWIDTH)
    assert byte_rate == parse_quantity("1 GB/s", Dimension.BANDWIDTH)
    with pytest.raises(ValueError, match="'Gb' is not a unit of bytes"):
        parse_quantity("8 Gb", Dimension.BYTES)


@pytest.mark.parametrize(
    ("value", "dimension", "text"),
    [
        (6e-4, Dimension.AREA, "600 mm2"),  # not 600 um2: the prefix of a square is squared
        (999.6e9, Dimension.BYTES, "1 TB"),  # rounds up into the next unit
        (0.5, Dimension.BYTES, "0.5 B"),
        (7.06e10, Dimension.COUNT, "70.6 B"),
        (0.25, Dimension.COUNT, "0.25"),
        (5.8e24, Dimension.FLOPS, "5.8 YFLOP"),
        (-1.5e-6, Dimension.TIME, "-1.5 us"),
        (7200.0, Dimension.TIME, "2 h"),
        (0.0, Dimension.AREA, "0 m2"),
        (math.inf, Dimension.TIME, "inf s"),
    ],
)
def test_writes_a_readable_unit(value: float, dimension: Dimension, text: str):
    assert format_quantity(value, dimension) == text


def test_digits_before_the_point_are_always_written_out():
    assert format_quantity(0.1234, Dimension.TIME, digits=1) == "100 ms"
    assert format_quantity(3e21, Dimension.BYTES, digits=2) == "3000 EB"


class _Link(BaseModel):
    bandwidth_bytes_per_s: BytesPerSecond = Field(gt=0)


def test_a_field_reads_its_unit_and_checks_its_range():
    assert _Link.model_validate({"bandwidth_bytes_per_s": "1.5 TB/s"}) == _Link(
        bandwidth_bytes_per_s=1.5e12
    )


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("4 TB", "'TB' is not a unit of bandwidth"),
        (True, "truth value"),
        ("-1 GB/s", "greater than 0"),
        (None, "valid number"),
        (["4 TB/s"], "valid number"),
    ],
    ids=str,
)
def test_a_field_refuses_what_its_unit_does_not_measure(value: object, fault: str):
    with pytest.raises(ValidationError, match=fault):
        _Link.model_validate({"bandwidth_bytes_per_s": value})
