"""Runs the tests in `on_devices` where eight devices are: in processes of their own.

XLA gives a CPU as many devices as it is asked for, once, before it starts.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "on_devices"
DEVICES = 8
_XLA_FLAGS = os.environ["XLA_FLAGS"]
_IN_ORDER = "--xla_cpu_enable_concurrency_optimized_scheduler=false"


# Minutes: they compile whole steps for many meshes.
SLOW = (
    *("test_choice.py", "test_fsdp.py", "test_runs.py", "test_sampling.py"),
    *("test_strategies.py", "test_rating.py"),
)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.name, marks=[pytest.mark.slow] * (path.name in SLOW))
        for path in sorted(FOLDER.glob("test_*.py"))
    ],
)
def test_file(name):
    environment = {
        **os.environ,
        "LLMGNN_TEST_DEVICES": str(DEVICES),
        # XLA's threads: with as few as there are cores, collectives wait for ever.
        "NPROC": "256",
        "JAX_PLATFORMS": "cpu",
        "PYTEST_ADDOPTS": "",
    }
    for leaked in [key for key in environment if key.startswith("PYTEST_XDIST")]:
        del environment[leaked]
    command = [sys.executable, "-m", "pytest", str(FOLDER / name), "-q"]
    # Devices that share two cores may each wait in another exchange for ever, which XLA
    # gives up after 40 seconds: it says nothing of ours. Some programs do where several
    # exchanges may begin at once, others where it is one after another.
    for choice in ("", _IN_ORDER, "", _IN_ORDER):
        flags = f"--xla_force_host_platform_device_count={DEVICES} {choice}"
        done = subprocess.run(
            [*command, "-p", "no:randomly", "--timeout", "900"],
            env={**environment, "XLA_FLAGS": f"{_XLA_FLAGS} {flags}"},
            capture_output=True,
            text=True,
            timeout=1700,
        )
        if done.returncode != -signal.SIGABRT:
            break
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
