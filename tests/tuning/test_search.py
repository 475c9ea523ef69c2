"""The search: what it repeats, what it goes on from, what it refuses."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from llmgnn_jax.config import Config, replace
from llmgnn_jax.data.splits import split_random
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError
from llmgnn_jax.recipes import recipe
from llmgnn_jax.training.divergence import TrainingDiverged
from llmgnn_jax.training.loop import train_model
from llmgnn_jax.tuning.random_search import Search, search
from llmgnn_jax.tuning.space import draw
from llmgnn_jax.tuning.trials import Trial

pytestmark = pytest.mark.usefixtures("workplace")


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def without_clock(found: Search) -> tuple[Any, ...]:
    trials = [dataclasses.replace(one, seconds=0.0) for one in found.trials]
    return found.config, trials, {**found.budget, "seconds": 0.0}


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The trials that are made, by number; none of them trains."""
    made: list[int] = []

    def counted(number: int, values: Any, *_: Any) -> Trial:
        made.append(number)
        return Trial(trial=number, values=values, value=0.5 - 0.1 * (number - 2) ** 2)

    monkeypatch.setattr("llmgnn_jax.tuning.random_search._made", counted)
    return made


def test_a_killed_search_repeats_an_uninterrupted_one(
    config: Config, space: dict, tmp_path: Path
) -> None:
    whole, file = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    asked = {"space": space, "model": "graph", "trials": 2, "seed": 4}
    expected = search(config, **asked, file=whole)
    # Killed while it wrote its second trial.
    file.write_bytes(whole.read_bytes()[:-20])
    found = search(config, **asked, file=file)
    assert without_clock(found) == without_clock(expected)
    first, second = (lines(one) for one in (whole, file))
    assert first[:2] == second[:2]
    assert {**first[2], "seconds": 0} == {**second[2], "seconds": 0}


def test_only_what_is_missing_is_made(
    config: Config, space: dict, tmp_path: Path, count: list[int]
) -> None:
    def found(trials: int, file: Path | None) -> Search:
        count.clear()
        return search(
            config, space=space, model="graph", trials=trials, seed=4, file=file
        )

    whole, file = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    expected = found(3, whole)
    assert count == [0, 1, 2]
    content = whole.read_bytes()
    ends = [at for at, byte in enumerate(content) if byte == ord("\n")]
    assert len(ends) == 4
    for kept, left in (
        (ends[1] + 20, [1, 2]),
        (ends[1] + 1, [1, 2]),
        (ends[0] - 9, [0, 1, 2]),
        (10, [0, 1, 2]),
        (0, [0, 1, 2]),
    ):
        file.write_bytes(content[:kept])
        assert without_clock(found(3, file)) == without_clock(expected)
        assert count == left
        assert file.read_bytes() == content
    # Fewer trials are the first ones, without a file too.
    for kept_in in (whole, None):
        assert without_clock(found(1, kept_in))[1] == without_clock(expected)[1][:1]
    # And more begin with those that are there.
    assert found(4, whole).trials[:3] == expected.trials
    assert count == [3]
    assert whole.read_bytes().startswith(content)


def test_what_it_says(config: Config, space: dict, tmp_path: Path) -> None:
    file = tmp_path / "sub" / "trials.jsonl"
    found = search(config, space=space, model="graph", trials=2, seed=0, file=file)
    header, *kept = lines(file)
    assert header["search"]["config"]["models"] == ["graph"]
    assert header["settled"]["graph.backend"] == "csr"
    assert [one["trial"] for one in kept] == [0, 1]
    assert [one["value"] for one in kept] == [one.value for one in found.trials]
    for number, one in enumerate(found.trials):
        assert one.values == draw(space, seed=0, trial=number)
        assert (one.steps, one.diverged) == (6, "")
        assert one.best_step in (3, 6)
    values = [one.value or 0.0 for one in found.trials]
    assert found.best.value == max(values) > 0
    assert found.config == replace(config, **found.best.values)
    budget = found.budget
    assert (budget["trials"], budget["seed"], budget["diverged"]) == (2, 0, 0)
    assert budget["chosen_by"] == "valid ndcg@10"
    assert budget["value"] == found.best.value
    assert budget["grid"]["train.learning_rate"] == [1e-3, 1e-1, "log"]
    assert budget["seconds"] == pytest.approx(sum(one.seconds for one in found.trials))


def test_a_trial_that_diverges_has_no_value(
    config: Config, space: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "trials.jsonl"
    bad = draw(space, seed=0, trial=0)["train.learning_rate"]

    def diverging(trainee: Any, config: Config, **options: Any) -> Any:
        if config.train.learning_rate == bad:
            raise TrainingDiverged.field(
                "graph: loss at step 3", expected="finite numbers", got="nan", fix="x"
            )
        return train_model(trainee, config, **options)

    monkeypatch.setattr("llmgnn_jax.tuning.random_search.train_model", diverging)
    found = search(config, space=space, model="graph", trials=2, file=file)
    assert found.trials[0].value is None
    assert lines(file)[1]["value"] is None
    assert found.trials[0].diverged.startswith("graph: loss at step 3: expected finite")
    assert found.best.trial == 1
    assert found.budget["diverged"] == 1
    # It is not tried again.
    again = search(config, space=space, model="graph", trials=2, file=file)
    assert without_clock(again) == without_clock(found)
    with pytest.raises(UserError, match=r"space: expected values .* 1 trials that all"):
        search(config, space=space, model="graph", trials=1, file=file)


def test_a_field_that_came_later_was_its_default(
    config: Config, space: dict, tmp_path: Path
) -> None:
    file = tmp_path / "trials.jsonl"
    asked: dict = {"space": space, "model": "graph", "trials": 1, "file": file}
    found = search(config, **asked)
    header, trial = file.read_text("utf-8").splitlines()
    older = header.replace('"data.min_per_user": 0, ', "")
    assert older != header
    file.write_text(f"{older}\n{trial}\n", "utf-8")
    assert without_clock(search(config, **asked)) == without_clock(found)
    with pytest.raises(UserError, match=r"data\.min_per_user: expected 2, .* with 0"):
        search(replace(config, **{"data.min_per_user": 2}), **asked)


def test_another_search_is_refused(config: Config, space: dict, tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    search(config, space=space, model="graph", trials=1, file=file)
    content = file.read_bytes()

    def refused(message: str, config: Config = config, **changes: Any) -> None:
        asked = {"space": space, "model": "graph", "seed": 0, **changes}
        with pytest.raises(UserError, match=message) as caught:
            search(config, trials=1, file=file, **asked)
        assert "\n" not in str(caught.value)
        assert "name another file" in str(caught.value)
        assert file.read_bytes() == content

    refused("seed of the search: expected 1, .* got trials with 0", seed=1)
    refused(
        "train.steps: expected 7, as this search has it, got trials with 6",
        replace(config, **{"train.steps": 7}),
    )
    other = {**space, "graph.init_scale": (0.05, 0.1)}
    refused(r"space graph.init_scale: expected 0.05 0.1, .* 0.05 0.1 0.2", space=other)
    del other["graph.init_scale"]
    refused("space graph.init_scale: expected none", space=other)
    # Of the same configuration, but other interactions.
    other_data = split_random(synthetic(seed=1), seed=0).without_test()
    one = replace(config, **{"parallel.groups": 1})
    refused("data: expected", one, split=other_data)
    file.write_text("my notes", "utf-8")
    content = file.read_bytes()
    refused("trials.jsonl: expected a new file, or one with the trials of a search")
    file.write_bytes(content := b'{"format": "llmgnn trials 1", "search": {}}\n{}\n')
    refused("expected a new file, or one with the trials of a search")


@pytest.mark.parametrize(
    ("changes", "asked", "message"),
    [
        ({}, {"trials": 0}, "trials: expected 1 or more, got 0"),
        ({}, {"file": "gs://bucket/x.jsonl"}, "expected a file on this machine"),
        ({}, {"file": "/proc/none/x.jsonl"}, "expected a file that can be written"),
        (
            {},
            {"space": {"train.loss": ("bpr", "sampled_softmax")}, "trials": 20},
            "train.negatives: expected .* with the loss bpr, got 'all'",
        ),
        (
            {"data.split": "cold_items", "data.valid_share": 0.0},
            {},
            "data.valid_share: expected a share to validate on.* got 0.0",
        ),
    ],
)
def test_what_cannot_be_searched(
    config: Config, space: dict, changes: dict, asked: dict, message: str
) -> None:
    asked = {"space": space, "model": "graph", "trials": 1, **asked}
    with pytest.raises(UserError, match=message) as caught:
        search(replace(config, **changes), **asked)
    assert "\n" not in str(caught.value)


def test_other_tasks_are_refused(space: dict) -> None:
    with pytest.raises(UserError, match="task: expected ranking, to tune, got node_cl"):
        search(recipe("cora-gcn"), space=space, model="graph", trials=1)


def test_what_a_space_does_not_change_is_said(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserError, match="trials: expected"):
        search(config, space={"train.l2": (0.1, 0.2)}, model="graph", trials=0)
    space = {"graph.init_scale": (0.1, 0.2), "fusion.anchor": (0.1, 0.2)}
    search(config, space=space, model="graph", trials=1)
    assert "fusion.anchor changes nothing in this search: models are graph" in (
        caplog.text
    )
    assert "init_scale changes" not in caplog.text
