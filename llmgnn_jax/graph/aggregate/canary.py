"""A canary for the slow scatter-add of XLA: it depends on device, version and layout.

jaxlib 0.10.2 to 0.11.0 compile a float32 scatter-add on an NVIDIA GPU to a loop of
compare-and-swap, 2 to 2,000 times slower than the atomic addition that they replaced
(openxla/xla issue 46225, jax-ml/jax issue 38806); on a CPU it runs row by row on one
thread. The canary compares a segment sum with a dense sum of the same bytes.
"""

import functools
import logging
import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

logger = logging.getLogger(__name__)

GPU_FLAG = "-nvptx-allow-ftz-atomics"
# A scatter-add reads and writes where a dense sum reads: a few times its cost is sound.
_SLOW = 8.0
_SEGMENTS, _PER_SEGMENT, _WIDTH = 256, 512, 64
_REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class ScatterCanary:
    """What the canary found.

    Attributes:
        slow: Whether a segment sum costs far more than its bytes.
        ratio: Its time over that of a dense sum of the same rows.
        advice: One line: what cures it; empty where it is not slow.
    """

    slow: bool
    ratio: float
    advice: str


@functools.cache
def scatter_canary() -> ScatterCanary:
    """Measures the default device once a process, and warns once where it is slow."""
    # Few segments, met again and again: where a swap that lost has to be repeated.
    segments = jnp.tile(jnp.arange(_SEGMENTS, dtype=jnp.int32), _PER_SEGMENT)
    rows = jnp.ones((len(segments), _WIDTH), jnp.float32)
    scattered = _seconds(jax.jit(_scattered), rows, segments)
    ratio = scattered / _seconds(jax.jit(_dense), rows)
    found = judge(ratio, jax.default_backend())
    if found.slow:
        logger.warning("XLA's scatter-add is slow on this device: %s", found.advice)
    return found


def judge(ratio: float, platform: str) -> ScatterCanary:
    """What a measured ratio says, and what to do about it on that platform."""
    slow = ratio > _SLOW
    advice = ""
    if slow and platform == "gpu":
        advice = (
            f"{ratio:.0f} times a dense sum; set XLA_FLAGS='{GPU_FLAG}' before the "
            "start, install a jaxlib above 0.11.0, or use --graph.backend bucketed, "
            "which scatters nothing"
        )
    elif slow and platform == "cpu":
        advice = (
            f"{ratio:.0f} times a dense sum, and no flag cures it: use --graph.backend "
            "auto, native or csr, which scatter nothing"
        )
    elif slow:
        advice = f"{ratio:.0f} times a dense sum; use --graph.backend bucketed"
    return ScatterCanary(slow=slow, ratio=ratio, advice=advice)


def _scattered(rows: jax.Array, segments: jax.Array) -> jax.Array:
    # As a gradient of a gather has it: XLA is not told that the indices are sorted.
    return jnp.zeros((_SEGMENTS, _WIDTH), jnp.float32).at[segments].add(rows)


def _dense(rows: jax.Array) -> jax.Array:
    return rows.reshape(_PER_SEGMENT, _SEGMENTS, _WIDTH).sum(axis=0)


def _seconds(run: object, *arguments: jax.Array) -> float:
    assert callable(run)
    jax.block_until_ready(run(*arguments))
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(run(*arguments))
        times.append(time.perf_counter() - began)
    return float(np.median(times))
