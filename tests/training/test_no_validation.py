"""Training on all of a published train part: nothing is validated, the end is kept."""

import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from llmgnn_jax.config import Config, DataConfig, GraphConfig, TrainConfig, replace
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.baselines import GRIDS
from llmgnn_jax.evaluation.metrics import evaluate_rankings
from llmgnn_jax.evaluation.table import models_table
from llmgnn_jax.training import ranking
from llmgnn_jax.training.checkpoint import CheckpointFolder
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.run import evaluate, fit
from llmgnn_jax.training.trained import load_trained, set_up

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The graph model on a data set that comes in parts, without valid."""
    planted = synthetic()
    lines: dict[str, dict[int, list[int]]] = {"train": {}, "test": {}}
    for row, (user, item) in enumerate(zip(planted.users, planted.items, strict=True)):
        part = "test" if row % 5 == 0 else "train"
        lines[part].setdefault(int(user), []).append(int(item))
    folder = tmp_path / "places"
    folder.mkdir()
    for part, of_user in lines.items():
        text = "".join(f"{u} {' '.join(map(str, i))}\n" for u, i in of_user.items())
        (folder / f"{part}.txt").write_text(text)
    return Config(
        recipe="published",
        models=("graph",),
        data=DataConfig(source=str(folder), split="published", valid_share=0.0),
        graph=GraphConfig(num_layers=2, embedding_dim=8, backend="csr"),
        train=TrainConfig(
            batch_size=64,
            steps=30,
            steps_per_call=5,
            validate_every=10,
            checkpoint_every=10,
            patience=1,
        ),
    )


def test_a_run_without_a_validation_part(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def validated(*_: object) -> None:
        raise AssertionError("there is nothing to validate on")

    monkeypatch.setattr(ranking, "validate", validated)
    run = fit(config, out="run")
    models = run.results["models"]
    # What would have to be tuned is not there.
    assert list(models) == ["popularity", "graph"]
    for model in models.values():
        assert model["valid"] == {}
        assert set(model["test"]) == {
            f"{name}@{k}"
            for name in ("recall", "ndcg", "mrr", "map", "hit", "precision", "coverage")
            for k in (10, 20)
        }
        assert all(np.isfinite(value) for value in model["test"].values())
    budget = models["graph"]["budget"]
    assert (budget["steps"], budget["best_step"]) == (30, 30)
    assert run.results["protocol"]["split_name"] == "published valid 0, seed 0"
    text = (run.folder / "metrics.jsonl").read_text()
    assert "valid" not in text
    assert [json.loads(line)["step"] for line in text.splitlines()] == [
        *range(5, 31, 5)
    ]
    for told in (
        (run.folder / "results.json").read_text(),
        (run.folder / "report.html").read_text(),
        models_table(run.results),
    ):
        assert not re.search(r"\bnan\b", told, re.IGNORECASE)
    assert evaluate(run.folder).results["models"]["graph"]["test"] == pytest.approx(
        models["graph"]["test"]
    )


def test_the_newest_parameters_are_those_that_are_judged(config: Config) -> None:
    run = fit(config, out="run")
    prepared = prepare(config)
    setup = set_up("graph", prepared)
    with CheckpointFolder(run.folder / "checkpoints" / "graph", keep=2) as kept:
        snapshot = kept.restore(setup.snapshot)
    assert snapshot is not None
    model = load_trained("graph", prepared, folder=run.folder)
    for one, other in zip(
        jax.tree.leaves(model.params),
        jax.tree.leaves(snapshot.state.params),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    dataset, split = prepared.dataset, prepared.split
    users, items = model.scorer.vectors(model.params, prepared.features)
    scores = np.asarray(users)[: dataset.num_users] @ (
        np.asarray(items)[: dataset.num_items].T
    )
    seen = split.train_csr()
    for user in range(dataset.num_users):
        scores[user, seen.row(user)] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :20]
    known = np.isfinite(np.take_along_axis(scores, order, axis=1))
    by_hand = evaluate_rankings(
        np.where(known, order, -1),
        np.arange(dataset.num_users),
        split.held_out("test"),
        num_items=dataset.num_items,
    )
    assert run.results["models"]["graph"]["test"] == pytest.approx(
        by_hand.mean, abs=1e-6
    )


def test_it_resumes_to_the_same(config: Config) -> None:
    whole = fit(config, out="whole").results["models"]["graph"]["test"]
    fit(replace(config, **{"train.steps": 15}), out="half")
    again = fit(config, out="half", resume=True)
    assert again.results["models"]["graph"]["test"] == whole
    steps = [
        json.loads(line)["step"]
        for line in (again.folder / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == [*range(5, 31, 5)]


@pytest.mark.slow
def test_a_share_brings_validation_back(config: Config) -> None:
    run = fit(replace(config, **{"data.valid_share": 0.2}), out="run")
    models = run.results["models"]
    without_texts = [name for name in GRIDS if name != "text_knn"]
    assert list(models) == ["popularity", *without_texts, "graph"]
    assert 0 < models["graph"]["valid"]["ndcg@10"] < 1
    assert '"valid"' in (run.folder / "metrics.jsonl").read_text()


def test_nothing_to_validate_on_must_be_meant(config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "single"
    folder.mkdir()
    for part, item in (("train", 0), ("test", 1)):
        (folder / f"{part}.txt").write_text(f"0 {item}\n1 {item}\n")
    wanted = {"data.source": str(folder), "data.valid_share": 0.5}
    with pytest.raises(UserError, match="interactions to validate and to test on"):
        prepare(replace(config, **wanted))
    prepared = prepare(replace(config, **{**wanted, "data.valid_share": 0.0}))
    assert prepared.on_valid.positives.nnz == 0
    with pytest.raises(UserError, match=r"data\.valid_share: expected a share"):
        replace(config, **{"data.valid_share": 1.0})
