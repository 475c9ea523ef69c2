"""Encoders as plain functions: declared once, applied to a pure dict of parameters.

    model = initialise(BertConfig(...), seed=0)
    hidden_BLD = jax.jit(apply, static_argnums=0)(model.graphdef, model.params, rows)

Modules hold neither random state nor anything else that changes.

Shapes: B rows, L tokens, D width.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders.bert import Bert
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.cnn import CNN, CNNConfig, initial_cnn
from llmgnn_jax.text.encoders.decoder import Decoder
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.encoders.lstm import LSTM, LSTMConfig, initial_lstm
from llmgnn_jax.text.encoders.pieces import outside_layers
from llmgnn_jax.text.encoders.remat import Remat
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.encoders.word_vectors import (
    WordVectors,
    WordVectorsConfig,
    initial_word_vectors,
)
from llmgnn_jax.text.lora import Adapters, attach, initial_adapters

Params: TypeAlias = dict[str, Any]
"""Nested dict with names as keys and arrays as leaves."""

EncoderConfig: TypeAlias = (
    BertConfig | DecoderConfig | WordVectorsConfig | LSTMConfig | CNNConfig
)

_MODULES: dict[type, Callable[..., nnx.Module]] = {
    BertConfig: Bert,
    DecoderConfig: Decoder,
    WordVectorsConfig: WordVectors,
    LSTMConfig: LSTM,
    CNNConfig: CNN,
}

# (name of a parameter, its shape, generator) -> its first value.
_Initial: TypeAlias = Callable[[str, tuple[int, ...], np.random.Generator], np.ndarray]
_INITIAL: dict[type, _Initial] = {
    WordVectorsConfig: initial_word_vectors,
    LSTMConfig: initial_lstm,
    CNNConfig: initial_cnn,
}


class EncoderModel(NamedTuple):
    """An encoder split once: `apply(model.graphdef, model.params, rows)`.

    Attributes:
        graphdef: Static and hashable: what `nnx.merge` puts the parameters into.
        params: Pure nested dict of float32 arrays with names as keys.
        config: The shape.
    """

    graphdef: nnx.GraphDef[Any]
    params: Params
    config: EncoderConfig


def declare(
    config: EncoderConfig,
    *,
    dtype: ComputeDtype = "float32",
    scan: bool = False,
    remat: Remat = "none",
    adapters: Adapters | None = None,
) -> EncoderModel:
    """An encoder without memory: its parameters are `jax.ShapeDtypeStruct`s.

    Args:
        config: Decides the architecture and the shape.
        dtype: Operands of the matrix products.
        scan: Whether layers run in a `lax.scan`, see `layers.run_layers`.
        remat: What the backward pass keeps of layers, see `encoders.remat`.
        adapters: LoRA adapters, or None.

    Raises:
        UserError: If no layer is a target of the adapters.
    """

    def module() -> nnx.Module:
        made = _MODULES[type(config)](config, dtype=dtype, scan=scan, remat=remat)
        if adapters is not None:
            attach(made, adapters)
        return made

    graphdef, params, *rest = nnx.split(nnx.eval_shape(module), nnx.Param, ...)
    assert not jax.tree.leaves(rest), "modules hold parameters alone"
    return EncoderModel(graphdef, nnx.to_pure_dict(params), config)


def initialise(
    config: EncoderConfig,
    *,
    seed: int,
    dtype: ComputeDtype = "float32",
    scan: bool = False,
    remat: Remat = "none",
) -> EncoderModel:
    """An encoder with random weights.

    Kernels and tables are normal with standard deviation 0.02, as Hugging Face's are;
    those of the simple encoders (words, LSTM, CNN) as their files say.
    They are drawn on the host: `jax.random` would compile a program for each shape.
    """
    declared = declare(config, dtype=dtype, scan=scan, remat=remat)
    rng = np.random.default_rng(seed)
    initial = _INITIAL.get(type(config))

    def value(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        if initial is not None:
            return jnp.asarray(initial(path[-1].key, leaf.shape, rng))
        if path[-1].key == "bias":
            return jnp.zeros(leaf.shape)
        if path[-1].key == "scale":
            # Gemma keeps the scales of its norms as their distance from 1.
            return jnp.full(leaf.shape, 1.0 - getattr(config, "norm_offset", 0.0))
        return jnp.asarray(0.02 * rng.standard_normal(leaf.shape, np.float32))

    params = jax.tree_util.tree_map_with_path(value, declared.params)
    return declared._replace(params=params)


def with_adapters(
    model: EncoderModel,
    adapters: Adapters,
    *,
    seed: int,
    dtype: ComputeDtype = "float32",
    scan: bool = False,
    remat: Remat = "none",
) -> EncoderModel:
    """The same encoder with fresh LoRA adapters, which change nothing yet.

    Raises:
        UserError: If no layer is a target of the adapters.
    """
    declared = declare(
        model.config, dtype=dtype, scan=scan, remat=remat, adapters=adapters
    )
    params = initial_adapters(declared.params, model.params, seed=seed)
    return declared._replace(params=params)


def apply(graphdef: nnx.GraphDef[Any], params: Params, rows: TokenRows) -> jax.Array:
    """The encoder as a pure function of the parameters: (B, L, D) float32."""
    return nnx.merge(graphdef, outside_layers(params))(rows)


def with_kernels_in(dtype: ComputeDtype, params: Params) -> Params:
    """Parameters whose kernels are cast once rather than in every product.

    For encoders that are not trained: products give what they gave. Our own kernels
    cast on the way into the caches, and get float32.
    """
    if kernels.usable():
        return params

    def cast(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        return leaf.astype(dtype) if path[-1].key == "kernel" else leaf

    return jax.tree_util.tree_map_with_path(cast, params)
