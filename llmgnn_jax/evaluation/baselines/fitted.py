"""`Baseline`: what a fit gives, ready to rank with."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.ranking import ScoreChunk


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """A fitted baseline: `rank(b.score_chunk, b.data, ...)` ranks with it.

    Attributes:
        name: "popularity", "item_knn", "ease" and so on.
        score_chunk: Pure function of (data, users), shared by all of its fits.
        data: Device arrays that it reads.
        seconds: Wall time of the fit, or of the whole search where it was tuned.
        budget: For `results.json`: trials, grid, what was chosen, by which metric, its
            value on valid, and which choices lie at the edge of their grid.
    """

    name: str
    score_chunk: ScoreChunk
    data: dict[str, Any]
    seconds: float
    budget: dict[str, Any]


def histories(train: Csr) -> dict[str, jax.Array]:
    """(U x I) train pairs, as `rows_of` reads them."""
    longest = int(train.counts().max(initial=1))
    return {
        "indptr": jnp.asarray(train.indptr, jnp.int32),
        "indices": jnp.asarray(train.indices),
        # Its length is how a static L reaches the score function.
        "lanes": jnp.arange(longest, dtype=jnp.int32),
    }


def rows_of(
    data: dict[str, jax.Array], users_B: jax.Array, num_items: int
) -> jax.Array:
    """(B, I) float32, the users' histories as 0/1 rows."""
    starts_B1 = data["indptr"][users_B][:, None]
    ends_B1 = data["indptr"][users_B + 1][:, None]
    places_BL = starts_B1 + data["lanes"][None]
    # Lanes past the end of a history point outside the row and are dropped.
    items_BL = jnp.where(
        places_BL < ends_B1, data["indices"].at[places_BL].get(mode="clip"), num_items
    )
    rows_B1 = jnp.arange(users_B.shape[0])[:, None]
    zeros_BI = jnp.zeros((users_B.shape[0], num_items), jnp.float32)
    return zeros_BI.at[rows_B1, items_BL].set(1.0, mode="drop")
