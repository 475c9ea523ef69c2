"""Tests of differences, against scipy and by what they promise."""

import numpy as np
import pytest
import scipy.stats

from llmgnn_jax.evaluation.significance import (
    PERMUTATIONS,
    compared,
    holm,
    mean_intervals,
    paired,
    permutation_test,
    pooled,
)


def _drawn(count: int, *, mean: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, count)


@pytest.mark.parametrize("mean", [0.0, 0.1, 0.2])
def test_p_values_are_those_of_scipy(mean: float):
    differences = _drawn(300, mean=mean)
    theirs = scipy.stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=PERMUTATIONS,
        rng=np.random.default_rng(1),
    )
    ours = permutation_test(differences[:, None])
    assert ours[0] == pytest.approx(theirs.pvalue, abs=0.015)


def test_all_signs_of_a_few_users_give_the_exact_p_value():
    differences = np.array([0.5, 0.25, 0.75, 0.125])
    # Of 16 signs two are as far from 0: all the same.
    p = permutation_test(differences[:, None], draws=100_000)
    assert p[0] == pytest.approx(2 / 16, abs=0.005)


def test_equal_models_are_never_told_apart():
    assert permutation_test(np.zeros((50, 1)))[0] == 1.0


def test_equal_models_seem_different_as_often_as_the_level_says():
    rng = np.random.default_rng(0)
    differences = rng.laplace(size=(40, 1_000))
    p_values = permutation_test(differences, draws=2_000)
    assert (p_values < 0.05).mean() == pytest.approx(0.05, abs=0.02)
    assert (p_values < 0.5).mean() == pytest.approx(0.5, abs=0.05)


def test_a_p_value_does_not_depend_on_how_many_are_drawn_at_a_time(monkeypatch):
    differences = _drawn(101, mean=0.2)[:, None]
    whole = permutation_test(differences, draws=999)
    monkeypatch.setattr("llmgnn_jax.evaluation.significance._DRAWN_AT_ONCE", 1_000)
    assert permutation_test(differences, draws=999) == pytest.approx(whole, abs=0.02)


def test_intervals_are_those_of_scipy():
    values = _drawn(200, mean=0.3)
    theirs = scipy.stats.bootstrap(
        (values,),
        np.mean,
        method="percentile",
        n_resamples=2_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    low, high = mean_intervals(values[:, None])
    assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_intervals_hold_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(2)
    low, high = mean_intervals(rng.exponential(size=(100, 500)), draws=500)
    assert ((low < 1.0) & (high > 1.0)).mean() == pytest.approx(0.94, abs=0.03)


def test_simultaneous_intervals_hold_together_as_often_as_they_say():
    """All three of each study hold the true mean in 95 of 100; alone, in fewer."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(60, 300, 3))
    together = []
    for level in (0.95, 1 - 0.05 / 3):
        low, high = mean_intervals(values.reshape(60, -1), level=level, draws=2_000)
        inside = ((low < 0) & (high > 0)).reshape(300, 3)
        together.append(inside.all(axis=1).mean())
    assert together[0] < 0.9
    assert together[1] == pytest.approx(0.95, abs=0.03)


def test_holm_is_that_of_its_paper():
    # 0.01 x 4, 0.02 x 3, then none below a smaller one's.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([0.03]) == pytest.approx([0.03])
    assert len(holm([])) == 0


def test_a_better_model_is_told_from_each_of_the_others():
    users = _drawn(500, mean=0.0)
    values = {
        "ours": users + 0.2,
        "as good": users + 0.2 + 0.1 * _drawn(500, mean=0.0, seed=3),
        "worse": users + _drawn(500, mean=0.0, seed=4) * 0.5,
    }
    as_good, worse = compared("ours", values)
    assert (as_good.a, as_good.b, worse.b) == ("ours", "as good", "worse")
    assert worse.p < 0.001 < 0.05 < as_good.p
    assert worse.delta == pytest.approx(0.2, abs=0.1)
    assert worse.ci95[0] < worse.delta < worse.ci95[1]
    assert worse.ci95[0] > 0 > as_good.ci95[0]
    for one in (as_good, worse):
        low, high = one.ci95_simultaneous
        assert low < one.ci95[0] < one.ci95[1] < high


def test_pairs_are_corrected_for_one_another_alone():
    values = {
        name: _drawn(80, mean=mean, seed=seed)
        for seed, (name, mean) in enumerate(
            {"a": 0.0, "with a": 0.3, "b": 0.0, "with b": 0.3, "c": 0.0}.items()
        )
    }
    pairs = [("with a", "a"), ("with b", "b")]
    alone = [paired([pair], values)[0] for pair in pairs]
    found = paired(pairs, values)
    assert [(one.a, one.b) for one in found] == pairs
    assert [one.p for one in found] == pytest.approx(holm([one.p for one in alone]))
    assert [one.delta for one in found] == [one.delta for one in alone]
    assert paired([], values) == []


def test_comparisons_are_the_same_each_time():
    values = {"a": _drawn(50, mean=0.1), "b": _drawn(50, mean=0.0, seed=1)}
    assert compared("a", values) == compared("a", values)


def test_a_model_alone_is_compared_with_none():
    assert compared("a", {"a": np.ones(3)}) == []


def test_models_of_other_users_are_not_compared():
    with pytest.raises(ValueError, match="as many users"):
        compared("a", {"a": np.ones(3), "b": np.ones(4)})


def test_a_user_of_several_seeds_is_one_user():
    users = [np.array([4, 7, 9]), np.array([9, 4])]
    values = [{"a": np.array([1.0, 2.0, 3.0])}, {"a": np.array([5.0, 0.0])}]
    assert pooled(users, values)["a"].tolist() == [0.5, 2.0, 4.0]
