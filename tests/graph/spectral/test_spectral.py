"""Singular vectors and filters, against dense linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.graph.spectral import (
    Filter,
    filter_data,
    filtered,
    plan_pairs,
    singular_vectors,
)

USERS, ITEMS = 40, 30


@pytest.fixture
def pairs() -> Csr:
    """Users in two camps, one user and one item without any pair."""
    rng = np.random.default_rng(0)
    liked = rng.random((USERS, ITEMS)) < 0.1
    liked[:20, :15] |= rng.random((20, 15)) < 0.4
    liked[20:, 15:] |= rng.random((20, 15)) < 0.4
    liked[7], liked[:, 11] = False, False
    return Csr.from_pairs(*np.nonzero(liked), USERS)


def dense(pairs: Csr) -> np.ndarray:
    matrix = np.zeros((USERS, ITEMS))
    matrix[pairs.pairs()] = 1
    return matrix


def normalised(pairs: Csr) -> np.ndarray:
    matrix = dense(pairs)
    users = np.maximum(matrix.sum(1), 1)
    items = np.maximum(matrix.sum(0), 1)
    return users[:, None] ** -0.5 * matrix * items**-0.5


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["csr", "segment", "bucketed"])
def test_products_equal_the_dense_ones(pairs, backend):
    plan = plan_pairs(pairs, ITEMS, backend=backend)
    expected = normalised(pairs)
    rng = np.random.default_rng(1)
    items, users = rng.normal(size=(ITEMS, 5)), rng.normal(size=(USERS, 5))
    np.testing.assert_allclose(
        plan.to_users(jnp.asarray(items, jnp.float32)), expected @ items, atol=1e-5
    )
    np.testing.assert_allclose(
        plan.to_items(jnp.asarray(users, jnp.float32)), expected.T @ users, atol=1e-5
    )


def test_singular_vectors_are_those_of_the_matrix(pairs):
    rank = 6
    found = singular_vectors(
        plan_pairs(pairs, ITEMS), rank=rank, key=jax.random.key(0), oversampling=8
    )
    left, values, right = np.linalg.svd(normalised(pairs), full_matrices=False)
    np.testing.assert_allclose(found.values_K, values[:rank], atol=1e-4)
    # Up to sign, and so compared by what they project on.
    for ours, theirs in ((found.users_UK, left), (found.items_IK, right.T)):
        np.testing.assert_allclose(
            ours @ ours.T, theirs[:, :rank] @ theirs[:, :rank].T, atol=2e-2
        )
        np.testing.assert_allclose(ours.T @ ours, np.eye(rank), atol=1e-4)


def test_more_iterations_come_closer(pairs):
    exact = np.linalg.svd(normalised(pairs), compute_uv=False)[:6]

    def error(iterations: int) -> float:
        found = singular_vectors(
            plan_pairs(pairs, ITEMS),
            rank=6,
            key=jax.random.key(0),
            iterations=iterations,
            oversampling=0,
        )
        return float(np.abs(found.values_K - exact).max())

    assert error(8) < error(1) / 3


def test_singular_vectors_beyond_the_rank_of_a_matrix_are_none():
    # Five kinds of users: R has five singular values above 0.
    liked = np.repeat(np.random.default_rng(3).random((5, ITEMS)) < 0.3, 8, axis=0)
    pairs = Csr.from_pairs(*np.nonzero(liked), USERS)
    found = singular_vectors(plan_pairs(pairs, ITEMS), rank=9, key=jax.random.key(0))
    exact = np.linalg.svd(normalised(pairs), compute_uv=False)[:9]
    np.testing.assert_allclose(found.values_K, exact, atol=1e-5)
    for side in (found.users_UK, found.items_IK):
        # What would complete a basis is no direction of the matrix.
        np.testing.assert_allclose(
            side.T @ side, np.diag([1.0] * 5 + [0.0] * 4), atol=1e-4
        )


def test_without_singular_vectors_the_filter_is_linear(pairs):
    plan = plan_pairs(pairs, ITEMS)
    data = filter_data(pairs, ITEMS, plan=plan, vectors=None)
    rows = dense(pairs)[:9]
    matrix = normalised(pairs)
    np.testing.assert_allclose(
        filtered(jnp.asarray(rows, jnp.float32), data, Filter(ideal_weight=0.0)),
        rows @ matrix.T @ matrix,
        atol=1e-5,
    )


@pytest.mark.parametrize("rank", [0, ITEMS + 1])
def test_a_rank_that_there_is_not_is_refused(pairs, rank):
    with pytest.raises(ValueError, match=f"rank: expected 1 to {ITEMS}, got {rank}"):
        singular_vectors(plan_pairs(pairs, ITEMS), rank=rank, key=jax.random.key(0))


@pytest.mark.parametrize(
    "chosen",
    [
        Filter(ideal_weight=0.0),
        Filter(ideal_weight=0.3),
        Filter(ideal_weight=0.2, sharpening=0.7),
        Filter(ideal_weight=0.2, sharpening=1.0, sharpening_steps=3),
        Filter(ideal_weight=0.2, sharpening=2.5, sharpening_order=4),
        Filter(sharpening=1.5, sharpening_steps=2, sharpening_order=2),
        Filter(user_power=0.4, history_power=0.6, item_power=0.3),
        Filter(user_power=0.0, history_power=0.0, item_power=0.0, ideal_weight=0.0),
        Filter(item_power=0.2, sharpening=0.5, ideal_weight=0.0),
    ],
    ids=str,
)
def test_filters_equal_their_formula(pairs, chosen):
    plan = plan_pairs(pairs, ITEMS)
    rank = 6
    vectors = singular_vectors(plan, rank=rank, key=jax.random.key(0), iterations=40)
    data = filter_data(pairs, ITEMS, plan=plan, vectors=vectors)
    rows = dense(pairs)[:9]
    ours = filtered(jnp.asarray(rows, jnp.float32), data, chosen)

    matrix = normalised(pairs)
    linear = matrix.T @ matrix
    right = np.linalg.svd(matrix)[2][:rank].T
    users = np.maximum(dense(pairs).sum(1), 1)
    items = np.maximum(dense(pairs).sum(0), 1)
    root = np.sqrt(items)
    expected = rows * items**-chosen.history_power @ dense(pairs).T
    expected = expected * users ** (-2 * chosen.user_power) @ dense(pairs)
    expected *= items**-chosen.item_power
    expected += chosen.ideal_weight * (rows / root) @ right @ right.T * root
    for _ in range(chosen.sharpening_steps if chosen.sharpening else 0):
        step = chosen.sharpening / chosen.sharpening_steps
        powers = [np.eye(ITEMS)]
        for number in range(1, chosen.sharpening_order + 1):
            powers.append(powers[-1] @ linear * (-step / number))
        expected = expected @ sum(powers)
    np.testing.assert_allclose(ours, expected, atol=2e-3)


def test_many_terms_and_many_steps_are_the_same_sharpening(pairs):
    plan = plan_pairs(pairs, ITEMS)
    vectors = singular_vectors(plan, rank=6, key=jax.random.key(0), iterations=40)
    data = filter_data(pairs, ITEMS, plan=plan, vectors=vectors)
    rows = jnp.asarray(dense(pairs)[:9], jnp.float32)
    matrix = normalised(pairs)
    values, axes = np.linalg.eigh(matrix.T @ matrix)
    exact = filtered(rows, data, Filter()) @ (axes * np.exp(-values)) @ axes.T
    for chosen in (
        Filter(sharpening=1.0, sharpening_order=8),
        Filter(sharpening=1.0, sharpening_steps=200),
    ):
        np.testing.assert_allclose(filtered(rows, data, chosen), exact, atol=5e-3)


def test_a_user_without_pairs_scores_nothing(pairs):
    plan = plan_pairs(pairs, ITEMS)
    vectors = singular_vectors(plan, rank=4, key=jax.random.key(0))
    data = filter_data(pairs, ITEMS, plan=plan, vectors=vectors)
    scores = filtered(jnp.zeros((1, ITEMS)), data, Filter(sharpening=1.0))
    np.testing.assert_array_equal(scores, 0)
