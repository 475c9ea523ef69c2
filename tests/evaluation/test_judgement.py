"""`Judge` and comparisons: the parts put together."""

import numpy as np
import pytest

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.judgement import Judge, comparisons
from llmgnn_jax.evaluation.metrics import METRICS
from llmgnn_jax.evaluation.ranking import Rankings

NUM_USERS, NUM_ITEMS = 50, 20


@pytest.fixture
def judge():
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, (NUM_USERS, NUM_ITEMS), (300, 2))
    wanted = rng.integers(0, (NUM_USERS - 5, NUM_ITEMS), (200, 2))
    return Judge(
        positives=Csr.from_pairs(*wanted.T, NUM_USERS),
        history=Csr.from_pairs(*pairs.T, NUM_USERS),
        num_items=NUM_ITEMS,
        ks=(1, 5),
    )


def rankings(seed):
    rng = np.random.default_rng(seed)
    items = np.stack([rng.permutation(NUM_ITEMS)[:5] for _ in range(NUM_USERS)])
    return Rankings(
        users=np.arange(NUM_USERS, dtype=np.int32),
        items=items.astype(np.int32),
        scores=np.zeros(items.shape, np.float32),
    )


def test_each_metric_has_an_interval_around_it(judge):
    judged = judge(rankings(1))
    assert judged.ci95.keys() == {f"{name}@{k}" for name in METRICS for k in (1, 5)}
    for name, (low, high) in judged.ci95.items():
        assert low <= judged.mean[name] <= high
    assert judged.mean == judge.metrics(rankings(1)).mean


def test_users_without_targets_are_in_no_number(judge):
    judged = judge(rankings(1))
    assert judged.users.max() < NUM_USERS - 5
    emptied = rankings(1)
    emptied.items[NUM_USERS - 5 :] = 0
    emptied.items[NUM_USERS - 5 :, 1:] = -1
    again = judge(emptied)
    assert again.beyond_accuracy == judged.beyond_accuracy
    assert again.slices == judged.slices


def test_the_best_possible_lists_are_better_and_that_is_sure(judge):
    perfect = rankings(1)
    for user in range(NUM_USERS):
        wanted = judge.positives.row(user)
        rest = np.setdiff1d(np.arange(NUM_ITEMS), wanted)
        perfect.items[user] = np.concatenate([wanted, rest])[:5]
    judged = {"random": judge(rankings(1)), "perfect": judge(perfect)}
    values = {name: one.per_user["ndcg@5"] for name, one in judged.items()}
    (found,) = comparisons("perfect", values, metric="ndcg@5")
    assert (found["a"], found["b"], found["metric"]) == ("perfect", "random", "ndcg@5")
    assert found["p"] < 0.001
    assert found["delta"] == pytest.approx(1.0 - judged["random"].mean["ndcg@5"])
    assert found["ci95"][0] > 0
    assert (found["method"], found["correction"]) == (
        "paired permutation of users",
        "Holm",
    )
