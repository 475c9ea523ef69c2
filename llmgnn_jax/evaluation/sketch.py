"""A table of vectors in bytes, with how far off its inner products can be.

Shapes: I items, D width, P pairs of columns (the last one may be half empty), N panels
of 64 items.
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.evaluation.native import library
from llmgnn_jax.native.calls import call_kernel

PANEL = 64
"""Items of a panel, as the kernel has it."""

LARGEST, SMALLEST = 1e15, 1e-15
"""Norms of users between which no number of a product leaves the range of float32."""

_AT_A_TIME = 1024 * PANEL
_SMALLEST_SCALE = 1e-30


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["codes", "scales", "errors"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True, eq=False)
class Sketch:
    """What tells which items can be among the best of a user.

    |u . v - step scale (steps . code)| <= |u| error, where a user u is near whole
    `steps` of max |u| / `levels`: that and the rounding of float32 are counted in.

    Attributes:
        codes: (N, P, 64, 2) int8, two columns of each of 64 items after another.
        scales: (64 N,) float32.
        errors: (64 N,) float32.
    """

    codes: jax.Array
    scales: jax.Array
    errors: jax.Array


def sketch_of(vectors_ID: np.ndarray) -> Sketch | None:
    """The sketch of a table in float32; None where a vector is too long or not finite.

    Memory: (D + 8) bytes an item stay.
    """
    num_items, width = vectors_ID.shape
    panels, pairs = -(-num_items // PANEL), -(-width // 2)
    codes = np.zeros((panels, pairs, PANEL, 2), np.int8)
    scales, errors = (np.zeros(panels * PANEL, np.float32) for _ in range(2))
    rounding = (width + 8) * 2.0**-23 + 0.51 * width**0.5 / _levels(width)
    for first in range(0, num_items, _AT_A_TIME):
        part = np.asarray(vectors_ID[first : first + _AT_A_TIME], np.float64)
        norms = np.linalg.norm(part, axis=1)
        if not (norms < LARGEST).all():
            return None
        rows = slice(first, first + len(part))
        scale = np.abs(part).max(axis=1, initial=0.0).astype(np.float32) / 127
        # What is divided by a tiny number overflows.
        scale[scale < _SMALLEST_SCALE] = 0.0
        divisor = np.where(scale > 0, scale, np.inf).astype(np.float64)
        code = np.clip(np.rint(part / divisor[:, None]), -127, 127)
        error = np.linalg.norm(part - scale[:, None].astype(np.float64) * code, axis=1)
        error += rounding * (norms + error)
        scales[rows], errors[rows] = scale, error * (1 + 1e-6)
        whole = np.zeros((-(-len(part) // PANEL) * PANEL, 2 * pairs), np.int8)
        whole[: len(part), :width] = code
        panels_NLP2 = whole.reshape(-1, PANEL, pairs, 2)
        codes[first // PANEL :][: len(panels_NLP2)] = panels_NLP2.transpose(0, 2, 1, 3)
    return Sketch(
        codes=jnp.asarray(codes), scales=jnp.asarray(scales), errors=jnp.asarray(errors)
    )


@functools.partial(jax.jit, static_argnames=("num_items", "k"))
def best_items(
    sketch: Sketch,
    table_WD: jax.Array,
    user_D: jax.Array,
    hidden_S: jax.Array,
    allowed_I: jax.Array,
    *,
    num_items: int,
    k: int,
) -> tuple[jax.Array, jax.Array]:
    """The k best items of a user, exactly; equal scores: lower item first.

    Args:
        sketch: Of the table.
        table_WD: float32, W >= I.
        user_D: float32, of a norm from `SMALLEST` to `LARGEST`.
        hidden_S: int32, ascending, which items are left out; may name others than I.
        allowed_I: bool, which may be shown; empty for all.
        num_items: I.
        k: From 1.

    Returns:
        (k,) int32 items, -1 where there are no more, and (k,) float32 scores, -inf
        there.
    """
    library.require()
    return call_kernel(
        "llmgnn_best_items",
        (jax.ShapeDtypeStruct((k,), jnp.int32), jax.ShapeDtypeStruct((k,), np.float32)),
        user_D,
        sketch.codes,
        sketch.scales,
        sketch.errors,
        table_WD,
        hidden_S,
        allowed_I,
        num_items=np.int64(num_items),
        levels=np.int64(_levels(len(user_D))),
    )


def _levels(width: int) -> int:
    """Steps of a user's largest number: 16 bits, fewer where sums would not fit 32."""
    return min(32_767, 2**31 // (128 * width + 1))
