"""The ideal low-pass as vectors, against dense linear algebra."""

import numpy as np
import pytest

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.graph.spectral import ideal_low_pass

USERS, ITEMS = 12, 30


@pytest.fixture
def pairs() -> Csr:
    """Fewer users than items; a user and an item have none."""
    liked = np.random.default_rng(0).random((USERS, ITEMS)) < 0.4
    liked[7], liked[:, 11] = False, False
    return Csr.from_pairs(*np.nonzero(liked), USERS)


def expected(pairs: Csr, rank: int) -> np.ndarray:
    """(U, I) scores."""
    rows = np.zeros((USERS, ITEMS))
    rows[pairs.pairs()] = 1
    users, items = (np.maximum(rows.sum(axis), 1) for axis in (1, 0))
    right = np.linalg.svd(rows / np.sqrt(users)[:, None] / np.sqrt(items))[2][:rank].T
    return rows / np.sqrt(items) @ right @ right.T * np.sqrt(items)


@pytest.mark.parametrize("rank", [4, ITEMS + 5])
def test_inner_products_are_the_filters_scores(pairs: Csr, rank: int) -> None:
    found = ideal_low_pass(pairs, ITEMS, rank=rank)
    # A model's vectors are widened by as much as asked for, or by I.
    assert found.item_IK.shape == (ITEMS, min(rank, ITEMS))
    scores = found.user_UK @ found.item_IK.T
    # All directions that any user has rebuild the rows themselves.
    kept = min(rank, USERS - 1)
    np.testing.assert_allclose(scores, expected(pairs, kept), atol=5e-3)
    assert not scores[7].any()


def test_a_users_vector_is_the_sum_over_the_items(pairs: Csr) -> None:
    found = ideal_low_pass(pairs, ITEMS, rank=4)
    for user in range(USERS):
        total = found.read_IK[pairs.row(user)].sum(axis=0)
        np.testing.assert_allclose(found.user_UK[user], total, atol=1e-5)
