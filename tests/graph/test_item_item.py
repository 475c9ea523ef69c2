"""The linear filter in closed form: against least squares, and as vectors."""

import numpy as np
import pytest
import scipy.sparse

from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.item_item import (
    check_dense,
    item_item_filter,
    rated,
)
from llmgnn_jax.graph.ridge import RidgeInverse

USERS, ITEMS = 30, 12


def train_of(users, items, values=None, *, num_users=USERS) -> TrainSplit:
    count = len(users)
    return TrainSplit(
        num_users=num_users,
        num_items=ITEMS,
        users=np.asarray(users, np.int32),
        items=np.asarray(items, np.int32),
        values=np.ones(count, np.float32)
        if values is None
        else np.asarray(values, np.float32),
        timestamps=np.zeros(count, np.int64),
        item_texts=("",) * ITEMS,
        user_texts=None,
    )


# The smaller side is the one that is inverted.
@pytest.fixture(params=[USERS, 8])
def train(request):
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((request.param, ITEMS)) < 0.4)
    values = rng.integers(1, 6, len(users))
    return train_of(users, items, values, num_users=request.param)


@pytest.mark.parametrize("num_users", [USERS, 8])
@pytest.mark.parametrize("l2", [0.5, 20.0])
def test_weights_are_least_squares_without_the_item_itself(l2, num_users):
    rng = np.random.default_rng(1)
    rows = rng.random((num_users, ITEMS))
    weights = RidgeInverse(scipy.sparse.csr_array(rows), l2=l2).weights()
    assert (np.diag(weights) == 0).all()
    for item in range(ITEMS):
        others = np.delete(np.arange(ITEMS), item)
        penalised = np.concatenate([rows[:, others], l2**0.5 * np.eye(ITEMS - 1)])
        target = np.concatenate([rows[:, item], np.zeros(ITEMS - 1)])
        best = np.linalg.lstsq(penalised, target, rcond=None)[0]
        np.testing.assert_allclose(weights[others, item], best, atol=1e-8)


def test_all_vectors_give_the_scores_exactly(train):
    found = item_item_filter(train, l2=5.0, rating_power=0.5, rank=ITEMS)
    rows = rated(train, power=0.5).toarray()
    scores = rows @ RidgeInverse(scipy.sparse.csr_array(rows), l2=5.0).weights()
    np.testing.assert_allclose(found.user_UK @ found.item_IK.T, scores, atol=1e-5)
    np.testing.assert_allclose(rows @ found.read_IK, found.user_UK, atol=1e-5)


def test_fewer_vectors_are_the_nearest_of_their_number(train):
    rows = rated(train, power=1.0).toarray().astype(np.float64)
    scores = rows @ RidgeInverse(scipy.sparse.csr_array(rows), l2=5.0).weights()
    left = np.linalg.svd(scores, compute_uv=False)
    for rank in (1, 4, 8):
        found = item_item_filter(train, l2=5.0, rating_power=1.0, rank=rank)
        assert found.item_IK.shape == (ITEMS, rank)
        error = np.linalg.norm(scores - found.user_UK @ found.item_IK.T)
        # Eckart and Young: no matrix of this rank is nearer.
        assert error == pytest.approx(
            np.sqrt((left[rank:] ** 2).sum()), rel=1e-3, abs=1e-6
        )


def test_ratings_count_as_shares_of_the_highest():
    train = train_of([0, 0, 1, 2], [0, 1, 1, 2], [5, 1, 4, -3])
    expected = [[1.0, 0.2, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, 0.0]]
    np.testing.assert_allclose(rated(train, power=1.0).toarray()[:3, :3], expected)
    assert rated(train, power=0.0).toarray().sum() == 4


def test_of_a_pair_that_repeats_the_best_counts():
    train = train_of([0, 0, 0], [3, 3, 3], [2, 4, 1])
    found = rated(train, power=1.0).toarray()
    assert found[0, 3] == 1.0
    assert found.sum() == 1.0


def test_a_catalogue_that_is_too_large():
    with pytest.raises(UserError, match="num_items: expected at most 10000"):
        check_dense(10_001)
    check_dense(10_000)


@pytest.mark.parametrize("num_users", [USERS, ITEMS, 8])
def test_the_inverse_is_the_same_from_either_side(num_users):
    rows = np.random.default_rng(2).random((num_users, ITEMS))
    found = RidgeInverse(scipy.sparse.csr_array(rows), l2=0.3)
    expected = np.linalg.inv(rows.T @ rows + 0.3 * np.eye(ITEMS))
    np.testing.assert_allclose(found.diagonal_I, np.diag(expected), rtol=1e-9)
    vectors = np.random.default_rng(3).normal(size=(ITEMS, 5))
    np.testing.assert_allclose(found @ vectors, expected @ vectors, rtol=1e-7)
