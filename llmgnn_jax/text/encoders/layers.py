"""What Transformers are made of: products, norms, and layers one after another.

Shapes: B rows, L tokens, D width, F width of an output, R rank of an adapter.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx

from llmgnn_jax.text.encoders.rows import TokenRows

ComputeDtype: TypeAlias = Literal["float32", "bfloat16"]
COMPUTE_DTYPES: tuple[ComputeDtype, ...] = ("float32", "bfloat16")


class Dense(nnx.Module):
    """x W + b, accumulated in float32 whatever the operands are.

    With an adapter (`llmgnn_jax.text.lora`) it is x W + b + scale (x A) B, so that the
    gradient of W, a third of a step's work, is never computed where W is frozen.

    Args:
        inputs: Width of x.
        outputs: Width of the result.
        dtype: Operands of the products.
        bias: Whether there is one.
    """

    def __init__(
        self, inputs: int, outputs: int, *, dtype: ComputeDtype, bias: bool = True
    ) -> None:
        self.dtype = dtype
        self.has_bias = bias
        self.adapter_scale: float | None = None
        self.kernel = nnx.Param(jnp.zeros((inputs, outputs)))
        if bias:
            self.bias = nnx.Param(jnp.zeros(outputs))

    def attach_adapter(self, *, rank: int, scale: float) -> None:
        """Adds the parameters `lora_a` (inputs, R) and `lora_b` (R, outputs)."""
        inputs, outputs = self.kernel[...].shape
        self.adapter_scale = scale
        self.lora_a = nnx.Param(jnp.zeros((inputs, rank)))
        self.lora_b = nnx.Param(jnp.zeros((rank, outputs)))

    def __call__(self, x_BLD: jax.Array) -> jax.Array:
        y_BLF = product("bld,df->blf", x_BLD, self.kernel[...], dtype=self.dtype)
        if self.adapter_scale is not None:
            low_BLR = product("bld,dr->blr", x_BLD, self.lora_a[...], dtype=self.dtype)
            y_BLF = y_BLF + self.adapter_scale * product(
                "blr,rf->blf", low_BLR, self.lora_b[...], dtype=self.dtype
            )
        if self.has_bias:
            y_BLF = y_BLF + self.bias[...][None, None, :]
        return y_BLF


class LayerNorm(nnx.Module):
    """Layer normalisation, in float32."""

    def __init__(self, dim: int, *, epsilon: float) -> None:
        self.epsilon = epsilon
        self.scale = nnx.Param(jnp.ones(dim))
        self.bias = nnx.Param(jnp.zeros(dim))

    def __call__(self, x_BLD: jax.Array) -> jax.Array:
        centred_BLD = x_BLD - x_BLD.mean(axis=-1, keepdims=True)
        variance_BL1 = jnp.square(centred_BLD).mean(axis=-1, keepdims=True)
        scale_BLD = (
            jax.lax.rsqrt(variance_BL1 + self.epsilon) * self.scale[...][None, None, :]
        )
        return centred_BLD * scale_BLD + self.bias[...][None, None, :]


class RMSNorm(nnx.Module):
    """x / sqrt(mean(x^2) + epsilon) * (offset + scale), over the last axis, in float32.

    Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467; `offset` is 1 in Gemma,
    whose scales are kept as their distance from 1.
    """

    def __init__(self, dim: int, *, epsilon: float, offset: float = 0.0) -> None:
        self.epsilon = epsilon
        self.offset = offset
        self.scale = nnx.Param(jnp.full(dim, 1.0 - offset))

    def __call__(self, x: jax.Array) -> jax.Array:
        mean = jnp.square(x).mean(axis=-1, keepdims=True)
        scale = self.offset + self.scale[...]
        return x * jax.lax.rsqrt(mean + self.epsilon) * _like(scale, x)


def product(
    formula: str, left: jax.Array, right: jax.Array, *, dtype: ComputeDtype
) -> jax.Array:
    """Einsum of `dtype` operands with a float32 result.

    HIGHEST, because the default of float32 is TF32 or bfloat16 on GPU and TPU.
    """
    return jnp.einsum(
        formula,
        left.astype(dtype),
        right.astype(dtype),
        precision=jax.lax.Precision.HIGHEST if dtype == "float32" else None,
        preferred_element_type=jnp.float32,
    )


def run_layers(
    layers: Sequence[nnx.Module],
    x_BLD: jax.Array,
    rows: TokenRows,
    *extra: Any,
    scan: bool,
    remat: bool,
) -> jax.Array:
    """x after all layers, each called as `layer(x, rows, *extra)`.

    Args:
        layers: Equal but for their parameters.
        x_BLD: (B, L, D) float32.
        rows: The tokens.
        extra: Arrays that all layers read.
        scan: One compiled body that runs as often as there are layers: compiles faster
            and runs somewhat slower, because it copies the parameters together first.
        remat: Keeps only what stands between layers for the backward pass and computes
            the rest anew: less memory, a third more time.
    """
    split = [nnx.split(layer, nnx.Param) for layer in layers]
    graphdef = split[0][0]

    def one(x: jax.Array, params: Any) -> jax.Array:
        return nnx.merge(graphdef, params)(x, rows, *extra)  # type: ignore[operator]

    if remat:
        one = jax.checkpoint(one)
    if scan:
        stacked = jax.tree.map(
            lambda *leaves: jnp.stack(leaves), *[params for _, params in split]
        )
        return jax.lax.scan(lambda x, p: (one(x, p), None), x_BLD, stacked)[0]
    for _, params in split:
        x_BLD = one(x_BLD, params)
    return x_BLD


def _like(vector: jax.Array, x: jax.Array) -> jax.Array:
    return vector.reshape((1,) * (x.ndim - 1) + vector.shape)
