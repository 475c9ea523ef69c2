"""Baselines of ratings: against plain regressions, and what they are to find."""

import numpy as np
import pytest

from llmgnn_jax.evaluation.baselines import rated as fits
from llmgnn_jax.evaluation.baselines.rated import ItemNeighbours, Rated
from llmgnn_jax.evaluation.baselines.rated_tuning import tuned_rating_baselines
from llmgnn_jax.evaluation.ratings import Pairs, evaluate_ratings

USERS, ITEMS = 40, 25


def planted(seed: int = 0, *, rank: int = 2, noise: float = 0.1) -> tuple[Rated, Pairs]:
    """Biases and a product of factors; a fifth of the pairs is to be predicted."""
    rng = np.random.default_rng(seed)
    users, items = np.divmod(rng.permutation(USERS * ITEMS), ITEMS)
    factors = rng.normal(size=(USERS, rank)), rng.normal(size=(ITEMS, rank))
    values = 3 + rng.normal(size=USERS)[users] + 0.5 * rng.normal(size=ITEMS)[items]
    values += np.sum(factors[0][users] * factors[1][items], axis=1)
    values += noise * rng.normal(size=len(values))
    cut = len(users) * 4 // 5
    return (
        Rated(
            users=users[:cut],
            items=items[:cut],
            values=values[:cut],
            num_users=USERS,
            num_items=ITEMS,
        ),
        Pairs(users=users[cut:], items=items[cut:], values=values[cut:]),
    )


def rmse(predict: fits.Predict, pairs: Pairs) -> float:
    return evaluate_ratings(predict(pairs.users, pairs.items), pairs.values)["rmse"]


def test_biases_are_the_ridge_regression() -> None:
    rated, _ = planted()
    found = fits.user_item_bias(rated, l2_users=3.0, l2_items=7.0)
    rows = np.arange(len(rated.values))
    design = np.zeros((len(rows), USERS + ITEMS))
    design[rows, rated.users] = design[rows, USERS + rated.items] = 1.0
    penalty = np.diag([3.0] * USERS + [7.0] * ITEMS)
    exact = np.linalg.solve(
        design.T @ design + penalty, design.T @ (rated.values - rated.values.mean())
    )
    np.testing.assert_allclose(found.users_U, exact[:USERS], atol=1e-4)
    np.testing.assert_allclose(found.items_I, exact[USERS:], atol=1e-4)


def test_neighbours_by_loops() -> None:
    rated, pairs = planted()
    biases = fits.user_item_bias(rated, l2_users=1.0, l2_items=1.0)
    left = np.full((USERS, ITEMS), np.nan)
    left[rated.users, rated.items] = rated.values - biases(rated.users, rated.items)
    shrink, most = 10.0, 3

    def expected(user: int, item: int) -> float:
        near = []
        for other in range(ITEMS):
            if other == item or np.isnan(left[user, other]):
                continue
            both = ~np.isnan(left[:, item]) & ~np.isnan(left[:, other])
            a, b = left[both, item], left[both, other]
            alike = (a @ b) / np.sqrt((a @ a) * (b @ b))
            near.append((alike * len(a) / (len(a) + shrink), left[user, other]))
        near = sorted(near, key=lambda pair: -abs(pair[0]))[:most]
        total = sum(abs(alike) for alike, _ in near)
        return sum(alike * value for alike, value in near) / total

    predict = ItemNeighbours(rated, biases=biases).fit(shrink=shrink, neighbours=most)
    found = predict(pairs.users, pairs.items) - biases(pairs.users, pairs.items)
    by_hand = [expected(*pair) for pair in zip(pairs.users, pairs.items, strict=True)]
    np.testing.assert_allclose(found, by_hand, rtol=1e-4, atol=1e-5)


def test_factors_find_what_biases_cannot() -> None:
    rated, pairs = planted()
    biases = fits.user_item_bias(rated, l2_users=1.0, l2_items=1.0)
    factors = fits.biased_mf(rated, rank=2, l2=0.01, l2_users=0.1, l2_items=0.1)
    assert rmse(biases, pairs) > 1.0
    assert rmse(factors, pairs) < 0.2
    assert rmse(fits.global_mean(rated), pairs) > rmse(biases, pairs)


def test_whoever_has_no_rating_has_the_mean() -> None:
    rated = Rated(
        users=np.array([0, 0, 1]),
        items=np.array([0, 1, 0]),
        values=np.array([1.0, 2.0, 4.0]),
        num_users=3,
        num_items=3,
    )
    biases = fits.user_item_bias(rated, l2_users=0.0, l2_items=0.0)
    for predict in (
        biases,
        ItemNeighbours(rated, biases=biases).fit(shrink=0.0, neighbours=2),
        fits.biased_mf(rated, rank=2, l2=0.1, l2_users=0.0, l2_items=0.0),
    ):
        new = predict(np.array([2]), np.array([2]))
        np.testing.assert_allclose(new, [7 / 3], atol=1e-6)


def test_a_pair_that_was_rated_twice_counts_with_its_mean() -> None:
    rated = Rated(
        users=np.array([0, 0, 0]),
        items=np.array([0, 0, 1]),
        values=np.array([1.0, 2.0, 5.0]),
        num_users=1,
        num_items=2,
    )
    np.testing.assert_allclose(rated.matrix(rated.values).toarray(), [[1.5, 5.0]])


def test_they_are_tuned_on_valid() -> None:
    rated, pairs = planted()
    found = tuned_rating_baselines(rated, pairs, clip=lambda x: x, metric="rmse")
    assert list(found) == ["global_mean", "user_item_bias", "item_knn", "biased_mf"]
    for name, one in found.items():
        if name == "global_mean":
            continue
        assert one.budget["trials"] == 8
        assert one.budget["chosen_by"] == "valid rmse"
        assert one.budget["value"] == pytest.approx(rmse(one.predict, pairs))
    # The smallest L2 suits so little noise best, and the search says where it ended.
    assert found["biased_mf"].budget["chosen"]["l2"] == 0.05
    assert "l2" in found["biased_mf"].budget["at_edge"]


def test_without_valid_nothing_is_tuned(caplog: pytest.LogCaptureFixture) -> None:
    rated, _ = planted()
    found = tuned_rating_baselines(rated, None, clip=lambda x: x, metric="rmse")
    assert list(found) == ["global_mean"]
    assert "nothing to tune them on" in caplog.text
