"""Ranking metrics at k, as RecBole defines them. Pure NumPy: rankings in, numbers out.

Shape legend: `U` ranked users, `K` length of the rankings, `N` users with positives.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.errors import UserError

METRICS = ("recall", "ndcg", "mrr", "map", "hit", "precision")
"""Metrics that each user has; `coverage` belongs to all users together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Metrics:
    """What `evaluate_rankings` measured.

    Attributes:
        mean: "recall@10" and so on -> mean over the evaluated users; "coverage@10".
        per_user: "recall@10" and so on -> (N,) float64, without coverage.
        users: (N,) int64 the evaluated users, those with positives, in ranking order.
    """

    mean: dict[str, float]
    per_user: dict[str, np.ndarray]
    users: np.ndarray


def evaluate_rankings(
    items: np.ndarray,
    users: np.ndarray,
    positives: Csr,
    *,
    ks: Sequence[int] = (10, 20),
    num_items: int,
    num_candidates: int | None = None,
) -> Metrics:
    """Scores rankings against held-out positives.

    With rel_i = 1 where the item at rank i (from 1) is one of the user's P positives:

        recall@k     sum_{i<=k} rel_i / P
        precision@k  sum_{i<=k} rel_i / k
        hit@k        1 if any rel_i = 1, i <= k
        mrr@k        1 / (rank of the first positive), 0 if it comes after k
        map@k        sum_{i<=k} rel_i precision@i / min(P, k)
        ndcg@k       sum_{i<=k} rel_i / log2(i + 1), over the same sum for
                     min(P, k) positives ranked first
        coverage@k   distinct items in the first k places of all evaluated users, over
                     num_candidates

    Users without positives are left out of everything. A place without an item (-1)
    counts as a miss. Source: RecBole 1.2, `recbole/evaluator/metrics.py`.

    Args:
        items: (U, K) item indices, best first; -1 where the catalogue is exhausted.
        users: (U,) user index of each row.
        positives: Users x items to be found.
        ks: Cut-offs, none above K.
        num_items: Number of items: indices are below it.
        num_candidates: How many of them could have been recommended; all by default.

    Raises:
        UserError: If none of the users has a positive: no mean exists.
        ValueError: If shapes do not fit, an index is out of range, a ranking names an
            item twice, or a cut-off is not in [1, K].
    """
    items, users = _checked(items, users, positives, ks, num_items)
    num_positives = positives.counts()[users]
    evaluated = num_positives > 0
    if not evaluated.any():
        raise UserError.field(
            "positives",
            expected="at least one ranked user with a held-out interaction",
            got=f"none among {len(users)} users",
            fix="use more data or another split",
        )
    items, users = items[evaluated], users[evaluated]
    num_positives = num_positives[evaluated]
    relevant = _relevant(items, users, positives, num_items)

    ranks = np.arange(1, items.shape[1] + 1)
    discounts = 1.0 / np.log2(ranks + 1.0)
    hits = np.cumsum(relevant, axis=1)
    gains = np.cumsum(relevant * discounts, axis=1)
    ideal_gains = np.cumsum(discounts)
    precision_sums = np.cumsum(relevant * (hits / ranks), axis=1)
    first = np.where(relevant.any(axis=1), relevant.argmax(axis=1) + 1, np.inf)

    mean: dict[str, float] = {}
    per_user: dict[str, np.ndarray] = {}
    for k in ks:
        found = hits[:, k - 1].astype(np.float64)
        possible = np.minimum(num_positives, k)
        values = {
            "recall": found / num_positives,
            "ndcg": gains[:, k - 1] / ideal_gains[possible - 1],
            "mrr": np.where(first <= k, 1.0 / first, 0.0),
            "map": precision_sums[:, k - 1] / possible,
            "hit": (found > 0).astype(np.float64),
            "precision": found / k,
        }
        for name in METRICS:
            per_user[f"{name}@{k}"] = values[name]
            mean[f"{name}@{k}"] = float(values[name].mean())
        shown = np.unique(items[:, :k])
        mean[f"coverage@{k}"] = float(
            (shown >= 0).sum() / (num_candidates or num_items)
        )
    return Metrics(mean=mean, per_user=per_user, users=users)


def _checked(
    items: np.ndarray,
    users: np.ndarray,
    positives: Csr,
    ks: Sequence[int],
    num_items: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Both as int64, or ValueError."""
    items, users = np.asarray(items, np.int64), np.asarray(users, np.int64)
    if items.ndim != 2 or users.shape != items.shape[:1]:
        raise ValueError(f"items {items.shape} and users {users.shape}: not (U, K), U")
    bad = [k for k in ks if not 1 <= k <= items.shape[1]]
    if bad or not ks:
        raise ValueError(f"cut-offs {tuple(ks)}: not in [1, {items.shape[1]}]")
    if users.size and not 0 <= users.min() <= users.max() < positives.num_rows:
        raise ValueError(f"users must lie in [0, {positives.num_rows})")
    if items.size and not -1 <= items.min() <= items.max() < num_items:
        raise ValueError(f"items must lie in [0, {num_items}), or be -1")
    if positives.indices.size and positives.indices.max() >= num_items:
        raise ValueError(f"positives must lie in [0, {num_items})")
    ordered = np.sort(items, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise ValueError("a ranking names an item twice")
    return items, users


def _relevant(
    items: np.ndarray, users: np.ndarray, positives: Csr, num_items: int
) -> np.ndarray:
    """(N, K) bool: is the item one of the user's positives."""
    # Rows ascend and so do columns within a row: the keys are sorted as they are.
    keys = (
        np.repeat(np.arange(positives.num_rows) * num_items, positives.counts())
        + positives.indices
    )
    wanted = users[:, None] * num_items + items
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return (keys[place] == wanted) & (items >= 0)
