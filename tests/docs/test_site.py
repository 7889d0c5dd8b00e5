"""The documentation builds without a fault, needs no other host, and lists what exists."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def nav_pages(entries: list[object]) -> list[str]:
    pages: list[str] = []
    for entry in entries:
        assert isinstance(entry, dict)
        for target in entry.values():
            pages += nav_pages(target) if isinstance(target, list) else [target]
    return pages


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a copy, so that a run leaves nothing behind and others cannot disturb it."""
    pytest.importorskip("zensical", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(DOCS, folder / "docs")
    (folder / "mkdocs.yml").write_bytes((ROOT / "mkdocs.yml").read_bytes())
    build = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stdout + build.stderr
    return folder / "site"


def test_the_strict_build_renders_every_page(site: Path):
    for page in DOCS.rglob("*.md"):
        rendered = site / page.relative_to(DOCS).with_suffix(".html")
        assert rendered.stat().st_size > 1000, rendered


def test_no_page_loads_anything_from_another_host(site: Path):
    loaded = [
        (page.name, tag)
        for page in site.rglob("*.html")
        for tag in re.findall(r"<(?:link|script|img|iframe)\b[^>]*>", page.read_text("utf-8"))
        if re.search(r"(?:src|href)=[\"']?(?:https?:)?//", tag)
    ]
    assert loaded == []


def test_the_navigation_lists_every_page_once():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    pages = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
    assert sorted(nav_pages(nav)) == pages


def test_the_preset_tables_are_those_of_the_presets():
    script = ROOT / "scripts" / "preset_tables.py"
    spec = importlib.util.spec_from_file_location("preset_tables", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (DOCS / "reference" / "presets.md").read_text("utf-8")
    assert written == module.page(), "run `python scripts/preset_tables.py`"
