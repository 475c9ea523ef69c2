"""Where a number was measured: versions, device, machine."""

import importlib.metadata
import os
import platform

import jax

_PACKAGES = ("llmgnn-jax", "jax", "jaxlib", "flax", "optax", "jraph", "numpy", "scipy")


def environment() -> dict[str, str | int | None]:
    """Python, package versions, devices, CPUs and platform, for `results.json`.

    It holds neither user nor host names nor paths: results are meant to be shared.
    """
    versions: dict[str, str | int | None] = {
        name.replace("-", "_"): _version(name) for name in _PACKAGES
    }
    return {
        "python": platform.python_version(),
        **versions,
        "backend": jax.default_backend(),
        "device": device(),
        "device_count": jax.device_count(),
        "process_count": jax.process_count(),
        "cpu_count": _usable_cpus(),
        "platform": platform.platform(),
        "machine": platform.machine(),
    }


def device() -> str:
    """The device that computes, for people: "cpu, 2 cores" or "NVIDIA H100 x 4"."""
    devices = jax.devices()
    if devices[0].platform == "cpu":
        cores = _usable_cpus()
        return f"cpu, {cores} core{'' if cores == 1 else 's'}"
    count = f" x {len(devices)}" if len(devices) > 1 else ""
    return f"{devices[0].device_kind}{count}"


def _usable_cpus() -> int:
    """CPUs that this process may use, which in a container is fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
