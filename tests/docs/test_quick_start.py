"""The quick start is two lines, which CI reads from the README and runs."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def commands() -> list[str]:
    script = [sys.executable, str(ROOT / "scripts" / "quick_start.py")]
    return subprocess.run(script, capture_output=True, text=True, check=True).stdout.splitlines()


def test_one_line_runs_the_main_job_and_one_the_tests(commands: list[str]):
    assert len(commands) == 2
    assert "waferloom plan" in commands[0]
    assert "pytest" in commands[1]


def test_both_lines_install_what_the_constraints_pin(commands: list[str]):
    assert all(line.startswith("pip install -q -c constraints.txt ") for line in commands)


def test_every_dependency_is_pinned_by_name_and_version_alone():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    asked = [need for needs in (project["dependencies"], *extras) for need in needs]
    names = {re.split(r"[\[<>=~! ]", need)[0].lower() for need in asked} - {"waferloom"}
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in lines)
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert names <= pinned


def test_the_readme_links_to_files_that_exist():
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert links
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []
