"""Attention behind a prefix that was read before.

Shapes: B rows, L tokens of each, S tokens of the prefix, M = S + L, n layers, D width,
H heads, G heads of keys and values, K width of a head.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from llmgnn_jax.text.encoders.attention import attend_to
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.generation.model import PrefixState


def after_prefix(
    after: PrefixState, layer: int, key_BLGK: jax.Array, value_BLGK: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """A layer's keys and values of the prefix and of what follows it: (B, M, G, K)."""
    return (
        jnp.concatenate([after.keys_nBSGK[layer], key_BLGK], axis=1),
        jnp.concatenate([after.values_nBSGK[layer], value_BLGK], axis=1),
    )


def attend_after(
    query_BLHK: jax.Array,
    key_BMGK: jax.Array,
    value_BMGK: jax.Array,
    *,
    dtype: ComputeDtype,
) -> jax.Array:
    """softmax(q k^T / sqrt(K)) v over all of the prefix and what stands before.

    Padding comes after a row's tokens, so that none of them sees it.

    Args:
        query_BLHK: Of the tokens behind the prefix.
        key_BMGK: Of both.
        value_BMGK: Of both.
        dtype: Operands of the products.

    Returns:
        (B, L, H K) float32; what stands at padding means nothing.
    """
    length, both = query_BLHK.shape[1], key_BMGK.shape[1]
    places_LM = jnp.arange(both - length, both)[:, None], jnp.arange(both)[None, :]
    mixed_BLHK = attend_to(
        query_BLHK,
        key_BMGK,
        value_BMGK,
        allowed_BLM=(places_LM[0] >= places_LM[1])[None],
        dtype=dtype,
    )
    return mixed_BLHK.reshape(*mixed_BLHK.shape[:2], -1)


def stacked(
    kept: Sequence[tuple[jax.Array, jax.Array]], *, dtype: ComputeDtype
) -> PrefixState:
    """Keys and values (B, S, G, K) of each layer, together."""
    keys, values = zip(*kept, strict=True)
    return PrefixState(
        keys_nBSGK=jnp.stack(keys).astype(dtype),
        values_nBSGK=jnp.stack(values).astype(dtype),
    )
