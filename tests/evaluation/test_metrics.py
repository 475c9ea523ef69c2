"""Ranking metrics, by hand and against a slow loop."""

import math

import numpy as np
import pytest

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.metrics import METRICS, evaluate_rankings


def csr(*rows: list[int]) -> Csr:
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    return Csr.from_pairs(users, np.array([i for row in rows for i in row]), len(rows))


def by_loop(ranking: list[int], positives: set[int], k: int) -> dict[str, float]:
    """The definitions, one place at a time."""
    hits, dcg, precisions, first = 0, 0.0, 0.0, 0
    for rank, item in enumerate(ranking[:k], start=1):
        if item in positives:
            hits += 1
            dcg += 1 / math.log2(rank + 1)
            precisions += hits / rank
            first = first or rank
    possible = min(len(positives), k)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, possible + 1))
    return {
        "recall": hits / len(positives),
        "ndcg": dcg / ideal,
        "mrr": 1 / first if first else 0.0,
        "map": precisions / possible,
        "hit": float(hits > 0),
        "precision": hits / k,
    }


def test_by_hand() -> None:
    # User 2 finds item 4 at rank 2 and misses item 9; user 0 has nothing to find.
    rankings = np.array([[1, 2, 3], [3, 4, 5]])
    positives = csr([], [], [4, 9])
    got = evaluate_rankings(
        rankings, np.array([0, 2]), positives, ks=(1, 3), num_items=10
    )
    discount = 1 / math.log2(3)
    assert got.mean == pytest.approx(
        {
            "recall@1": 0.0,
            "ndcg@1": 0.0,
            "mrr@1": 0.0,
            "map@1": 0.0,
            "hit@1": 0.0,
            "precision@1": 0.0,
            "coverage@1": 0.1,
            "recall@3": 0.5,
            "ndcg@3": discount / (1 + discount),
            "mrr@3": 0.5,
            "map@3": 0.25,
            "hit@3": 1.0,
            "precision@3": 1 / 3,
            "coverage@3": 0.3,
        }
    )
    np.testing.assert_array_equal(got.users, [2])


def test_the_best_ranking_gets_one() -> None:
    got = evaluate_rankings(
        np.array([[5, 2, 7, 1]]),
        np.array([0]),
        csr([1, 2, 5, 7]),
        ks=(2, 4),
        num_items=8,
    )
    for metric in ("ndcg@2", "map@2", "precision@2", "ndcg@4", "recall@4", "map@4"):
        assert got.mean[metric] == pytest.approx(1.0, abs=1e-15)
    assert got.mean["recall@2"] == 0.5


@pytest.mark.parametrize("seed", range(8))
def test_equals_a_slow_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    num_users, num_items = int(rng.integers(2, 30)), int(rng.integers(3, 25))
    length = num_items + 4
    # Scores with few levels rank with ties; masked items leave -1 at the end.
    scores = rng.integers(0, 3, (num_users, num_items))
    order = np.argsort(-scores, axis=1, kind="stable")
    rankings = np.full((num_users, length), -1)
    for user in range(num_users):
        kept = order[user][rng.random(num_items) < 0.8]
        rankings[user, : len(kept)] = kept
    wanted = rng.random((num_users, num_items)) < 0.2
    wanted[rng.random(num_users) < 0.3] = False
    wanted[0], wanted[1, 0] = False, True
    positives = Csr.from_pairs(*np.nonzero(wanted), num_users)
    users = rng.permutation(num_users)
    # One cut-off within the catalogue, one at its end, one above it.
    ks = (2, num_items, length)
    got = evaluate_rankings(
        rankings[users], users, positives, ks=ks, num_items=num_items
    )
    evaluated = [int(user) for user in users if wanted[user].any()]
    assert got.users.tolist() == evaluated
    assert len(evaluated) < num_users
    for k in ks:
        loops = [
            by_loop(rankings[u].tolist(), set(positives.row(u).tolist()), k)
            for u in evaluated
        ]
        for name in METRICS:
            expected = np.array([loop[name] for loop in loops])
            np.testing.assert_allclose(
                got.per_user[f"{name}@{k}"], expected, rtol=1e-13, atol=0
            )
            assert got.mean[f"{name}@{k}"] == pytest.approx(expected.mean(), rel=1e-13)
        shown = {i for u in evaluated for i in rankings[u, :k].tolist() if i >= 0}
        assert got.mean[f"coverage@{k}"] == len(shown) / num_items


def test_an_exhausted_catalogue_counts_as_misses() -> None:
    rankings = np.array([[2, -1, -1, -1]])
    got = evaluate_rankings(rankings, np.array([0]), csr([0, 1]), ks=(4,), num_items=3)
    assert got.mean["recall@4"] == 0.0
    assert got.mean["coverage@4"] == 1 / 3
    assert all(math.isfinite(value) for value in got.mean.values())


def test_a_part_without_positives_is_refused() -> None:
    with pytest.raises(UserError, match="positives: expected at least one"):
        evaluate_rankings(
            np.array([[0, 1]]), np.array([0]), csr([], [1]), ks=(1,), num_items=2
        )


@pytest.mark.parametrize(
    ("items", "users", "ks", "message"),
    [
        ([[0, 1]], [0], (3,), "cut-offs"),
        ([[0, 1]], [0], (0,), "cut-offs"),
        ([[0, 1]], [0], (), "cut-offs"),
        ([[1, 1]], [0], (1,), "names an item twice"),
        ([[0, 4]], [0], (1,), "items must lie"),
        ([[0, 1]], [2], (1,), "users must lie"),
        ([[0, 1]], [0, 1], (1,), r"not \(U, K\)"),
        ([0, 1], [0, 1], (1,), r"not \(U, K\)"),
    ],
)
def test_bad_input(
    items: list, users: list[int], ks: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_rankings(
            np.array(items), np.array(users), csr([1], [2]), ks=ks, num_items=4
        )
