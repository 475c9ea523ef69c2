"""Plans in a process of its own, whose JAX knows the devices that are asked for."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from llmgnn_jax.errors import UserError
from llmgnn_jax.planning.plan import Request
from llmgnn_jax.planning.topology import environment, parse_topology

_PYTHON = "LLMGNN_TPU_PYTHON"


def plan_apart(request: Request) -> dict[str, Any]:
    """`plan`, in a process that is started for it.

    Raises:
        UserError: For what cannot be planned, and where libtpu is not to be had.
    """
    topology = parse_topology(request.topology)
    python = _with_libtpu() if topology.is_tpu else sys.executable
    try:
        done = subprocess.run(
            [python, "-m", "llmgnn_jax.planning"],
            input=json.dumps(dataclasses.asdict(request)),
            env=environment(topology),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise UserError.field(
            _PYTHON,
            expected="a Python that has llmgnn_jax and libtpu",
            got=f"{python}: {error.strerror}",
        ) from None
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no word"]
    told = [line for line in lines if line.startswith("error: ")]
    if done.returncode == 2 and told:
        raise UserError(told[-1].removeprefix("error: "))
    raise UserError(
        f"plan: the compiling process ended with {done.returncode}: {lines[-1][:400]}"
    )


def _with_libtpu() -> str:
    """A Python that has libtpu.

    It has an environment of its own: wherever it is installed, each start of JAX looks
    for a TPU.
    """
    if chosen := os.environ.get(_PYTHON):
        return chosen
    if importlib.util.find_spec("libtpu"):
        return sys.executable
    beside = Path(__file__).parents[2] / ".venv-tpu" / "bin" / "python"
    if beside.exists():
        return str(beside)
    raise UserError.field(
        "--topology",
        expected="cpu:N or gpu:N where libtpu is not installed",
        got="a TPU",
        fix=f"make setup-tpu, or {_PYTHON}=a Python that has llmgnn_jax and libtpu",
    )
