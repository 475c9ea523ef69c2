"""Losses of vectors, where those of `losses` are of scores.

Shapes: b rows that a program computes, B rows of the whole batch, D width.

A loss is one number a row, and its mean over the rows of all programs is what is meant.
"""

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.placement import Placement
from llmgnn_jax.models.features import unit_length


def alignment_uniformity(
    user_bD: jax.Array,
    positive_bD: jax.Array,
    *,
    rows_b: jax.Array,
    weight: float,
    placement: Placement,
) -> jax.Array:
    """||u - i||^2 of unit vectors, plus the uniformity of the batch's users and items.

    DirectAU (Wang et al. 2022, "Towards representation alignment and uniformity in
    collaborative filtering", https://arxiv.org/abs/2206.12811, eq. 8). It needs no
    negatives. As there, lengths are free, and ranking is by dot products of the vectors
    as they are: an item's length says how far it is moved up for everybody.

    Args:
        user_bD: (b, D) users of the rows, of any length.
        positive_bD: (b, D) their positives.
        rows_b: (b,) int32 numbers of the rows in the whole batch.
        weight: gamma, of the mean of both uniformities.
        placement: Where rows lie.

    Returns:
        (b,); the uniformity stands in each row.
    """
    user_bD, positive_bD = unit_length(user_bD), unit_length(positive_bD)
    alignment_b = jnp.sum((user_bD - positive_bD) ** 2, axis=-1)
    of_users, of_items = (
        uniformity(vectors_bD, rows_b=rows_b, placement=placement)
        for vectors_bD in (user_bD, positive_bD)
    )
    return alignment_b + weight * 0.5 * (of_users + of_items)


def uniformity(
    vectors_bD: jax.Array, *, rows_b: jax.Array, placement: Placement
) -> jax.Array:
    """log mean exp(-2 ||x - y||^2) over all pairs of different rows of the batch.

    Wang and Isola 2020, "Understanding contrastive representation learning through
    alignment and uniformity on the hypersphere" (https://arxiv.org/abs/2005.10242), t
    = 2. Two rows of one user or item are a pair too: rows are drawn independently.

    Args:
        vectors_bD: (b, D).
        rows_b: (b,) int32 numbers of the rows in the whole batch, two at least.
        placement: Where rows lie.

    Returns:
        (), the same in all programs.
    """
    squares_b = jnp.sum(vectors_bD**2, axis=-1)
    products_bB = vectors_bD @ placement.everyones(vectors_bD).T
    sums_bB = squares_b[:, None] + placement.everyones(squares_b)[None, :]
    others_bB = rows_b[:, None] != placement.everyones(rows_b)[None, :]
    near_bB = jnp.where(others_bB, jnp.exp(-2.0 * (sums_bB - 2.0 * products_bB)), 0.0)
    # The log is of a mean over all programs: each has to know all of it.
    near_B = placement.everyones(jnp.sum(near_bB, axis=1))
    return jnp.log(jnp.mean(near_B) / (len(near_B) - 1))
