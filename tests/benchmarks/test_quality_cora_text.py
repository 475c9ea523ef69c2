"""The benchmark of topics of papers, on a planted graph whose models are made up."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import cora_text_tuning, quality_cora_text
from benchmarks.node_baselines import classical
from llmgnn_jax.data.node_dataset import NodeDataset
from llmgnn_jax.data.node_splits import split_nodes
from llmgnn_jax.evaluation.contract import check_results
from llmgnn_jax.recipes import recipe

NODES, CLASSES = 150, 3


@pytest.fixture(scope="module")
def papers() -> NodeDataset:
    """Mostly edges within a class; the last ten have none."""
    rng = np.random.default_rng(0)
    labels = np.arange(NODES) % CLASSES
    ends = np.sort(rng.integers(0, NODES - 10, (2000, 2)), axis=1)
    same = labels[ends[:, 0]] == labels[ends[:, 1]]
    kept = (ends[:, 0] < ends[:, 1]) & (rng.random(2000) < 0.02 + 0.2 * same)
    return NodeDataset(
        name="planted",
        features=np.zeros((NODES, 0)),
        labels=labels,
        edges=np.unique(ends[kept], axis=0),
        class_names=("a", "b", "c"),
        node_texts=tuple(f"paper {number}" for number in range(NODES)),
    )


def vectors(dataset: NodeDataset) -> np.ndarray:
    rng = np.random.default_rng(1)
    means = np.eye(CLASSES, 8)[dataset.labels]
    return (means + rng.normal(size=(NODES, 8))).astype(np.float32)


def accuracy(classes: np.ndarray, dataset: NodeDataset, nodes: np.ndarray) -> float:
    return float((classes[nodes] == dataset.labels[nodes]).mean())


def test_classical_rows(papers: NodeDataset) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is absent")
    split = split_nodes(papers, seed=0)
    rows = classical(split.training(), split.held_out("valid"), vectors(papers))
    found = {
        name: accuracy(row.classes, papers, split.test) for name, row in rows.items()
    }
    assert list(found) == ["label_propagation", "text_logistic", "smoothed_logistic"]
    assert min(found.values()) > 0.42  # one in three by chance
    # Neighbours take the noise off the vectors.
    assert found["smoothed_logistic"] > found["text_logistic"]
    for row in rows.values():
        ((name, grid),) = row.budget["grid"].items()
        assert row.budget["chosen"][name] in grid
        assert row.budget["trials"] == len(grid)


def test_held_out_labels_reach_no_classical_row(papers: NodeDataset) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is absent")
    split = split_nodes(papers, seed=0)
    valid = split.held_out("valid")
    turned = papers.labels.copy()
    turned[split.test] = (turned[split.test] + 1) % CLASSES
    other = split_nodes(NodeDataset(**{**vars_of(papers), "labels": turned}), seed=0)
    for name, row in classical(split.training(), valid, vectors(papers)).items():
        again = classical(other.training(), valid, vectors(papers))[name]
        np.testing.assert_array_equal(row.classes, again.classes)


def vars_of(dataset: NodeDataset) -> dict[str, Any]:
    names = ("name", "features", "labels", "edges", "class_names", "node_texts")
    return {name: getattr(dataset, name) for name in names}


SHARES = {"graph": 0.7, "text": 0.6, "fused": 0.95}


def made_up(name: str, prepared: Any, values: Mapping[str, Any]) -> Any:
    """A model that is right so often, and more often the higher the rate is."""
    rate = values.get("train.learning_rate", 0.0)
    labels = prepared.split.dataset.labels
    rng = np.random.default_rng(len(name) + prepared.config.seed)
    right = rng.random(NODES) < SHARES[name] + rate - 0.02
    classes = np.where(right, labels, (labels + 1) % CLASSES)
    return SimpleNamespace(
        predictor=SimpleNamespace(classes=lambda *_: classes),
        params=None,
        seconds=1.0,
        step=5,
        best_step=3,
    )


@pytest.fixture
def without_training(monkeypatch: pytest.MonkeyPatch, papers: NodeDataset) -> list[str]:
    """Nothing is trained; what was asked for is listed."""
    asked: list[str] = []

    def prepared(config: Any) -> Any:
        split = split_nodes(papers, seed=config.seed)
        texts = SimpleNamespace(vectors_NT=vectors(papers))
        return SimpleNamespace(
            config=config,
            split=split,
            train=split.training(),
            valid=split.held_out("valid"),
            data=SimpleNamespace(graph=SimpleNamespace(texts=texts)),
        )

    def train(name: str, one: Any, values: Mapping[str, Any]) -> Any:
        asked.append(name)
        return made_up(name, one, values)

    for module in (cora_text_tuning, quality_cora_text):
        monkeypatch.setattr(module, "prepare_nodes", prepared)
        monkeypatch.setattr(module, "train_one", train)
    monkeypatch.setattr(quality_cora_text, "classical", lambda *_: {})
    return asked


def test_tuning_goes_on_where_it_was(
    without_training: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "tuned.json"
    config = recipe("cora-text")
    cora_text_tuning.tune(file, config=config, trials=2)
    assert len(without_training) == 3 * 2 * len(cora_text_tuning.SEEDS)
    without_training.clear()
    tuned = cora_text_tuning.tune(file, config=config, trials=3)
    assert len(without_training) == 3 * len(cora_text_tuning.SEEDS)
    assert json.loads(file.read_text("utf-8")) == json.loads(json.dumps(tuned))
    for row in tuned.values():
        assert row["trials"][0]["values"] == {}
        best = max(row["trials"], key=lambda trial: trial["mean"])
        assert (row["chosen"], row["value"]) == (best["values"], best["mean"])


def test_the_document(without_training: list[str], tmp_path: Path) -> None:
    file = tmp_path / "out" / "cora.json"
    quality_cora_text.main(["--seeds", "0", "1", "2", "3", "4", "--json", str(file)])
    document = json.loads(file.read_text("utf-8"))
    check_results(document)
    assert list(document["models"]) == ["graph", "text", "fused"]
    fused = document["models"]["fused"]
    assert list(fused["per_seed"]) == ["0", "1", "2", "3", "4"]
    values = [one["accuracy"] for one in fused["per_seed"].values()]
    assert fused["test"]["accuracy"] == pytest.approx(np.mean(values))
    assert fused["budget"]["tuning"]["trials"] == cora_text_tuning.TRIALS
    compared = {(one["b"], one["method"]): one for one in document["comparisons"]}
    assert {other for other, _ in compared} == {"graph", "text"}
    for other in ("graph", "text"):
        of_other = document["models"][other]["test"]["accuracy"]
        by_splits = compared[other, quality_cora_text.BY_SPLITS]
        assert by_splits["delta"] == pytest.approx(np.mean(values) - of_other)
        # Five splits of one sign: 2 of 32 draws of signs are as far, Holm doubles it.
        assert by_splits["p"] == pytest.approx(2 * 2 / 32, abs=0.02)
        assert compared[other, quality_cora_text.BY_PAPERS]["p"] < 0.01
    assert document["protocol"]["split_name"] == (
        "random valid 0.2, test 0.2 90/30/30, seeds 0 1 2 3 4"
    )


def test_test_is_not_read_while_tuning(
    without_training: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        quality_cora_text, "measure", lambda *_, **__: pytest.fail("test was read")
    )
    file = tmp_path / "cora.json"
    quality_cora_text.main(["--only-tune", "--json", str(file)])
    assert not file.exists()
    assert file.with_name("cora-tuned.json").exists()
    assert without_training
