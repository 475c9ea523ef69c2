"""Ratings over several seeds: which runs they are of, and how they are told."""

from typing import Any

import numpy as np
import pytest

from benchmarks.averaged_runs import averaged
from benchmarks.quality_ratings import SETS, config_of
from benchmarks.quality_tables import ratings_table
from llmgnn_jax.config import replace
from llmgnn_jax.evaluation.contract import check_results


@pytest.mark.parametrize("name", SETS)
def test_runs_differ_by_seed_alone(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setenv("LLMGNN_SHARED", str(tmp_path))
    one, other = config_of(name, 0), config_of(name, 1)
    assert one.task == "rating"
    assert replace(other, seed=0) == one


def test_the_table_in_words() -> None:
    def row(value: float, *, baseline: bool) -> dict[str, Any]:
        measured = {"rmse": value, "mae": value / 2}
        return {
            "test": measured,
            "ci95": {"rmse": [value - 0.01, value + 0.01]},
            "baseline": baseline,
            "seconds": 3.4,
            "per_seed": {"0": measured, "1": measured},
        }

    document = {
        "models": {
            "item_knn": row(0.95, baseline=True),
            "fused": row(0.9, baseline=False),
        },
        "comparisons": [{"a": "fused", "b": "item_knn", "p": 0.012}],
    }
    lines = ratings_table(document).splitlines()
    assert lines[0] == (
        "| model | seed 0 | seed 1 | rmse | 95 % | mae | p beside fused | seconds |"
    )
    assert lines[2] == (
        "| fused | 0.9000 | 0.9000 | 0.9000 | 0.8900 to 0.9100 | 0.4500 |  | 3 |"
    )
    assert lines[3].startswith("| item_knn (baseline) | 0.9500 |")
    assert lines[3].endswith("| 0.0120 | 3 |")


def test_seeds_are_averaged(tiny_config: Any, workplace: Any) -> None:
    config = replace(
        tiny_config,
        **{
            "task": "rating",
            "evaluation.metric": "rmse",
            "models": ("graph",),
            "train.steps": 4,
            "train.checkpoint_every": 4,
        },
    )
    results = averaged(
        {str(seed): replace(config, seed=seed) for seed in (0, 1)},
        command="test",
        together="seeds 0 1",
    )
    document = results.document()
    check_results(document)
    for row in document["models"].values():
        seeds = [one["rmse"] for one in row["per_seed"].values()]
        assert row["test"]["rmse"] == pytest.approx(np.mean(seeds))
        low, high = row["ci95"]["rmse"]
        assert low < row["test"]["rmse"] < high
        assert list(row["test"]) == ["rmse", "mae"]
    assert {one["metric"] for one in document["comparisons"]} == {"mse"}
    assert ratings_table(document)
