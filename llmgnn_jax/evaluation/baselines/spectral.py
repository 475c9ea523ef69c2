"""Filters of the graph's spectrum as baselines: GF-CF and BSPM.

Shapes: B users of a chunk, I items.
"""

import functools
import time
from typing import Any

import jax

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.baselines.fitted import Baseline, histories, rows_of
from llmgnn_jax.evaluation.ranking import ScoreChunk
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.spectral import (
    Filter,
    FilterData,
    filter_data,
    filtered,
    plan_pairs,
    singular_vectors,
)


def spectral(
    train: Csr,
    num_items: int,
    *,
    rank: int = 256,
    ideal_weight: float = 0.3,
    sharpening: float = 0.0,
    sharpening_order: int = 1,
    name: str = "gf_cf",
    backend: Backend = "csr",
    seed: int = 0,
) -> Baseline:
    """Scores by `graph.spectral.filtered`; without sharpening it is GF-CF, else BSPM.

    Args:
        train: (U x I) pairs.
        num_items: I.
        rank: Singular vectors of the ideal low-pass; at most what the matrix has.
        ideal_weight: Of the ideal low-pass beside the linear filter.
        sharpening: Time that is sharpened for.
        sharpening_order: 1: Euler's method, 4: Runge and Kutta's.
        name: Of the baseline.
        backend: Kernel of the sums over neighbours.
        seed: Of the random start of the singular vectors.
    """
    start = time.perf_counter()
    chosen = {
        "rank": rank,
        "ideal_weight": ideal_weight,
        "sharpening": sharpening,
        "sharpening_order": sharpening_order,
    }
    data = spectral_data(train, num_items, rank=rank, backend=backend, seed=seed)
    return of_filter(name, train, data, chosen, start)


def spectral_data(
    train: Csr, num_items: int, *, rank: int, backend: Backend, seed: int
) -> FilterData:
    """What a filter with so many singular vectors reads."""
    plan = plan_pairs(train, num_items, backend=backend)
    vectors = singular_vectors(
        plan,
        rank=min(rank, num_items, train.num_rows),
        key=jax.random.key(seed),
    )
    return filter_data(train, num_items, plan=plan, vectors=vectors)


def of_filter(
    name: str, train: Csr, data: FilterData, chosen: dict[str, Any], start: float
) -> Baseline:
    """A baseline that scores by a filter."""
    which = Filter(
        ideal_weight=chosen["ideal_weight"],
        sharpening=chosen.get("sharpening", 0.0),
        sharpening_order=int(chosen.get("sharpening_order", 1)),
    )
    return Baseline(
        name=name,
        score_chunk=_scores_of(which),
        data={**histories(train), "filter": data},
        seconds=time.perf_counter() - start,
        budget={"trials": 1, "grid": {}, "chosen": chosen},
    )


@functools.cache
def _scores_of(chosen: Filter) -> ScoreChunk:
    """The same function for the same filter: it is compiled once."""

    def scores(data: dict[str, Any], users_B: jax.Array) -> jax.Array:
        num_items = data["filter"].items_IK.shape[0]
        return filtered(rows_of(data, users_B, num_items), data["filter"], chosen)

    return scores
