"""A run with a linear filter: trained, measured, loaded and asked."""

import json

import numpy as np
import pytest

from llmgnn_jax.config import replace
from llmgnn_jax.evaluation.metrics import evaluate_rankings
from llmgnn_jax.graph.item_item import rated
from llmgnn_jax.graph.ridge import RidgeInverse
from llmgnn_jax.graph.spectral import ideal_low_pass
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.run import evaluate, fit
from llmgnn_jax.training.trained import load_trained

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture(scope="module")
def config(tiny_config):
    changes = {
        "graph.filter": "item_item",
        "graph.filter_weight": 3.0,
        "graph.filter_l2": 4.0,
        "graph.filter_rank": 64,
        "evaluation.baselines": False,
        "train.steps": 40,
    }
    return replace(tiny_config, **changes)


@pytest.fixture(scope="module")
def run(config, cache_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "filtered"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
        fit(config, out=folder, command="llmgnn train tiny")
    return folder


def test_a_run_is_measured_by_the_sum_of_both(run, config):
    results = json.loads((run / "results.json").read_text("utf-8"))
    prepared = prepare(config)
    ratings = rated(prepared.train, power=0.5)
    rows = ratings.toarray().astype(np.float64)
    by_filter = rows @ RidgeInverse(ratings, l2=4.0).weights()
    for name in ("graph", "fused"):
        model = load_trained(name, prepared, folder=run)
        users, items = (
            np.asarray(side, np.float64)
            for side in model.scorer.vectors(model.params, model.features)
        )
        width = users.shape[1] - min(64, prepared.dataset.num_items)
        scores = (users[:, :width] @ items[:, :width].T)[: len(rows), : rows.shape[1]]
        scores = scores + 3.0 * by_filter
        seen = prepared.split.seen("test")
        scores[seen.pairs()] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        found = evaluate_rankings(
            order,
            np.arange(len(rows)),
            prepared.split.held_out("test"),
            ks=(5, 10),
            num_items=rows.shape[1],
        )
        assert results["models"][name]["test"]["ndcg@10"] == pytest.approx(
            found.mean["ndcg@10"], abs=2e-3
        )


def test_the_spectral_filter_is_prepared_by_its_name(config):
    changes = {"graph.filter": "spectral", "graph.filter_rank": 8, "seed": 3}
    prepared = prepare(replace(config, **changes, models=("graph",)))
    made = prepared.features.filter
    assert made is not None
    vectors = ideal_low_pass(
        prepared.history, prepared.dataset.num_items, rank=8, seed=3
    )
    users, items = len(vectors.user_UK), len(vectors.item_IK)
    np.testing.assert_allclose(made.user_UK[:users], vectors.user_UK, atol=1e-4)
    np.testing.assert_allclose(made.item_IK[:items], vectors.item_IK, atol=1e-4)
    assert not np.asarray(made.item_IK[items:]).any()


def test_text_alone_is_not_filtered(run, config):
    prepared = prepare(config)
    model = load_trained("text", prepared, folder=run)
    users, _ = model.scorer.vectors(model.params, model.features)
    assert users.shape[1] == config.graph.embedding_dim


def test_every_path_answers(run):
    results = json.loads((run / "results.json").read_text("utf-8"))
    assert list(results["paths"]) == ["user", "items", "text"]
    recommender = Recommender.load(run)
    items = recommender._prepared.dataset.item_ids
    user = recommender._prepared.dataset.user_ids[1]
    for asked in ({"user": user}, {"items": [items[3]]}, {"text": "a film"}):
        found = recommender.recommend(**asked, k=5)
        assert len(found) == 5
        assert all(np.isfinite(item.score) for item in found)


def test_a_run_without_training_evaluates_to_the_same(run):
    before = json.loads((run / "results.json").read_text("utf-8"))["models"]
    after = evaluate(run).results["models"]
    for name in before:
        assert after[name]["test"] == pytest.approx(before[name]["test"], abs=1e-9)
