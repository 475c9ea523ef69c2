"""Tables of data sets: which runs they are of, and how they are told."""

from typing import Any

import pytest

from benchmarks import results_page
from benchmarks.quality_sets import SETS, TABLES, configs
from benchmarks.quality_tables import kinds_table, models_table


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", SETS)
def test_runs_differ_by_seed_or_fold_alone(
    name: str, table: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / SETS[name].folder).mkdir()
    monkeypatch.setenv("LLMGNN_SHARED", str(tmp_path))
    runs = list(configs(name, table, {}).values())
    assert len({(run.seed, run.data.fold) for run in runs}) == len(runs)
    for run in runs:
        assert run.data.is_cold == (table != "warm")
        assert bool(run.data.warm_share) == (table == "joint")
        assert bool(run.evaluation.new_places) == (table == "joint")
        assert run.models[-1] == "fused"
    if SETS[name].folds and table != "warm":
        assert sorted(run.data.fold for run in runs) == list(range(SETS[name].folds))


def test_the_table_in_words() -> None:
    def row(value: float, *, baseline: bool) -> dict[str, Any]:
        measured = {"ndcg@3": value, "recall@20": 2 * value}
        return {
            "test": measured,
            "ci95": {"ndcg@3": [value - 0.01, value + 0.01]},
            "baseline": baseline,
            "seconds": 3.4,
            "per_seed": {"0": measured},
            "beyond_accuracy": {"new_share@20": 0.25},
            "kinds": {"warm": {"alone": measured, "together": measured}},
        }

    document = {
        "protocol": {"k": [3, 20]},
        "models": {"ease": row(0.1, baseline=True), "fused": row(0.2, baseline=False)},
        "comparisons": [{"a": "fused", "b": "ease", "p": 0.012}],
    }
    lines = models_table(document, "ndcg@3").splitlines()
    assert lines[0].startswith("| model | ndcg@3 | 95 % | recall@20 | p beside fused")
    assert lines[2] == "| fused | 0.2000 | 0.1900 to 0.2100 | 0.4000 |  | 3 |"
    assert lines[3].startswith("| ease (baseline) | 0.1000 |")
    assert "| 0.0120 | 3 |" in lines[3]
    lines = kinds_table(document, "ndcg@3").splitlines()
    assert lines[2] == "| fused | warm | 0.2000 | 0.2000 | 0.4000 | 0.4000 | 0.2500 |"


def test_the_page_is_that_of_the_documents() -> None:
    """`python -m benchmarks.results_page` was run after the last of them."""
    assert results_page.PAGE.read_text("utf-8") == results_page.render()
