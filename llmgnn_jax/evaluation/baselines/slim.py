"""SLIM: sparse linear weights between items, none of them negative.

Shapes: I items, M candidates of an item, C items of a chunk.
"""

import time

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.baselines.fitted import Baseline
from llmgnn_jax.evaluation.baselines.item_item import (
    common_users,
    item_knn_weights,
    of_weights,
)

_CHUNK_BYTES = 64 * 2**20
_MOST_SWEEPS = 100
_TOLERANCE = 1e-4


def slim(
    train: Csr,
    num_items: int,
    *,
    l1: float = 1.0,
    l2: float = 50.0,
    neighbours: int = 100,
) -> Baseline:
    """Scores an item by weights >= 0 of the user's train items that rebuild it best.

    For item j, among its `neighbours` most similar items,

        min over w >= 0 of 1/2 |x_j - X w|^2 + l2/2 |w|^2 + l1 |w|_1

    Source: Ning and Karypis, "SLIM: sparse linear methods for top-N recommender
    systems" (2011), eq. 3, over candidates as in its section 4.3 (fsSLIM).

    Raises:
        UserError: If the catalogue is too large for a dense item-item matrix.
    """
    start = time.perf_counter()
    chosen = {"l1": l1, "l2": l2, "neighbours": neighbours}
    weights = slim_weights(common_users(train, num_items), **chosen)
    return of_weights("slim", train, weights, chosen, start)


def slim_weights(
    common: np.ndarray, *, l1: float, l2: float, neighbours: float
) -> np.ndarray:
    """(I, I) weights from (I, I) users in common, see `slim`."""
    num_items = len(common)
    width = min(int(neighbours), num_items)
    similar = item_knn_weights(common, neighbours=width, shrink=0.0)
    # A column's candidates: M places, filled up with items that are not similar.
    candidates_IM = np.argpartition(-similar.T, width - 1, axis=1)[:, :width]
    usable_IM = np.take_along_axis(similar.T, candidates_IM, axis=1) > 0
    weights = np.zeros_like(common)
    chunk = max(1, _CHUNK_BYTES // (4 * width * width))
    for first in range(0, num_items, chunk):
        items_C = np.arange(first, min(first + chunk, num_items))
        candidates_CM = candidates_IM[items_C]
        found_CM = _descend(
            common[candidates_CM[:, :, None], candidates_CM[:, None, :]],
            common[candidates_CM, items_C[:, None]],
            usable_IM[items_C],
            l1=l1,
            l2=l2,
        )
        weights[candidates_CM, items_C[:, None]] = found_CM
    return weights


def _descend(
    gram_CMM: np.ndarray,
    target_CM: np.ndarray,
    usable_CM: np.ndarray,
    *,
    l1: float,
    l2: float,
) -> np.ndarray:
    """(C, M) weights by cyclic coordinate descent, all items of the chunk at once."""
    weights_CM = np.zeros_like(target_CM)
    diagonal_CM = np.einsum("cmm->cm", gram_CMM)
    for _ in range(_MOST_SWEEPS):
        before_CM = weights_CM.copy()
        for m in range(weights_CM.shape[1]):
            fit_C = np.einsum("cm,cm->c", gram_CMM[:, m], weights_CM)
            own_C = diagonal_CM[:, m]
            rest_C = target_CM[:, m] - fit_C + own_C * weights_CM[:, m]
            best_C = np.maximum(rest_C - l1, 0.0) / np.maximum(own_C + l2, 1e-12)
            weights_CM[:, m] = np.where(usable_CM[:, m], best_C, 0.0)
        if np.abs(weights_CM - before_CM).max(initial=0.0) < _TOLERANCE:
            break
    return weights_CM
