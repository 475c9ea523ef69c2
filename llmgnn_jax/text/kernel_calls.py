"""Calls of the encoders' C++ kernels for CPUs; `kernels` gives them gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.native.calls import call_kernel
from llmgnn_jax.text.native import library

# What follows a product, see `After` in native/matmul.h.
NOTHING, BIAS, GELU_GRADIENT = range(3)


def product(
    a: jax.Array,
    b: jax.Array,
    *,
    dtype: str,
    transpose_a: bool = False,
    transpose_b: bool = False,
    gelu_a: bool = False,
    bias: jax.Array | None = None,
    inner: jax.Array | None = None,
    after: int = NOTHING,
) -> jax.Array:
    """op(a) op(b) and what follows."""
    shape = (a.shape[int(transpose_a)], b.shape[1 - int(transpose_b)])
    return call(
        "llmgnn_dense",
        (float32(shape),),
        *(a, b, or_empty(bias), or_empty(inner)),
        transpose_a=transpose_a,
        transpose_b=transpose_b,
        gelu_a=gelu_a,
        after=np.int64(after),
        bfloat16=dtype == "bfloat16",
    )[0]


def column_sums(x_TF: jax.Array) -> jax.Array:
    return call("llmgnn_column_sums", (float32(x_TF.shape[1:]),), x_TF)[0]


def call(
    name: str,
    results: tuple[jax.ShapeDtypeStruct, ...],
    *arguments: jax.Array,
    **attributes: Any,
) -> Any:
    library.require()
    exact = [_exact(jnp.asarray(x)) for x in arguments]
    return call_kernel(name, results, *exact, **attributes)


def _exact(x: jax.Array) -> jax.Array:
    """Float32 and int32 even where 64 bits are the default; bools as they are."""
    if x.dtype == bool:
        return x
    return x.astype(jnp.float32 if jnp.issubdtype(x.dtype, jnp.floating) else jnp.int32)


def float32(shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def like(x: jax.Array) -> jax.ShapeDtypeStruct:
    return float32(x.shape)


def or_empty(x: jax.Array | None) -> jax.Array:
    return jnp.zeros(0, jnp.float32) if x is None else x
