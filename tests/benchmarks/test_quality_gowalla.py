"""Gowalla's benchmark: what is kept, what is resumed, and how it is drawn."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gowalla_tuning
from benchmarks.gowalla_trained import RECIPE, Trained, curve_of
from benchmarks.quality_gowalla import plot
from llmgnn_jax.graph.item_item import FilterVectors
from llmgnn_jax.recipes import recipe

TRAINED = Trained(
    users_UD=np.array([[1.0, 2.0]], np.float32),
    items_ID=np.array([[3.0, 4.0]], np.float32),
    seconds=1.0,
    curve=[{"step": 1, "seconds": 2.0, "recall@20": 0.1, "ndcg@20": 0.05}],
    steps=1,
)


def test_seconds_of_a_curve_are_those_of_steps(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    valid = {"recall@20": 0.2, "ndcg@20": 0.1, "mrr@20": 0.3}
    lines = [
        {"step": 10, "examples_per_s": 40.0},
        {"step": 20, "examples_per_s": 20.0},
        {"step": 20, "valid": valid},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert curve_of(file, batch_size=4) == [
        {"step": 20, "seconds": 3.0, "recall@20": 0.2, "ndcg@20": 0.1}
    ]


def test_a_filter_beside_the_graph_is_weighed() -> None:
    one = np.array([[0.5]], np.float32)
    vectors = FilterVectors(read_IK=one, item_IK=one, user_UK=one)
    users, items = TRAINED.filtered(vectors, 4.0)
    assert (users @ items.T).item() == pytest.approx(11.0 + 4.0 * 0.25)


def test_the_recipe_has_the_filter_that_is_measured() -> None:
    graph = recipe(RECIPE).graph
    assert graph.filter == "spectral"
    assert graph.filter_weight in gowalla_tuning.FILTER_WEIGHTS


def test_what_was_chosen_is_not_searched_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[str] = []

    def search(_split: object, name: str, *_: object) -> dict[str, object]:
        searched.append(name)
        if name == "bspm":
            raise KeyboardInterrupt
        powers = {"user_power": 0.4, "history_power": 0.6, "item_power": 0.3}
        return {"chosen": powers, "value": 0.1}

    monkeypatch.setattr(gowalla_tuning, "_searched", search)
    for name in ("catalog.load", "split_by_rule"):
        monkeypatch.setattr(f"benchmarks.gowalla_tuning.{name}", lambda *_, **__: None)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            gowalla_tuning.tune(
                tmp_path / "tuned.json", runs=tmp_path / "runs", backend="csr"
            )
    assert searched == ["linkprop", "degree_filter", "gf_cf", "bspm", "bspm"]


def test_the_best_weight_is_chosen_and_an_edge_told() -> None:
    found = gowalla_tuning._weighed((1.0, 2.0, 3.0), lambda weight: -abs(weight - 2))
    assert found["chosen"] == {"weight": 2.0}
    assert not found["at_edge"]
    assert gowalla_tuning._weighed((1.0, 2.0), float)["at_edge"] == ["weight"]


def test_the_curve_is_drawn() -> None:
    point = {"rank": 64, "seconds": 20.0, "recall@20": 0.2, "ndcg@20": 0.1}
    drawn = plot({"graph": TRAINED.curve, "gf_cf": [point, {**point, "seconds": 30.0}]})
    assert drawn.startswith("<svg")
    assert "gf_cf" in drawn
