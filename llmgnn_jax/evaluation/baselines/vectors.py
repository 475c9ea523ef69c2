"""A model's vectors as a baseline, and beside one: their scores added.

Shapes: U users, I items, D width of the vectors, B users of a chunk.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.evaluation.baselines.fitted import Baseline
from llmgnn_jax.evaluation.ranking import ScoreChunk, inner_products


def of_vectors(
    name: str, users_UD: np.ndarray, items_ID: np.ndarray, *, seconds: float = 0.0
) -> Baseline:
    """Scores by inner products."""
    return Baseline(
        name=name,
        score_chunk=inner_products,
        data={"users": jnp.asarray(users_UD), "items": jnp.asarray(items_ID)},
        seconds=seconds,
        budget={},
    )


def with_vectors(
    fitted: Baseline,
    vectors: Baseline,
    *,
    weight: float,
    name: str,
) -> Baseline:
    """A baseline's scores, plus weight times those of vectors.

    Args:
        fitted: Any baseline of the same users and items.
        vectors: By `of_vectors`.
        weight: Of their inner products; what suits depends on the scale of both.
        name: Of the sum.
    """
    return Baseline(
        name=name,
        score_chunk=_sum_with(fitted.score_chunk),
        data={
            "fitted": fitted.data,
            "vectors": vectors.data,
            "weight": jnp.float32(weight),
        },
        seconds=fitted.seconds + vectors.seconds,
        budget={**fitted.budget, "vectors_weight": weight},
    )


@functools.cache
def _sum_with(score_chunk: ScoreChunk) -> ScoreChunk:
    """The same function for the same one: it is compiled once."""

    def scores(data: dict[str, Any], users_B: jax.Array) -> jax.Array:
        added_BI = inner_products(data["vectors"], users_B)
        return score_chunk(data["fitted"], users_B) + data["weight"] * added_BI

    return scores
