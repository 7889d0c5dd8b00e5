"""Errors are one tree, and each says what is wrong in the words of whoever made the mistake."""

import inspect
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from waferloom import errors
from waferloom.errors import WaferloomError, describe_faults, did_you_mean

NAMES = st.lists(st.text("abcdefgh-0123456789", min_size=3, max_size=12), unique=True, max_size=8)
ERRORS = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if cls.__module__ == errors.__name__
]


def test_every_error_hangs_on_one_root_that_the_command_line_can_catch():
    assert {"SpecError", "PlanError", "RoutingError", "SolverError"} < {e.__name__ for e in ERRORS}
    assert all(issubclass(error, WaferloomError) for error in ERRORS)


@pytest.mark.parametrize("error", ERRORS)
def test_the_text_of_an_error_is_the_whole_message(error: type[WaferloomError]):
    assert str(error("tp = 3 does not divide 64 heads")) == "tp = 3 does not divide 64 heads"


@given(names=NAMES, data=st.data())
def test_a_name_with_one_letter_too_many_is_recognised(names: list[str], data: st.DataObject):
    name = data.draw(st.sampled_from(names)) if names else None
    if name is None:
        assert did_you_mean("anything", names) == "none is known"
        return
    assert name in did_you_mean(f"{name}x", names)


@given(names=NAMES)
def test_all_names_are_listed_when_none_is_near(names: list[str]):
    hint = did_you_mean("ZZZZZZZZZZZZ", names)
    assert all(name in hint for name in names)


class _Memory(BaseModel):
    model_config = ConfigDict(extra="forbid")
    capacity_bytes: float = Field(gt=0)
    latency_s: float = Field(default=0.0, ge=0)


class _Mesh(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["mesh"]
    rows: int = Field(ge=1, le=64)


class _Torus(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["torus"]
    shape: tuple[int, ...]


class _System(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    memory: _Memory
    stacks: tuple[_Memory, ...] = ()
    interconnect: _Mesh | _Torus = Field(discriminator="kind")


GOOD = {
    "name": "a",
    "memory": {"capacity_bytes": 1e9},
    "interconnect": {"kind": "mesh", "rows": 4},
}


def faults_of(change: dict[str, object]) -> list[str]:
    with pytest.raises(ValidationError) as error:
        _System.model_validate(GOOD | change)
    return describe_faults(error.value, _System)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"nam": "b"}, "unknown key nam; did you mean name?"),
        ({"memory": {"capacity_bytes": -1}}, "memory.capacity_bytes must be above 0, found -1"),
        ({"memory": {}}, "missing key memory.capacity_bytes"),
        (
            {"memory": {"capacity_bytes": 1, "latency_s": -2}},
            "memory.latency_s must be at least 0, found -2",
        ),
        (
            {"interconnect": {"kind": "mesh", "rows": 65}},
            "interconnect.rows must be at most 64, found 65",
        ),
        (
            {"interconnect": {"kind": "mesch", "rows": 4}},
            "interconnect.kind = 'mesch' is unknown; did you mean mesh?",
        ),
        ({"interconnect": {"rows": 4}}, "missing key interconnect.kind"),
        (
            {"stacks": [{"capacity_bytes": 1}, {"capacity_bytes": 0}]},
            "stacks.1.capacity_bytes must be above 0, found 0",
        ),
    ],
)
def test_a_fault_names_its_key_and_what_was_found(change: dict[str, object], fault: str):
    assert faults_of(change) == [fault]


def test_all_faults_are_reported_at_once():
    faults = faults_of({"memory": {"capacity_bytes": 0, "latency_s": -1}, "colour": "red"})
    assert len(faults) == 3


def test_a_misspelt_key_is_reported_once_and_not_as_missing_too():
    assert faults_of({"memory": {"capacity_byte": 1}}) == [
        "unknown key memory.capacity_byte; did you mean capacity_bytes?"
    ]
