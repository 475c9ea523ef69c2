"""Accuracy and macro F1: by hand, against a loop, and in table and report."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.classification import METRICS, evaluate_classes
from llmgnn_jax.evaluation.report import write_report
from llmgnn_jax.evaluation.results import ModelResult, Results, write_results
from llmgnn_jax.evaluation.table import models_table


def test_by_hand() -> None:
    # Class 0: TP 1, FP 1, FN 1; class 1: TP 1, FN 1; class 2: FP 1; class 3 is absent.
    got = evaluate_classes(
        np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), num_classes=4
    )
    assert got == pytest.approx({"accuracy": 0.5, "macro_f1": (1 / 2 + 2 / 3 + 0) / 3})
    assert tuple(got) == METRICS


def test_all_right_and_all_wrong() -> None:
    labels = np.array([0, 1, 2, 1])
    right = evaluate_classes(labels, labels, num_classes=5)
    assert right == {"accuracy": 1.0, "macro_f1": 1.0}
    wrong = evaluate_classes((labels + 1) % 3, labels, num_classes=5)
    assert wrong == {"accuracy": 0.0, "macro_f1": 0.0}


def test_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels, predicted = rng.integers(0, 6, (2, rng.integers(1, 40)))
        scores = []
        for one in range(6):
            pairs = list(zip(predicted == one, labels == one, strict=True))
            hits, false, missed = (
                pairs.count(kind) for kind in ((1, 1), (1, 0), (0, 1))
            )
            if hits + false + missed:
                precision = hits / (hits + false) if hits + false else 0.0
                recall = hits / (hits + missed) if hits + missed else 0.0
                both = precision + recall
                scores.append(2 * precision * recall / both if both else 0.0)
        got = evaluate_classes(predicted, labels, num_classes=6)
        assert got["macro_f1"] == pytest.approx(np.mean(scores))
        assert got["accuracy"] == pytest.approx(np.mean(predicted == labels))


def test_what_cannot_be_judged() -> None:
    none = np.zeros(0, np.int64)
    with pytest.raises(UserError, match="labels: expected at least one labelled node"):
        evaluate_classes(none, none, num_classes=2)
    with pytest.raises(ValueError, match="predicted"):
        evaluate_classes(np.zeros(2), np.zeros(3), num_classes=2)
    for wrong in (-1, 2):
        with pytest.raises(ValueError, match=r"labels must lie in \[0, 2\)"):
            evaluate_classes(np.zeros(1), np.array([wrong]), num_classes=2)


@pytest.fixture
def classified(results: Results) -> Results:
    model = ModelResult(
        valid={"accuracy": 0.8, "macro_f1": 0.79},
        test={"accuracy": 0.815, "macro_f1": 0.806},
        seconds=2.0,
    )
    protocol = dataclasses.replace(
        results.protocol, task="node_classification", k=[], masking="none"
    )
    return dataclasses.replace(
        results, protocol=protocol, models={"graph": model}, paths={}, examples=[]
    )


def test_the_table_of_classifiers(classified: Results) -> None:
    table = models_table(classified.document()).splitlines()
    assert table[0] == "node_classification on films, random 0.8:0.1:0.1, seed 0"
    assert table[3].split() == ["model", "accuracy", "accuracy", "macro_f1", "seconds"]
    assert table[4].split() == ["graph", "0.8000*", "0.8150*", "0.8060*", "2.0"]


def test_the_report_of_a_classifier(classified: Results, tmp_path: Path) -> None:
    write_results(tmp_path, classified)
    (tmp_path / "config.json").write_text("{}")
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert "<strong>graph</strong> on test: accuracy <strong>0.8150</strong>" in text
    assert "0.8060" in text
    assert "Ways to ask" not in text
