"""The decoder-LLM family: Llama, SmolLM2, Mistral, Qwen2, Qwen3 and Gemma.

Shapes: B rows, L tokens, D width, F width of the feed-forward layer, H heads, G heads
of keys and values, K width of a head, J = (H + 2 G) K, V vocabulary.

One pre-norm Transformer with RMSNorm, rotary positions, grouped queries and a gated
feed-forward layer; what sets its members apart are biases, norms of queries and keys,
and Gemma's scales (`DecoderConfig`). There is no dropout.

Llama: Touvron et al. 2023, https://arxiv.org/abs/2302.13971; Qwen2: Yang et al. 2024,
https://arxiv.org/abs/2407.10671; Qwen3: Yang et al. 2025,
https://arxiv.org/abs/2505.09388; Gemma: Mesnard et al. 2024,
https://arxiv.org/abs/2403.08295; the gated layer: Shazeer 2020,
https://arxiv.org/abs/2002.05202.
"""

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.activations import ACTIVATIONS
from llmgnn_jax.text.encoders.attention import attend
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.layers import (
    ComputeDtype,
    Dense,
    RMSNorm,
    joined_dense,
    product,
    run_layers,
)
from llmgnn_jax.text.encoders.pieces import look_up
from llmgnn_jax.text.encoders.remat import Remat
from llmgnn_jax.text.encoders.rope import rotate, rotation
from llmgnn_jax.text.encoders.rows import TokenRows

__all__ = ["Decoder", "DecoderConfig", "logits"]

Turn: TypeAlias = tuple[jax.Array, jax.Array]


class Attention(nnx.Module):
    """Attention of each token to itself and to what stands before it in its text."""

    def __init__(self, config: DecoderConfig, *, dtype: ComputeDtype) -> None:
        dim, width = config.hidden_size, config.head_dim
        self.head_dim = width
        self.num_heads = config.num_attention_heads
        self.num_groups = config.num_key_value_heads
        self.head_norms = config.head_norms
        self.dtype = dtype
        asking = config.num_attention_heads * width
        asked = config.num_key_value_heads * width
        bias = config.input_bias
        self.query = Dense(dim, asking, dtype=dtype, bias=bias)
        self.key = Dense(dim, asked, dtype=dtype, bias=bias)
        self.value = Dense(dim, asked, dtype=dtype, bias=bias)
        self.output = Dense(asking, dim, dtype=dtype, bias=config.attention_bias)
        if self.head_norms:
            self.query_norm = RMSNorm(width, epsilon=config.rms_norm_eps)
            self.key_norm = RMSNorm(width, epsilon=config.rms_norm_eps)

    def mixed(self, joined_BLJ: jax.Array, rows: TokenRows) -> jax.Array:
        """What `joined` gives, values mixed: (B, L, H K)."""
        return attend(
            joined_BLJ,
            rows,
            heads=self.num_heads,
            groups=self.num_groups,
            causal=True,
            dtype=self.dtype,
        )

    def joined(self, x_BLD: jax.Array, turn: Turn) -> jax.Array:
        """Each token's queries, keys and values, turned: (B, L, (H + 2 G) K)."""
        joined_BLJ = joined_dense((self.query, self.key, self.value), x_BLD)
        heads, groups = self.num_heads, self.num_groups
        joined_BLNK = joined_BLJ.reshape(
            *x_BLD.shape[:2], heads + 2 * groups, self.head_dim
        )
        query, key, value = jnp.split(joined_BLNK, (heads, heads + groups), axis=2)
        if self.head_norms:
            query, key = self.query_norm(query), self.key_norm(key)
        turned = (rotate(query, turn), rotate(key, turn), value)
        return jnp.concatenate(turned, axis=2).reshape(joined_BLJ.shape)


class Layer(nnx.Module):
    """A Transformer block: attention, then feed-forward, each of what is normalised."""

    def __init__(self, config: DecoderConfig, *, dtype: ComputeDtype) -> None:
        dim, wide, bias = config.hidden_size, config.intermediate_size, config.mlp_bias
        self.activation = config.hidden_act
        self.attention_norm = _norm(config)
        self.attention = Attention(config, dtype=dtype)
        self.mlp_norm = _norm(config)
        self.gate = Dense(dim, wide, dtype=dtype, bias=bias)
        self.up = Dense(dim, wide, dtype=dtype, bias=bias)
        self.down = Dense(wide, dim, dtype=dtype, bias=bias)

    def __call__(self, x_BLD: jax.Array, rows: TokenRows, turn: Turn) -> jax.Array:
        joined_BLJ = self.joined(x_BLD, turn)
        return self.after(x_BLD, self.attention.mixed(joined_BLJ, rows))

    def joined(self, x_BLD: jax.Array, turn: Turn) -> jax.Array:
        """Queries, keys and values, turned: (B, L, (H + 2 G) K)."""
        return self.attention.joined(self.attention_norm(x_BLD), turn)

    def after(self, x_BLD: jax.Array, mixed_BLF: jax.Array) -> jax.Array:
        """The block's result once attention has mixed values: (B, L, D)."""
        x_BLD = x_BLD + self.attention.output(mixed_BLF)
        normed_BLD = self.mlp_norm(x_BLD)
        gate_BLF = ACTIVATIONS[self.activation](self.gate(normed_BLD))
        return x_BLD + self.down(gate_BLF * self.up(normed_BLD))


class Decoder(nnx.Module):
    """Token ids to one vector a token, which knows what stands before it.

    Args:
        config: The shape.
        dtype: Operands of the matrix products; "float32" multiplies at full precision
            on every device. Products accumulate in float32, and softmax, norms and
            rotations are float32, whatever it is.
        scan: See `layers.run_layers`.
        remat: Likewise.
    """

    def __init__(
        self,
        config: DecoderConfig,
        *,
        dtype: ComputeDtype = "float32",
        scan: bool = False,
        remat: Remat = "none",
    ) -> None:
        self.num_layers = config.num_hidden_layers
        self.head_dim = config.head_dim
        self.rope = config.rope
        self.embedding_scale = config.embedding_scale
        self.head = config.head
        self.dtype = dtype
        self.scan, self.remat = scan, remat
        self.words = nnx.Param(jnp.zeros((config.vocab_size, config.hidden_size)))
        # Named, not a list: integer keys become strings on disk, in another order.
        for number in range(config.num_hidden_layers):
            setattr(self, f"layer_{number}", Layer(config, dtype=dtype))
        self.norm = _norm(config)
        if self.head == "own":
            self.lm_head = Dense(
                config.hidden_size, config.vocab_size, dtype=dtype, bias=False
            )

    def __call__(self, rows: TokenRows) -> jax.Array:
        """Encodes rows of tokens.

        Args:
            rows: L at most `max_position_embeddings`.

        Returns:
            (B, L, D) float32, after the last norm; what stands at padding means
            nothing.
        """
        x_BLD = run_layers(
            self.layers,
            self.embed(rows.ids_BL),
            rows,
            self.turn(rows.places_BL),
            scan=self.scan,
            remat=self.remat,
        )
        return self.norm(x_BLD)

    @property
    def layers(self) -> list[Layer]:
        """The blocks, in turn."""
        return [getattr(self, f"layer_{number}") for number in range(self.num_layers)]

    def embed(self, ids_BL: jax.Array) -> jax.Array:
        """What the first block is given: (B, L, D) float32."""
        words_BLD = look_up(self.words[...], ids_BL).astype(jnp.float32)
        return words_BLD * self.embedding_scale

    def turn(self, places_BL: jax.Array) -> Turn:
        """By what queries and keys at those places are turned."""
        return rotation(places_BL, self.rope, head_dim=self.head_dim)

    def logits(self, hidden_BLD: jax.Array) -> jax.Array:
        """Scores of the next token, (B, L, V) float32.

        Args:
            hidden_BLD: What the decoder gave.

        Raises:
            UserError: If it was loaded without a head.
        """
        if self.head == "none":
            raise UserError.field(
                "head",
                expected="a decoder with an output head",
                got="one that was loaded without",
                fix="load it with load_language_model",
            )
        if self.head == "own":
            return self.lm_head(hidden_BLD)
        return product("bld,vd->blv", hidden_BLD, self.words[...], dtype=self.dtype)


def logits(graphdef: nnx.GraphDef[Any], params: Any, rows: TokenRows) -> jax.Array:
    """A language model as a pure function of the parameters.

    Returns:
        (B, L, V) float32: scores of the token after each.

    Raises:
        UserError: If it was loaded without a head.
    """
    decoder = nnx.merge(graphdef, params)
    return decoder.logits(decoder(rows))


def _norm(config: DecoderConfig) -> RMSNorm:
    return RMSNorm(
        config.hidden_size, epsilon=config.rms_norm_eps, offset=config.norm_offset
    )
