"""The baselines, against their definitions and on real data."""

import itertools
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax import assets
from llmgnn_jax.data import catalog
from llmgnn_jax.data.csr import Csr
from llmgnn_jax.data.splits import split_random
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.baselines import (
    GRIDS,
    Baseline,
    ease,
    item_knn,
    of_vectors,
    popularity,
    slim,
    spectral,
    text_knn,
    tuned_baselines,
    tuning,
    with_vectors,
)
from llmgnn_jax.evaluation.baselines.random_order import breaking_ties, random_order
from llmgnn_jax.evaluation.metrics import evaluate_rankings
from llmgnn_jax.evaluation.ranking import rank
from llmgnn_jax.graph.spectral import Filter


@pytest.fixture
def matrix() -> np.ndarray:
    """(9, 6) 0/1; the last user and the last item have nothing."""
    matrix = (np.random.default_rng(3).random((9, 6)) < 0.4).astype(np.float64)
    matrix[-1], matrix[:, -1] = 0, 0
    return matrix


def to_csr(matrix: np.ndarray) -> Csr:
    return Csr.from_pairs(*np.nonzero(matrix), len(matrix))


def scores_of(baseline: Baseline, num_users: int) -> np.ndarray:
    users = jnp.arange(num_users, dtype=jnp.int32)
    return np.asarray(baseline.score_chunk(baseline.data, users))


def test_popularity_counts_users(matrix: np.ndarray) -> None:
    scores = scores_of(popularity(to_csr(matrix), 6), 9)
    np.testing.assert_array_equal(scores, np.tile(matrix.sum(axis=0), (9, 1)))


@pytest.mark.parametrize("shrink", [0.0, 2.5])
@pytest.mark.parametrize("neighbours", [1, 3, 6])
def test_item_knn_sums_the_largest_similarities(
    matrix: np.ndarray, neighbours: int, shrink: float
) -> None:
    similarity = np.zeros((6, 6))
    for i in range(6):
        for j in range(6):
            norm = np.sqrt(matrix[:, i].sum() * matrix[:, j].sum()) + shrink
            if i != j and norm > 0:
                similarity[i, j] = (matrix[:, i] @ matrix[:, j]) / norm
    for j in range(6):
        least = np.sort(similarity[:, j])[-neighbours]
        similarity[similarity[:, j] < least, j] = 0
    fitted = item_knn(to_csr(matrix), 6, neighbours=neighbours, shrink=shrink)
    np.testing.assert_allclose(scores_of(fitted, 9), matrix @ similarity, atol=1e-6)
    assert fitted.budget["chosen"] == {"neighbours": neighbours, "shrink": shrink}


@pytest.mark.parametrize("l2", [0.5, 20.0])
def test_ease_is_ridge_regression_on_the_other_items(
    matrix: np.ndarray, l2: float
) -> None:
    weights = np.zeros((6, 6))
    for j in range(6):
        others = np.arange(6) != j
        x = matrix[:, others]
        weights[others, j] = np.linalg.solve(
            x.T @ x + l2 * np.eye(5), x.T @ matrix[:, j]
        )
    fitted = ease(to_csr(matrix), 6, l2=l2)
    np.testing.assert_allclose(scores_of(fitted, 9), matrix @ weights, atol=1e-6)


@pytest.mark.parametrize("neighbours", [2, 6])
def test_slim_is_the_best_of_what_is_not_negative(
    matrix: np.ndarray, neighbours: int
) -> None:
    l1, l2 = 0.1, 1.5
    fitted = slim(to_csr(matrix), 6, l1=l1, l2=l2, neighbours=neighbours)
    weights = np.asarray(fitted.data["weights"], np.float64)
    assert (weights >= 0).all()
    assert (np.diag(weights) == 0).all()
    assert ((weights > 0).sum(axis=0) <= neighbours).all()
    assert (weights > 0).any()

    def loss(j: int, column: np.ndarray) -> float:
        residual = matrix[:, j] - matrix @ column
        penalty = l2 / 2 * column @ column + l1 * np.abs(column).sum()
        return float(residual @ residual / 2 + penalty)

    rng = np.random.default_rng(0)
    for j in range(6):
        # Convex: no better one nearby, among the candidates, is none anywhere.
        allowed = np.flatnonzero(weights[:, j] > 0) if neighbours < 6 else np.arange(6)
        allowed = allowed[allowed != j]
        for _ in range(200):
            other = weights[:, j].copy()
            other[allowed] += rng.normal(size=len(allowed)) * 0.05
            assert loss(j, weights[:, j]) <= loss(j, np.maximum(other, 0)) + 1e-6


def test_text_knn_sums_cosines(matrix: np.ndarray) -> None:
    vectors = np.random.default_rng(5).normal(size=(6, 4)).astype(np.float32)
    vectors[2] = 0  # Without a text.
    fitted = text_knn(to_csr(matrix), vectors, neighbours=6, centred=1.0)
    known = np.any(vectors != 0, axis=1)
    centred = np.where(known[:, None], vectors - vectors[known].mean(axis=0), 0)
    lengths = np.linalg.norm(centred, axis=1)
    lengths[2] = 1
    cosine = np.maximum(centred @ centred.T / np.outer(lengths, lengths), 0)
    np.fill_diagonal(cosine, 0)
    np.testing.assert_allclose(scores_of(fitted, 9), matrix @ cosine, atol=1e-5)
    nearest = text_knn(to_csr(matrix), vectors, neighbours=1, centred=1.0)
    assert (np.asarray(nearest.data["weights"]) > 0).sum(axis=0).max() == 1


def test_the_last_item_has_no_users_and_a_text_finds_it(matrix: np.ndarray) -> None:
    vectors = np.eye(6, 4, dtype=np.float32)
    vectors[5] = vectors[0]
    fitted = text_knn(to_csr(matrix), vectors, neighbours=6, centred=0.0)
    np.testing.assert_allclose(scores_of(fitted, 9)[:, 5], matrix[:, 0], atol=1e-6)


def test_without_sharpening_and_low_pass_the_filter_is_two_steps_of_a_walk(
    matrix: np.ndarray,
) -> None:
    users = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    items = np.maximum(matrix.sum(axis=0), 1)
    linear = (matrix / np.sqrt(users) / np.sqrt(items)).T
    linear = linear @ linear.T
    fitted = spectral(to_csr(matrix), 6, rank=2, chosen=Filter(ideal_weight=0.0))
    np.testing.assert_allclose(scores_of(fitted, 9), matrix @ linear, atol=1e-5)


def test_scores_of_vectors_are_added_by_their_weight(matrix: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    users = rng.normal(size=(9, 3)).astype(np.float32)
    items = rng.normal(size=(6, 3)).astype(np.float32)
    vectors = of_vectors("graph", users, items, seconds=2.0)
    np.testing.assert_allclose(scores_of(vectors, 9), users @ items.T, atol=1e-5)
    fitted = ease(to_csr(matrix), 6, l2=3.0)
    alone = scores_of(fitted, 9)
    for weight in (0.5, 2.0):
        both = with_vectors(fitted, vectors, weight=weight, name="both")
        assert both.seconds == fitted.seconds + 2.0
        assert both.budget["vectors_weight"] == weight
        np.testing.assert_allclose(
            scores_of(both, 9), alone + weight * users @ items.T, atol=1e-5
        )


def test_hyper_parameters_are_chosen_on_valid_alone() -> None:
    split = split_random(synthetic(num_interactions=700), seed=0)
    train, valid = split.train_csr(), split.held_out("valid")
    grid = {"l2": (1.0, 30.0, 1_000.0)}
    fitted = tuned_baselines(
        train,
        valid,
        num_items=40,
        metric="recall@5",
        grids={
            "item_knn": {"neighbours": (5,), "shrink": (0.0, 10.0)},
            "ease": grid,
            "text_knn": {"neighbours": (5,), "centred": (1.0,)},
        },
    )
    # There are no texts.
    assert list(fitted) == ["popularity", "item_knn", "ease"]

    def recall(baseline: Baseline) -> float:
        got = rank(
            baseline.score_chunk,
            baseline.data,
            num_users=60,
            num_items=40,
            seen=train,
            k=5,
        )
        return evaluate_rankings(
            got.items, got.users, valid, ks=(5,), num_items=40
        ).mean["recall@5"]

    values = {l2: recall(ease(train, 40, l2=l2)) for l2 in grid["l2"]}
    budget = fitted["ease"].budget
    assert budget["value"] == max(values.values()) == recall(fitted["ease"])
    assert values[budget["chosen"]["l2"]] == budget["value"]
    assert budget["trials"] == 3
    assert budget["chosen_by"] == "valid recall@5"
    assert budget["at_edge"] == (["l2"] if budget["chosen"]["l2"] != 30.0 else [])
    assert fitted["item_knn"].budget["trials"] == 2
    assert fitted["ease"].seconds > 0
    # The planted clusters can be learned from who took what.
    assert recall(fitted["ease"]) > 1.3 * recall(fitted["popularity"])


def test_all_grids_have_the_same_number_of_trials() -> None:
    sizes = {
        np.prod([len(values) for values in grid.values()]) for grid in GRIDS.values()
    }
    assert sizes == {8}


def test_every_baseline_is_tuned() -> None:
    split = split_random(synthetic(num_interactions=700), seed=0)
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    first = {
        name: {key: values[:1] for key, values in grid.items()}
        for name, grid in GRIDS.items()
    }
    fitted = tuned_baselines(
        split.train_csr(),
        split.held_out("valid"),
        num_items=40,
        item_vectors=vectors,
        metric="recall@5",
        grids=first,
    )
    assert list(fitted) == ["popularity", *GRIDS]
    for name, baseline in fitted.items():
        assert baseline.name == name
        assert np.isfinite(scores_of(baseline, 60)).all()


def test_a_catalogue_that_is_too_large(
    monkeypatch: pytest.MonkeyPatch, matrix: np.ndarray
) -> None:
    monkeypatch.setattr("llmgnn_jax.graph.item_item.MAX_DENSE_ITEMS", 5)
    train = to_csr(matrix)
    with pytest.raises(UserError, match="num_items: expected at most 5"):
        ease(train, 6)
    fitted = tuned_baselines(train, train, num_items=6)
    assert list(fitted) == ["popularity", "gf_cf", "bspm"]


def test_a_trial_ranks_some_of_many_users(monkeypatch: pytest.MonkeyPatch) -> None:
    split = split_random(synthetic(num_interactions=700), seed=0)
    train, valid = split.train_csr(), split.held_out("valid")
    asked = []

    def counted(*args: Any, users: np.ndarray, **kwargs: Any) -> Any:
        asked.append(users.tolist())
        return rank(*args, users=users, **kwargs)

    monkeypatch.setattr(tuning, "rank", counted)
    monkeypatch.setattr(tuning, "_USERS_A_TRIAL", 20)
    num_items = split.dataset.num_items
    tuned_baselines(
        train, valid, num_items=num_items, grids={"ease": {"l2": (1.0, 9.0)}}
    )
    assert asked[0] == asked[1] == sorted(set(asked[0]))
    assert len(asked[0]) == 20
    assert (valid.counts()[asked[0]] > 0).all()


def test_ease_needs_a_penalty(matrix: np.ndarray) -> None:
    with pytest.raises(UserError, match="l2: expected a positive number"):
        ease(to_csr(matrix), 6, l2=0.0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_known_quality_on_movielens(seed: int) -> None:
    if assets.where("ml-100k") is None:
        pytest.skip("ml-100k is not in the cache")
    split = split_random(catalog.load("ml-100k"), seed=seed)
    train, seen, test = split.train_csr(), split.seen("test"), split.held_out("test")
    ndcg = {}
    for fitted in (
        popularity(train, 1_682),
        ease(train, 1_682, l2=300.0),
        slim(train, 1_682, l1=2.0, l2=200.0),
        spectral(train, 1_682, rank=32, chosen=Filter(ideal_weight=1.0)),
    ):
        got = rank(
            fitted.score_chunk,
            fitted.data,
            num_users=943,
            num_items=1_682,
            seen=seen,
            k=10,
        )
        ndcg[fitted.name] = evaluate_rankings(
            got.items, got.users, test, ks=(10,), num_items=1_682
        ).mean["ndcg@10"]
    assert 0.12 < ndcg["popularity"] < 0.16
    assert 0.31 < ndcg["ease"] < 0.35
    assert 0.29 < ndcg["slim"] < 0.35
    assert 0.29 < ndcg["gf_cf"] < 0.35


def test_ties_are_broken_at_random_and_nothing_else_changes() -> None:
    rng = np.random.default_rng(0)
    train = Csr.from_pairs(
        rng.integers(200, size=2_000), rng.integers(20, size=2_000), 200
    )
    num_items = 40  # Half of which nobody had.
    unheard = np.arange(40) >= 20
    for fitted in (popularity(train, num_items), ease(train, num_items, l2=10.0)):
        fair = breaking_ties(fitted, num_items, seed=1)
        lists = {
            one: rank(
                made.score_chunk,
                made.data,
                num_users=200,
                num_items=num_items,
                seen=train,
                k=40,
                candidates=candidates,
            ).items
            for one, made, candidates in (
                ("all", fitted, None),
                ("fair", fair, None),
                ("cold", fair, unheard),
            )
        }
        # Items that are told apart stay in their order.
        for before, after in zip(lists["all"], lists["fair"], strict=True):
            scored = [item for item in before if item >= 0 and not unheard[item]]
            again = [item for item in after if item >= 0 and not unheard[item]]
            if fitted.name == "ease":
                assert again == scored
        # Each unheard item is first about as often: one in twenty of 200 users.
        firsts = np.bincount(lists["cold"][:, 0], minlength=40)[unheard]
        assert firsts.sum() == 200
        assert firsts.max() < 30
    by_chance = random_order(num_items, seed=1)
    found = rank(
        by_chance.score_chunk,
        by_chance.data,
        num_users=200,
        num_items=num_items,
        seen=None,
        k=1,
    ).items[:, 0]
    assert np.bincount(found, minlength=40).max() < 20


@pytest.mark.parametrize("backwards", [False, True])
def test_what_trials_share_is_that_of_each_alone(backwards: bool) -> None:
    rng = np.random.default_rng(2)
    train = Csr.from_pairs(rng.integers(60, size=500), rng.integers(30, size=500), 60)
    vectors = rng.normal(size=(30, 5)) + 1.0
    fits = tuning._fits(train, 30, vectors, "csr")
    alone = {
        "item_knn": partial(item_knn, train, 30),
        "ease": partial(ease, train, 30),
        "slim": partial(slim, train, 30),
        "text_knn": partial(text_knn, train, vectors),
    }
    grids = {
        "item_knn": {"shrink": (0.0, 5.0), "neighbours": (3, 8)},
        "ease": {"l2": (1.0, 10.0)},
        "slim": {"l1": (0.1, 1.0), "l2": (1.0, 9.0), "neighbours": (4, 9)},
        "text_knn": {"centred": (0.0, 1.0), "neighbours": (3, 8)},
    }
    for name, grid in grids.items():
        found = []
        fit = fits[name]()
        for values in itertools.product(*grid.values()):
            chosen = dict(zip(grid, values, strict=True))
            if backwards:
                chosen = dict(reversed(chosen.items()))
            shared = np.asarray(fit(chosen, 0.0).data["weights"])
            np.testing.assert_array_equal(shared, alone[name](**chosen).data["weights"])
            found.append(shared.tobytes())
        # Each choice says something of its own.
        assert len(set(found)) == len(found), name


def test_filters_tie_what_nobody_had_at_any_rank() -> None:
    rng = np.random.default_rng(3)
    # Small singular values, whose vectors rounding leaves its traces in.
    items = rng.zipf(1.5, size=300) % 30
    train = Csr.from_pairs(rng.integers(60, size=300), items, 60)
    heard = np.isin(np.arange(40), items)
    for name in ("gf_cf", "bspm"):
        fit = tuning._fits(train, 40, None, "csr")[name]()
        fitted = fit({"rank": 28, "ideal_weight": 1.0, "sharpening": 0.3}, 0.0)
        scores = np.asarray(fitted.score_chunk(fitted.data, np.arange(60)))
        assert (scores[:, ~heard] == 0).all()
        assert (scores[:, heard] != 0).any()
