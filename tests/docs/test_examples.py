"""Every example runs from top to bottom and prints what is stored beside it.

The stored text is our own earlier output, a snapshot and no validation: it shows what a change of
the models does to a reader's results.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def test_there_is_an_output_for_every_example_and_no_other():
    stored = {path.stem for path in (ROOT / "examples").glob("*.txt")}
    assert stored == {path.stem for path in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_is_stored(example: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    stored = example.with_suffix(".txt").read_text("utf-8")
    assert done.stdout == stored, f"run `python {example} > {example.with_suffix('.txt')}`"
