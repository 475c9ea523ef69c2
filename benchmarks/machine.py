"""On what JAX and PyTorch compute here, asked in processes of their own.

python -m benchmarks.machine jax
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.harness import runtime
from llmgnn_jax.errors import UserError

_ROOT = Path(__file__).resolve().parents[1]
# Of ours; a peer's package that is absent costs its rows alone.
NEEDED = ("jax", "flax", "optax", "jraph", "scipy", "tokenizers", "safetensors")
_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Device:
    """What computes.

    Attributes:
        kind: "gpu" or "cpu".
        name: "NVIDIA H200"; of a CPU its model and how many cores of it.
    """

    kind: Literal["gpu", "cpu"]
    name: str


def found() -> Device:
    """The device of both libraries; JAX's alone where there is no PyTorch.

    Raises:
        UserError: If a package of ours is absent, a library does not start, or the two
            do not compute on the same device.
    """
    for package in NEEDED:
        if importlib.util.find_spec(package) is None:
            raise UserError.field(
                package,
                expected="a package that can be imported",
                got="none",
                fix=f"pip install --no-deps --target DIR {package}, and put DIR on "
                "PYTHONPATH",
            )
    libraries = ["jax", *(["torch"] if importlib.util.find_spec("torch") else [])]
    asked = {
        library: subprocess.Popen(
            [sys.executable, "-m", "benchmarks.machine", library],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": _paths(), **runtime.environment_for(1)},
        )
        for library in libraries
    }
    devices = {library: _answer(library, asked[library]) for library in libraries}
    kinds = {device.kind for device in devices.values()}
    if len(kinds) > 1:
        told = ", ".join(f"{one} on a {devices[one].kind}" for one in libraries)
        raise UserError.field(
            "device",
            expected="one device for both libraries",
            got=told,
            fix="install the builds for the GPU of both, or set CUDA_VISIBLE_DEVICES="
            " and JAX_PLATFORMS=cpu",
        )
    return devices["jax"]


def _paths() -> str:
    return os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))


def _answer(library: str, process: "subprocess.Popen[str]") -> Device:
    try:
        said, errors = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        said, errors = "", f"no answer within {_SECONDS} s"
    # Libraries may print before the answer.
    with contextlib.suppress(ValueError, IndexError):
        return Device(**json.loads(said.strip().splitlines()[-1]))
    lines = errors.strip().splitlines() or ["nothing"]
    raise UserError.field(library, expected="a library that starts", got=lines[-1])


def _of_jax() -> Device:
    import jax

    from llmgnn_jax.evaluation.environment import device

    name = device()
    if jax.default_backend() == "cpu":
        model = runtime.cpu_model()
        return Device(kind="cpu", name=name.replace("cpu", model or "cpu", 1))
    if jax.default_backend() == "gpu":
        return Device(kind="gpu", name=name)
    raise SystemExit(f"a {jax.default_backend()}, for which there are no peers")


def _of_torch() -> Device:
    import torch

    if torch.cuda.is_available():
        torch.zeros(1, device="cuda")
        return Device(kind="gpu", name=torch.cuda.get_device_name())
    return Device(kind="cpu", name="cpu")


if __name__ == "__main__":
    one = {"jax": _of_jax, "torch": _of_torch}[sys.argv[1]]()
    print(json.dumps({"kind": one.kind, "name": one.name}))
