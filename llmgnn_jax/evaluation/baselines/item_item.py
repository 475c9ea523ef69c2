"""Dense weights between items, summed over a user's history.

Shapes: B users of a chunk, I items, T width of a text vector.
"""

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.baselines.fitted import Baseline, histories, rows_of
from llmgnn_jax.graph.item_item import check_dense
from llmgnn_jax.graph.ridge import RidgeInverse


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
    similar = common_share(common_users(train, num_items), shrink=shrink)
    weights = similar.nearest(neighbours)
    return of_weights("item_knn", train, weights, chosen, start)


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
    check_dense(num_items)
    weights = RidgeInverse(pairs_matrix(train, num_items), l2=l2).weights()
    return of_weights("ease", train, weights, {"l2": l2}, start)


def text_knn(
    train: Csr,
    item_vectors: np.ndarray,
    *,
    neighbours: int = 200,
    centred: float = 1.0,
) -> Baseline:
    """Scores an item by how near its text is to those of the user's train items.

    ItemKNN with the cosine of text vectors: an item without interactions is scored
    like any other.

    Args:
        train: (U x I) pairs.
        item_vectors: (I, T), 0 where an item has no text.
        neighbours: How many of the nearest an item keeps, of those that have a train
            pair.
        centred: Times the mean of the vectors, which is taken away first: what all
            texts have in common says nothing.

    Raises:
        UserError: If the catalogue is too large for a dense item-item matrix.
    """
    start = time.perf_counter()
    check_dense(len(item_vectors))
    chosen = {"neighbours": neighbours, "centred": centred}
    heard = np.bincount(train.indices, minlength=len(item_vectors)) > 0
    similar = cosines(item_vectors, heard=heard, centred=centred)
    weights = similar.nearest(neighbours)
    return of_weights("text_knn", train, weights, chosen, start)


class Similarities:
    """Similarities of items, of which each keeps its nearest ones.

    Args:
        similar_II: (I, I) >= 0, symmetric; its diagonal is set to 0.
        among: (I,) bool, which items may be neighbours; None for all.

    Attributes:
        similar_II: (I, I).
    """

    def __init__(
        self, similar_II: np.ndarray, *, among: np.ndarray | None = None
    ) -> None:
        np.fill_diagonal(similar_II, 0.0)
        self.similar_II, self._among = similar_II, among

    @functools.cached_property
    def _sorted(self) -> np.ndarray:
        """(I, J) ascending, once for all numbers of neighbours.

        Where many are equal, as here, it takes less time than a partition.
        """
        similar_II, among = self.similar_II, self._among
        others = similar_II if among is None or among.all() else similar_II[:, among]
        return np.sort(others, axis=1)

    def nearest(self, neighbours: float) -> np.ndarray:
        """(I, I) weights, in each column the largest ones alone, with equals of the
        last of them."""
        neighbours = int(neighbours)
        if neighbours >= self._sorted.shape[1]:
            return self.similar_II
        # Symmetric, and rows are sorted faster than columns.
        last_I = self._sorted[:, -neighbours]
        return np.where(self.similar_II < last_I, np.float32(0), self.similar_II)


def common_share(common: np.ndarray, *, shrink: float) -> Similarities:
    """From (I, I) users in common, see `item_knn`."""
    norms = np.sqrt(np.diag(common))
    denominators = np.outer(norms, norms) + np.float32(shrink)
    return Similarities(
        np.divide(
            common, denominators, out=np.zeros_like(common), where=denominators > 0
        )
    )


def cosines(
    item_vectors: np.ndarray, *, heard: np.ndarray, centred: float
) -> Similarities:
    """From (I, T) text vectors and (I,) bool, which items have a train pair; see
    `text_knn`."""
    known = np.any(item_vectors != 0, axis=1)
    vectors = item_vectors.astype(np.float32)
    if known.any():
        vectors = vectors - np.float32(centred) * vectors[known].mean(axis=0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.where(known[:, None], vectors / np.maximum(lengths, 1e-12), 0.0)
    # Sums over a history: what is far would outvote what is near.
    return Similarities(np.maximum(vectors @ vectors.T, 0.0), among=heard)


def common_users(train: Csr, num_items: int) -> np.ndarray:
    """(I, I) float32: users in common; the diagonal counts an item's users.

    Raises:
        UserError: If the catalogue is too large for it.
    """
    check_dense(num_items)
    matrix = pairs_matrix(train, num_items)
    return (matrix.T @ matrix).toarray()


def pairs_matrix(train: Csr, num_items: int) -> scipy.sparse.csr_array:
    """(U, I) float32, 1 where there is a pair."""
    ones = np.ones(len(train.indices), np.float32)
    return scipy.sparse.csr_array(
        (ones, train.indices, train.indptr), shape=(train.num_rows, num_items)
    )


def of_weights(
    name: str, train: Csr, weights: np.ndarray, chosen: dict[str, Any], start: float
) -> Baseline:
    """A baseline that scores by (I, I) weights from history item to scored item."""
    return Baseline(
        name=name,
        score_chunk=_by_history,
        data={**histories(train), "weights": jnp.asarray(weights, jnp.float32)},
        seconds=time.perf_counter() - start,
        budget={"trials": 1, "grid": {}, "chosen": chosen},
    )


def _by_history(data: dict[str, jax.Array], users_B: jax.Array) -> jax.Array:
    """(B, I): the history as a 0/1 row, times the item-item weights."""
    history_BI = rows_of(data, users_B, data["weights"].shape[0])
    return jnp.matmul(history_BI, data["weights"], precision=jax.lax.Precision.HIGHEST)
