"""Kernels that find no memory give an error of their call; the process goes on."""

import os
import subprocess
import sys

import pytest

from llmgnn_jax.text import kernels

# Compiles, then takes all but a few MB of the address space away for one call.
PROGRAM = """
import resource
import sys
from pathlib import Path

import jax
import jax.numpy as jnp

from llmgnn_jax.text import kernels

assert kernels.usable()
if sys.argv[1] == "caller":
    # The panels of a wide matrix are packed by the thread that calls.
    arguments = jnp.ones((2, 256)), jnp.ones((256, 2**17))
    kernel = lambda x, w: kernels.dense(x, w, None, "float32")
else:
    # Each text's scratch belongs to the thread that computes it.
    arguments = jnp.ones((6, 2**13, 3 * 256)), jnp.zeros((6, 2**13), jnp.int32)
    kernel = lambda joined, texts: kernels.attend(joined, texts, 1, 1, False, "float32")
run = jax.jit(kernel).lower(*arguments).compile()
status = Path("/proc/self/status").read_text().splitlines()
size = next(int(line.split()[1]) * 1024 for line in status if line[:7] == "VmSize:")
room = int(sys.argv[2]) << 20
_, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (size + room, hard))
try:
    jax.block_until_ready(run(*arguments))
    told = "nothing"
except Exception as error:
    told = f"{type(error).__name__}: {error}"
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
print(told)
print(jax.block_until_ready(run(*arguments)).shape)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="address space is Linux's")
@pytest.mark.parametrize(("thread", "room_mb"), [("caller", 24), ("workers", 56)])
def test_too_little_memory_is_an_error_of_the_call(thread: str, room_mb: int) -> None:
    """48 MB of the room for workers are XLA's own, for the result."""
    if not kernels.usable():
        pytest.skip("the kernels cannot be had here")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, thread, str(room_mb)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "XLA_FLAGS": ""},
    )
    assert done.returncode == 0, done.stderr
    told, again = done.stdout.splitlines()
    assert "RESOURCE_EXHAUSTED: a native kernel had no memory" in told
    assert "\n" not in told
    assert again.startswith("(")
