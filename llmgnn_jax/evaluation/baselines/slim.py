"""SLIM: sparse linear weights between items, none of them negative.

Shapes: I items, M candidates of an item, C items of a chunk.
"""

import time
from typing import NamedTuple

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.baselines.fitted import Baseline
from llmgnn_jax.evaluation.baselines.item_item import (
    Similarities,
    common_share,
    common_users,
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
    common = common_users(train, num_items)
    candidates = candidates_of(common_share(common, shrink=0.0), neighbours=neighbours)
    weights = slim_weights(common, candidates, l1=l1, l2=l2)
    return of_weights("slim", train, weights, chosen, start)


class Candidates(NamedTuple):
    """Which items' weights an item may have.

    Attributes:
        items_IM: (I, M), filled up with items that are not similar.
        usable_IM: (I, M) bool, which of them are.
    """

    items_IM: np.ndarray
    usable_IM: np.ndarray


def candidates_of(similar: Similarities, *, neighbours: float) -> Candidates:
    """The most similar items of each."""
    of_item = similar.similar_II.T
    width = min(int(neighbours), len(of_item))
    items_IM = np.argpartition(-of_item, width - 1, axis=1)[:, :width]
    return Candidates(items_IM, np.take_along_axis(of_item, items_IM, axis=1) > 0)


def slim_weights(
    common: np.ndarray, candidates: Candidates, *, l1: float, l2: float
) -> np.ndarray:
    """(I, I) weights from (I, I) users in common, see `slim`."""
    num_items, width = candidates.items_IM.shape
    weights = np.zeros_like(common)
    chunk = max(1, _CHUNK_BYTES // (4 * width * width))
    for first in range(0, num_items, chunk):
        items_C = np.arange(first, min(first + chunk, num_items))
        candidates_CM = candidates.items_IM[items_C]
        found_CM = _descend(
            common[candidates_CM[:, :, None], candidates_CM[:, None, :]],
            common[candidates_CM, items_C[:, None]],
            candidates.usable_IM[items_C],
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
    """(C, M) weights by cyclic coordinate descent, all items of the chunk at once.

    Items whose weights have come to rest are taken out: most do within a few sweeps.
    """
    found_CM = np.zeros_like(target_CM)
    moving_C = np.arange(len(target_CM))
    weights_CM = found_CM.copy()
    for _ in range(_MOST_SWEEPS):
        before_CM = weights_CM.copy()
        _sweep(weights_CM, gram_CMM, target_CM, usable_CM, l1=l1, l2=l2)
        found_CM[moving_C] = weights_CM
        moves_C = np.abs(weights_CM - before_CM).max(axis=1) >= _TOLERANCE
        if not moves_C.any():
            break
        if 2 * moves_C.sum() <= len(moves_C):  # Copies cost less than a sweep.
            moving_C, weights_CM = moving_C[moves_C], weights_CM[moves_C]
            gram_CMM, target_CM = gram_CMM[moves_C], target_CM[moves_C]
            usable_CM = usable_CM[moves_C]
    return found_CM


def _sweep(
    weights_CM: np.ndarray,
    gram_CMM: np.ndarray,
    target_CM: np.ndarray,
    usable_CM: np.ndarray,
    *,
    l1: float,
    l2: float,
) -> None:
    """Each weight in turn set to what is best beside the others, in place."""
    for m in range(weights_CM.shape[1]):
        fit_C = np.einsum("cm,cm->c", gram_CMM[:, m], weights_CM)
        own_C = gram_CMM[:, m, m]
        rest_C = target_CM[:, m] - fit_C + own_C * weights_CM[:, m]
        best_C = np.maximum(rest_C - l1, 0.0) / np.maximum(own_C + l2, 1e-12)
        weights_CM[:, m] = np.where(usable_CM[:, m], best_C, 0.0)
