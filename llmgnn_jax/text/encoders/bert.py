"""The BERT family: BERT, MiniLM, RoBERTa, XLM-R, DistilBERT and MPNet.

Shapes: B rows, L tokens, D width, F width of the feed-forward layer, H heads,
K width of a head, V vocabulary, P positions, T token types, R relative buckets.

One post-norm Transformer; what sets its members apart is where positions start and
whether there are token types or relative positions (`BertConfig`). There is no dropout.

BERT: Devlin et al. 2019, https://arxiv.org/abs/1810.04805; RoBERTa: Liu et al. 2019,
https://arxiv.org/abs/1907.11692; DistilBERT: Sanh et al. 2019,
https://arxiv.org/abs/1910.01108; MPNet: Song et al. 2020,
https://arxiv.org/abs/2004.09297.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from llmgnn_jax.text.encoders.attention import attend
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.layers import (
    ComputeDtype,
    Dense,
    FeedForward,
    LayerNorm,
    joined_dense,
    run_layers,
)
from llmgnn_jax.text.encoders.pieces import look_up
from llmgnn_jax.text.encoders.relative import relative_buckets
from llmgnn_jax.text.encoders.remat import Remat
from llmgnn_jax.text.encoders.rows import TokenRows

__all__ = ["Bert", "BertConfig"]


class Embeddings(nnx.Module):
    """Sum of word, position and token-type vectors, normalised."""

    def __init__(self, config: BertConfig) -> None:
        dim = config.hidden_size
        self.offset = config.position_offset
        self.has_types = config.type_vocab_size > 0
        self.words = nnx.Param(jnp.zeros((config.vocab_size, dim)))
        self.positions = nnx.Param(jnp.zeros((config.max_position_embeddings, dim)))
        if self.has_types:
            self.types = nnx.Param(jnp.zeros((config.type_vocab_size, dim)))
        self.norm = LayerNorm(dim, epsilon=config.layer_norm_eps)

    def __call__(self, rows: TokenRows) -> jax.Array:
        positions = self.positions[...]
        if rows.positions_BL is None:
            length = rows.ids_BL.shape[1] + self.offset
            assert length <= len(positions), "rows are cut to the positions there are"
        x_BLD = look_up(self.words[...], rows.ids_BL)
        x_BLD += positions[rows.places_BL + self.offset]
        if self.has_types:
            types = self.types[...]
            x_BLD += (
                types[None, :1] if rows.type_ids_BL is None else types[rows.type_ids_BL]
            )
        return self.norm(x_BLD)


class Attention(nnx.Module):
    """Multi-head attention of each token to the tokens of its text."""

    def __init__(self, config: BertConfig, *, dtype: ComputeDtype) -> None:
        dim = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.dtype = dtype
        self.query = Dense(dim, dim, dtype=dtype)
        self.key = Dense(dim, dim, dtype=dtype)
        self.value = Dense(dim, dim, dtype=dtype)
        self.output = Dense(dim, dim, dtype=dtype)

    def __call__(
        self, x_BLD: jax.Array, rows: TokenRows, bias_HLL: jax.Array | None
    ) -> jax.Array:
        mixed_BLD = attend(
            joined_dense((self.query, self.key, self.value), x_BLD),
            rows,
            heads=self.num_heads,
            groups=self.num_heads,
            causal=False,
            bias_HLL=bias_HLL,
            dtype=self.dtype,
        )
        return self.output(mixed_BLD)


class Layer(nnx.Module):
    """A Transformer block: attention, then feed-forward, each added and normalised."""

    def __init__(self, config: BertConfig, *, dtype: ComputeDtype) -> None:
        dim = config.hidden_size
        self.attention = Attention(config, dtype=dtype)
        self.attention_norm = LayerNorm(dim, epsilon=config.layer_norm_eps)
        self.feed_forward = FeedForward(
            dim, config.intermediate_size, activation=config.hidden_act, dtype=dtype
        )
        self.output_norm = LayerNorm(dim, epsilon=config.layer_norm_eps)

    def __call__(
        self, x_BLD: jax.Array, rows: TokenRows, bias_HLL: jax.Array | None
    ) -> jax.Array:
        x_BLD = self.attention_norm(x_BLD, self.attention(x_BLD, rows, bias_HLL))
        return self.output_norm(x_BLD, self.feed_forward(x_BLD))


class Bert(nnx.Module):
    """Token ids to one vector a token.

    Args:
        config: The shape.
        dtype: Operands of the matrix products; "float32" multiplies at full precision
            on every device. Products accumulate in float32, and softmax and norms are
            float32, whatever it is.
        scan: See `layers.run_layers`.
        remat: Likewise.
    """

    def __init__(
        self,
        config: BertConfig,
        *,
        dtype: ComputeDtype = "float32",
        scan: bool = False,
        remat: Remat = "none",
    ) -> None:
        self.num_layers = config.num_hidden_layers
        self.scan, self.remat = scan, remat
        self.embeddings = Embeddings(config)
        self.num_buckets = config.relative_attention_num_buckets
        if self.num_buckets:
            self.relative_bias = nnx.Param(
                jnp.zeros((self.num_buckets, config.num_attention_heads))
            )
        # Named, not a list: integer keys become strings on disk, in another order.
        for number in range(config.num_hidden_layers):
            setattr(self, f"layer_{number}", Layer(config, dtype=dtype))

    def __call__(self, rows: TokenRows) -> jax.Array:
        """Encodes rows of tokens.

        Args:
            rows: L + `position_offset` at most `max_position_embeddings`.

        Returns:
            (B, L, D) float32; what stands at padding means nothing.
        """
        bias_HLL = None
        if self.num_buckets:
            # By places of the row: within a text of a packed row they differ as in it.
            buckets_LL = relative_buckets(
                rows.ids_BL.shape[1], num_buckets=self.num_buckets
            )
            bias_HLL = self.relative_bias[...][buckets_LL].transpose(2, 0, 1)
        return run_layers(
            [getattr(self, f"layer_{number}") for number in range(self.num_layers)],
            self.embeddings(rows),
            rows,
            bias_HLL,
            scan=self.scan,
            remat=self.remat,
        )
