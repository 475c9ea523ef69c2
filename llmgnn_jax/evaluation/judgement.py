"""`Judge`: all that is said of a model's lists, and of one model beside the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation import significance
from llmgnn_jax.evaluation.beyond_accuracy import Catalogue, beyond_accuracy
from llmgnn_jax.evaluation.metrics import Metrics, evaluate_rankings
from llmgnn_jax.evaluation.ranking import Rankings
from llmgnn_jax.evaluation.results import ModelResult
from llmgnn_jax.evaluation.slices import sliced


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a `Judge` found.

    Attributes:
        mean: METRIC -> mean over users.
        ci95: METRIC -> between which two numbers its mean over users lies.
        slices: Slice -> METRIC -> mean.
        beyond_accuracy: What all lists together are like, see `beyond_accuracy`.
        per_user: METRIC -> (N,) float64.
        users: (N,) int64, whose.
    """

    mean: dict[str, float]
    ci95: dict[str, tuple[float, float]]
    slices: dict[str, dict[str, float]]
    beyond_accuracy: dict[str, float]
    per_user: dict[str, np.ndarray]
    users: np.ndarray

    def result(self, **about: Any) -> ModelResult:
        """A row of the results: this on test, and what else is known of the model."""
        return ModelResult(
            test=self.mean,
            ci95=self.ci95,
            slices=self.slices,
            beyond_accuracy=self.beyond_accuracy,
            **about,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """Reads lists against what was held out.

    Attributes:
        positives: Users x items to be found.
        history: Users x items of the train part: what slices and popularity go by.
        num_items: Of the catalogue.
        ks: Cut-offs.
        candidates: (num_items,) bool, which items were ranked; None for all of them.
    """

    positives: Csr
    history: Csr
    num_items: int
    ks: Sequence[int]
    candidates: np.ndarray | None = None

    def metrics(self, rankings: Rankings) -> Metrics:
        """How right the lists are, and nothing else."""
        return evaluate_rankings(
            rankings.items,
            rankings.users,
            self.positives,
            ks=self.ks,
            num_items=self.num_items,
            num_candidates=None if self.candidates is None else self.candidates.sum(),
        )

    def __call__(self, rankings: Rankings) -> Judgement:
        """All of it, of the users who have something to be found."""
        metrics = self.metrics(rankings)
        found = np.isin(rankings.users, metrics.users)
        items, users = rankings.items[found], rankings.users[found]
        names = list(metrics.per_user)
        low_M, high_M = significance.mean_intervals(
            np.stack([metrics.per_user[name] for name in names], axis=1)
        )
        return Judgement(
            mean=metrics.mean,
            ci95={
                name: (float(low_M[number]), float(high_M[number]))
                for number, name in enumerate(names)
            },
            slices=sliced(items, users, self.positives, self._catalogue, ks=self.ks),
            beyond_accuracy=beyond_accuracy(items, users, self._catalogue, ks=self.ks),
            per_user=metrics.per_user,
            users=metrics.users,
        )

    @cached_property
    def _catalogue(self) -> Catalogue:
        return Catalogue(self.history, self.num_items, self.candidates)


def comparisons(
    name: str, values: Mapping[str, np.ndarray], *, metric: str
) -> list[dict[str, Any]]:
    """One model against each of the others, as `results.json` has it.

    Args:
        name: The one.
        values: Model -> (N,) its metric for each user, in one order of users, as it is
            where one `Judge` read lists of the same users.
        metric: Which it is.
    """
    return documented(significance.compared(name, values), metric=metric)


def documented(
    found: Sequence[significance.Comparison], *, metric: str
) -> list[dict[str, Any]]:
    """Comparisons as `results.json` has them."""
    return [
        {
            "a": one.a,
            "b": one.b,
            "metric": metric,
            "delta": one.delta,
            "ci95": list(one.ci95),
            "ci95_simultaneous": list(one.ci95_simultaneous),
            "p": one.p,
            "method": significance.METHOD,
            "correction": significance.CORRECTION,
        }
        for one in found
    ]
