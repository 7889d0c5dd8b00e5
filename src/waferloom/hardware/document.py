"""TOML files as tables, with every mistake in reading them told in one sentence."""

import tomllib
from pathlib import Path
from typing import Any

from waferloom.errors import SpecError

Table = dict[str, Any]


def read_text(path: Path, hint: str) -> str:
    """Return the text of a file.

    Args:
        path: The file.
        hint: What to do when it does not exist.

    Raises:
        SpecError: It does not exist or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        msg = f"there is no file {path}; {hint}"
        raise SpecError(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read as text: {error}"
        raise SpecError(msg) from None


def parse_toml(text: str, origin: str) -> Table:
    """Return the table that the text spells.

    Raises:
        SpecError: It is not TOML; the message has the line.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{origin} is not valid TOML: {error}"
        raise SpecError(msg) from None


def faults_message(origin: str, what: str, faults: list[str]) -> str:
    """Return the message that lists every fault of a document on its own line."""
    return f"{origin} does not describe {what}:" + "".join(f"\n  - {fault}" for fault in faults)
