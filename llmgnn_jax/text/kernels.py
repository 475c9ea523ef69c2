"""The encoders' kernels for CPUs as functions with gradients.

They compute what the plain formulas beside them do, see `encoders.layers` and
`encoders.attention`, which run wherever these cannot be had. Sums are float32. They
have gradients (`jax.grad`) alone: forward mode and second derivatives are refused, and
are what LLMGNN_NATIVE=0 is for.

Shapes: T tokens, D and F widths, B rows, L tokens of a row, H heads, G heads of keys
and values, K width of a head, J = (H + 2 G) K; of a softmax B rows, C columns.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, TypeAlias

import jax
import numpy as np

from llmgnn_jax.text.encoders.remat import as_product
from llmgnn_jax.text.kernel_calls import (
    BIAS,
    GELU_GRADIENT,
    NOTHING,
    call,
    column_sums,
    float32,
    like,
    or_empty,
    product,
)
from llmgnn_jax.text.native import library

Residuals: TypeAlias = tuple[Any, ...]


_left_out = False


@contextlib.contextmanager
def left_out() -> Iterator[None]:
    """What is traced within has the plain formulas, which XLA can cut for a mesh."""
    global _left_out
    before, _left_out = _left_out, True
    try:
        yield
    finally:
        _left_out = before


def usable() -> bool:
    """Whether the kernels run here; builds them at the first call."""
    return not _left_out and library.available()


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def dense(
    x_TD: jax.Array, kernel_DF: jax.Array, bias_F: jax.Array | None, dtype: str
) -> jax.Array:
    """x W + b.

    Args:
        x_TD: (T, D) float32.
        kernel_DF: (D, F) float32.
        bias_F: (F,) float32, or None.
        dtype: "bfloat16" rounds the operands of products to it; "float32" does not.

    Returns:
        (T, F) float32.
    """
    after = NOTHING if bias_F is None else BIAS
    return product(x_TD, kernel_DF, dtype=dtype, bias=bias_F, after=after)


def _dense_forward(
    x_TD: jax.Array, kernel_DF: jax.Array, bias_F: jax.Array | None, dtype: str
) -> tuple[jax.Array, Residuals]:
    y_TF = as_product(dense(x_TD, kernel_DF, bias_F, dtype))
    return y_TF, (x_TD, kernel_DF, bias_F is None)


def _dense_backward(
    dtype: str, residuals: Residuals, given_TF: jax.Array
) -> tuple[jax.Array | None, ...]:
    x_TD, kernel_DF, no_bias = residuals
    return (
        product(given_TF, kernel_DF, dtype=dtype, transpose_b=True),
        product(x_TD, given_TF, dtype=dtype, transpose_a=True),
        None if no_bias else column_sums(given_TF),
    )


dense.defvjp(_dense_forward, _dense_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def feed_forward(
    x_TD: jax.Array,
    inner_DF: jax.Array,
    inner_bias_F: jax.Array,
    outer_FD: jax.Array,
    outer_bias_D: jax.Array,
    dtype: str,
) -> jax.Array:
    """gelu(x W + b) W' + b' with the exact GELU: (T, D) float32."""
    arguments = (x_TD, inner_DF, inner_bias_F, outer_FD, outer_bias_D)
    return _feed_forward(*arguments, dtype=dtype, keep=False)[0]


def _feed_forward(
    *arguments: jax.Array, dtype: str, keep: bool
) -> tuple[jax.Array, jax.Array]:
    """The result and, if `keep`, what GELU was given."""
    x_TD, inner_DF = arguments[:2]
    kept = (len(x_TD), inner_DF.shape[1]) if keep else (0,)
    return call(
        "llmgnn_feed_forward",
        (like(x_TD), float32(kept)),
        *arguments,
        bfloat16=dtype == "bfloat16",
    )


def _feed_forward_forward(
    x_TD: jax.Array,
    inner_DF: jax.Array,
    inner_bias_F: jax.Array,
    outer_FD: jax.Array,
    outer_bias_D: jax.Array,
    dtype: str,
) -> tuple[jax.Array, Residuals]:
    arguments = (x_TD, inner_DF, inner_bias_F, outer_FD, outer_bias_D)
    y_TD, sums_TF = map(as_product, _feed_forward(*arguments, dtype=dtype, keep=True))
    return y_TD, (x_TD, inner_DF, outer_FD, sums_TF)


def _feed_forward_backward(
    dtype: str, residuals: Residuals, given_TD: jax.Array
) -> tuple[jax.Array, ...]:
    x_TD, inner_DF, outer_FD, sums_TF = residuals
    of_sums_TF = product(
        given_TD,
        outer_FD,
        dtype=dtype,
        transpose_b=True,
        inner=sums_TF,
        after=GELU_GRADIENT,
    )
    return (
        product(of_sums_TF, inner_DF, dtype=dtype, transpose_b=True),
        product(x_TD, of_sums_TF, dtype=dtype, transpose_a=True),
        column_sums(of_sums_TF),
        # GELU once more, which takes less time than to read it from memory.
        product(sums_TF, given_TD, dtype=dtype, transpose_a=True, gelu_a=True),
        column_sums(given_TD),
    )


feed_forward.defvjp(_feed_forward_forward, _feed_forward_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def attend(
    joined_BLJ: jax.Array,
    texts_BL: jax.Array,
    heads: int,
    groups: int,
    causal: bool,
    dtype: str,
) -> jax.Array:
    """softmax(q k^T / sqrt(K)) v of each text's tokens.

    Args:
        joined_BLJ: (B, L, (H + 2 G) K) float32, each token's queries, keys and values.
        texts_BL: (B, L) int32, the text of each token: a run of equal numbers in a row
            is one; negative at padding.
        heads: H.
        groups: G, a divisor of H: H / G queries share a key and a value.
        causal: Whether tokens see only what comes before them, and themselves.
        dtype: As in `dense`; products of a few tokens are float32 in any case.

    Returns:
        (B, L, H K) float32, 0 at padding.
    """
    return _attend(joined_BLJ, texts_BL, heads, groups, causal, dtype)[0]


def _attend(
    joined_BLJ: jax.Array,
    texts_BL: jax.Array,
    heads: int,
    groups: int,
    causal: bool,
    dtype: str,
) -> tuple[jax.Array, Residuals]:
    batch, length, joined = joined_BLJ.shape
    width = joined // (heads + 2 * groups)
    out_BLD, logs_BHL = call(
        "llmgnn_attend",
        (float32((batch, length, heads * width)), float32((batch, heads, length))),
        *(joined_BLJ, texts_BL),
        heads=np.int64(heads),
        groups=np.int64(groups),
        causal=causal,
        bfloat16=dtype == "bfloat16",
    )
    return out_BLD, (joined_BLJ, texts_BL, out_BLD, logs_BHL)


def _attend_backward(
    heads: int,
    groups: int,
    causal: bool,
    dtype: str,
    residuals: Residuals,
    given_BLD: jax.Array,
) -> tuple[jax.Array | None, ...]:
    gradient = call(
        "llmgnn_attend_gradient",
        (like(residuals[0]),),
        *(*residuals, given_BLD),
        heads=np.int64(heads),
        groups=np.int64(groups),
        causal=causal,
        bfloat16=dtype == "bfloat16",
    )
    return gradient[0], None


attend.defvjp(_attend, _attend_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def layer_norm(
    x_TD: jax.Array,
    addend_TD: jax.Array | None,
    scale_D: jax.Array,
    bias_D: jax.Array,
    epsilon: float,
) -> jax.Array:
    """The layer norm of x + addend: (T, D) float32."""
    return _layer_norm(x_TD, addend_TD, scale_D, bias_D, epsilon)[0]


def _layer_norm(
    x_TD: jax.Array,
    addend_TD: jax.Array | None,
    scale_D: jax.Array,
    bias_D: jax.Array,
    epsilon: float,
) -> tuple[jax.Array, Residuals]:
    out, sum_TD, moments_T2 = call(
        "llmgnn_norm",
        (like(x_TD), like(x_TD), float32((len(x_TD), 2))),
        *(x_TD, or_empty(addend_TD), scale_D, bias_D),
        epsilon=np.float32(epsilon),
    )
    return out, (sum_TD, moments_T2, scale_D, addend_TD is None)


def _layer_norm_backward(
    epsilon: float, residuals: Residuals, given_TD: jax.Array
) -> tuple[jax.Array | None, ...]:
    sum_TD, moments_T2, scale_D, alone = residuals
    of_sum_TD, of_scale_D, of_bias_D = call(
        "llmgnn_norm_gradient",
        (like(sum_TD), like(scale_D), like(scale_D)),
        *(sum_TD, moments_T2, scale_D, given_TD),
    )
    return of_sum_TD, None if alone else of_sum_TD, of_scale_D, of_bias_D


layer_norm.defvjp(_layer_norm, _layer_norm_backward)


@jax.custom_vjp
def softmax_targets(
    left_BD: jax.Array,
    right_CD: jax.Array,
    shift_C: jax.Array,
    keep_BC: jax.Array,
    targets_B: jax.Array,
) -> jax.Array:
    """-s_t + log(exp s_t + sum over kept c other than t of exp(s_c - shift_c)).

    Where s are a row's dot products with all columns. The (B, C) array is written once,
    and is the gradient by the time that the loss is known.

    Args:
        left_BD: (B, D) float32.
        right_CD: (C, D) float32.
        shift_C: (C,) float32, constants: they are given no gradient.
        keep_BC: (B, C) bool; what it says of a target means nothing.
        targets_B: (B,) int32, the t of each row.

    Returns:
        (B,) float32.
    """
    return _softmax_targets(left_BD, right_CD, shift_C, keep_BC, targets_B)[0]


def _softmax_targets(*arguments: jax.Array) -> tuple[jax.Array, Residuals]:
    left_BD, right_CD = arguments[:2]
    gradient_BC, loss_B = call(
        "llmgnn_softmax_targets",
        (float32((len(left_BD), len(right_CD))), float32((len(left_BD),))),
        *arguments,
    )
    return loss_B, (left_BD, right_CD, gradient_BC)


def _softmax_targets_backward(
    residuals: Residuals, given_B: jax.Array
) -> tuple[jax.Array | None, ...]:
    left_BD, right_CD, gradient_BC = residuals
    given_B1 = given_B[:, None]
    return (
        given_B1 * product(gradient_BC, right_CD, dtype="float32"),
        product(gradient_BC, given_B1 * left_BD, dtype="float32", transpose_a=True),
        None,
        None,
        None,
    )


softmax_targets.defvjp(_softmax_targets, _softmax_targets_backward)
