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
        # One exchange after another: XLA otherwise starts several at once, and devices
        # that share two cores may each wait in another one for ever.
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} "
        f"--xla_force_host_platform_device_count={DEVICES} "
        "--xla_cpu_enable_concurrency_optimized_scheduler=false "
        # On a busy machine eight devices on two cores may need more than 40 seconds.
        "--xla_cpu_collective_call_terminate_timeout_seconds=150",
        # XLA's threads: with as few as there are cores, collectives wait for ever.
        "NPROC": "256",
        "JAX_PLATFORMS": "cpu",
        "PYTEST_ADDOPTS": "",
    }
    for leaked in [key for key in environment if key.startswith("PYTEST_XDIST")]:
        del environment[leaked]
    command = [sys.executable, "-m", "pytest", str(FOLDER / name), "-q"]
    for _ in range(3):
        done = subprocess.run(
            [*command, "-p", "no:randomly", "--timeout", "900"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=1700,
        )
        # XLA has given up on an exchange, which says nothing of ours.
        if done.returncode != -signal.SIGABRT:
            break
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
