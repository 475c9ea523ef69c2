"""The BERT encoder (BERT, MiniLM) as Flax NNX modules.

Shapes: B rows, L tokens, D width, F width of the feed-forward layer, H heads,
K width of a head, V vocabulary, P positions, T token types.

Declared with Flax NNX and run as plain JAX: `declare` or `initialise` once, then
`apply` under `jax.jit` on a pure dict of parameters. Modules hold neither random state
nor anything else that changes. There is no dropout: encoders run frozen.

The architecture: Devlin et al. 2019, https://arxiv.org/abs/1810.04805 (post-norm).
"""

from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from llmgnn_jax.text.encoders.activations import ACTIVATIONS
from llmgnn_jax.text.encoders.bert_config import BertConfig

Params: TypeAlias = dict[str, Any]
"""Nested dict with names as keys and arrays as leaves."""

__all__ = [
    "COMPUTE_DTYPES",
    "Bert",
    "BertConfig",
    "BertModel",
    "ComputeDtype",
    "Params",
    "apply",
    "declare",
    "initialise",
]

ComputeDtype: TypeAlias = Literal["float32", "bfloat16"]
COMPUTE_DTYPES: tuple[ComputeDtype, ...] = ("float32", "bfloat16")


class Dense(nnx.Module):
    """x W + b, accumulated in float32 whatever the operands are."""

    def __init__(self, inputs: int, outputs: int, *, dtype: ComputeDtype) -> None:
        self.dtype = dtype
        self.kernel = nnx.Param(jnp.zeros((inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x_BLD: jax.Array) -> jax.Array:
        y_BLD = _product("bld,df->blf", x_BLD, self.kernel[...], dtype=self.dtype)
        return y_BLD + self.bias[...][None, None, :]


class Norm(nnx.Module):
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


class Embeddings(nnx.Module):
    """Sum of word, position and token-type vectors, normalised."""

    def __init__(self, config: BertConfig) -> None:
        dim = config.hidden_size
        self.words = nnx.Param(jnp.zeros((config.vocab_size, dim)))
        self.positions = nnx.Param(jnp.zeros((config.max_position_embeddings, dim)))
        self.types = nnx.Param(jnp.zeros((config.type_vocab_size, dim)))
        self.norm = Norm(dim, epsilon=config.layer_norm_eps)

    def __call__(self, ids_BL: jax.Array, type_ids_BL: jax.Array | None) -> jax.Array:
        length = ids_BL.shape[1]
        positions, types = self.positions[...], self.types[...]
        assert length <= positions.shape[0], "rows are cut to the positions there are"
        x_BLD = self.words[...][ids_BL] + positions[None, :length]
        types_BLD = types[None, :1] if type_ids_BL is None else types[type_ids_BL]
        return self.norm(x_BLD + types_BLD)


class Attention(nnx.Module):
    """Multi-head attention of each token to the tokens of its row."""

    def __init__(self, config: BertConfig, *, dtype: ComputeDtype) -> None:
        dim = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.dtype = dtype
        self.query = Dense(dim, dim, dtype=dtype)
        self.key = Dense(dim, dim, dtype=dtype)
        self.value = Dense(dim, dim, dtype=dtype)
        self.output = Dense(dim, dim, dtype=dtype)

    def __call__(self, x_BLD: jax.Array, mask_BL: jax.Array) -> jax.Array:
        batch, length, dim = x_BLD.shape
        shape_BLHK = (batch, length, self.num_heads, dim // self.num_heads)
        query_BLHK = self.query(x_BLD).reshape(shape_BLHK) * shape_BLHK[-1] ** -0.5
        key_BLHK = self.key(x_BLD).reshape(shape_BLHK)
        value_BLHK = self.value(x_BLD).reshape(shape_BLHK)
        scores_BHLL = _product(
            "blhk,bmhk->bhlm", query_BLHK, key_BLHK, dtype=self.dtype
        )
        # The lowest finite number, not -inf: rows of padding alone must not give NaN.
        scores_BHLL = jnp.where(
            mask_BL[:, None, None, :], scores_BHLL, jnp.finfo(jnp.float32).min
        )
        # Softmax in float32; dividing after the product saves a pass over L x L.
        largest_BHL1 = jax.lax.stop_gradient(scores_BHLL.max(axis=-1, keepdims=True))
        weights_BHLL = jnp.exp(scores_BHLL - largest_BHL1)
        mixed_BHLK = _product(
            "bhlm,bmhk->bhlk", weights_BHLL, value_BLHK, dtype=self.dtype
        ) / weights_BHLL.sum(axis=-1, keepdims=True)
        return self.output(mixed_BHLK.transpose(0, 2, 1, 3).reshape(x_BLD.shape))


class Layer(nnx.Module):
    """A Transformer block: attention, then feed-forward, each added and normalised."""

    def __init__(self, config: BertConfig, *, dtype: ComputeDtype) -> None:
        dim, wide = config.hidden_size, config.intermediate_size
        self.activation = config.hidden_act
        self.attention = Attention(config, dtype=dtype)
        self.attention_norm = Norm(dim, epsilon=config.layer_norm_eps)
        self.intermediate = Dense(dim, wide, dtype=dtype)
        self.output = Dense(wide, dim, dtype=dtype)
        self.output_norm = Norm(dim, epsilon=config.layer_norm_eps)

    def __call__(self, x_BLD: jax.Array, mask_BL: jax.Array) -> jax.Array:
        x_BLD = self.attention_norm(x_BLD + self.attention(x_BLD, mask_BL))
        inner_BLF = ACTIVATIONS[self.activation](self.intermediate(x_BLD))
        return self.output_norm(x_BLD + self.output(inner_BLF))


class Bert(nnx.Module):
    """Token ids to one vector a token; see `initialise` and `pretrained.load_bert`.

    Args:
        config: The shape.
        dtype: Operands of the matrix products; "float32" multiplies at full precision
            on every device. Products accumulate in float32, and softmax and norms are
            float32, whatever it is.
    """

    def __init__(self, config: BertConfig, *, dtype: ComputeDtype = "float32") -> None:
        self.num_layers = config.num_hidden_layers
        self.embeddings = Embeddings(config)
        # Named, not a list: integer keys become strings on disk, in another order.
        # Unrolled: at 6 layers a scan over stacked ones compiles no faster (XLA
        # compiles equal kernels once) and runs slower.
        for number in range(config.num_hidden_layers):
            setattr(self, f"layer_{number}", Layer(config, dtype=dtype))

    def __call__(
        self,
        ids_BL: jax.Array,
        mask_BL: jax.Array,
        type_ids_BL: jax.Array | None = None,
    ) -> jax.Array:
        """Encodes rows of tokens.

        Args:
            ids_BL: (B, L) int32 token ids; L at most `max_position_embeddings`.
            mask_BL: (B, L) bool, False at padding.
            type_ids_BL: (B, L) int32 token types, or None for type 0.

        Returns:
            (B, L, D) float32; what stands at padding means nothing.
        """
        x_BLD = self.embeddings(ids_BL, type_ids_BL)
        for number in range(self.num_layers):
            x_BLD = getattr(self, f"layer_{number}")(x_BLD, mask_BL)
        return x_BLD


class BertModel(NamedTuple):
    """An encoder split once: `apply(model.graphdef, model.params, ids, mask)`.

    Attributes:
        graphdef: Static and hashable: what `nnx.merge` puts the parameters into.
        params: Pure nested dict of float32 arrays with names as keys.
        config: The shape.
    """

    graphdef: nnx.GraphDef[Bert]
    params: Params
    config: BertConfig


def declare(config: BertConfig, *, dtype: ComputeDtype = "float32") -> BertModel:
    """An encoder without memory: its parameters are `jax.ShapeDtypeStruct`s."""
    abstract = nnx.eval_shape(lambda: Bert(config, dtype=dtype))
    graphdef, params, *rest = nnx.split(abstract, nnx.Param, ...)
    assert not jax.tree.leaves(rest), "modules hold parameters alone"
    return BertModel(graphdef, nnx.to_pure_dict(params), config)


def initialise(
    config: BertConfig, *, seed: int, dtype: ComputeDtype = "float32"
) -> BertModel:
    """An encoder with random weights.

    Kernels and tables are normal with standard deviation 0.02, as Hugging Face's are.
    They are drawn on the host: `jax.random` would compile a program for each shape.
    """
    declared = declare(config, dtype=dtype)
    rng = np.random.default_rng(seed)

    def value(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        if path[-1].key in ("scale", "bias"):
            return jnp.full(leaf.shape, float(path[-1].key == "scale"))
        return jnp.asarray(0.02 * rng.standard_normal(leaf.shape, np.float32))

    params = jax.tree_util.tree_map_with_path(value, declared.params)
    return declared._replace(params=params)


def apply(
    graphdef: nnx.GraphDef[Bert],
    params: Params,
    ids_BL: jax.Array,
    mask_BL: jax.Array,
    type_ids_BL: jax.Array | None = None,
) -> jax.Array:
    """`Bert.__call__` as a pure function of the parameters: (B, L, D) float32."""
    return nnx.merge(graphdef, params)(ids_BL, mask_BL, type_ids_BL)


def _product(
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
