"""Filters of the graph's spectrum as baselines: GF-CF, BSPM and kin.

Shapes: B users of a chunk, I items.
"""

import dataclasses
import functools
import time
from collections.abc import Mapping
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

GF_CF = Filter()


def spectral(
    train: Csr,
    num_items: int,
    *,
    rank: int = 256,
    chosen: Filter = GF_CF,
    name: str = "gf_cf",
    backend: Backend = "csr",
    seed: int = 0,
) -> Baseline:
    """Scores by `graph.spectral.filtered`: GF-CF, BSPM, or with powers of one's own.

    Args:
        train: (U x I) pairs.
        num_items: I.
        rank: Singular vectors of the ideal low-pass; at most what the matrix has are
            taken, and with 0 the ideal low-pass is left out.
        chosen: The filter.
        name: Of the baseline.
        backend: Kernel of the sums over neighbours.
        seed: Of the random start of the singular vectors.
    """
    start = time.perf_counter()
    data = spectral_data(train, num_items, rank=rank, backend=backend, seed=seed)
    return of_filter(name, train, data, chosen, start)


def spectral_data(
    train: Csr, num_items: int, *, rank: int, backend: Backend, seed: int
) -> FilterData:
    """What a filter with so many singular vectors, or none, reads."""
    plan = plan_pairs(train, num_items, backend=backend)
    vectors = None
    if rank:
        vectors = singular_vectors(
            plan,
            rank=min(rank, num_items, train.num_rows),
            key=jax.random.key(seed),
        )
    return filter_data(train, num_items, plan=plan, vectors=vectors)


def of_filter(
    name: str, train: Csr, data: FilterData, chosen: Filter, start: float
) -> Baseline:
    """A baseline that scores by a filter."""
    told = {"rank": data.items_IK.shape[1], **dataclasses.asdict(chosen)}
    return Baseline(
        name=name,
        score_chunk=_scores_of(chosen),
        data={**histories(train), "filter": data},
        seconds=time.perf_counter() - start,
        budget={"trials": 1, "grid": {}, "chosen": told},
    )


def filter_of(chosen: Mapping[str, float]) -> Filter:
    """The filter of a choice from a grid; its `rank` is that of the vectors."""
    whole = ("sharpening_steps", "sharpening_order")
    values: dict[str, Any] = {
        name: int(value) if name in whole else value
        for name, value in chosen.items()
        if name != "rank"
    }
    return Filter(**values)


@functools.cache
def _scores_of(chosen: Filter) -> ScoreChunk:
    """The same function for the same filter: it is compiled once."""

    def scores(data: dict[str, Any], users_B: jax.Array) -> jax.Array:
        num_items = data["filter"].items_IK.shape[0]
        return filtered(rows_of(data, users_B, num_items), data["filter"], chosen)

    return scores
