"""What the README and the pages tell a reader to run, runs, in the order they tell it.

On one page, a block with a title is written to the file of that name, `bash` blocks are run by bash
and `python` blocks in one namespace, all in one folder. Blocks marked `text` are only read.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from waferloom.errors import SpecError
from waferloom.studies.data_directory import find_data

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LANGUAGES = {"bash", "python", "toml", "json", "text"}


class Block(NamedTuple):
    language: str
    title: str
    text: str


def blocks_of(text: str) -> list[Block]:
    return [Block(*match) for match in BLOCK.findall(text)]


def run_shell(script: str, folder: Path) -> None:
    if "waferloom validate" in script:
        try:
            data = find_data()
        except SpecError as error:
            pytest.skip(str(error))
        script = f"export WAFERLOOM_DATA='{data}'\n{script}"
    scripts = Path(sys.executable).parent
    if not (scripts / "waferloom").exists():
        pytest.skip(f"the command waferloom is not installed beside {sys.executable}")
    environment = os.environ | {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
    }
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def runnable(page: Path) -> bool:
    return any(block.language in ("bash", "python") for block in blocks_of(page.read_text("utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_says_what_it_is(page: Path):
    text = page.read_text("utf-8")
    fences = re.findall(r"^```(.*)$", text, re.MULTILINE)
    assert len(fences) == 2 * len(blocks_of(text)), "a block has no language"
    assert {block.language for block in blocks_of(text)} <= LANGUAGES


@pytest.mark.parametrize("page", list(filter(runnable, PAGES)), ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    monkeypatch.setitem(sys.modules, page.stem, type(sys)(page.stem))
    for block in blocks_of(page.read_text("utf-8")):
        if block.title:
            (tmp_path / block.title).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.title).write_text(block.text, "utf-8")
        elif block.language == "bash":
            run_shell(block.text, tmp_path)
        elif block.language == "python":
            exec(compile(block.text, str(page), "exec"), names)


@pytest.mark.parametrize("command", re.findall(r"^\| `(waferloom [^`]+)` \|", README, re.MULTILINE))
def test_a_command_of_the_readme_runs(command: str, tmp_path: Path):
    run_shell(command, tmp_path)


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    [block] = [block for block in blocks_of(README) if block.language == "python"]
    exec(compile(block.text, "README.md", "exec"), {})
