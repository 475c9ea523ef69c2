"""Hyper-parameters of the baselines, chosen on valid: as many trials for each."""

import dataclasses
import functools
import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.baselines import item_item
from llmgnn_jax.evaluation.baselines.fitted import Baseline
from llmgnn_jax.evaluation.baselines.neighbours import (
    adamic_adar,
    common_neighbours,
)
from llmgnn_jax.evaluation.baselines.popular import popularity
from llmgnn_jax.evaluation.baselines.random_order import (
    breaking_ties,
    random_order,
)
from llmgnn_jax.evaluation.baselines.slim import (
    Candidates,
    candidates_of,
    slim_weights,
)
from llmgnn_jax.evaluation.baselines.spectral import (
    filter_of,
    of_filter,
    spectral_data,
)
from llmgnn_jax.evaluation.metrics import evaluate_rankings
from llmgnn_jax.evaluation.ranking import rank
from llmgnn_jax.evaluation.search_budget import search_budget
from llmgnn_jax.graph import item_item as dense
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.ridge import RidgeInverse

logger = logging.getLogger(__name__)

Grid = Mapping[str, Sequence[float]]

GRIDS: Mapping[str, Grid] = {
    "item_knn": {"shrink": (0.0, 50.0), "neighbours": (50, 100, 200, 400)},
    "ease": {"l2": (10.0, 30.0, 100.0, 200.0, 300.0, 500.0, 1_000.0, 3_000.0)},
    "slim": {
        "l1": (0.5, 2.0),
        "l2": (10.0, 50.0, 200.0, 500.0),
        "neighbours": (100,),
    },
    "gf_cf": {"rank": (32, 128), "ideal_weight": (0.1, 0.3, 1.0, 3.0)},
    "bspm": {
        "rank": (32, 128),
        "ideal_weight": (0.2, 1.0),
        "sharpening": (0.3, 0.8),
    },
    "text_knn": {"centred": (0.0, 1.0), "neighbours": (20, 50, 200, 1_000)},
}
"""Eight trials each."""

_DENSE = ("item_knn", "ease", "slim", "text_knn")
"""Those whose weights are an (I, I) array."""

_FILTERS = ("gf_cf", "bspm", "linkprop", "degree_filter")
"""Those of `graph.spectral`."""

_USERS_A_TRIAL = 2_000

# Fits one choice of hyper-parameters; of the start of the clock.
Fit = Callable[[dict[str, Any], float], Baseline]

Quality: TypeAlias = Callable[[Baseline], float]
"""A metric on valid."""


def tuned_baselines(
    train: Csr,
    valid_positives: Csr,
    *,
    num_items: int,
    candidates: np.ndarray | None = None,
    item_vectors: np.ndarray | None = None,
    metric: str = "ndcg@10",
    grids: Mapping[str, Grid] = GRIDS,
    memory_limit_mb: float = 256,
    backend: Backend = "csr",
    tie_seed: int | None = None,
    people: bool = False,
) -> dict[str, Baseline]:
    """All baselines, hyper-parameters chosen on valid: name -> fitted on train.

    Every combination of a grid is fitted on train and ranked for valid (train items
    masked); the best by `metric` is kept, the first of equals. Test is out of reach: it
    is not an argument.

    A trial ranks 2,000 of the users who have something in valid, the same ones each
    time, or all where there are fewer. Above 10,000 items those that weigh items
    against one another are left out; the log says so.

    Args:
        train: (U x I) train pairs.
        valid_positives: (U x I) pairs to be found in valid.
        num_items: I.
        candidates: (I,) bool, which items a trial ranks; None for all of them.
        item_vectors: (I, T) text vectors, 0 where an item has none; None leaves
            `text_knn` out.
        metric: "ndcg@10" and so on, from `evaluation.metrics`.
        grids: Name of a baseline -> keyword -> values; those without one are left out.
        memory_limit_mb: Cap of the added device memory of a ranking.
        backend: Kernel of the sums over neighbours.
        tie_seed: Of an order drawn at random for items of equal scores, for cold
            splits, where baselines of ids know nothing of what is ranked; `random` is
            one of the baselines then. None: the lower number comes first.
        people: Whether items are the users: then their neighbours in common tell too.
    """
    quality = trial_quality(
        train,
        valid_positives,
        num_items=num_items,
        candidates=candidates,
        metric=metric,
        memory_limit_mb=memory_limit_mb,
    )

    def fair(fitted: Baseline) -> Baseline:
        if tie_seed is None:
            return fitted
        return breaking_ties(fitted, num_items, seed=tie_seed)

    baselines = {"popularity": fair(popularity(train, num_items))}
    if tie_seed is not None:
        baselines["random"] = random_order(num_items, seed=tie_seed)
    if people and num_items <= dense.MAX_DENSE_ITEMS:
        baselines["common_neighbours"] = common_neighbours(train)
        baselines["adamic_adar"] = adamic_adar(train)
    fits = _fits(train, num_items, item_vectors, backend)
    if num_items > dense.MAX_DENSE_ITEMS:
        logger.warning(
            "%s left out: %d items, at most %d fit a dense matrix",
            ", ".join(name for name in grids if name in _DENSE),
            num_items,
            dense.MAX_DENSE_ITEMS,
        )
        fits = {name: fit for name, fit in fits.items() if name not in _DENSE}
    for name, grid in grids.items():
        if name in fits:
            fit = fits[name]()
            baselines[name] = _best(
                name, grid, lambda *of, fit=fit: fair(fit(*of)), quality, metric
            )
            del fit  # And with it what its trials shared.
    return baselines


def trial_quality(
    train: Csr,
    valid_positives: Csr,
    *,
    num_items: int,
    candidates: np.ndarray | None = None,
    metric: str,
    memory_limit_mb: float = 256,
) -> Quality:
    """What a trial is judged by, see `tuned_baselines`."""
    k = int(metric.partition("@")[2])
    judged = np.flatnonzero(valid_positives.counts())
    if len(judged) > _USERS_A_TRIAL:
        judged = np.random.default_rng(0).permutation(judged)[:_USERS_A_TRIAL]
        judged.sort()

    def quality(fitted: Baseline) -> float:
        ranked = rank(
            fitted.score_chunk,
            fitted.data,
            num_users=train.num_rows,
            num_items=num_items,
            seen=train,
            k=k,
            candidates=candidates,
            users=judged,
            memory_limit_mb=memory_limit_mb,
        )
        measured = evaluate_rankings(
            ranked.items, ranked.users, valid_positives, ks=(k,), num_items=num_items
        )
        return measured.mean[metric]

    return quality


def _fits(
    train: Csr, num_items: int, item_vectors: np.ndarray | None, backend: Backend
) -> dict[str, Callable[[], Fit]]:
    """Name -> what makes its fit, which holds what its trials share while it lives."""

    @functools.cache
    def data(width: int) -> Any:
        return spectral_data(train, num_items, rank=width, backend=backend, seed=0)

    def filters(name: str) -> Callable[[], Fit]:
        return lambda: (
            lambda chosen, start: of_filter(
                name, train, data(int(chosen["rank"])), filter_of(chosen), start
            )
        )

    common = functools.cache(lambda: item_item.common_users(train, num_items))

    def weighing(name: str, weigh: Callable[..., np.ndarray]) -> Fit:
        return lambda chosen, start: item_item.of_weights(
            name, train, weigh(**chosen), chosen, start
        )

    # One at a time is kept, and the grids have no change of it inside another loop.
    def item_knn() -> Fit:
        @functools.lru_cache(maxsize=1)
        def similar(shrink: float) -> item_item.Similarities:
            return item_item.common_share(common(), shrink=shrink)

        return weighing(
            "item_knn", lambda shrink, neighbours: similar(shrink).nearest(neighbours)
        )

    def ease() -> Fit:
        pairs = item_item.pairs_matrix(train, num_items)
        return weighing("ease", lambda l2: RidgeInverse(pairs, l2=l2).weights())

    def slim() -> Fit:
        @functools.cache
        def candidates(neighbours: float) -> Candidates:
            similar = item_item.common_share(common(), shrink=0.0)
            return candidates_of(similar, neighbours=neighbours)

        return weighing(
            "slim",
            lambda l1, l2, neighbours: slim_weights(
                common(), candidates(neighbours), l1=l1, l2=l2
            ),
        )

    def text_knn() -> Fit:
        assert item_vectors is not None
        heard = np.bincount(train.indices, minlength=num_items) > 0

        @functools.lru_cache(maxsize=1)
        def similar(centred: float) -> item_item.Similarities:
            return item_item.cosines(item_vectors, heard=heard, centred=centred)

        return weighing(
            "text_knn",
            lambda centred, neighbours: similar(centred).nearest(neighbours),
        )

    fits = {
        "item_knn": item_knn,
        "ease": ease,
        "slim": slim,
        **{name: filters(name) for name in _FILTERS},
    }
    if item_vectors is not None:
        fits["text_knn"] = text_knn
    return fits


def _best(
    name: str,
    grid: Grid,
    fit: Fit,
    quality: Quality,
    metric: str,
) -> Baseline:
    start = time.perf_counter()
    best, best_value, trials = None, -np.inf, 0
    for values in itertools.product(*grid.values()):
        fitted = fit(dict(zip(grid, values, strict=True)), start)
        value = quality(fitted)
        trials += 1
        if value > best_value:
            best, best_value = fitted, value
    if best is None:
        raise ValueError(f"the grid of {name} is empty")
    budget = search_budget(
        grid,
        best.budget["chosen"],
        trials=trials,
        metric=metric,
        value=best_value,
    )
    logger.info(
        "%s: %s chosen of %d by valid %s %.4f",
        name,
        ", ".join(f"{key} {value:g}" for key, value in budget["chosen"].items()),
        trials,
        metric,
        best_value,
    )
    return dataclasses.replace(best, seconds=time.perf_counter() - start, budget=budget)
