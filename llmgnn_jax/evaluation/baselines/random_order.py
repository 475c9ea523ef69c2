"""Chance: what any order is worth, and what breaks ties where a model knows nothing.

Shapes: B users of a chunk, I items.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from llmgnn_jax.evaluation.baselines.fitted import Baseline
from llmgnn_jax.evaluation.ranking import ScoreChunk

_LITTLE = 1e-9
"""Below what any baseline's scores differ by, unless they are equal."""


def random_order(num_items: int, *, seed: int = 0) -> Baseline:
    """Each user's items in an order of their own, drawn at random."""
    return Baseline(
        name="random",
        score_chunk=_drawn,
        data={"seed": jnp.asarray(seed), "items": jnp.zeros(num_items)},
        seconds=0.0,
        budget={"trials": 1, "grid": {}, "chosen": {}},
    )


def breaking_ties(baseline: Baseline, num_items: int, *, seed: int = 0) -> Baseline:
    """The same, with items of equal scores in an order drawn for each user.

    A model of ids scores all that it never met alike. The order of their numbers is
    that of a file, which may say what came first, or what is popular.

    Args:
        baseline: Fitted.
        num_items: I.
        seed: Of the order.
    """
    return dataclasses.replace(
        baseline,
        score_chunk=_with_ties_broken(baseline.score_chunk),
        data={
            "baseline": baseline.data,
            **random_order(num_items, seed=seed).data,
        },
    )


def _drawn(data: dict[str, jax.Array], users_B: jax.Array) -> jax.Array:
    """(B, I) in [0, 1): a user's are the same in any chunk."""
    key, items = jax.random.key(data["seed"]), data["items"]
    keys_B = jax.vmap(jax.random.fold_in, (None, 0))(key, users_B)
    return jax.vmap(lambda one: jax.random.uniform(one, items.shape))(keys_B)


@functools.cache
def _with_ties_broken(score_chunk: ScoreChunk) -> ScoreChunk:
    """One function for each: it is compiled once."""

    def scores(data: dict[str, Any], users_B: jax.Array) -> jax.Array:
        scores_BI = score_chunk(data["baseline"], users_B)
        return scores_BI + _LITTLE * _drawn(data, users_B)

    return scores
