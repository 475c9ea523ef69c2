"""Parts of users and of targets: each is the metric of what it names."""

import numpy as np
import pytest

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.beyond_accuracy import Catalogue
from llmgnn_jax.evaluation.metrics import evaluate_rankings
from llmgnn_jax.evaluation.slices import sliced

NUM_USERS, NUM_ITEMS, K = 40, 30, 5


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    liked = rng.random((NUM_USERS, NUM_ITEMS)) < np.geomspace(0.9, 0.02, NUM_ITEMS)
    liked[:, -3:] = False  # Items that are new.
    liked[:, 0] = True
    wanted = rng.random((NUM_USERS, NUM_ITEMS)) < 0.2
    wanted[0] = False  # A user who wants nothing.
    items = np.stack([rng.permutation(NUM_ITEMS)[:K] for _ in range(NUM_USERS)])
    return (
        Catalogue(Csr.from_pairs(*liked.nonzero(), NUM_USERS), NUM_ITEMS),
        Csr.from_pairs(*wanted.nonzero(), NUM_USERS),
        items,
    )


def test_parts_by_history_are_all_users_once(world):
    catalogue, positives, items = world
    users = np.arange(NUM_USERS)
    found = sliced(items, users, positives, catalogue, ks=(K,))
    whole = evaluate_rankings(items, users, positives, ks=(K,), num_items=NUM_ITEMS)
    parts = {name: row for name, row in found.items() if name.startswith("history")}
    assert len(parts) == 4
    sizes = [int(name.partition("(")[2].partition(" ")[0]) for name in parts]
    assert sum(sizes) == len(whole.users) == NUM_USERS - 1
    mean = np.average([row[f"ndcg@{K}"] for row in parts.values()], weights=sizes)
    assert mean == pytest.approx(whole.mean[f"ndcg@{K}"])
    bounds = [name.split()[1].split("-") for name in parts]
    flat = [int(bound) for pair in bounds for bound in pair]
    assert flat == sorted(flat)


def test_a_part_by_items_asks_for_its_items_alone(world):
    catalogue, positives, items = world
    users = np.arange(NUM_USERS)
    found = sliced(items, users, positives, catalogue, ks=(K,))
    names = [name.rpartition(" (")[0] for name in found][4:]
    assert names == ["popular items", "middling items", "rare items", "new items"]
    rows, targets = positives.pairs()
    new = catalogue.counts_I[targets] == 0
    assert set(range(NUM_ITEMS - 3, NUM_ITEMS)) <= set(targets[new].tolist())
    only_new = Csr.from_pairs(rows[new], targets[new], NUM_USERS)
    by_hand = evaluate_rankings(items, users, only_new, ks=(K,), num_items=NUM_ITEMS)
    (label,) = (name for name in found if name.startswith("new items"))
    assert label == f"new items ({len(by_hand.users)} users)"
    assert found[label] == {
        key: value for key, value in by_hand.mean.items() if "coverage" not in key
    }


def test_thirds_are_of_interactions(world):
    catalogue, *_ = world
    users = np.arange(NUM_USERS)
    everything = Csr.from_pairs(
        np.repeat(users, NUM_ITEMS), np.tile(np.arange(NUM_ITEMS), NUM_USERS), NUM_USERS
    )
    lists = np.tile(np.arange(K), (NUM_USERS, 1))
    found = sliced(lists, users, everything, catalogue, ks=(K,))
    popular = next(row for name, row in found.items() if name.startswith("popular"))
    before = np.cumsum(catalogue.counts_I) - catalogue.counts_I
    expected = int((before < catalogue.counts_I.sum() / 3).sum())
    # The most popular come first here, so that all of the list are of that third.
    assert popular[f"precision@{K}"] == pytest.approx(min(expected, K) / K)


def test_users_that_are_not_ranked_belong_to_no_part(world):
    catalogue, positives, items = world
    users = np.array([5, 3, 11])
    found = sliced(items[users], users, positives, catalogue, ks=(K,))
    sizes = [
        int(name.partition("(")[2].partition(" ")[0])
        for name in found
        if name.startswith("history")
    ]
    assert sum(sizes) == 3


def test_equal_histories_are_one_part():
    everyone = Csr.from_pairs(np.arange(4), np.zeros(4, int), 4)
    wanted = Csr.from_pairs(np.arange(4), np.ones(4, int), 4)
    found = sliced(
        np.ones((4, 1), int), np.arange(4), wanted, Catalogue(everyone, 2), ks=(1,)
    )
    assert list(found) == ["history 1 (4 users)", "new items (4 users)"]
