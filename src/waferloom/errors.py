"""Everything waferloom raises on purpose; bad arguments of a function are plain `ValueError`s.

WaferloomError
├── SpecError      a preset, file or option does not describe something that can exist
├── PlanError      a plan or strategy contradicts its job or system
├── RoutingError   no route exists between two nodes that must talk
└── SolverError    a search has nothing to return
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


class WaferloomError(Exception):
    """A mistake that the user can mend; its text is the whole message shown."""


class SpecError(WaferloomError):
    """A preset, file or option does not describe something that can exist."""


class PlanError(WaferloomError):
    """A plan or strategy contradicts its job or its system."""


class RoutingError(WaferloomError):
    """No route exists between two nodes that must talk."""


class SolverError(WaferloomError):
    """A search has nothing to return."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the sentence that suggests near names, or lists all when none is near.

    Example:
        >>> did_you_mean("lama3-70b", ["llama3-70b", "gpt3-175b"])
        'did you mean llama3-70b?'
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(names)}" if names else "none is known"


def describe_faults(error: ValidationError, model: type[BaseModel]) -> list[str]:
    r"""Return one readable sentence per fault that pydantic found, each with its dotted path.

    A key that is missing because it was misspelt is reported once, as the misspelling.

    Args:
        error: What `model.model_validate` raised.
        model: The record that was read; its fields supply the suggestions.

    Example:
        >>> from pydantic import ConfigDict, Field
        >>> class Memory(BaseModel):
        ...     model_config = ConfigDict(extra="forbid")
        ...     capacity_bytes: float = Field(gt=0)
        ...     latency_s: float = 0.0
        >>> try:
        ...     Memory.model_validate({"capacity_bytes": 0, "latncy_s": 1})
        ... except ValidationError as error:
        ...     print(*describe_faults(error, Memory), sep="\n")
        capacity_bytes must be above 0, found 0
        unknown key latncy_s; did you mean latency_s?
    """
    faults: list[str] = []
    missing: list[tuple[str, ...]] = []
    misspelt: set[tuple[str, ...]] = set()
    raw = error.errors()
    for fault in raw:
        if fault["type"] == "too_short" and any(_is_inside(other["loc"], fault) for other in raw):
            continue  # its items are faulty, not absent
        keys, siblings = _locate(model, fault["loc"])
        path = ".".join(keys)
        context: Mapping[str, Any] = fault.get("ctx", {})
        found = fault["input"]
        match fault["type"]:
            case "missing" | "union_tag_not_found":
                if fault["type"] == "union_tag_not_found":
                    keys = (*keys, str(context["discriminator"]).strip("'"))
                missing.append(keys)
            case "extra_forbidden":
                meant = difflib.get_close_matches(keys[-1], siblings, n=1, cutoff=0.6)
                misspelt.update((*keys[:-1], name) for name in meant)
                faults.append(f"unknown key {path}; {did_you_mean(keys[-1], siblings)}")
            case "greater_than":
                faults.append(f"{path} must be above {context['gt']:g}, found {found!r}")
            case "greater_than_equal":
                faults.append(f"{path} must be at least {context['ge']:g}, found {found!r}")
            case "less_than":
                faults.append(f"{path} must be below {context['lt']:g}, found {found!r}")
            case "less_than_equal":
                faults.append(f"{path} must be at most {context['le']:g}, found {found!r}")
            case "union_tag_invalid":
                known = [tag.strip(" '") for tag in str(context["expected_tags"]).split(",")]
                key = f"{path}.{str(context['discriminator']).strip(chr(39))}"
                tag = str(context["tag"])
                faults.append(f"{key} = {tag!r} is unknown; {did_you_mean(tag, known)}")
            case "enum" | "literal_error":
                known = [name.strip(" '") for name in _alternatives(str(context["expected"]))]
                faults.append(f"{path} has {found!r}; {did_you_mean(str(found), known)}")
            case "value_error":
                text = str(context["error"])
                faults.append(f"{path}: {text}" if path else text)
            case _:
                faults.append(
                    f"{path}: {fault['msg'][:1].lower()}{fault['msg'][1:]}, found {found!r}"
                )
    return faults + [f"missing key {'.'.join(keys)}" for keys in missing if keys not in misspelt]


def _is_inside(loc: Sequence[int | str], fault: ErrorDetails) -> bool:
    outer = fault["loc"]
    return len(loc) > len(outer) and tuple(loc[: len(outer)]) == outer


def _alternatives(text: str) -> list[str]:
    return text.replace(" or ", ",").split(",")


def _locate(model: type[BaseModel], loc: Sequence[int | str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the keys of `loc` as the user wrote them, and the known names beside the last."""
    keys: list[str] = []
    siblings: list[str] = []
    kind: Any = model
    for step in loc:
        record = _record(kind)
        if record is not None:
            siblings = list(record.model_fields)
            field = record.model_fields.get(str(step))
            kind = field.rebuild_annotation() if field is not None else None
            keys.append(str(step))
            continue
        tagged = next((m for m in _members(kind) if step in _tags(m)), None)
        if tagged is not None:
            kind = tagged
        elif step != "[key]":
            kind = _element(kind)
            keys.append(str(step))
    return tuple(keys), siblings


def _members(kind: Any) -> Iterator[Any]:
    """Yield the members of a union, through `Annotated` and optional wrappers."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _members(get_args(kind)[0])
    elif origin in (Union, UnionType):
        for member in get_args(kind):
            yield from _members(member)
    elif kind is not type(None):
        yield kind


def _record(kind: Any) -> type[BaseModel] | None:
    members = list(_members(kind))
    only = members[0] if len(members) == 1 else None
    return only if isinstance(only, type) and issubclass(only, BaseModel) else None


def _tags(kind: Any) -> set[object]:
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return set()
    literals = [f.annotation for f in kind.model_fields.values()]
    return {value for kind in literals if get_origin(kind) is Literal for value in get_args(kind)}


def _element(kind: Any) -> Any:
    """Return the type of the values of a mapping or sequence."""
    for member in _members(kind):
        args = get_args(member)
        if args:
            origin = get_origin(member)
            is_map = isinstance(origin, type) and issubclass(origin, Mapping)
            return args[1] if is_map else args[0]
    return None
