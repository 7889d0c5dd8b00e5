"""Nothing is public by accident: what a package re-exports and its `__all__` are the same."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import waferloom

PACKAGES = ["waferloom"] + [
    found.name
    for found in pkgutil.walk_packages(waferloom.__path__, prefix="waferloom.")
    if found.ispkg
]
HEAVY = {"matplotlib", "plotly", "jax", "ray", "ortools", "sklearn", "pandas", "networkx"}


def tree_of(package: str) -> ast.Module:
    source = importlib.import_module(package).__file__
    assert source is not None
    return ast.parse(Path(source).read_text(encoding="utf-8"))


def top_level(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, those for the type checker alone included."""
    for statement in statements:
        if isinstance(statement, ast.If):
            yield from top_level(statement.body)
        else:
            yield statement


def bound_names(statement: ast.stmt) -> set[str]:
    match statement:
        case ast.ImportFrom(module=str(module)) if module.startswith("waferloom"):
            return {alias.asname or alias.name for alias in statement.names}
        case ast.FunctionDef() | ast.ClassDef():
            return {statement.name}
        case ast.Assign(targets=[ast.Name(name)]) | ast.AnnAssign(target=ast.Name(name)):
            return {name}
    return set()


@pytest.mark.parametrize("package", PACKAGES)
def test_all_lists_exactly_what_the_package_offers(package: str):
    """An import that only fills a table of the same file, such as `SCHEDULES`, is no offer."""
    tree = tree_of(package)
    bound = {name for statement in top_level(tree.body) for name in bound_names(statement)}
    public = {name for name in bound if not name.startswith("_")}
    used_here = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    declared = list(getattr(importlib.import_module(package), "__all__", ()))
    assert set(declared) <= public
    assert public - used_here <= set(declared)
    assert declared == sorted(set(declared), key=declared.index), "a name is listed twice"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_declared_name_can_be_imported(package: str):
    module = importlib.import_module(package)
    assert [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_docstring(package: str):
    module = importlib.import_module(package)
    silent = [
        name
        for name in getattr(module, "__all__", ())
        if callable(getattr(module, name)) and not getattr(module, name).__doc__
    ]
    assert silent == []


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, waferloom; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert HEAVY.isdisjoint(loaded)
