"""Metrics of predicted ratings. Pure NumPy: predictions in, numbers out.

Shapes: n ratings, N users who have one, K columns.

    rmse  sqrt of the mean squared error, over ratings
    mae   mean absolute error, over ratings

Whoever has many ratings counts as often. What is drawn where something is said of how
sure a number is are users: their ratings are not independent of one another.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation import significance
from llmgnn_jax.evaluation.slices import PARTS, history_name, thirds_of_items

METRICS = ("rmse", "mae")


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Ratings to be predicted: a user, an item and what it gave, each (n,)."""

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def taken(self, rows: np.ndarray) -> "Pairs":
        """Some of them."""
        return Pairs(
            users=self.users[rows], items=self.items[rows], values=self.values[rows]
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class RatingJudgement:
    """What a `RatingJudge` found.

    Attributes:
        mean: METRIC -> value.
        ci95: METRIC -> between which two numbers it lies, users drawn.
        slices: Slice -> METRIC -> value.
        squared_errors: (N,) of each user, times N over n: the mean over users is the
            mean squared error.
        users: (N,) whose.
    """

    mean: dict[str, float]
    ci95: dict[str, tuple[float, float]]
    slices: dict[str, dict[str, float]]
    squared_errors: np.ndarray
    users: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class RatingJudge:
    """Reads predictions against what was held out.

    Attributes:
        pairs: What was to be predicted.
        history: Users x items of the train part: what slices go by.
        num_items: Of the catalogue.
    """

    pairs: Pairs
    history: Csr
    num_items: int

    def __call__(self, predicted: np.ndarray) -> RatingJudgement:
        """All of it, of (n,) predictions."""
        pairs = self.pairs
        mean = evaluate_ratings(predicted, pairs.values)
        errors = np.asarray(predicted, np.float64) - pairs.values
        users, places = np.unique(pairs.users, return_inverse=True)
        counts_N = np.bincount(places)
        sums_NK = np.stack(
            [np.bincount(places, errors**2), np.bincount(places, np.abs(errors))], 1
        )
        low, high = significance.ratio_intervals(sums_NK, counts_N)
        return RatingJudgement(
            mean=mean,
            ci95={
                "rmse": (float(low[0] ** 0.5), float(high[0] ** 0.5)),
                "mae": (float(low[1]), float(high[1])),
            },
            slices={
                name: evaluate_ratings(predicted[rows], pairs.values[rows])
                for name, rows in self._slices.items()
            },
            squared_errors=sums_NK[:, 0] * len(users) / len(pairs),
            users=users,
        )

    @cached_property
    def _slices(self) -> Mapping[str, np.ndarray]:
        """Label -> rows: users by how much they rated, items by how often."""
        return {
            f"{name} ({len(rows):,} rating{'s' if len(rows) > 1 else ''})": rows
            for name, rows in (*self._by_history(), *self._by_item())
            if len(rows)
        }

    def _by_history(self) -> Iterator[tuple[str, np.ndarray]]:
        lengths_n = self.history.counts()[self.pairs.users]
        own_N = self.history.counts()[np.unique(self.pairs.users)]
        low = -1
        for limit in np.unique(np.quantile(own_N, np.arange(1, PARTS + 1) / PARTS)):
            rows = np.flatnonzero((lengths_n > low) & (lengths_n <= limit))
            if len(rows):
                yield history_name(lengths_n[rows]), rows
            low = limit

    def _by_item(self) -> Iterator[tuple[str, np.ndarray]]:
        counts_I = np.bincount(self.history.indices, minlength=self.num_items)
        for name, inside_I in thirds_of_items(counts_I).items():
            yield name, np.flatnonzero(inside_I[self.pairs.items])


def evaluate_ratings(predicted: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """Compares predicted ratings with the true ones, see the head of this file.

    Args:
        predicted: (n,) finite numbers.
        values: (n,) what was given.

    Raises:
        UserError: If there is no rating: no mean exists.
        ValueError: If shapes differ, or a prediction is no number.
    """
    predicted, values = np.asarray(predicted, np.float64), np.asarray(values)
    if predicted.shape != values.shape or values.ndim != 1:
        raise ValueError(f"predicted {predicted.shape}, values {values.shape}: not (n)")
    if not values.size:
        raise UserError.field("ratings", expected="at least one", got="none")
    if not np.isfinite(predicted).all():
        raise ValueError("predicted: expected finite numbers")
    errors = predicted - values
    return {
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "mae": float(np.mean(np.abs(errors))),
    }
