"""What Transformers are made of: products, norms, and layers one after another.

Shapes: B rows, L tokens, D width, F width of an output, R rank of an adapter.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx

from llmgnn_jax.errors import UserError
from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders.activations import ACTIVATIONS
from llmgnn_jax.text.encoders.pieces import brought_together, joined, whole
from llmgnn_jax.text.encoders.remat import Remat, rematerialised
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
        bias = self.bias[...] if self.has_bias else None
        y_BLF = dense(x_BLD, self.kernel[...], bias, dtype=self.dtype)
        if self.adapter_scale is None:
            return y_BLF
        low_BLR = dense(x_BLD, self.lora_a[...], None, dtype=self.dtype)
        change_BLF = dense(low_BLR, self.lora_b[...], None, dtype=self.dtype)
        return y_BLF + self.adapter_scale * change_BLF


class LayerNorm(nnx.Module):
    """Layer normalisation of x, or of x + addend, in float32."""

    def __init__(self, dim: int, *, epsilon: float) -> None:
        self.epsilon = epsilon
        self.scale = nnx.Param(jnp.ones(dim))
        self.bias = nnx.Param(jnp.zeros(dim))

    def __call__(
        self, x_BLD: jax.Array, addend_BLD: jax.Array | None = None
    ) -> jax.Array:
        if kernels.usable():
            return kernels.layer_norm(
                _tokens(x_BLD),
                None if addend_BLD is None else _tokens(addend_BLD),
                self.scale[...],
                self.bias[...],
                self.epsilon,
            ).reshape(x_BLD.shape)
        if addend_BLD is not None:
            x_BLD = x_BLD + addend_BLD
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


class FeedForward(nnx.Module):
    """activation(x W + b) W' + b'.

    Args:
        dim: Width of x and of the result.
        wide: Width in between.
        activation: A key of `ACTIVATIONS`.
        dtype: Operands of the products.
    """

    def __init__(
        self, dim: int, wide: int, *, activation: str, dtype: ComputeDtype
    ) -> None:
        self.activation = activation
        self.intermediate = Dense(dim, wide, dtype=dtype)
        self.output = Dense(wide, dim, dtype=dtype)

    def __call__(self, x_BLD: jax.Array) -> jax.Array:
        inner, outer = self.intermediate, self.output
        adapted = (inner.adapter_scale, outer.adapter_scale) != (None, None)
        if self.activation != "gelu" or adapted or not kernels.usable():
            return outer(ACTIVATIONS[self.activation](inner(x_BLD)))
        return kernels.feed_forward(
            _tokens(x_BLD),
            inner.kernel[...],
            inner.bias[...],
            outer.kernel[...],
            outer.bias[...],
            inner.dtype,
        ).reshape(x_BLD.shape)


def joined_dense(layers: Sequence[Dense], x_BLD: jax.Array) -> jax.Array:
    """What several layers make of the same x, side by side, in one product.

    Args:
        layers: All with a bias or all without; some may have adapters.
        x_BLD: (B, L, D) float32.

    Returns:
        (B, L, F) float32 with F the sum of their widths.
    """
    kernel_DF = joined([layer.kernel[...] for layer in layers], "query.kernel")
    bias_F, dtype = None, layers[0].dtype
    if layers[0].has_bias:
        bias_F = jnp.concatenate([layer.bias[...] for layer in layers])
    y_BLF = dense(x_BLD, kernel_DF, bias_F, dtype=dtype)
    adapted = [layer for layer in layers if layer.adapter_scale is not None]
    if not adapted:
        return y_BLF
    down_DR = jnp.concatenate([layer.lora_a[...] for layer in adapted], axis=1)
    # Each adapter's rows reach the columns of its own layer and no other.
    blocks, start = [], 0
    for layer in layers:
        width = layer.kernel[...].shape[1]
        if layer.adapter_scale is not None:
            block = layer.adapter_scale * layer.lora_b[...]
            after = kernel_DF.shape[1] - start - width
            blocks.append(jnp.pad(block, ((0, 0), (start, after))))
        start += width
    low_BLR = dense(x_BLD, down_DR, None, dtype=dtype)
    return y_BLF + dense(low_BLR, jnp.concatenate(blocks), None, dtype=dtype)


def dense(
    x_BLD: jax.Array,
    kernel_DF: jax.Array,
    bias_F: jax.Array | None,
    *,
    dtype: ComputeDtype,
) -> jax.Array:
    """x W + b of `dtype` operands, accumulated in float32: (B, L, F) float32."""
    if kernels.usable():
        y_TF = kernels.dense(_tokens(x_BLD), kernel_DF, bias_F, dtype)
        return y_TF.reshape(*x_BLD.shape[:2], -1)
    y_BLF = product("bld,df->blf", x_BLD, kernel_DF, dtype=dtype)
    return y_BLF if bias_F is None else y_BLF + bias_F[None, None, :]


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
    remat: Remat,
) -> jax.Array:
    """x after all layers, each called as `layer(x, rows, *extra)`.

    Args:
        layers: Equal but for their parameters, and for which parts have adapters.
        x_BLD: (B, L, D) float32.
        rows: The tokens.
        extra: Arrays that all layers read.
        scan: One compiled body that runs as often as there are layers: runs somewhat
            slower, because it copies the parameters together first, and compiles the
            forward pass faster. On a CPU the gradient compiles slower.
        remat: What the backward pass keeps of each layer; it computes the rest anew,
            in such a loop, if the layers are alike.

    Raises:
        UserError: If `scan` and some layers have other adapters than others.
    """
    split = [nnx.split(layer, nnx.Param) for layer in layers]

    def one(graphdef: nnx.GraphDef[Any], x: jax.Array, params: Any) -> jax.Array:
        return nnx.merge(graphdef, whole(params))(x, rows, *extra)

    one = rematerialised(one, remat, static_argnums=(0,))
    graphdef = split[0][0]
    alike = all(other == graphdef for other, _ in split)
    # Where memory matters. In a row XLA may compute anew right after the forward pass,
    # which on a CPU keeps as much as before; and it brings all layers' parameters
    # together as early as the memory of a chip allows.
    in_turn = remat != "none" or brought_together()
    if scan or (in_turn and alike):
        if not alike:
            raise UserError.field(
                "scan",
                expected="layers that are alike",
                got="adapters in some of them and not in others",
                fix="adapt all layers, or run them without scan",
            )
        stacked = jax.tree.map(
            lambda *leaves: jnp.stack(leaves), *[params for _, params in split]
        )
        return jax.lax.scan(lambda x, p: (one(graphdef, x, p), None), x_BLD, stacked)[0]
    for graphdef, params in split:
        x_BLD = one(graphdef, x_BLD, params)
    return x_BLD


def _tokens(x_BLD: jax.Array) -> jax.Array:
    """(B L, D): rows of tokens one below another."""
    return x_BLD.reshape(-1, x_BLD.shape[-1])


def _like(vector: jax.Array, x: jax.Array) -> jax.Array:
    return vector.reshape((1,) * (x.ndim - 1) + vector.shape)
