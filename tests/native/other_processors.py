"""Tests of a file once more, with kernels as other processors compile them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = """
import importlib, sys
module, file, *flags = sys.argv[1:]
library = importlib.import_module(module).library
library.flags = (*library.flags, *flags)
import pytest
assert library.available(), library.unavailable_because()
options = ["-q", "-x", "-p", "no:cacheprovider", "-k", "not processors"]
sys.exit(pytest.main([*options, file]))
"""


def check_with_flags(module: str, file: str, *flags: str, cache: Path) -> None:
    """Passes if the fast tests of a file do, in a process of their own.

    Args:
        module: Whose `library` the kernels are of.
        file: The tests; those that have "processors" in their names are left out.
        flags: Of the compiler, besides the usual ones.
        cache: An empty folder for what is compiled.
    """
    if os.uname().machine != "x86_64":
        pytest.skip("not an x86-64 processor: PyTorch is absent or not, nothing to try")
    result = subprocess.run(
        [sys.executable, "-c", _TESTS, module, file, *flags],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "LLMGNN_CACHE": str(cache), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
