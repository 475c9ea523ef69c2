"""From one vector a token to one vector a text.

Shapes: B rows, L tokens, D width.
"""

from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp

Pooling: TypeAlias = Literal["mean", "cls", "last"]
POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "last")


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


def l2_normalise(vectors_BD: jax.Array) -> jax.Array:
    """(B, D) rows of length 1; rows of 0 stay 0, with a gradient of 0."""
    squares_B1 = jnp.square(vectors_BD).sum(axis=-1, keepdims=True)
    scale_B1 = jax.lax.rsqrt(jnp.maximum(squares_B1, 1e-24))
    return vectors_BD * jnp.where(squares_B1 > 0, scale_B1, 0.0)
