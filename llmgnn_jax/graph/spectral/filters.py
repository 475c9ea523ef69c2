"""Graph filters that need no training: what is low in frequency is what one may like.

With R the normalised pairs, P = R^T R, and V the K largest right singular vectors of R
for u, i of power 1/2, the scores of a user with the 0/1 row x are

    y = x P + ideal_weight * x D^-1/2 V V^T D^1/2         smoothing
    y <- y + sum_j (-h)^j / j! y P^j                      sharpening, so many times

with h = sharpening / sharpening_steps and j from 1 to an order: y' = -y P, a step of
which is Euler's with order 1 and, for a linear equation, Runge and Kutta's with 4.

The first line is GF-CF (Shen et al. 2021, "How powerful is graph convolution for
recommendation?", https://arxiv.org/abs/2108.07567, eq. 17), the second one the
sharpening of BSPM (Choi et al. 2023, "Blurring-sharpening process models for
collaborative filtering", https://arxiv.org/abs/2211.09324, eq. 10).

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
        ideal_weight: Of the ideal low-pass beside the linear one; 0 leaves it out.
        sharpening: Time that is sharpened for; 0 leaves it out.
        sharpening_steps: In how many steps.
        sharpening_order: Terms of a step.
    """

    ideal_weight: float = 0.3
    sharpening: float = 0.0
    sharpening_steps: int = 1
    sharpening_order: int = 1


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["plan", "items_IK", "root_degrees_I"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class FilterData:
    """What the filters read.

    Attributes:
        plan: R and its transpose.
        items_IK: (I, K) float32, V.
        root_degrees_I: (I,) float32, D^1/2: the root of each item's number of users, 1
            for an item without any.
    """

    plan: PairPlan
    items_IK: jax.Array
    root_degrees_I: jax.Array


def filter_data(
    pairs: Csr, num_items: int, *, plan: PairPlan, vectors: SingularVectors
) -> FilterData:
    """What `filtered` reads of (U x I) pairs."""
    degrees = np.maximum(np.bincount(pairs.indices, minlength=num_items), 1)
    return FilterData(
        plan=plan,
        items_IK=vectors.items_IK,
        root_degrees_I=jnp.asarray(np.sqrt(degrees), jnp.float32),
    )


def filtered(rows_BI: jax.Array, data: FilterData, chosen: Filter) -> jax.Array:
    """(B, I) scores of users with (B, I) rows, by the formula above."""
    scores_IB = _linear(rows_BI.T, data.plan)
    if chosen.ideal_weight:
        highest = jax.lax.Precision.HIGHEST
        scaled_BI = rows_BI / data.root_degrees_I[None]
        low_BK = jnp.matmul(scaled_BI, data.items_IK, precision=highest)
        ideal_IB = jnp.matmul(data.items_IK, low_BK.T, precision=highest)
        ideal_IB *= data.root_degrees_I[:, None]
        scores_IB += chosen.ideal_weight * ideal_IB
    if chosen.sharpening:
        step = chosen.sharpening / chosen.sharpening_steps
        for _ in range(chosen.sharpening_steps):
            term_IB = scores_IB
            for number in range(1, chosen.sharpening_order + 1):
                term_IB = (-step / number) * _linear(term_IB, data.plan)
                scores_IB += term_IB
    return scores_IB.T


def _linear(columns_IB: jax.Array, plan: PairPlan) -> jax.Array:
    """P times (I, B), which is symmetric."""
    return plan.to_items(plan.to_users(columns_IB))
