"""Threads, numerics and memory of a worker: the same settings for every system."""

import contextlib
import ctypes
import importlib.metadata
import os
import re
import resource
import sys
from pathlib import Path
from typing import Any

# Of a system's environment: products of float32 in TF32, on both sides.
TF32_VARIABLE = "BENCHMARKS_TF32"
TF32 = {TF32_VARIABLE: "1"}

_PACKAGES = (
    ("jax", "jax"),
    ("jaxlib", "jaxlib"),
    ("jraph", "jraph"),
    ("torch", "torch"),
    ("torch_geometric", "torch-geometric"),
    ("torch_sparse", "torch-sparse"),
    ("torch_scatter", "torch-scatter"),
    ("recbole", "recbole"),
    ("optax", "optax"),
    ("tokenizers", "tokenizers"),
    ("transformers", "transformers"),
    ("sentence_transformers", "sentence-transformers"),
    ("peft", "peft"),
    ("numpy", "numpy"),
    ("triton", "triton"),
    ("scipy", "scipy"),
)


def usable_cores() -> list[int]:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def environment_for(threads: int) -> dict[str, str]:
    """Variables that a worker starts with: they are read when libraries load."""
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        # How many threads XLA's pool gets, and the tokenizers'.
        "NPROC": str(threads),
        "RAYON_NUM_THREADS": str(threads),
        # What torch.compile takes is measured, not what was kept of an earlier run.
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
        # Several processes share an accelerator.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


def pin(threads: int) -> list[int]:
    """Binds this process to the first cores that it may use, as every other worker."""
    cores = usable_cores()[:threads]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    return cores


def wake_gpu() -> None:
    """Lets the library that has been imported open the GPU, which takes seconds."""
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return
    if torch := sys.modules.get("torch"):
        if torch.cuda.is_available():
            torch.zeros(1, device="cuda")
    elif jax := sys.modules.get("jax"):
        jax.devices()


def set_numerics(threads: int) -> None:
    """Threads and full float32 products, in whichever library has been imported.

    JAX's default is TF32 on NVIDIA's and bfloat16 on Google's devices; torch's is not.
    What the worker's environment holds of `TF32` lets both have TF32.
    """
    tf32 = os.environ.get(TF32_VARIABLE) == "1"
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
    if jax := sys.modules.get("jax"):
        precision = "tensorfloat32" if tf32 else "highest"
        jax.config.update("jax_default_matmul_precision", precision)


def describe() -> dict[str, Any]:
    """What this worker runs on and with."""
    versions = {"python": sys.version.split()[0]}
    for module, package in _PACKAGES:
        if module in sys.modules:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                versions[package] = importlib.metadata.version(package)
    said: dict[str, Any] = {"versions": versions}
    if torch := sys.modules.get("torch"):
        said["matmul_precision"] = torch.get_float32_matmul_precision()
        said["threads"] = torch.get_num_threads()
        if torch.cuda.is_available():
            said["device"] = torch.cuda.get_device_name()
    elif jax := sys.modules.get("jax"):
        from llmgnn_jax.evaluation.environment import device

        said["matmul_precision"] = jax.config.jax_default_matmul_precision
        said["threads"] = int(os.environ["NPROC"])
        said["device"] = device()
    return said


def canary() -> dict[str, Any] | None:
    """Whether XLA's scatter is slow on this device, and what cures it."""
    try:
        from llmgnn_jax.graph.aggregate.canary import scatter_canary
    except ImportError:
        return None
    found = scatter_canary()
    return {"slow": found.slow, "ratio": found.ratio, "advice": found.advice}


def resident_mb() -> float:
    """Memory of this process that lies in RAM now."""
    return _status("VmRSS") or _largest_mb()


def peak_mb() -> float:
    """The most that lay there since `forget_peak`, or since the start."""
    return _status("VmHWM") or _largest_mb()


def forget_peak() -> None:
    """Hands freed memory back and starts the peak anew, where Linux lets us."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def cpu_model() -> str:
    """The processor's name, or ""."""
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text()
        if found := re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE):
            return found[1]
    return ""


def _status(field: str) -> float:
    """A field of /proc/self/status in MB; 0 where there is none."""
    with contextlib.suppress(OSError):
        text = Path("/proc/self/status").read_text()
        if found := re.search(rf"^{field}:\s*(\d+) kB", text, re.MULTILINE):
            return int(found[1]) * 1024 / 1e6
    return 0.0


def _largest_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
