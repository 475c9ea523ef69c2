"""Link prediction among people by the neighbours that two of them have in common.

Liben-Nowell and Kleinberg, "The link-prediction problem for social networks" (2007).

Shapes: U people.
"""

import time

import numpy as np
import scipy.sparse

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.baselines.fitted import Baseline
from llmgnn_jax.evaluation.baselines.item_item import of_weights
from llmgnn_jax.graph.item_item import check_dense


def common_neighbours(train: Csr) -> Baseline:
    """Scores a pair by how many neighbours both have: (A A)_uv.

    Args:
        train: (U x U) links, A.

    Raises:
        UserError: If there are too many people for a dense matrix.
    """
    return _through_neighbours("common_neighbours", train, adamic_adar=False)


def adamic_adar(train: Csr) -> Baseline:
    """Scores a pair by its common neighbours z, each by 1 / log(degree of z).

    Adamic and Adar, "Friends and neighbors on the Web" (2003). A neighbour in common
    has two links at least, so no logarithm is 0 that counts.

    Args:
        train: (U x U) links.

    Raises:
        UserError: If there are too many people for a dense matrix.
    """
    return _through_neighbours("adamic_adar", train, adamic_adar=True)


def _through_neighbours(name: str, train: Csr, *, adamic_adar: bool) -> Baseline:
    start = time.perf_counter()
    check_dense(train.num_rows)
    users, others = train.pairs()
    size = train.num_rows
    links = scipy.sparse.csr_array(
        (np.ones(train.nnz, np.float32), (users, others)), shape=(size, size)
    )
    # Of followers: who is followed by those that one follows.
    weights = links.toarray()
    if adamic_adar:
        degrees = np.bincount(np.append(users, others), minlength=size)
        if abs(links - links.T).sum() == 0:
            degrees = degrees // 2
        weights *= (1.0 / np.log(np.maximum(degrees, 2))).astype(np.float32)[:, None]
    return of_weights(name, train, weights, {}, start)
