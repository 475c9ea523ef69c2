"""Hyper-parameters of the baselines of ratings, chosen on valid."""

import functools
import itertools
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmgnn_jax.evaluation.baselines import rated as fits
from llmgnn_jax.evaluation.baselines.rated import Predict, Rated
from llmgnn_jax.evaluation.baselines.tuning import Grid
from llmgnn_jax.evaluation.ratings import Pairs, evaluate_ratings
from llmgnn_jax.evaluation.search_budget import search_budget

logger = logging.getLogger(__name__)

RATING_GRIDS: Mapping[str, Grid] = {
    "user_item_bias": {"l2_users": (2.0, 5.0, 10.0, 20.0), "l2_items": (0.5, 2.0)},
    "item_knn": {"shrink": (30.0, 100.0), "neighbours": (10, 20, 40, 80)},
    "biased_mf": {"rank": (8, 32), "l2": (0.05, 0.1, 0.15, 0.2)},
}
"""Eight trials each; the others go by the biases that were chosen."""

_MAX_ITEMS = 10_000
"""Above it nothing is built that holds an (I, I) array."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RatingBaseline:
    """A fitted baseline.

    Attributes:
        name: "global_mean", "item_knn" and so on.
        predict: Of any pairs of users and items.
        seconds: Wall time of its search, or of its fit.
        budget: For `results.json`.
    """

    name: str
    predict: Predict
    seconds: float
    budget: dict[str, Any]


def tuned_rating_baselines(
    rated: Rated,
    valid: Pairs | None,
    *,
    clip: Callable[[np.ndarray], np.ndarray],
    metric: str,
    seed: int = 0,
    grids: Mapping[str, Grid] = RATING_GRIDS,
) -> dict[str, RatingBaseline]:
    """All of them: name -> fitted on train. Test is out of reach.

    Args:
        rated: The train part.
        valid: What is chosen on; None leaves out whatever has something to choose.
        clip: What every prediction goes through before it is judged.
        metric: "rmse" or "mae".
        seed: Of the first vectors of the factorisation.
        grids: Name -> keyword -> values; those without one are left out.
    """
    start = time.perf_counter()
    found = {
        "global_mean": RatingBaseline(
            name="global_mean",
            predict=fits.global_mean(rated),
            seconds=time.perf_counter() - start,
            budget={},
        )
    }
    if valid is None:
        logger.warning("tuned baselines left out: there is nothing to tune them on")
        return found

    def search(name: str, fit: Callable[..., Predict]) -> RatingBaseline:
        return _tuned(name, fit, grids[name], valid, clip=clip, metric=metric)

    best = search("user_item_bias", functools.partial(fits.user_item_bias, rated))
    found["user_item_bias"] = best
    chosen = best.budget["chosen"]
    biases = fits.user_item_bias(rated, **chosen)
    if rated.num_items > _MAX_ITEMS:
        logger.info("item_knn left out: above %d items", _MAX_ITEMS)
    elif "item_knn" in grids:
        neighbours = fits.ItemNeighbours(rated, biases=biases)
        found["item_knn"] = search("item_knn", neighbours.fit)
    if "biased_mf" in grids:
        fit = functools.partial(fits.biased_mf, rated, seed=seed, **chosen)
        found["biased_mf"] = search("biased_mf", fit)
    return found


def _tuned(
    name: str,
    fit: Callable[..., Predict],
    grid: Grid,
    valid: Pairs,
    *,
    clip: Callable[[np.ndarray], np.ndarray],
    metric: str,
) -> RatingBaseline:
    """The best of every combination on valid, the first of equals."""
    start = time.perf_counter()
    best, least, chosen, trials = None, np.inf, dict[str, Any](), 0
    for values in itertools.product(*grid.values()):
        choice = dict(zip(grid, values, strict=True))
        predict = fit(**choice)
        predicted = clip(predict(valid.users, valid.items))
        error = evaluate_ratings(predicted, valid.values)[metric]
        trials += 1
        if error < least:
            best, least, chosen = predict, error, choice
    assert best is not None
    seconds = time.perf_counter() - start
    logger.info(
        "%s: %s chosen of %d by valid %s %.4f",
        name,
        ", ".join(f"{key} {value:g}" for key, value in chosen.items()),
        trials,
        metric,
        least,
    )
    return RatingBaseline(
        name=name,
        predict=best,
        seconds=seconds,
        budget=search_budget(grid, chosen, trials=trials, metric=metric, value=least),
    )
