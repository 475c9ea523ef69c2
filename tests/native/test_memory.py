"""What is freed is used again, in any thread."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="glibc's allocator is out of reach"
)

# Faults of a thread that asks for 128 MB again and again, after the first time.
SCRIPT = """
import resource, sys, threading
import numpy as np
from llmgnn_jax.native.memory import keep_freed_memory

print(keep_freed_memory())

def ask():
    for number in range(4):
        if number == 1:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.full(2**25, 1.0, np.float32)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=ask)
thread.start()
thread.join()
assert "jax" not in sys.modules, "it would have started threads"
"""


def faults(**environment):
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MALLOC_")
        and name not in ("GLIBC_TUNABLES", "LD_PRELOAD", "LLMGNN_MALLOC")
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    answer, count = done.stdout.split()
    return answer, int(count)


def test_what_is_freed_is_used_again():
    answer, count = faults()
    left_alone, many = faults(LLMGNN_MALLOC="0")
    assert (answer, left_alone) == ("True", "False")
    # 3 times 128 MB, in pages of 4 kB, or of 2 MB where the system gives them unasked.
    assert many > 100
    assert count < many / 20


@pytest.mark.parametrize(
    "environment",
    [
        {"MALLOC_TRIM_THRESHOLD_": "131072"},
        {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"},
    ],
)
def test_a_users_own_settings_stay(environment):
    assert faults(**environment)[0] == "False"
