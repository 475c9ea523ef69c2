"""Metrics of ratings: by hand, and what is said of how sure they are."""

import numpy as np
import pytest

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.direction import as_gain, lower_is_better
from llmgnn_jax.evaluation.judgement import comparisons
from llmgnn_jax.evaluation.ratings import Pairs, RatingJudge, evaluate_ratings
from llmgnn_jax.evaluation.significance import mean_intervals, ratio_intervals


def test_by_hand() -> None:
    found = evaluate_ratings(np.array([3.0, 4.0, 1.0]), np.array([4.0, 4.0, 3.0]))
    assert found["rmse"] == pytest.approx((5 / 3) ** 0.5)
    assert found["mae"] == pytest.approx(1.0)
    assert list(found) == ["rmse", "mae"]


def test_errors_do_not_hide() -> None:
    with pytest.raises(UserError, match="ratings: expected at least one, got none"):
        evaluate_ratings(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match=r"not \(n\)"):
        evaluate_ratings(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="finite"):
        evaluate_ratings(np.array([np.nan]), np.zeros(1))


def test_float32_of_large_numbers_is_summed_in_float64() -> None:
    values = np.full(1000, 1e4, np.float32)
    found = evaluate_ratings(values + np.float32(0.5), values)
    assert found["rmse"] == pytest.approx(0.5, rel=1e-9)


def test_which_way_is_better() -> None:
    assert lower_is_better("rmse")
    assert lower_is_better("mae")
    assert not lower_is_better("ndcg@10")
    assert not lower_is_better("accuracy")
    assert as_gain("rmse", 0.9) == -0.9
    assert as_gain("rmse", as_gain("rmse", 0.9)) == 0.9
    assert as_gain("recall@5", 0.9) == 0.9


# Users 0 and 1 have one and three ratings to be predicted; items 0 to 3.
PAIRS = Pairs(
    users=np.array([1, 0, 1, 1]),
    items=np.array([0, 1, 2, 3]),
    values=np.array([1.0, 2.0, 3.0, 4.0]),
)
HISTORY = Csr.from_pairs(np.array([0, 0, 1]), np.array([0, 1, 0]), 2)
JUDGE = RatingJudge(pairs=PAIRS, history=HISTORY, num_items=4)
PREDICTED = np.array([2.0, 2.0, 3.0, 2.0])


def test_a_judgement() -> None:
    found = JUDGE(PREDICTED)
    assert found.mean == evaluate_ratings(PREDICTED, PAIRS.values)
    np.testing.assert_array_equal(found.users, [0, 1])
    # Times 2 users over 4 ratings, so that the mean is the mean squared error.
    np.testing.assert_allclose(found.squared_errors, [0.0, 2.5])
    assert found.squared_errors.mean() == pytest.approx(found.mean["rmse"] ** 2)
    # Whoever is drawn alone: user 0 without an error, or user 1 with all of them.
    assert found.ci95["rmse"] == pytest.approx((0.0, (5 / 3) ** 0.5))
    assert found.ci95["mae"] == pytest.approx((0.0, 1.0))


def test_slices_are_of_ratings() -> None:
    slices = JUDGE(PREDICTED).slices
    assert slices["history 1 (3 ratings)"]["rmse"] == pytest.approx((5 / 3) ** 0.5)
    assert slices["history 2 (1 rating)"]["mae"] == 0.0
    # Item 0 has two of three train interactions, item 1 the last third.
    assert slices["popular items (1 rating)"]["mae"] == 1.0
    assert slices["rare items (1 rating)"]["mae"] == 0.0
    assert slices["new items (2 ratings)"]["mae"] == 1.0
    assert "middling items (0 ratings)" not in slices


def test_a_ratio_s_interval_covers_it() -> None:
    """Users differ in how much they rate: drawn with all of it."""
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        counts = rng.integers(1, 30, 60)
        sums = np.array([rng.exponential(2.0, n).sum() for n in counts])
        low, high = ratio_intervals(sums[:, None], counts, draws=400, seed=seed)
        covered += low[0] <= 2.0 <= high[0]
    assert 85 <= covered <= 100


def test_with_one_of_each_it_is_the_mean_s() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2))
    for one, other in zip(
        mean_intervals(values), ratio_intervals(values, np.ones(50)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_two_models_are_compared_by_squared_errors_of_users() -> None:
    rng = np.random.default_rng(0)
    pairs = Pairs(
        users=np.repeat(np.arange(80), 5),
        items=np.tile(np.arange(5), 80),
        values=rng.normal(size=400),
    )
    history = Csr.from_pairs(np.arange(80), np.zeros(80, int), 80)
    judge = RatingJudge(pairs=pairs, history=history, num_items=5)
    noise = rng.normal(size=400)
    errors = {
        "good": judge(pairs.values + 0.5 * noise).squared_errors,
        "bad": judge(pairs.values + noise).squared_errors,
    }
    (found,) = comparisons("good", errors, metric="mse")
    assert found["delta"] == pytest.approx(-0.75 * np.mean(noise**2))
    assert found["ci95"][1] < 0
    assert found["p"] < 0.01
