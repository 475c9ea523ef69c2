"""Strong simple recommenders on the same split: popularity, ItemKNN and EASE.

They train on the train part only, like every model here, and their hyper-parameters are
chosen on valid. Fitting is NumPy on the host; scoring runs through `ranking.rank`.

Shape legend: `U` users, `B` users of a chunk, `I` items, `L` longest train history.
"""

import dataclasses
import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.metrics import evaluate_rankings
from llmgnn_jax.evaluation.ranking import ScoreChunk, rank

logger = logging.getLogger(__name__)

MAX_DENSE_ITEMS = 10_000
"""ItemKNN and EASE hold a few (I, I) arrays: 4 GB at this size."""

ITEM_KNN_GRID: Mapping[str, Sequence[float]] = {
    "neighbours": (50, 100, 200, 400),
    "shrink": (0.0, 50.0),
}
EASE_GRID: Mapping[str, Sequence[float]] = {
    "l2": (10.0, 30.0, 100.0, 200.0, 300.0, 500.0, 1_000.0, 3_000.0)
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """A fitted baseline: `rank(b.score_chunk, b.data, ...)` ranks with it.

    Attributes:
        name: "popularity", "item_knn" or "ease".
        score_chunk: Pure function of (data, users), shared by all of its fits.
        data: Device arrays that it reads.
        seconds: Wall time of the fit, or of the whole search where it was tuned.
        budget: For `results.json`: trials, grid, what was chosen, by which metric, its
            value on valid, and which choices lie at the edge of their grid.
    """

    name: str
    score_chunk: ScoreChunk
    data: dict[str, jax.Array]
    seconds: float
    budget: dict[str, Any]


def popularity(train: Csr, num_items: int) -> Baseline:
    """Scores an item by its number of train users, the same for everyone."""
    start = time.perf_counter()
    counts = np.bincount(train.indices, minlength=num_items).astype(np.float32)
    return Baseline(
        name="popularity",
        score_chunk=_same_for_all,
        data={"scores": jnp.asarray(counts)},
        seconds=time.perf_counter() - start,
        budget={"trials": 1, "grid": {}, "chosen": {}},
    )


def item_knn(
    train: Csr, num_items: int, *, neighbours: int = 200, shrink: float = 0.0
) -> Baseline:
    """Scores an item by its similarity to the user's train items, summed.

    The similarity of items i and j with n_i, n_j users, n_ij of them in common, is
    n_ij / (sqrt(n_i n_j) + shrink); each item keeps its `neighbours` most similar ones
    (those equal to the last of them too). Source: Deshpande and Karypis, "Item-based
    top-N recommendation algorithms" (2004); shrinkage as in Bell and Koren (2007).

    Raises:
        UserError: If the catalogue is too large for a dense item-item matrix.
    """
    start = time.perf_counter()
    chosen = {"neighbours": neighbours, "shrink": shrink}
    weights = _item_knn_weights(_common_users(train, num_items), **chosen)
    return _item_item("item_knn", train, weights, chosen, start)


def ease(train: Csr, num_items: int, *, l2: float = 300.0) -> Baseline:
    """The linear item-item model with zero diagonal that best rebuilds train.

    With G = X^T X and P = (G + l2 I)^-1, the weights are -P_ij / P_jj off the diagonal.
    Source: Steck, "Embarrassingly shallow autoencoders for sparse data" (2019), eq. 8.

    Raises:
        UserError: If the catalogue is too large for a dense item-item matrix, or l2 is
            not positive.
    """
    if l2 <= 0:
        raise UserError.field("l2", expected="a positive number", got=l2)
    start = time.perf_counter()
    weights = _ease_weights(_common_users(train, num_items), l2=l2)
    return _item_item("ease", train, weights, {"l2": l2}, start)


def tuned_baselines(
    train: Csr,
    valid_positives: Csr,
    *,
    num_items: int,
    metric: str = "ndcg@10",
    item_knn_grid: Mapping[str, Sequence[float]] = ITEM_KNN_GRID,
    ease_grid: Mapping[str, Sequence[float]] = EASE_GRID,
    memory_limit_mb: float = 256,
) -> dict[str, Baseline]:
    """All baselines, hyper-parameters chosen on valid: name -> fitted on train.

    Every combination of a grid is fitted on train and ranked for valid (train items
    masked); the best by `metric` is kept, the first of equals. ItemKNN and EASE get the
    same number of trials. Test is out of reach: it is not an argument.

    Above 10,000 items only popularity is returned; the log says so.

    Args:
        train: (U x I) train pairs.
        valid_positives: (U x I) pairs to be found in valid.
        num_items: I.
        metric: "ndcg@10" and so on, from `evaluation.metrics`.
        item_knn_grid: Keyword of `item_knn` -> values.
        ease_grid: Keyword of `ease` -> values.
        memory_limit_mb: Cap of the added device memory of a ranking.
    """
    baselines = {"popularity": popularity(train, num_items)}
    if num_items > MAX_DENSE_ITEMS:
        logger.warning(
            "item_knn and ease left out: %d items, at most %d fit a dense matrix",
            num_items,
            MAX_DENSE_ITEMS,
        )
        return baselines
    k = int(metric.partition("@")[2])

    def quality(fitted: Baseline) -> float:
        ranked = rank(
            fitted.score_chunk,
            fitted.data,
            num_users=train.num_rows,
            num_items=num_items,
            seen=train,
            k=k,
            memory_limit_mb=memory_limit_mb,
        )
        measured = evaluate_rankings(
            ranked.items, ranked.users, valid_positives, ks=(k,), num_items=num_items
        )
        return measured.mean[metric]

    common = _common_users(train, num_items)
    for name, weigh, grid in (
        ("item_knn", _item_knn_weights, item_knn_grid),
        ("ease", _ease_weights, ease_grid),
    ):
        start = time.perf_counter()
        best, best_value, trials = None, -np.inf, 0
        for values in itertools.product(*grid.values()):
            chosen = dict(zip(grid, values, strict=True))
            fitted = _item_item(name, train, weigh(common, **chosen), chosen, start)
            value = quality(fitted)
            trials += 1
            if value > best_value:
                best, best_value = fitted, value
        if best is None:
            raise ValueError(f"the grid of {name} is empty")
        budget = _budget(grid, best.budget["chosen"], trials, metric, best_value)
        logger.info(
            "%s: %s chosen of %d by valid %s %.4f",
            name,
            ", ".join(f"{key} {value:g}" for key, value in budget["chosen"].items()),
            trials,
            metric,
            best_value,
        )
        baselines[name] = dataclasses.replace(
            best, seconds=time.perf_counter() - start, budget=budget
        )
    return baselines


def _budget(
    grid: Mapping[str, Sequence[float]],
    chosen: dict[str, float],
    trials: int,
    metric: str,
    value: float,
) -> dict[str, Any]:
    """What `results.json` says of a search."""
    return {
        "trials": trials,
        "grid": {name: list(values) for name, values in grid.items()},
        "chosen": chosen,
        "chosen_by": f"valid {metric}",
        "value": value,
        # A grid that ends at its best value may have ended too early.
        "at_edge": [
            name
            for name, values in grid.items()
            if len(values) > 2 and chosen[name] in (min(values), max(values))
        ],
    }


def _item_knn_weights(
    common: np.ndarray, *, neighbours: float, shrink: float
) -> np.ndarray:
    norms = np.sqrt(np.diag(common))
    denominators = np.outer(norms, norms) + shrink
    weights = np.divide(
        common, denominators, out=np.zeros_like(common), where=denominators > 0
    )
    np.fill_diagonal(weights, 0.0)
    if neighbours < len(common):
        # Symmetric, and rows are partitioned faster than columns.
        last = np.partition(weights, -int(neighbours), axis=1)[:, -int(neighbours)]
        weights[weights < last] = 0.0
    return weights


def _ease_weights(common: np.ndarray, *, l2: float) -> np.ndarray:
    # In float64: where l2 is small, float32 loses digits to the condition number.
    gram = common.astype(np.float64)
    gram[np.diag_indices_from(gram)] += l2
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


def _common_users(train: Csr, num_items: int) -> np.ndarray:
    """(I, I) float32: users in common; the diagonal counts an item's users."""
    if num_items > MAX_DENSE_ITEMS:
        raise UserError.field(
            "num_items",
            expected=f"at most {MAX_DENSE_ITEMS} for a dense item-item baseline",
            got=num_items,
            fix="leave item_knn and ease out",
        )
    ones = np.ones(len(train.indices), np.float32)
    matrix = scipy.sparse.csr_array(
        (ones, train.indices, train.indptr), shape=(train.num_rows, num_items)
    )
    return (matrix.T @ matrix).toarray()


def _item_item(
    name: str, train: Csr, weights: np.ndarray, chosen: dict[str, float], start: float
) -> Baseline:
    """A baseline that scores by (I, I) weights from history item to scored item."""
    longest = int(train.counts().max(initial=1))
    data = {
        "indptr": jnp.asarray(train.indptr, jnp.int32),
        "indices": jnp.asarray(train.indices),
        # Its length is how a static L reaches the score function.
        "lanes": jnp.arange(longest, dtype=jnp.int32),
        "weights": jnp.asarray(weights, jnp.float32),
    }
    return Baseline(
        name=name,
        score_chunk=_by_history,
        data=data,
        seconds=time.perf_counter() - start,
        budget={"trials": 1, "grid": {}, "chosen": chosen},
    )


def _same_for_all(data: dict[str, jax.Array], users_B: jax.Array) -> jax.Array:
    scores_I = data["scores"]
    return jnp.broadcast_to(scores_I[None], (users_B.shape[0], scores_I.shape[0]))


def _by_history(data: dict[str, jax.Array], users_B: jax.Array) -> jax.Array:
    """(B, I): the history as a 0/1 row, times the item-item weights."""
    num_items = data["weights"].shape[0]
    starts_B1 = data["indptr"][users_B][:, None]
    ends_B1 = data["indptr"][users_B + 1][:, None]
    places_BL = starts_B1 + data["lanes"][None]
    # Lanes past the end of a history point outside the row and are dropped.
    items_BL = jnp.where(
        places_BL < ends_B1, data["indices"].at[places_BL].get(mode="clip"), num_items
    )
    rows_B1 = jnp.arange(users_B.shape[0])[:, None]
    history_BI = jnp.zeros((users_B.shape[0], num_items), jnp.float32)
    history_BI = history_BI.at[rows_B1, items_BL].set(1.0, mode="drop")
    return jnp.matmul(history_BI, data["weights"], precision=jax.lax.Precision.HIGHEST)
