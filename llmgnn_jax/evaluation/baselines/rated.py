"""Predictors of ratings that are there to be beaten; NumPy and SciPy alone.

Shapes: U users, I items, E ratings, n pairs to be predicted, D width, F = D x D.

    global_mean     mu
    user_item_bias  mu + b_u + b_i, ridge regression on both, solved in turn (Koren
                    2010, "Factor in the neighbors", section 2.1)
    item_knn        the same, plus a weighted mean of what the user's ratings of the
                    item's nearest neighbours have left (the same, section 2.2)
    biased_mf       mu + b_u + b_i + p_u . q_i by alternating ridge regressions whose L2
                    grows with the number of ratings (Zhou et al. 2008, "Large-scale
                    parallel collaborative filtering for the Netflix prize")
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import scipy.sparse

Predict: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(n,) users and (n,) items -> (n,) float64 ratings."""

_BIAS_SWEEPS = 20
_FACTOR_SWEEPS = 15
_PAIRS_AT_ONCE = 2**16


@dataclass(frozen=True, kw_only=True, eq=False)
class Rated:
    """What baselines learn from: a pair that was rated twice counts twice in means, and
    with its mean where items or factors are compared.

    Attributes:
        users: (E,) int.
        items: (E,) int.
        values: (E,) float.
        num_users: U.
        num_items: I.
    """

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray
    num_users: int
    num_items: int

    @cached_property
    def mean(self) -> float:
        """mu."""
        return float(np.mean(self.values, dtype=np.float64))

    def matrix(self, values: np.ndarray) -> scipy.sparse.csr_array:
        """(U, I): the mean of (E,) values of each pair; stored where there is one."""
        shape = (self.num_users, self.num_items)
        where = (self.users, self.items)
        sums = scipy.sparse.csr_array((values.astype(np.float64), where), shape=shape)
        times = scipy.sparse.csr_array((np.ones(len(values)), where), shape=shape)
        sums.sum_duplicates()
        times.sum_duplicates()
        sums.data /= times.data
        return sums


@dataclass(frozen=True, kw_only=True, eq=False)
class Biases:
    """mu, (U,) b_u and (I,) b_i; 0 for whoever has no rating."""

    mean: float
    users_U: np.ndarray
    items_I: np.ndarray

    def __call__(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(n,) mu + b_u + b_i."""
        return self.mean + self.users_U[users] + self.items_I[items]


def global_mean(rated: Rated) -> Predict:
    """mu for every pair."""
    return lambda users, items: np.full(len(users), rated.mean)


def user_item_bias(rated: Rated, *, l2_users: float, l2_items: float) -> Biases:
    """Minimises sum (r - mu - b_u - b_i)^2 + l2_users |b_u|^2 + l2_items |b_i|^2."""
    return _fit_biases(rated, np.zeros(len(rated.values)), l2_users, l2_items)


def _fit_biases(
    rated: Rated, explained: np.ndarray, l2_users: float, l2_items: float
) -> Biases:
    """The same of what (E,) `explained` leaves."""
    users, items = rated.users, rated.items
    left = rated.values - rated.mean - explained
    of_users, of_items = np.zeros(rated.num_users), np.zeros(rated.num_items)
    user_counts = np.bincount(users, minlength=rated.num_users)
    item_counts = np.bincount(items, minlength=rated.num_items)
    for _ in range(_BIAS_SWEEPS):
        sums = np.bincount(items, left - of_users[users], rated.num_items)
        of_items = sums / np.maximum(item_counts + l2_items, 1e-12)
        sums = np.bincount(users, left - of_items[items], rated.num_users)
        of_users = sums / np.maximum(user_counts + l2_users, 1e-12)
    return Biases(mean=rated.mean, users_U=of_users, items_I=of_items)


class ItemNeighbours:
    """b_ui + sum_j s_ij (r_uj - b_uj) / sum_j |s_ij| over the user's nearest items j.

    s_ij is the correlation of what the biases leave, over the users who rated both, n
    of them, times n / (n + shrink).

    Args:
        rated: The train part.
        biases: What is explained without neighbours.
    """

    def __init__(self, rated: Rated, *, biases: Biases) -> None:
        self._biases = biases
        left = rated.matrix(rated.values - biases(rated.users, rated.items))
        self._left = left
        there = left.copy()
        there.data = np.ones_like(there.data)
        ones_UI = there.toarray().astype(np.float32)
        dense_UI = left.toarray().astype(np.float32)
        self._together_II = ones_UI.T @ ones_UI
        # Of each item, its squares over those users alone who rated the other one too.
        squares_II = (dense_UI**2).T @ ones_UI
        self._alike_II = dense_UI.T @ dense_UI
        self._alike_II /= np.sqrt(np.maximum(squares_II * squares_II.T, 1e-12))
        np.fill_diagonal(self._alike_II, 0.0)

    def fit(self, *, shrink: float, neighbours: int) -> Predict:
        """The predictor.

        Args:
            shrink: In users.
            neighbours: Most items that count, those of the largest |s_ij|.
        """

        def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:
            predicted = self._biases(users, items)
            order = np.argsort(users, kind="stable")
            starts = np.flatnonzero(np.diff(users[order], prepend=-1))
            for first, last in zip(starts, [*starts[1:], len(order)], strict=True):
                rows = order[first:last]
                predicted[rows] += self._of_user(
                    users[order[first]], items[rows], shrink, neighbours
                )
            return predicted

        return predict

    def _of_user(
        self, user: int, items: np.ndarray, shrink: float, neighbours: int
    ) -> np.ndarray:
        """(n,) what the neighbours add to a user's ratings of some items."""
        left = self._left
        own = slice(left.indptr[user], left.indptr[user + 1])
        columns, held = left.indices[own], left.data[own]
        where = items[:, None], columns[None, :]
        together = self._together_II[where]
        near = self._alike_II[where] * together / (together + max(shrink, 1e-6))
        values = np.broadcast_to(held, near.shape)
        if near.shape[1] > neighbours:
            best = np.argpartition(-np.abs(near), neighbours - 1, axis=1)
            best = best[:, :neighbours]
            near, values = np.take_along_axis(near, best, axis=1), held[best]
        total = np.abs(near).sum(axis=1)
        added = (near * values).sum(axis=1) / np.maximum(total, 1e-12)
        return np.where(total > 1e-12, added, 0.0)


def biased_mf(
    rated: Rated,
    *,
    rank: int,
    l2: float,
    l2_users: float,
    l2_items: float,
    seed: int = 0,
) -> Predict:
    """mu + b_u + b_i + p_u . q_i, biases and each side's vectors in turn.

    Args:
        rated: The train part.
        rank: D.
        l2: Of a vector, times how many ratings it has.
        l2_users: Of b_u.
        l2_items: Of b_i.
        seed: Of the first vectors.
    """
    rng = np.random.default_rng(seed)
    users_UD = 0.1 * rng.normal(size=(rated.num_users, rank))
    items_ID = 0.1 * rng.normal(size=(rated.num_items, rank))
    biases = user_item_bias(rated, l2_users=l2_users, l2_items=l2_items)
    for _ in range(_FACTOR_SWEEPS):
        left = rated.matrix(rated.values - biases(rated.users, rated.items))
        users_UD = _ridge_rows(left, items_ID, l2)
        items_ID = _ridge_rows(left.T.tocsr(), users_UD, l2)
        explained = _dots(users_UD, items_ID, rated.users, rated.items)
        biases = _fit_biases(rated, explained, l2_users, l2_items)
    return lambda users, items: (
        biases(users, items) + _dots(users_UD, items_ID, users, items)
    )


def _ridge_rows(
    left: scipy.sparse.csr_array, others_ID: np.ndarray, l2: float
) -> np.ndarray:
    """(U, D): each row's regression on the others' vectors; 0 for a row of nothing."""
    count, rank = others_ID.shape
    products_IF = (others_ID[:, :, None] * others_ID[:, None, :]).reshape(count, -1)
    stored = left.copy()
    stored.data = np.ones_like(stored.data)
    grams = (stored @ products_IF).reshape(-1, rank, rank)
    sizes = np.maximum(np.diff(left.indptr), 1)
    grams += l2 * sizes[:, None, None] * np.eye(rank)
    return np.linalg.solve(grams, (left @ others_ID)[:, :, None])[:, :, 0]


def _dots(
    users_UD: np.ndarray, items_ID: np.ndarray, users: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """(n,) products of users' and items' vectors, some pairs at a time."""
    found = np.empty(len(users))
    for first in range(0, len(users), _PAIRS_AT_ONCE):
        rows = slice(first, first + _PAIRS_AT_ONCE)
        found[rows] = np.einsum(
            "nd,nd->n", users_UD[users[rows]], items_ID[items[rows]]
        )
    return found
