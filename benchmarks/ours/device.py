"""Where JAX computes."""

import time
from collections.abc import Callable
from typing import Any

import jax

from benchmarks.harness import Unavailable
from llmgnn_jax.graph.native import library


def peak_mb() -> Callable[[], float] | None:
    """What measures the accelerator's peak; None on a CPU."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return None
    return lambda: device.memory_stats()["peak_bytes_in_use"] / 1e6


def compiled(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """A jitted function compiled ahead of time, and the seconds that it took."""
    began = time.perf_counter()
    program = function.lower(*arguments).compile()  # type: ignore[attr-defined]
    return program, time.perf_counter() - began


def check_backend(backend: str) -> None:
    """Raises `Unavailable` where a backend of the aggregation is not there."""
    if backend == "native" and (reason := library.unavailable_because()):
        raise Unavailable(f"native kernels: {reason}")
