"""Graph filters that need no training: what is low in frequency is what one may like.

With X the 0/1 pairs, d_U and d_I the numbers of pairs of users and items as diagonal
matrices, R = d_U^-1/2 X d_I^-1/2 and V the K largest right singular vectors of R, the
scores of a user with the 0/1 row x are

    y = x d_I^-h X^T d_U^-2u X d_I^-i                     smoothing
        + ideal_weight * x d_I^-1/2 V V^T d_I^1/2
    y <- y + sum_j (-t)^j / j! y P^j                      sharpening, so many times

with the powers u, h, i of `Filter`, P = R^T R, t = sharpening / sharpening_steps and j
from 1 to an order: y' = -y P, a step of which is Euler's with order 1 and, for a linear
equation, Runge and Kutta's with 4.

The smoothing with all powers 1/2 is GF-CF (Shen et al. 2021, "How powerful is graph
convolution for recommendation?", https://arxiv.org/abs/2108.07567, eq. 17), the
sharpening that of BSPM (Choi et al. 2023, "Blurring-sharpening process models for
collaborative filtering", https://arxiv.org/abs/2211.09324, eq. 10). Powers that differ
let what is recommended be as popular as what is really chosen: paths that are weighed
by powers of degrees are LinkProp (Fu et al. 2022, "Revisiting neighborhood-based link
prediction for collaborative filtering", https://arxiv.org/abs/2203.15789).

Shapes: U users, I items, K singular vectors, B users of a chunk.
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.graph.spectral.pairs import PairPlan
from llmgnn_jax.graph.spectral.singular import SingularVectors


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which filter: hashable, so that it may be static.

    Attributes:
        user_power: u: how much less users with many items say of each.
        history_power: h: how much less popular items of a history say.
        item_power: i: how much lower popular items score.
        ideal_weight: Of the ideal low-pass beside the linear one; 0 leaves it out.
        sharpening: Time that is sharpened for; 0 leaves it out.
        sharpening_steps: In how many steps.
        sharpening_order: Terms of a step.
    """

    user_power: float = 0.5
    history_power: float = 0.5
    item_power: float = 0.5
    ideal_weight: float = 0.3
    sharpening: float = 0.0
    sharpening_steps: int = 1
    sharpening_order: int = 1


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["plan", "items_IK", "degrees_U", "degrees_I"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class FilterData:
    """What the filters read.

    Attributes:
        plan: R and its transpose.
        items_IK: (I, K) float32, V; K may be 0.
        degrees_U: (U,) float32, d_U: each user's number of items, 1 without any.
        degrees_I: (I,) float32, d_I: each item's number of users, 1 without any.
    """

    plan: PairPlan
    items_IK: jax.Array
    degrees_U: jax.Array
    degrees_I: jax.Array


def filter_data(
    pairs: Csr, num_items: int, *, plan: PairPlan, vectors: SingularVectors | None
) -> FilterData:
    """What `filtered` reads of (U x I) pairs; no vectors: no ideal low-pass."""
    items_IK = jnp.zeros((num_items, 0)) if vectors is None else vectors.items_IK
    degrees_I = np.bincount(pairs.indices, minlength=num_items)
    # Elsewhere they are 0 but for rounding, by which nothing is to be ranked.
    items_IK = jnp.where(jnp.asarray(degrees_I > 0)[:, None], items_IK, 0.0)
    return FilterData(
        plan=plan,
        items_IK=items_IK,
        degrees_U=jnp.asarray(np.maximum(pairs.counts(), 1), jnp.float32),
        degrees_I=jnp.asarray(np.maximum(degrees_I, 1), jnp.float32),
    )


def filtered(rows_BI: jax.Array, data: FilterData, chosen: Filter) -> jax.Array:
    """(B, I) scores of users with (B, I) rows, by the formula above."""
    scores_IB = _smoothed(rows_BI.T, data, chosen)
    if chosen.ideal_weight:
        highest = jax.lax.Precision.HIGHEST
        roots_I = jnp.sqrt(data.degrees_I)
        scaled_BI = rows_BI / roots_I[None]
        low_BK = jnp.matmul(scaled_BI, data.items_IK, precision=highest)
        ideal_IB = jnp.matmul(data.items_IK, low_BK.T, precision=highest)
        scores_IB += chosen.ideal_weight * roots_I[:, None] * ideal_IB
    if chosen.sharpening:
        step = chosen.sharpening / chosen.sharpening_steps
        for _ in range(chosen.sharpening_steps):
            term_IB = scores_IB
            for number in range(1, chosen.sharpening_order + 1):
                once_IB = data.plan.to_items(data.plan.to_users(term_IB))
                term_IB = (-step / number) * once_IB
                scores_IB += term_IB
    return scores_IB.T


def _smoothed(columns_IB: jax.Array, data: FilterData, chosen: Filter) -> jax.Array:
    """The linear filter times (I, B): R has the powers 1/2, the rest is put beside."""

    def scaled(rows_ND: jax.Array, degrees_N: jax.Array, power: float) -> jax.Array:
        return rows_ND * degrees_N[:, None] ** -power if power else rows_ND

    read_IB = scaled(columns_IB, data.degrees_I, chosen.history_power - 0.5)
    users_UB = data.plan.to_users(read_IB)
    users_UB = scaled(users_UB, data.degrees_U, 2 * chosen.user_power - 1)
    items_IB = data.plan.to_items(users_UB)
    return scaled(items_IB, data.degrees_I, chosen.item_power - 0.5)
