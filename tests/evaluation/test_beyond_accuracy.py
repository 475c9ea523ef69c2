"""What lists are like, on catalogues small enough to count by hand."""

import itertools

import numpy as np
import pytest

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.beyond_accuracy import (
    NAMES,
    Catalogue,
    beyond_accuracy,
)

# Users 0-3: item 0 is everyone's, 1 of two, 2 of one, 3 of none.
LIKED = {0: [0, 1], 1: [0, 1], 2: [0, 2], 3: [0]}
NUM_ITEMS = 4


@pytest.fixture
def catalogue():
    pairs = [(user, item) for user, items in LIKED.items() for item in items]
    return Catalogue(Csr.from_pairs(*np.array(pairs).T, 4), NUM_ITEMS)


def measured(items, users, catalogue):
    k = len(items[0])
    found = beyond_accuracy(np.array(items), np.array(users), catalogue, ks=(k,))
    assert list(found) == [f"{name}@{k}" for name in NAMES]
    return {name: found[f"{name}@{k}"] for name in NAMES}


def test_novelty_is_how_few_had_it(catalogue):
    known = measured([[0]], [0], catalogue)["novelty"]
    new = measured([[3]], [0], catalogue)["novelty"]
    assert known == 0.0  # Of five fifths: nobody is surprised.
    assert new == pytest.approx(np.log2(5))
    both = measured([[0, 3]], [0], catalogue)["novelty"]
    assert both == pytest.approx(np.log2(5) / 2)


def test_diversity_is_one_less_the_cosine_of_pairs(catalogue):
    who = np.zeros((NUM_ITEMS, 4))
    for user, items in LIKED.items():
        who[items, user] = 1.0

    def cosine(i, j):
        lengths = np.linalg.norm(who[i]) * np.linalg.norm(who[j])
        return who[i] @ who[j] / lengths if lengths else 0.0

    lists = [[0, 1, 2], [1, 2, 3], [3, 0, 1]]
    by_hand = [
        np.mean([1 - cosine(i, j) for i, j in itertools.combinations(one, 2)])
        for one in lists
    ]
    found = measured(lists, [0, 1, 2], catalogue)["diversity"]
    assert found == pytest.approx(np.mean(by_hand))


def test_lists_of_one_item_have_no_diversity(catalogue):
    assert measured([[0]], [0], catalogue)["diversity"] == 0.0


def test_lift_is_against_each_users_own_taste(catalogue):
    # User 2 had items of 4 and 1 users, 2.5 in the mean; user 3 of 4.
    found = measured([[1], [1]], [2, 3], catalogue)["popularity_lift"]
    assert found == pytest.approx((2 / 2.5 + 2 / 4) / 2 - 1)


def test_newcomers_have_no_taste_to_be_compared_with():
    catalogue = Catalogue(Csr.from_pairs(np.array([0]), np.array([1]), 2), 2)
    found = measured([[0], [0]], [0, 1], catalogue)
    assert found["popularity_lift"] == -1.0


@pytest.mark.parametrize(
    ("items", "gini"),
    [([[0], [1], [2], [3]], 0.0), ([[0], [0], [0], [0]], 1.0)],
)
def test_gini_is_0_where_all_are_shown_and_1_where_one_is(catalogue, items, gini):
    assert measured(items, [0, 1, 2, 3], catalogue)["gini"] == pytest.approx(gini)


def test_empty_places_count_for_nothing(catalogue):
    some = measured([[1, 2], [2, 1]], [0, 2], catalogue)
    padded = measured([[1, 2, -1], [2, 1, -1]], [0, 2], catalogue)
    assert padded == pytest.approx(some)


def test_many_users_are_sampled_alike_each_time(catalogue, monkeypatch):
    module = "llmgnn_jax.evaluation.beyond_accuracy"
    rng = np.random.default_rng(0)
    lists = [rng.permutation(NUM_ITEMS)[:3] for _ in range(60)]
    users = np.arange(60) % 4
    whole = measured(lists, users, catalogue)
    monkeypatch.setattr(f"{module}._AT_ONCE", 7)
    assert measured(lists, users, catalogue) == pytest.approx(whole)
    monkeypatch.setattr(f"{module}._DIVERSITY_USERS", 30)
    some = measured(lists, users, catalogue)
    assert some == measured(lists, users, catalogue)
    assert some["diversity"] == pytest.approx(whole["diversity"], abs=0.1)
