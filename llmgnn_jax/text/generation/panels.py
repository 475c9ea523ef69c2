"""Matrices in panels of 32 columns, as the kernels read them that generate on CPUs.

See native/few_rows.h. A stack of n matrices (K, N) is (n, ceil(N / 32), K, 32), the
last panel filled up with zeros. In bfloat16 columns c and c + 16 of a panel stand side
by side.

Shapes: n matrices, K rows, N columns, Q panels, T rows of x.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from llmgnn_jax.native.calls import call_kernel
from llmgnn_jax.text.encoders.layers import ComputeDtype, product
from llmgnn_jax.text.kernel_calls import float32
from llmgnn_jax.text.native import library

PANEL = 32
_HALF = PANEL // 2


def in_panels(matrices: Sequence[np.ndarray], *, dtype: ComputeDtype) -> jax.Array:
    """(n, Q, K, 32) from n matrices (K, N) on the host."""
    depth, columns = matrices[0].shape
    count = -(-columns // PANEL)
    kept = np.float32 if dtype == "float32" else ml_dtypes.bfloat16
    stack = np.zeros((len(matrices), count, depth, PANEL), kept)
    whole = columns // PANEL
    for to, matrix in zip(stack, matrices, strict=True):
        panels = matrix[:, : whole * PANEL].reshape(depth, whole, PANEL)
        to[:whole] = panels.swapaxes(0, 1)
        if whole < count:
            to[whole, :, : columns - whole * PANEL] = matrix[:, whole * PANEL :]
    if dtype == "bfloat16":
        pairs = stack.reshape(*stack.shape[:-1], 2, _HALF).swapaxes(-1, -2)
        stack = np.ascontiguousarray(pairs).reshape(stack.shape)
    return jnp.asarray(stack)


def matrix_of(panels_QKP: jax.Array, *, columns: int) -> jax.Array:
    """(K, N) float32: what `in_panels` was given."""
    count, depth, _ = panels_QKP.shape
    if panels_QKP.dtype == jnp.bfloat16:
        pairs = panels_QKP.reshape(count, depth, _HALF, 2).swapaxes(-1, -2)
        panels_QKP = pairs.reshape(count, depth, PANEL)
    whole = panels_QKP.swapaxes(0, 1).reshape(depth, count * PANEL)
    return whole[:, :columns].astype(jnp.float32)


def columns_of(panels_QKP: jax.Array, numbers: jax.Array) -> jax.Array:
    """(*numbers.shape, K) float32: some columns of the matrix."""
    place = numbers % PANEL
    if panels_QKP.dtype == jnp.bfloat16:
        place = place % _HALF * 2 + place // _HALF
    return panels_QKP[numbers // PANEL, :, place].astype(jnp.float32)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def panel_product(
    x_TK: jax.Array, panels_nQKP: jax.Array, bias_nN: jax.Array, number: int
) -> jax.Array:
    """x W + b: (T, N) float32, of operands as they are.

    Args:
        x_TK: float32.
        panels_nQKP: A stack of matrices.
        bias_nN: float32, one a matrix.
        number: Of the matrix.
    """
    library.require()
    return call_kernel(
        "llmgnn_panel_product",
        float32((len(x_TK), bias_nN.shape[1])),
        *(x_TK, panels_nQKP, bias_nN),
        layer=np.int64(number),
    )


def _forward(
    x_TK: jax.Array, panels_nQKP: jax.Array, bias_nN: jax.Array, number: int
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    y_TN = panel_product(x_TK, panels_nQKP, bias_nN, number)
    return y_TN, (x_TK, panels_nQKP, bias_nN)


def _backward(
    number: int, residuals: tuple[jax.Array, ...], given_TN: jax.Array
) -> tuple[Any, ...]:
    x_TK, panels_nQKP, bias_nN = residuals
    columns = bias_nN.shape[1]

    def unpacked(panels_nQKP: jax.Array) -> jax.Array:
        return matrix_of(panels_nQKP[number], columns=columns)

    matrix_KN, repack = jax.vjp(unpacked, panels_nQKP)
    # Of weights that are frozen nobody reads this gradient, and XLA drops the product
    # and the packing from the compiled step.
    of_matrix_KN = product("tk,tn->kn", x_TK, given_TN, dtype="float32")
    return (
        product("tn,kn->tk", given_TN, matrix_KN, dtype="float32"),
        *repack(of_matrix_KN),
        jnp.zeros_like(bias_nN).at[number].set(given_TN.sum(axis=0)),
    )


panel_product.defvjp(_forward, _backward)
