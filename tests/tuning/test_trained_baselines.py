"""Baselines that are trained: tuned on valid alone, and rows of the results."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.trained_baselines import measured
from llmgnn_jax.config import Config, replace
from llmgnn_jax.evaluation.contract import check_results
from llmgnn_jax.evaluation.results import Results
from llmgnn_jax.training.lists import judge_of, model_vectors, rank_vectors
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.tuning import SPACES, trained_baselines

pytestmark = pytest.mark.usefixtures("workplace")


def test_each_is_as_good_on_valid_as_its_search_said(
    config: Config, tmp_path: Path
) -> None:
    found = trained_baselines(config, trials=1, folder=tmp_path, names=["bpr_mf"])
    (one,) = found.values()
    spec = one.model.scorer.spec
    assert (spec.sides, spec.num_layers, spec.filter_rank) == ("graph", 0, 0)
    budget = one.budget
    assert budget["trials"] == 1
    assert budget["chosen"]["train.loss"] == "bpr"
    assert one.seconds > budget["seconds"] > 0
    assert one.model.step == 5 * config.train.steps
    prepared = prepare(config)
    ranked = rank_vectors(
        *model_vectors(one.model, prepared), prepared, prepared.on_valid
    )
    valid = judge_of(prepared.on_valid, prepared).metrics(ranked).mean
    assert valid["ndcg@10"] == budget["value"]
    # Without layers a user's vector is its id vector.
    users, _ = model_vectors(one.model, prepared)
    table = np.asarray(one.model.params["node_embedding"])
    np.testing.assert_array_equal(users, table[: len(users)])
    assert (tmp_path / "bpr_mf.jsonl").read_text("utf-8").count("\n") == 2


def test_those_of_texts_need_texts(
    config: Config, workplace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (workplace / "data").mkdir()
    for name, lines in (
        ("train.txt", ["0 0 1 2 3", "1 1 2 3 4", "2 0 2 4 5"]),
        ("test.txt", ["0 4", "1 0", "2 1"]),
    ):
        (workplace / "data" / name).write_text("\n".join(lines) + "\n", "utf-8")
    source = {"data.source": str(workplace / "data"), "data.split": "published"}
    found = trained_baselines(replace(config, **source), trials=1, names=["two_tower"])
    assert found == {}
    assert "two_tower left out: the data have no texts" in caplog.text


@pytest.fixture(scope="module")
def measured_once(
    tiny_config: Config,
    cache_folder: Path,
) -> Results:
    config = replace(
        tiny_config,
        models=("fused",),
        **{"train.steps": 40, "train.batch_size": 64, "evaluation.baselines": False},
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
        return measured(config, trials=1, command="python -m benchmarks.any")


@pytest.mark.slow
def test_they_are_rows_of_the_results(measured_once: Results) -> None:
    document = measured_once.document()
    check_results(document)
    rows = document["models"]
    assert list(rows) == ["bpr_mf", "lightgcn", "two_tower", "fused"]
    for name in ("bpr_mf", "lightgcn", "two_tower"):
        row = rows[name]
        assert row["baseline"]
        assert row["valid"]["ndcg@10"] == row["budget"]["value"]
        assert row["budget"]["trials"] == 1
        assert set(row["budget"]["chosen"]) == set(SPACES[name].space)
        assert 0 < row["test"]["ndcg@10"] < 1
        assert row["seconds"] > row["budget"]["seconds"]
    assert {one["b"] for one in document["comparisons"]} == set(rows) - {"fused"}
