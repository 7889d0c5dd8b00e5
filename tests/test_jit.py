"""The kernel decorator compiles, caches, and survives a place it cannot write to."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from waferloom.jit import kernel

MODULE = """
from waferloom.jit import kernel

@kernel
def triangular(n):
    total = 0
    for i in range(n + 1):
        total += i
    return total

print(triangular(10))
"""


@kernel
def _triangular(n: int) -> int:
    total = 0
    for i in range(n + 1):
        total += i
    return total


def test_a_kernel_returns_what_the_plain_function_returns():
    assert _triangular(100) == 5050


@pytest.mark.parametrize("jit", ["compiled", "plain"])
def test_a_read_only_folder_without_a_home_still_runs_the_kernel(tmp_path: Path, jit: str):
    package = tmp_path / "package"
    package.mkdir()
    module = package / "module.py"
    module.write_text(MODULE)
    # A file where each cache folder would be: not even root can write below it.
    (package / "__pycache__").write_text("")
    home = tmp_path / "home"
    home.write_text("")
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "NUMBA_DISABLE_JIT": "1" if jit == "plain" else "0",
    }
    environment.pop("NUMBA_CACHE_DIR", None)
    package.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        run = subprocess.run(
            [sys.executable, str(module)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        package.chmod(stat.S_IRWXU)
        shutil.rmtree(package)
    assert run.stderr == ""
    assert run.stdout.strip() == "55"
