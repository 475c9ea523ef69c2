"""From one vector a token to one vector a text.

Shapes: B rows, L tokens, D width.
"""

from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx

Pooling: TypeAlias = Literal["mean", "cls", "last"]
POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "last")

TextPooling: TypeAlias = Pooling | Literal["attention"]
TEXT_POOLINGS: tuple[TextPooling, ...] = (*POOLINGS, "attention")
"""With the one that has a parameter."""


def pool(hidden_BLD: jax.Array, mask_BL: jax.Array, *, pooling: Pooling) -> jax.Array:
    """One vector a row, from its tokens without the padding.

    Args:
        hidden_BLD: (B, L, D) float32 token vectors.
        mask_BL: (B, L) bool, False at padding.
        pooling: "mean" over the tokens, "cls" for the first position, or "last" for the
            last token (wherever the padding is).

    Returns:
        (B, D) float32; 0 for a row without tokens.
    """
    some_B1 = mask_BL.any(axis=1)[:, None]
    if pooling == "mean":
        # Chosen, not multiplied: at padding there may be anything, NaN too.
        sum_BD = jnp.where(mask_BL[:, :, None], hidden_BLD, 0.0).sum(axis=1)
        return sum_BD / jnp.maximum(mask_BL.sum(axis=1), 1)[:, None]
    if pooling == "cls":
        return jnp.where(some_B1, hidden_BLD[:, 0], 0.0)
    if pooling == "last":
        length = mask_BL.shape[1]
        last_B = length - 1 - jnp.argmax(mask_BL[:, ::-1], axis=1)
        chosen_B1D = jnp.take_along_axis(hidden_BLD, last_B[:, None, None], axis=1)
        return jnp.where(some_B1, chosen_B1D[:, 0], 0.0)
    raise ValueError(f"pooling: expected one of {', '.join(POOLINGS)}, got {pooling!r}")


class AttentionPooling(nnx.Module):
    """sum_t softmax_t(h_t . q / sqrt(D)) h_t, with a query q that is learned.

    Yang et al. 2016, "Hierarchical attention networks for document classification",
    without their hidden layer. The query is 0 at first, and the vector the mean.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        self.query = nnx.Param(jnp.zeros(dim))

    def __call__(self, hidden_BLD: jax.Array, mask_BL: jax.Array) -> jax.Array:
        """One vector a row, as `pool` gives it.

        Args:
            hidden_BLD: (B, L, D) float32 token vectors.
            mask_BL: (B, L) bool, False at padding.

        Returns:
            (B, D) float32; 0 for a row without tokens.
        """
        # Chosen before the product: at padding there may be anything, NaN too.
        hidden_BLD = jnp.where(mask_BL[:, :, None], hidden_BLD, 0.0)
        scores_BL = attention_scores(hidden_BLD, self.query[...])
        # The lowest finite number, not -inf: rows of padding alone must not give NaN.
        scores_BL = jnp.where(mask_BL, scores_BL, jnp.finfo(jnp.float32).min)
        weights_BL = jax.nn.softmax(scores_BL, axis=1)
        return jnp.einsum(
            "bl,bld->bd", weights_BL, hidden_BLD, precision=jax.lax.Precision.HIGHEST
        )


def attention_scores(hidden: jax.Array, query_D: jax.Array) -> jax.Array:
    """h . q / sqrt(D) for each of (..., D) token vectors, float32."""
    scale = hidden.shape[-1] ** -0.5
    query = jnp.expand_dims(query_D * scale, tuple(range(hidden.ndim - 1)))
    terms = hidden * query
    # Added up in halves: what XLA makes of a sum goes by the shape of all of it, and a
    # text's last bit is not to go by what stands beside it.
    while (width := terms.shape[-1]) > 1:
        half = width // 2
        pairs = terms[..., :half] + terms[..., half : 2 * half]
        odd = terms[..., 2 * half :]
        terms = jnp.concatenate([pairs, odd], axis=-1)
    return terms[..., 0]


def largest(found_BLF: jax.Array, mask_BL: jax.Array) -> jax.Array:
    """The largest value over a text's tokens: (B, F) of (B, L, F), none below 0.

    The "max over time" of Kim 2014, https://arxiv.org/abs/1408.5882, after a ReLU: 0 at
    padding is never the one chosen, and is what a row without tokens gets.
    """
    return jnp.where(mask_BL[:, :, None], found_BLF, 0.0).max(axis=1)


def l2_normalise(vectors_BD: jax.Array) -> jax.Array:
    """(B, D) rows of length 1; rows of 0 stay 0, with a gradient of 0."""
    squares_B1 = jnp.square(vectors_BD).sum(axis=-1, keepdims=True)
    scale_B1 = jax.lax.rsqrt(jnp.maximum(squares_B1, 1e-24))
    return vectors_BD * jnp.where(squares_B1 > 0, scale_B1, 0.0)
