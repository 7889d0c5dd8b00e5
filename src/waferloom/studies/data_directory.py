"""Where the measured tables lie: they are not shipped, so a study that needs them looks here."""

import os
from pathlib import Path
from typing import Final

from waferloom.errors import SpecError

VARIABLE: Final = "WAFERLOOM_DATA"
"""Environment variable that names the data directory."""
_DEFAULT: Final = Path("..") / "shared" / "data"


def find_data(explicit: Path | None = None) -> Path:
    """Return the data directory.

    Args:
        explicit: What the user asked for; else `WAFERLOOM_DATA`, else `../shared/data` seen from
            the working directory or from the root of a source checkout.

    Raises:
        SpecError: The directory that was asked for is not one, or none is found.
    """
    if explicit is not None:
        return _directory(explicit, "the data directory")
    named = os.environ.get(VARIABLE)
    if named:
        return _directory(Path(named), VARIABLE)
    checkout = Path(__file__).resolve().parents[3]
    tried = [(root / _DEFAULT).resolve() for root in (Path.cwd(), checkout)]
    for path in tried:
        if path.is_dir():
            return path
    places = " or ".join(str(path) for path in dict.fromkeys(tried))
    msg = f"no measured tables at {places}; pass --data DIR or set {VARIABLE}"
    raise SpecError(msg)


def _directory(path: Path, role: str) -> Path:
    if not path.is_dir():
        msg = f"{role} is {path}, which is not a directory; name the one that holds the CSV tables"
        raise SpecError(msg)
    return path
