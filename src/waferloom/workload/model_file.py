"""Read a model from a TOML table whose keys are the fields of `ModelConfig`.

For models without a Hugging Face configuration: those that a paper only describes. `[source]` says
where the numbers come from and `[assumptions]` maps a key to the reason for a value that the source
lacks.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Final, cast

from pydantic import TypeAdapter, ValidationError

from waferloom.errors import SpecError, did_you_mean
from waferloom.workload.model import (
    LatentAttention,
    LayerGroup,
    MixtureOfExperts,
    ModelConfig,
)

_ADAPTER: Final = TypeAdapter(ModelConfig)
_PROVENANCE: Final = ("source", "assumptions")
_NESTED: Final = {"layer_groups": LayerGroup, "moe": MixtureOfExperts, "latent": LatentAttention}


def read_model_table(table: Mapping[str, object], name: str, where: str) -> ModelConfig:
    """Turn a TOML table into a `ModelConfig`.

    Args:
        table: The parsed file.
        name: Of the model, unless the table has its own.
        where: What the user gave, for error messages.

    Raises:
        SpecError: Unknown, missing or senseless keys; the message names all of them.
    """
    faults = _unknown_keys(table)
    values = {"name": name, "architecture": "described by TOML"} | {
        key: value for key, value in table.items() if key not in _PROVENANCE
    }
    try:
        config = _ADAPTER.validate_python(values)
    except ValidationError as error:
        faults += [_sentence(fault["loc"], fault["msg"]) for fault in error.errors()]
        config = None
    if faults or config is None:
        msg = f"{where}: " + "; ".join(faults)
        raise SpecError(msg)
    return config


def _unknown_keys(table: Mapping[str, object]) -> list[str]:
    faults = _unknown(table, ModelConfig, "", extra=_PROVENANCE)
    for key, record in _NESTED.items():
        value = table.get(key)
        entries = cast("list[object]", value) if isinstance(value, list) else [value]
        for entry in entries:
            if isinstance(entry, dict):
                faults += _unknown(cast("dict[str, object]", entry), record, f"{key}.")
    return faults


def _unknown(
    table: Mapping[str, object], record: type, prefix: str, extra: tuple[str, ...] = ()
) -> list[str]:
    known = [entry.name for entry in fields(record)]
    return [
        f"{prefix}{key} is not a field of a model; {did_you_mean(key, known)}"
        for key in table
        if key not in known and key not in extra
    ]


def _sentence(location: tuple[int | str, ...], text: str) -> str:
    key = ".".join(str(part) for part in location)
    text = text.removeprefix("Value error, ")
    return f"{key}: {text}" if key else text
