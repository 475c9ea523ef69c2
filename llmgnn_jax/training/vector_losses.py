"""Losses of vectors, where those of `losses` are of scores.

Shapes: b rows that a program computes, B rows of the whole batch, D width.

A loss is one number a row, and its mean over the rows of all programs is what is meant.
"""

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.placement import Placement
from llmgnn_jax.models.features import unit_length
from llmgnn_jax.training.draws import row_keys


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
    collaborative filtering", https://arxiv.org/abs/2206.12811). It needs no
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


def info_nce(
    first_bD: jax.Array,
    second_bD: jax.Array,
    *,
    keep_b: jax.Array,
    rows_b: jax.Array,
    temperature: float,
    placement: Placement,
) -> jax.Array:
    """-log softmax of a row's own pair among pairs with all kept rows of the batch.

    Scores are cosines over the temperature (van den Oord et al. 2018, "Representation
    learning with contrastive predictive coding", https://arxiv.org/abs/1807.03748).

    Args:
        first_bD: (b, D), of any length.
        second_bD: (b, D), what each is to be told among.
        keep_b: (b,) bool; False leaves a row out, on both sides.
        rows_b: (b,) int32 numbers of the rows in the whole batch.
        temperature: Of the softmax.
        placement: Where rows lie.

    Returns:
        (b,), 0 where a row is left out; the mean over the batch is the mean over the
        rows that are kept.
    """
    first_bD, second_bD = unit_length(first_bD), unit_length(second_bD)
    own_b = jnp.sum(first_bD * second_bD, axis=-1) / temperature
    scores_bB = first_bD @ placement.everyones(second_bD).T / temperature
    keep_B = placement.everyones(keep_b)
    # A row's own pair is there in any case, so that no sum is empty.
    own_bB = rows_b[:, None] == placement.everyones(rows_b)[None, :]
    scores_bB = jnp.where(keep_B[None, :] | own_bB, scores_bB, -jnp.inf)
    lost_b = jax.nn.logsumexp(scores_bB, axis=1) - own_b
    rows_for_each_kept = len(keep_B) / jnp.maximum(jnp.sum(keep_B), 1)
    return jnp.where(keep_b, lost_b, 0.0) * rows_for_each_kept


def first_of_each(
    numbers_b: jax.Array,
    *,
    keep_b: jax.Array,
    rows_b: jax.Array,
    placement: Placement,
) -> jax.Array:
    """(b,) bool, whether no earlier kept row of the batch has a kept row's number.

    Args:
        numbers_b: (b,) int32, of users or of items.
        keep_b: (b,) bool.
        rows_b: (b,) int32 numbers of the rows in the whole batch.
        placement: Where rows lie.
    """
    same_bB = numbers_b[:, None] == placement.everyones(numbers_b)[None, :]
    earlier_bB = placement.everyones(rows_b)[None, :] < rows_b[:, None]
    earlier_bB &= placement.everyones(keep_b)[None, :]
    return keep_b & ~jnp.any(same_bB & earlier_bB, axis=1)


def perturbed(
    vectors_bD: jax.Array, numbers_b: jax.Array, *, key: jax.Array, length: float
) -> jax.Array:
    """(b, D) vectors plus random ones of a length, which keep to their orthants.

    Yu et al. 2022, "Are graph augmentations necessary? Simple graph contrastive
    learning for recommendation" (https://arxiv.org/abs/2112.08679).

    Args:
        vectors_bD: (b, D).
        numbers_b: (b,) int32: one number, one noise.
        key: Which noise.
        length: eps.
    """
    noise_bD = jax.vmap(lambda one: jax.random.uniform(one, vectors_bD.shape[1:]))(
        row_keys(key, numbers_b)
    )
    return vectors_bD + length * unit_length(noise_bD) * jnp.sign(vectors_bD)
