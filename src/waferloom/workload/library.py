"""Models by name: shipped presets, and configuration files of the user.

A preset is one file under `presets/`: the fields of a Hugging Face `config.json` that matter here,
or a TOML file with the fields of `ModelConfig` for models that have no such file. Both carry their
source.
"""

import json
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, cast

from waferloom.errors import SpecError, did_you_mean
from waferloom.workload.huggingface import read_config
from waferloom.workload.model import ModelConfig
from waferloom.workload.model_file import read_model_table

_SUFFIXES: Final = (".json", ".toml")


def model(name_or_path: str | Path) -> ModelConfig:
    """Return a model by preset name, or from a file.

    Args:
        name_or_path: A name of `model_names()`; or a Hugging Face `config.json`, a directory that
            holds one, or a model TOML file.

    Raises:
        SpecError: No such preset or file, or the file does not describe a model that can be read.

    Example:
        >>> model("llama3-70b").num_layers
        80
    """
    files = _preset_files()
    if isinstance(name_or_path, str) and name_or_path in files:
        return _preset(name_or_path)
    path = Path(name_or_path).expanduser()
    if _is_meant_as_path(str(name_or_path)) or path.exists():
        return _from_path(path)
    msg = (
        f"{str(name_or_path)!r} is neither a model preset nor the path of a Hugging Face "
        f"config.json; {did_you_mean(str(name_or_path), files)}"
    )
    raise SpecError(msg)


def model_names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    return tuple(sorted(_preset_files()))


def model_source(name: str) -> Mapping[str, object]:
    """Return where the numbers of a preset come from: title, url and, where needed, a note.

    Raises:
        SpecError: No such preset.
    """
    file = _preset_file(name)
    content = _parse(file.read_bytes(), file.name)
    key = "_source" if file.name.endswith(".json") else "source"
    return cast("Mapping[str, object]", content.get(key, {}))


def model_text(name: str) -> str:
    """Return the file of a preset, a start for one's own.

    Raises:
        SpecError: No such preset.
    """
    return _preset_file(name).read_text("utf-8")


@cache
def _preset_files() -> Mapping[str, Traversable]:
    folder = resources.files("waferloom.workload.presets")
    return {
        file.name.removesuffix(suffix): file
        for file in folder.iterdir()
        for suffix in _SUFFIXES
        if file.name.endswith(suffix)
    }


def _preset_file(name: str) -> Traversable:
    files = _preset_files()
    if name not in files:
        msg = f"no model preset {name!r}: {did_you_mean(name, files)}"
        raise SpecError(msg)
    return files[name]


@cache
def _preset(name: str) -> ModelConfig:
    file = _preset_files()[name]
    return _read(
        file.read_bytes(), name, where=f"preset {file.name}", suffix=Path(file.name).suffix
    )


def _is_meant_as_path(text: str) -> bool:
    return text.endswith(_SUFFIXES) or "/" in text or "\\" in text or text.startswith((".", "~"))


def _from_path(path: Path) -> ModelConfig:
    file = path / "config.json" if path.is_dir() else path
    name = file.parent.resolve().name if file.name == "config.json" else file.stem
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        what = f"the directory {path} holds no config.json" if path.is_dir() else f"no file {path}"
        msg = f"{what}; give a preset name, a Hugging Face config.json or a directory with one"
        raise SpecError(msg) from error
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror or error}"
        raise SpecError(msg) from error
    return _read(content, name or "model", where=str(file), suffix=file.suffix)


def _read(content: bytes, name: str, *, where: str, suffix: str) -> ModelConfig:
    table = _parse(content, where, suffix=suffix)
    if suffix == ".toml":
        return read_model_table(table, name, where)
    return read_config(table, name, where)


def _parse(content: bytes, where: str, suffix: str | None = None) -> Mapping[str, object]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{where} is not text in UTF-8; expected a model configuration"
        raise SpecError(msg) from error
    if not text.strip():
        msg = f"{where} is empty; expected a model configuration"
        raise SpecError(msg)
    if (suffix or Path(where).suffix) == ".toml":
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            msg = f"{where} is not valid TOML: {error}"
            raise SpecError(msg) from error
    try:
        value: object = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        msg = f"{where} is not valid JSON: {error}"
        raise SpecError(msg) from error
    if not isinstance(value, dict):
        msg = f"{where} holds a JSON {type(value).__name__}; expected an object of fields"
        raise SpecError(msg)
    return cast("dict[str, object]", value)
