"""Systems by name or file: the presets shipped with the package, and one's own TOML files.

A file may start from another system with `extends = "temp-6x8"`. Its tables are laid over those of
the base key by key, with three rules: lists are replaced whole; a table that names another `kind`
starts afresh; and what the base assumes about a key goes when the file changes that key.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple, cast

from pydantic import ValidationError

from waferloom.errors import SpecError, describe_faults, did_you_mean
from waferloom.hardware.defects import defect_faults
from waferloom.hardware.document import Table, faults_message, parse_toml, read_text
from waferloom.hardware.spec import (
    Interconnect,
    SwitchedSpec,
    SystemSpec,
    TorusSpec,
    WaferGridSpec,
)

_PRESETS: Final = "waferloom.hardware.presets"
_SUFFIX: Final = ".toml"
_EXTENDS: Final = "extends"
_ASSUMPTIONS: Final = "assumptions"
_COUNT: Final = re.compile(r"[1-9]\d*(x[1-9]\d*)*")


def system(name_or_path: str | Path) -> SystemSpec:
    """Return the system of a preset or of a TOML file.

    A preset or file may carry a size after a colon, which replaces the size its text gives:
    `dgx-h100:16` has 16 nodes, `tpu-v5e:4` four slices, `tpu-v5p:4x4x8` one slice of that shape,
    and a system of several wafers takes `:4` (a row of four) or `:2x2`.

    Args:
        name_or_path: A name of `preset_names()`, or the path of a file (it ends in `.toml` or
            contains a `/`).

    Raises:
        SpecError: No such preset or file, TOML that does not parse, or values that describe nothing
            that can exist; one message lists all faults.

    Example:
        >>> system("temp-6x8").num_dies
        48
        >>> system("dgx-h100:16").num_dies
        128
    """
    if isinstance(name_or_path, Path):
        return _validated(_read_file(name_or_path, ()))
    name, colon, count = name_or_path.rpartition(":")
    if not colon or "/" in count:
        return _named(name_or_path)
    return _with_count(_named(name), name, count)


@cache
def preset_names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    entries = files(_PRESETS).iterdir()
    return tuple(sorted(e.name[: -len(_SUFFIX)] for e in entries if e.name.endswith(_SUFFIX)))


def preset_text(name: str) -> str:
    """Return the TOML text of a preset, comments included: a start for one's own file.

    Raises:
        SpecError: No preset has this name.
    """
    if name not in preset_names():
        msg = f"no system is called {name!r}; {did_you_mean(name, preset_names())}"
        raise SpecError(msg)
    return files(_PRESETS).joinpath(name + _SUFFIX).read_text(encoding="utf-8")


class _Document(NamedTuple):
    """A TOML text with its bases laid under it."""

    origin: str
    table: Table


def _is_path(name: str) -> bool:
    return name.endswith(_SUFFIX) or "/" in name


def _named(name: str) -> SystemSpec:
    return _validated(_read_file(Path(name), ())) if _is_path(name) else _preset(name)


@cache
def _preset(name: str) -> SystemSpec:
    return _validated(_read_preset(name, ()))


def _read_preset(name: str, seen: tuple[str, ...]) -> _Document:
    return _parsed(preset_text(name), f"preset {name}", Path(), (*seen, name))


def _read_file(path: Path, seen: tuple[str, ...]) -> _Document:
    text = read_text(path, "give a path that exists, or a preset name without .toml")
    return _parsed(text, str(path), path.parent, (*seen, str(path.resolve())))


def _parsed(text: str, origin: str, folder: Path, seen: tuple[str, ...]) -> _Document:
    table = parse_toml(text, origin)
    if _EXTENDS not in table:
        return _Document(origin, table)
    base_name = table.pop(_EXTENDS)
    if not isinstance(base_name, str):
        msg = f"{origin}: {_EXTENDS} must be the name of a preset or file, found {base_name!r}"
        raise SpecError(msg)
    key = str((folder / base_name).resolve()) if _is_path(base_name) else base_name
    if key in seen:
        msg = f"{origin} extends {base_name}, which extends it in turn; break the circle"
        raise SpecError(msg)
    base = (
        _read_file(folder / base_name, seen)
        if _is_path(base_name)
        else _read_preset(base_name, seen)
    )
    return _Document(origin, _laid_over(base.table, table))


def _laid_over(base: Table, top: Table) -> Table:
    """Return `base` with the values of `top`, by the rules of the module's docstring."""
    merged = _merged(base, top)
    inherited, own = base.get(_ASSUMPTIONS), top.get(_ASSUMPTIONS, {})
    if isinstance(inherited, dict) and isinstance(own, dict):
        before, after = _values(base), _values(merged)
        merged[_ASSUMPTIONS] = {
            key: why
            for key, why in cast("Table", inherited).items()
            if key not in before or before[key] == after.get(key)
        } | own
    return merged


def _merged(base: Table, top: Table) -> Table:
    if "kind" in top and top["kind"] != base.get("kind"):
        return top
    merged = dict(base)
    for key, value in top.items():
        under = merged.get(key)
        both = isinstance(under, dict) and isinstance(value, dict)
        merged[key] = _merged(cast("Table", under), cast("Table", value)) if both else value
    return merged


def _validated(document: _Document) -> SystemSpec:
    faults: list[str] = []
    spec = None
    try:
        spec = SystemSpec.model_validate(document.table)
    except ValidationError as error:
        faults += describe_faults(error, SystemSpec)
    faults += _assumption_faults(document.table)
    if spec is not None:
        faults += defect_faults(spec, spec.defects)
    if faults or spec is None:
        raise SpecError(faults_message(document.origin, "a system", faults))
    return spec


def _assumption_faults(table: Table) -> list[str]:
    """Check that every assumption speaks of a key that the file has."""
    assumptions = table.get(_ASSUMPTIONS, {})
    if not isinstance(assumptions, dict):
        return []
    known = _values(table)
    return [
        f"assumptions: {key!r} is no key of this file; {did_you_mean(key, known)}"
        for key in cast("Mapping[str, object]", assumptions)
        if key not in known
    ]


def _values(table: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return every dotted key of a document, tables included, with its value."""
    values: dict[str, object] = {}
    for key, value in table.items():
        if prefix + key == _ASSUMPTIONS:
            continue
        values[prefix + key] = value
        if isinstance(value, dict):
            values |= _values(cast("Table", value), f"{prefix}{key}.")
    return values


def _with_count(spec: SystemSpec, name: str, count: str) -> SystemSpec:
    """Replace the number of nodes, slices or wafers, or the shape of a torus."""
    if _COUNT.fullmatch(count) is None:
        msg = f"{name}:{count} needs a positive whole number after the colon, or some joined by x"
        raise SpecError(msg)
    sizes = [int(size) for size in count.split("x")]
    table = spec.model_dump(exclude_unset=True)
    table["interconnect"] |= _resized(spec.interconnect, f"{name}:{count}", sizes)
    table["name"] = f"{spec.name}:{count}"
    return _validated(_Document(f"{name}:{count}", table))


def _resized(net: Interconnect, asked: str, sizes: list[int]) -> Table:
    match net, sizes:
        case SwitchedSpec(), [num_nodes]:
            return {"num_nodes": num_nodes}
        case TorusSpec(), [num_slices]:
            return {"num_slices": num_slices}
        case TorusSpec(), [*shape] if len(shape) == len(net.shape):
            return {"shape": shape}
        case WaferGridSpec(), [wafers]:
            return {"wafer_rows": 1, "wafer_cols": wafers}
        case WaferGridSpec(), [wafer_rows, wafer_cols]:
            return {"wafer_rows": wafer_rows, "wafer_cols": wafer_cols}
        case _:
            pass
    takes = {
        "mesh": "one wafer takes no size",
        "switched": "a switched system takes one number, its nodes",
        "torus": "a torus takes one number, its slices, or as many as its shape has",
        "wafer_grid": "a system of several wafers takes their number, or rows x columns of wafers",
    }
    msg = f"{asked}: {takes[net.kind]}"
    raise SpecError(msg)
