"""Where commands write: the terminal, files that are complete or absent, and a progress line."""

import json
import os
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from waferloom.errors import SpecError

if TYPE_CHECKING:
    from waferloom.search.solvers.exhaustive import Progress as Tell


def print_view(view: RenderableType) -> None:
    """Print a view, as wide as the terminal allows and never wider than reads well."""
    console = Console()
    console.width = min(console.width, 100)
    console.print(view)


def json_text(document: Mapping[str, object]) -> str:
    """Return a JSON document as text."""
    return json.dumps(document, indent=2, allow_nan=False)


def save_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files into `folder`; each is complete or as it was before.

    Raises:
        SpecError: The folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                Path(temporary).chmod(0o644)
                Path(temporary).replace(folder / name)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
    except OSError as error:
        msg = f"cannot write to {folder}: {error.strerror or error}; choose another with --out"
        raise SpecError(msg) from None


@contextmanager
def search_progress() -> Generator["Tell | None"]:
    """Show a progress bar on standard error while a search runs; nothing when it is redirected."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("searching"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(
        *columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("search", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell
