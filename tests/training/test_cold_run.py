"""A run whose split hides items: trained, measured both ways, reported."""

import json
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.config import Config, replace
from llmgnn_jax.evaluation.question import question_of
from llmgnn_jax.evaluation.results import read_results
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.run import fit

pytestmark = [pytest.mark.usefixtures("workplace"), pytest.mark.slow]

PLACES = (3, 5)


@pytest.fixture(scope="module")
def config(tiny_config: Config) -> Config:
    changes = {
        "data.split": "cold_items",
        "data.cold_share": 0.2,
        "data.warm_share": 0.1,
        "graph.filter": "item_item",
        "graph.filter_l2": 4.0,
        "evaluation.ks": (5,),
        "evaluation.metric": "ndcg@5",
        "evaluation.new_places": PLACES,
        "models": ("graph", "fused"),
    }
    return replace(tiny_config, **changes)


@pytest.fixture(scope="module")
def run(config, cache_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "cold"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
        fit(config, out=folder, command="llmgnn train tiny")
    return folder


def test_warm_and_cold_alone_and_together(run: Path) -> None:
    document = read_results(run)
    models = document["models"]
    assert {"random", "popularity", "ease", "text_knn"} <= set(models)
    for row in models.values():
        assert set(row["kinds"]) == {"warm", "cold items"}
        # Two of five places.
        assert row["beyond_accuracy"]["new_share@5"] == pytest.approx(0.4)
        for found in row["kinds"].values():
            assert found["users"] > 0
            # Among others as well nothing is found that is not found among its kind.
            assert found["together"]["recall@5"] <= found["alone"]["recall@5"]
    # Texts tell the planted themes; ids know nothing of what is cold.
    cold = {name: row["kinds"]["cold items"]["alone"] for name, row in models.items()}
    assert cold["fused"]["ndcg@5"] > 1.2 * cold["random"]["ndcg@5"]
    assert cold["fused"]["ndcg@5"] > cold["ease"]["ndcg@5"]
    assert document["protocol"]["candidates"].endswith("of them cold")
    page = (run / "report.html").read_text("utf-8")
    assert "Warm and cold" in page
    assert "new share" in page


def test_places_are_kept_for_the_same_items_when_measured_and_when_served(
    config: Config, run: Path
) -> None:
    prepared = prepare(config)
    question = question_of(prepared.split, "test")
    served = Recommender.load(run)._shelf.new_I[: prepared.dataset.num_items]
    np.testing.assert_array_equal(question.new, question.candidates & served)
    assert question.new.any()
    assert not question.new.all()


def test_the_filter_says_nothing_of_cold_items_to_a_model_of_ids(
    config: Config, run: Path
) -> None:
    from llmgnn_jax.training.trained import load_trained

    prepared = prepare(config)
    split = prepared.split
    hidden = np.flatnonzero(split.cold_items("test") | split.cold_items("valid"))
    rank = min(config.graph.filter_rank, prepared.dataset.num_items)
    for name, says in (("graph", False), ("fused", True)):
        model = load_trained(name, prepared, folder=run)
        _, items = model.scorer.vectors(model.params, prepared.features)
        said = np.asarray(items)[hidden][:, -rank:]
        assert (said != 0).any() == says
    assert json.loads((run / "config.json").read_text("utf-8"))
