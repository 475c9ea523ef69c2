"""Output heads: from the vectors of a text's tokens to what is asked of the text.

    dense           y = W_y pool(h_1 ... h_L) + b_y
    convolutional   y = W_y max_t max(0, conv(h)_t) + b_y

The second one is Kim 2014, https://arxiv.org/abs/1408.5882, over any encoder.

    config = HeadConfig(kind="convolutional", inputs=384, outputs=5)
    head = initialise_head(config, seed=0)
    y_BO = apply_head(head.graphdef, head.params, hidden_BLD, mask_BL)

Shapes: B rows, L tokens, D width of a token's vector, O outputs, F filters.
"""

import dataclasses
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.checks import check_sizes
from llmgnn_jax.text.encoders.cnn import Convolutions, check_widths
from llmgnn_jax.text.encoders.layers import ComputeDtype, Dense
from llmgnn_jax.text.pooling import (
    TEXT_POOLINGS,
    AttentionPooling,
    TextPooling,
    largest,
    pool,
)

Head: TypeAlias = Literal["dense", "convolutional"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The shape of a head.

    Attributes:
        kind: "dense" or "convolutional".
        inputs: D.
        outputs: O.
        pooling: How the dense head makes one vector of many: "mean", "cls", "last" or
            "attention".
        filters: F, the convolutional head's filters of each width.
        widths: How many tokens they see.

    Raises:
        UserError: If a size is out of range, or a name unknown.
    """

    kind: Head = "dense"
    inputs: int
    outputs: int
    pooling: TextPooling = "mean"
    filters: int = 100
    widths: tuple[int, ...] = (3, 4, 5)

    def __post_init__(self) -> None:
        for name, value, known in (
            ("head", self.kind, get_args(Head)),
            ("pooling", self.pooling, TEXT_POOLINGS),
        ):
            if value not in known:
                raise UserError.field(
                    name, expected=f"one of {', '.join(known)}", got=repr(value)
                )
        check_sizes(self)
        check_widths(self.widths)


class DenseHead(nnx.Module):
    """Pools, then multiplies.

    Args:
        config: The shape; `filters` and `widths` are not read.
        dtype: Operands of the product.
    """

    def __init__(self, config: HeadConfig, *, dtype: ComputeDtype = "float32") -> None:
        self.pooling = config.pooling
        if config.pooling == "attention":
            self.attention = AttentionPooling(config.inputs)
        self.output = Dense(config.inputs, config.outputs, dtype=dtype)

    def __call__(self, hidden_BLD: jax.Array, mask_BL: jax.Array) -> jax.Array:
        """(B, O) float32, b_y for a row without tokens."""
        if self.pooling == "attention":
            pooled_BD = self.attention(hidden_BLD, mask_BL)
        else:
            pooled_BD = pool(hidden_BLD, mask_BL, pooling=self.pooling)
        return self.output(pooled_BD[:, None])[:, 0]


class ConvolutionalHead(nnx.Module):
    """Filters over the token vectors, the largest answer of each, then a product.

    Args:
        config: The shape; `pooling` is not read.
        dtype: Operands of the products.
    """

    def __init__(self, config: HeadConfig, *, dtype: ComputeDtype = "float32") -> None:
        self.convolutions = Convolutions(
            config.inputs, filters=config.filters, widths=config.widths, dtype=dtype
        )
        features = config.filters * len(config.widths)
        self.output = Dense(features, config.outputs, dtype=dtype)

    def __call__(self, hidden_BLD: jax.Array, mask_BL: jax.Array) -> jax.Array:
        """(B, O) float32, b_y for a row without tokens."""
        found_BLF = self.convolutions(hidden_BLD, mask_BL)
        return self.output(largest(found_BLF, mask_BL)[:, None])[:, 0]


class HeadModel(NamedTuple):
    """A head split once: `apply_head(head.graphdef, head.params, hidden, mask)`.

    Attributes:
        graphdef: Static and hashable.
        params: Pure nested dict of float32 arrays with names as keys.
        config: The shape.
    """

    graphdef: nnx.GraphDef[Any]
    params: dict[str, Any]
    config: HeadConfig


def initialise_head(
    config: HeadConfig, *, seed: int, dtype: ComputeDtype = "float32"
) -> HeadModel:
    """A head with PyTorch's random weights: kernels uniform in +- 1 / sqrt(inputs).

    Biases and the query of attention are 0.
    """
    module = DenseHead if config.kind == "dense" else ConvolutionalHead
    graphdef, state, *rest = nnx.split(
        nnx.eval_shape(lambda: module(config, dtype=dtype)), nnx.Param, ...
    )
    assert not jax.tree.leaves(rest), "modules hold parameters alone"
    params = first_weights(nnx.to_pure_dict(state), seed=seed)
    return HeadModel(graphdef, params, config)


def first_weights(declared: Any, *, seed: int) -> Any:
    """Random weights as `initialise_head` has them.

    Args:
        declared: A tree of shapes.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)

    def value(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        if path[-1].key != "kernel":
            return jnp.zeros(leaf.shape)
        bound = np.prod(leaf.shape[:-1]) ** -0.5
        return jnp.asarray(rng.uniform(-bound, bound, leaf.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(value, declared)


def apply_head(
    graphdef: nnx.GraphDef[Any],
    params: dict[str, Any],
    hidden_BLD: jax.Array,
    mask_BL: jax.Array,
) -> jax.Array:
    """The head as a pure function of the parameters.

    Args:
        graphdef: Of a `HeadModel`.
        params: Its parameters.
        hidden_BLD: (B, L, D) float32 token vectors.
        mask_BL: (B, L) bool, False at padding; rows are one text each.

    Returns:
        (B, O) float32.
    """
    return nnx.merge(graphdef, params)(hidden_BLD, mask_BL)
