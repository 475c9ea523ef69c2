"""Gift cards with and without links: what the variants share, how they are told."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import quality_links
from benchmarks.averaged_runs import PAIRS as FAMILY
from benchmarks.averaged_runs import side_by_side
from benchmarks.quality_links import PAIRS, SEARCHES, SEEDS, TUNED_ON, configs, tune
from benchmarks.quality_tables import models_table, pairs_table
from benchmarks.results_page import DOCS
from llmgnn_jax.config import Config, flatten, replace, typed_value
from llmgnn_jax.evaluation.contract import check_results
from llmgnn_jax.recipes import recipe
from llmgnn_jax.tuning.space import draw

COMMITTED = DOCS / "results" / "gift-cards-links-tuned.json"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the data set lies, of which these tests read nothing."""
    (tmp_path / "amazon-giftcards-5core").mkdir()
    monkeypatch.setenv("LLMGNN_SHARED", str(tmp_path))
    return tmp_path


def made_up(config: Config, *, space: Any, trials: int, **_: Any) -> SimpleNamespace:
    """A search whose trials are the better the lower the rate is; one diverges."""
    drawn = [draw(space, seed=0, trial=number) for number in range(trials)]
    return SimpleNamespace(
        trials=[
            SimpleNamespace(
                values=values,
                value=None
                if (number, config.seed) == (1, TUNED_ON[-1])
                else 1 - values["train.learning_rate"] - 0.01 * config.seed,
            )
            for number, values in enumerate(drawn)
        ]
    )


def tuned(folder: Path) -> Mapping[str, Any]:
    return tune(folder / "tuned.json", trials=4, folder=folder / "searches")


def test_what_is_best_over_the_seeds_is_chosen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_links, "search", made_up)
    found = tuned(folder)
    assert list(found) == list(SEARCHES)
    for name, row in found.items():
        assert [len(one["valid"]) for one in row["trials"]] == [len(TUNED_ON)] * 4
        assert row["trials"][1]["valid"][-1] == 0  # diverged
        means = [one["mean"] for one in row["trials"]]
        assert row["value"] == max(means)
        assert row["chosen"] == row["trials"][means.index(max(means))]["values"], name
    monkeypatch.setattr(quality_links, "search", lambda *_, **__: pytest.fail("again"))
    assert json.dumps(tuned(folder)) == json.dumps(found)


def test_variants_of_a_pair_differ_in_the_links_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the same trial is chosen of both searches."""
    monkeypatch.setattr(quality_links, "search", made_up)
    runs = configs(tuned(folder))
    assert all(list(of) == [str(seed) for seed in SEEDS] for of in runs.values())
    for linked, plain in PAIRS:
        one, other = (flatten(runs[name]["1"]) for name in (linked, plain))
        changed = {field for field in one if one[field] != other[field]}
        changed.discard("evaluation.baselines")
        assert changed == {"graph.relations", "graph.relation_weight"}
        assert one["graph.relations"]
        assert other["graph.relations"] == ()
    for number, of in enumerate(runs.values()):
        assert of["1"] == replace(of["2"], seed=1)
        assert of["1"].evaluation.baselines == (number == 0)


def test_the_recipe_is_what_was_best_on_valid() -> None:
    found = json.loads(COMMITTED.read_text("utf-8"))
    best = max(found, key=lambda name: found[name]["value"])
    config = flatten(recipe("gift-cards"))
    for field, value in found[best]["chosen"].items():
        assert config[field] == typed_value(field, value), field
    assert bool(config["graph.relations"]) == (best == "links")


def test_pairs_are_a_family_of_their_own(tiny_config: Config, workplace: Path) -> None:
    base = replace(
        tiny_config,
        **{
            "models": ("graph",),
            "train.steps": 4,
            "train.checkpoint_every": 4,
            "evaluation.baselines": False,
        },
    )
    rates = {"slow": 0.001, "fast": 0.05, "faster": 0.1}
    results = side_by_side(
        {
            name: {
                str(seed): replace(base, seed=seed, **{"train.learning_rate": rate})
                for seed in (0, 1)
            }
            for name, rate in rates.items()
        },
        command="test",
        together="seeds 0 1",
        pairs=[("fast", "slow")],
    )
    document = results.document()
    check_results(document)
    of_last = [one for one in document["comparisons"] if "family" not in one]
    (pair,) = (one for one in document["comparisons"] if "family" in one)
    assert {(one["a"], one["b"]) for one in of_last} == {
        ("faster", "slow"),
        ("faster", "fast"),
    }
    assert (pair["a"], pair["b"], pair["family"]) == ("fast", "slow", FAMILY)
    test = {name: row["test"]["ndcg@10"] for name, row in document["models"].items()}
    assert pair["delta"] == pytest.approx(test["fast"] - test["slow"], abs=1e-6)
    shown = pairs_table(document).splitlines()
    assert len(shown) == 3
    assert shown[2].startswith(f"| fast less slow | {pair['delta']:+.4f} |")
    # It stands in its own table alone.
    assert models_table(document, "ndcg@10").splitlines()[0].count("beside faster") == 1
