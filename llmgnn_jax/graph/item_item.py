"""A linear filter of who interacted with what, in closed form, as vectors.

A user's history times weights between items. The weights are those that rebuild the
train part best, and what they say of all users is written as inner products of short
vectors, so that it is added to any model's scores at the price of a wider vector.

Shapes: U users, I items, K width of the vectors.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.sparse

from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.ridge import RidgeInverse

MAX_DENSE_ITEMS = 10_000
"""Weights between items are a few (I, I) arrays: 4 GB at this size."""

Squared: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""(I, K) -> (I, K), the product with a symmetric matrix."""

_OVERSAMPLED = 16
_ITERATIONS = 6


class FilterVectors(NamedTuple):
    """A filter's scores as inner products.

    Attributes:
        read_IK: What an item adds to the vector of a user who had it.
        item_IK: What a user's vector is multiplied with.
        user_UK: The sums over the train histories.
    """

    read_IK: np.ndarray
    item_IK: np.ndarray
    user_UK: np.ndarray


def item_item_filter(
    train: TrainSplit, *, l2: float, rating_power: float, rank: int
) -> FilterVectors:
    """The filter of a train part.

    With Y the ratings as shares of the highest, to a power, and W the weights of
    `RidgeInverse.weights`, scores are Y W. Their K leading right singular vectors V
    give (Y W V) V^T, which no other K vectors are nearer to.

    Args:
        train: The train part.
        l2: Of the weights, in users.
        rating_power: 0 makes all interactions alike.
        rank: K; at most I.

    Raises:
        UserError: If the catalogue is too large for a dense item-item matrix.
    """
    check_dense(train.num_items)
    rated_UI = rated(train, power=rating_power)
    inverse = RidgeInverse(rated_UI, l2=l2)
    # W = 1 - P D^-1, with D the diagonal of P.
    lengths_I1 = inverse.diagonal_I[:, None]
    rank = min(rank, train.num_items)
    if train.num_users < train.num_items:
        rows_UI = rated_UI.toarray().astype(np.float64)
        scores_UI = rows_UI - (inverse @ rows_UI.T).T / lengths_I1.T
        item_IK = _right_singular(scores_UI, rank)
    else:

        def squared(vectors_IK: np.ndarray) -> np.ndarray:
            rebuilt = vectors_IK - inverse @ (vectors_IK / lengths_I1)
            rebuilt = rated_UI.T @ (rated_UI @ rebuilt)
            return rebuilt - (inverse @ rebuilt) / lengths_I1

        item_IK = _leading(squared, train.num_items, rank)
    read_IK = item_IK - inverse @ (item_IK / lengths_I1)
    return FilterVectors(
        read_IK=read_IK.astype(np.float32),
        item_IK=item_IK.astype(np.float32),
        user_UK=(rated_UI @ read_IK).astype(np.float32),
    )


def rated(train: TrainSplit, *, power: float) -> scipy.sparse.csr_array:
    """(U, I) float32: (rating / highest)^power of each train pair, the best of several.

    Ratings that are not positive count for nothing, unless the power is 0.
    """
    values = np.asarray(train.values, np.float32)
    highest = values.max(initial=0.0)
    if power == 0 or highest <= 0:
        weights = np.ones(len(values), np.float32)
    else:
        weights = (np.maximum(values, 0.0) / highest) ** power
    # Of pairs that repeat the last is kept: the best one.
    order = np.argsort(weights, kind="stable")
    keys = train.users[order].astype(np.int64) * train.num_items + train.items[order]
    _, last = np.unique(keys[::-1], return_index=True)
    kept = order[::-1][last]
    return scipy.sparse.csr_array(
        (weights[kept], (train.users[kept], train.items[kept])),
        shape=(train.num_users, train.num_items),
    )


def check_dense(num_items: int) -> None:
    """Raises `UserError` if a dense item-item matrix would be too large."""
    if num_items > MAX_DENSE_ITEMS:
        raise UserError.field(
            "num_items",
            expected=f"at most {MAX_DENSE_ITEMS} for dense weights between items, of "
            "the filter 'item_item' and of some baselines",
            got=num_items,
            fix="add --graph.filter spectral (or none), or --data.min_per_item 5",
        )


def _leading(squared: Squared, size: int, rank: int) -> np.ndarray:
    """(I, K) leading eigenvectors of a symmetric operator, by subspace iteration.

    Source: Halko, Martinsson and Tropp, "Finding structure with randomness" (2011),
    algorithm 4.4.
    """
    width = min(rank + _OVERSAMPLED, size)
    basis = np.random.default_rng(0).standard_normal((size, width))
    for _ in range(_ITERATIONS):
        basis, _ = np.linalg.qr(squared(basis))
    small = basis.T @ squared(basis)
    _, rotation = np.linalg.eigh((small + small.T) / 2)
    return basis @ rotation[:, ::-1][:, :rank]


def _right_singular(matrix_UI: np.ndarray, rank: int) -> np.ndarray:
    """(I, K) leading right singular vectors; 0 beyond the matrix's rank."""
    squares_U, left_UU = np.linalg.eigh(matrix_UI @ matrix_UI.T)
    width = min(rank, len(squares_U))
    values_W = np.sqrt(np.maximum(squares_U[::-1][:width], 0.0))
    # Those whose square is lost in rounding are no directions of the matrix.
    there_W = values_W > 1e-7 * values_W[0]
    right_IW = matrix_UI.T @ left_UU[:, ::-1][:, :width]
    right_IW = np.where(there_W, right_IW / np.where(there_W, values_W, 1.0), 0.0)
    return np.pad(right_IW, ((0, 0), (0, rank - width)))
