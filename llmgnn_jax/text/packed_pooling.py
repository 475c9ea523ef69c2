"""One vector a text, where several texts lie in one row of tokens.

What `pooling` and `heads` give for a text in a row of its own.

Shapes: B rows, L tokens of a row, T = B L places, S texts of a batch, D width.
"""

import jax
import jax.numpy as jnp

from llmgnn_jax.text.pooling import Pooling, attention_scores


def pool_packed(
    hidden_BLD: jax.Array,
    starts_S: jax.Array,
    counts_S: jax.Array,
    *,
    pooling: Pooling,
) -> jax.Array:
    """As `pooling.pool`.

    Args:
        hidden_BLD: (B, L, D) float32 token vectors.
        starts_S: (S,) int32, where each text begins among the B L places.
        counts_S: (S,) int32, its tokens; 0 for none.
        pooling: "mean", "cls" or "last".

    Returns:
        (S, D) float32; 0 where there is no text or it has no tokens.
    """
    hidden_TD = hidden_BLD.reshape(-1, hidden_BLD.shape[-1])
    if pooling == "mean":
        slot_T, inside_T = _texts_of_places(starts_S, counts_S, places=len(hidden_TD))
        # Chosen, not multiplied: at padding there may be anything, NaN too.
        kept_TD = jnp.where(inside_T[:, None], hidden_TD, 0.0)
        sums_SD = jax.ops.segment_sum(kept_TD, slot_T, num_segments=len(starts_S))
        return sums_SD / jnp.maximum(counts_S, 1)[:, None]
    places_S = starts_S if pooling == "cls" else starts_S + jnp.maximum(counts_S, 1) - 1
    return jnp.where((counts_S > 0)[:, None], hidden_TD[places_S], 0.0)


def attend_packed(
    hidden_BLD: jax.Array,
    starts_S: jax.Array,
    counts_S: jax.Array,
    *,
    query_D: jax.Array,
) -> jax.Array:
    """As `pooling.AttentionPooling` with that query; arguments as `pool_packed`."""
    hidden_TD = hidden_BLD.reshape(-1, hidden_BLD.shape[-1])
    slot_T, inside_T = _texts_of_places(starts_S, counts_S, places=len(hidden_TD))
    texts = len(starts_S)
    kept_TD = jnp.where(inside_T[:, None], hidden_TD, 0.0)
    scores_T = attention_scores(kept_TD, query_D)
    # Any number may be taken off all scores of a text: it has no gradient.
    largest_S = jax.ops.segment_max(
        jnp.where(inside_T, jax.lax.stop_gradient(scores_T), -jnp.inf),
        slot_T,
        num_segments=texts,
    )
    above_T = jnp.where(inside_T, scores_T - largest_S[slot_T], 0.0)
    weights_T = jnp.where(inside_T, jnp.exp(above_T), 0.0)
    sums_S = jax.ops.segment_sum(weights_T, slot_T, num_segments=texts)
    sums_SD = jax.ops.segment_sum(
        weights_T[:, None] * kept_TD, slot_T, num_segments=texts
    )
    return sums_SD / jnp.where(sums_S > 0, sums_S, 1.0)[:, None]


def largest_packed(
    found_BLF: jax.Array, starts_S: jax.Array, counts_S: jax.Array
) -> jax.Array:
    """As `pooling.largest`: (S, F) of (B, L, F) float32, none below 0.

    Places that share the largest value share its gradient.
    """
    found_TF = found_BLF.reshape(-1, found_BLF.shape[-1])
    slot_T, inside_T = _texts_of_places(starts_S, counts_S, places=len(found_TF))
    texts = len(starts_S)
    kept_TF = jnp.where(inside_T[:, None], found_TF, 0.0)
    values_TF = jax.lax.stop_gradient(kept_TF)
    largest_SF = jax.ops.segment_max(values_TF, slot_T, num_segments=texts)
    # JAX has no gradient of a segment's maximum; of a sum over where it stands, it has.
    first_TF = inside_T[:, None] & (values_TF == largest_SF[slot_T])
    sums_SF, ties_SF = (
        jax.ops.segment_sum(values, slot_T, num_segments=texts)
        for values in (
            jnp.where(first_TF, kept_TF, 0.0),
            first_TF.astype(jnp.float32),
        )
    )
    return sums_SF / jnp.maximum(ties_SF, 1.0)


def _texts_of_places(
    starts_S: jax.Array, counts_S: jax.Array, *, places: int
) -> tuple[jax.Array, jax.Array]:
    """(T,) the text that each place may belong to, and whether it does."""
    # Texts of a row follow one another, so sorting their places sorts nothing anew.
    place_T = jnp.arange(places)
    begins_S = jnp.where(counts_S > 0, starts_S, places)
    order_S = jnp.argsort(begins_S)
    text_T = jnp.searchsorted(begins_S[order_S], place_T, side="right")
    slot_T = order_S[jnp.maximum(text_T - 1, 0)]
    inside_T = (place_T >= starts_S[slot_T]) & (
        place_T < starts_S[slot_T] + counts_S[slot_T]
    )
    return slot_T, inside_T
