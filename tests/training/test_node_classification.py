"""Node classification: a step by hand, whole runs, resumed runs, nothing that leaks."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from flax import nnx

from llmgnn_jax import cli
from llmgnn_jax.config import (
    Config,
    DataConfig,
    EvaluationConfig,
    GraphConfig,
    NodeConfig,
    TrainConfig,
    replace,
)
from llmgnn_jax.data.node_dataset import NodeSplit
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.contract import check_results
from llmgnn_jax.recipes import recipe
from llmgnn_jax.training import node_classification, node_step
from llmgnn_jax.training.checkpoint import CheckpointFolder
from llmgnn_jax.training.node_classification import (
    fit_model,
    load_trained,
    prepare,
    set_up,
)
from llmgnn_jax.training.node_data import PreparedNodes
from llmgnn_jax.training.node_step import node_loss
from llmgnn_jax.training.run import evaluate, fit
from llmgnn_jax.training.snapshot import Snapshot

pytestmark = pytest.mark.usefixtures("workplace")

NODES, WORDS, CLASSES = 90, 40, 3


def planted() -> dict[str, np.ndarray]:
    """Three topics: their nodes share words and mostly cite each other."""
    rng = np.random.default_rng(0)
    labels = np.arange(NODES) % CLASSES
    own = np.arange(WORDS)[None, :] % CLASSES == labels[:, None]
    words = rng.random((NODES, WORDS)) < np.where(own, 0.25, 0.05)
    features = scipy.sparse.csr_array(words.astype(np.float32))
    ends = np.sort(rng.integers(0, NODES, (1500, 2)), axis=1)
    same = labels[ends[:, 0]] == labels[ends[:, 1]]
    ends = ends[(ends[:, 0] < ends[:, 1]) & (rng.random(1500) < 0.1 + 0.3 * same)]
    return {
        "x_indptr": features.indptr,
        "x_indices": features.indices,
        "x_data": features.data,
        "x_shape": np.array(features.shape),
        "y": labels,
        "edges": np.unique(ends, axis=0),
        "train_idx": np.arange(12),
        "val_idx": np.arange(12, 40),
        "test_idx": np.arange(40, NODES),
    }


def written(folder: Path, **changed: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    np.savez(folder / "topics.npz", **{**planted(), **changed})
    return folder


@pytest.fixture(scope="module")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("data") / "topics")


@pytest.fixture(scope="module")
def config(topics: Path) -> Config:
    return Config(
        recipe="topics",
        task="node_classification",
        models=("graph",),
        data=DataConfig(source=str(topics), split="published"),
        graph=GraphConfig(layer="gcn", num_layers=2, embedding_dim=8, backend="csr"),
        node=NodeConfig(normalisation="rows", dropout=0.5),
        train=TrainConfig(
            learning_rate=0.05,
            half_life=0,
            l2=5e-4,
            steps=30,
            steps_per_call=4,
            validate_every=7,
            patience=0,
            checkpoint_every=10,
            keep_checkpoints=5,
        ),
        evaluation=EvaluationConfig(metric="accuracy", baselines=False),
    )


@pytest.fixture(scope="module")
def prepared(config: Config) -> PreparedNodes:
    return prepare(config)


def loss_of(prepared: PreparedNodes, *, step: int, **changes: Any) -> Callable:
    config = replace(prepared.config, **changes)
    changed = PreparedNodes(**{**vars(prepared), "config": config})
    definition = set_up("graph", changed).definition

    def loss(params: Any) -> jax.Array:
        return node_loss(
            params,
            definition,
            prepared.data,
            key=jax.random.key(config.seed),
            step=jnp.int32(step),
            config=config,
        )

    return loss


def test_the_loss_is_cross_entropy_over_the_train_part(
    prepared: PreparedNodes,
) -> None:
    setup = set_up("graph", prepared)
    params = setup.snapshot.state.params
    logits = np.asarray(nnx.merge(setup.definition, params)(prepared.data.graph))
    rows = prepared.split.train
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(shares[rows, prepared.split.dataset.labels[rows]]).mean()
    first = params["gcn_0"]
    expected += 5e-4 * 0.5 * sum(np.square(leaf).sum() for leaf in first.values())
    got = loss_of(prepared, step=0, **{"node.dropout": 0.0})(params)
    assert float(got) == pytest.approx(expected, rel=1e-5)


def test_two_steps_two_masks_and_the_same_step_the_same_mask(
    prepared: PreparedNodes,
) -> None:
    params = set_up("graph", prepared).snapshot.state.params
    one, again, other = (
        float(loss_of(prepared, step=step)(params)) for step in (3, 3, 4)
    )
    assert one == again != other
    seeded = float(loss_of(prepared, step=3, seed=1)(params))
    assert seeded != one


@pytest.fixture(scope="module")
def run(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    fit(config, out=folder, command="llmgnn train topics")
    return folder


def results_of(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "results.json").read_text("utf-8"))
    return loaded


def logged(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "metrics.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_is_a_run_like_any_other(run: Path, prepared: PreparedNodes) -> None:
    assert {path.name for path in run.iterdir()} == {
        "config.json",
        "split.json",
        "metrics.jsonl",
        "results.json",
        "report.html",
        "checkpoints",
    }
    results = results_of(run)
    check_results(results)
    split = prepared.split
    assert results["protocol"] == {
        "task": "node_classification",
        "dataset": "topics",
        "split_name": "planetoid 12/28/50",
        "filters": [],
        "k": [],
        "masking": "none",
        "fingerprint": split.fingerprint(metric="accuracy"),
        "split_hash": split.split_hash,
        "candidates": "",
        "metric": "accuracy",
    }
    (model,) = results["models"].values()
    assert set(model["valid"]) == set(model["test"]) == {"accuracy", "macro_f1"}
    assert model["test"]["accuracy"] > 0.75  # one in three by chance
    assert model["budget"]["steps"] == 30
    assert "accuracy" in (run / "report.html").read_text("utf-8")
    lines = logged(run)
    valid = {line["step"]: line["valid"] for line in lines if "valid" in line}
    assert list(valid) == [7, 14, 21, 28, 30]
    assert all(set(one) == {"accuracy", "macro_f1"} for one in valid.values())
    # The best on the validation part is what is kept.
    assert model["valid"] == valid[model["budget"]["best_step"]]
    best = max(one["accuracy"] for one in valid.values())
    assert model["valid"]["accuracy"] == best
    assert all(line["examples_per_s"] > 0 for line in lines if "loss" in line)


def test_metrics_are_those_of_the_saved_parameters(
    run: Path, prepared: PreparedNodes
) -> None:
    model = load_trained("graph", prepared, folder=run)
    definition = set_up("graph", prepared).definition
    logits = np.asarray(nnx.merge(definition, model.params)(prepared.data.graph))
    labels = prepared.split.dataset.labels
    for part in ("valid", "test"):
        nodes = getattr(prepared.split, part)
        found = (logits[nodes].argmax(axis=1) == labels[nodes]).mean()
        measured = results_of(run)["models"]["graph"][part]["accuracy"]
        assert measured == pytest.approx(found)


def test_evaluate_measures_the_same_again(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(run, again)
    (again / "results.json").unlink()
    (again / "report.html").unlink()
    evaluate(again, command="llmgnn train topics")
    before, after = results_of(run), results_of(again)
    for document in (before, after):
        document.pop("date")
    assert before == after
    assert (again / "report.html").is_file()


def saved(folder: Path, prepared: PreparedNodes) -> Snapshot:
    with CheckpointFolder(folder / "checkpoints" / "graph", keep=5) as checkpoints:
        snapshot = checkpoints.restore(set_up("graph", prepared).snapshot)
    assert snapshot is not None
    return snapshot


def test_a_resumed_run_repeats_a_whole_one(
    run: Path, config: Config, prepared: PreparedNodes, tmp_path: Path
) -> None:
    """Stopped between two validations, at the end of a ragged call."""
    folder = tmp_path / "parts"
    fit(replace(config, **{"train.steps": 17}), out=folder)
    fit(config, out=folder, resume=True)
    whole, parts = saved(run, prepared), saved(folder, prepared)
    for one, other in (
        (whole.state, parts.state),
        (whole.best_params, parts.best_params),
    ):
        jax.tree.map(np.testing.assert_array_equal, one, other)
    validations = [
        [line for line in logged(one) if "valid" in line] for one in (run, folder)
    ]
    assert validations[0] == validations[1]
    one, other = (results_of(path)["models"]["graph"] for path in (run, folder))
    assert (one["valid"], one["test"]) == (other["valid"], other["test"])


def test_a_run_compiles_its_programs_once(
    prepared: PreparedNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    build = node_classification.build_node_program
    monkeypatch.setattr(
        node_classification,
        "build_node_program",
        lambda *arguments: made.append(build(*arguments)) or made[-1],
    )
    model = fit_model("graph", prepared, folder=tmp_path)
    assert [program._cache_size() for program in made] == [1]
    assert model.predictor._classes._cache_size() == 1


def test_no_held_out_label_reaches_training(
    config: Config, prepared: PreparedNodes, tmp_path: Path
) -> None:
    """The parameters of every step are the same with all other labels turned."""
    labels = planted()["y"]
    labels[12:] = (labels[12:] + 1) % CLASSES
    turned = written(tmp_path / "turned", y=labels)
    other = prepare(replace(config, **{"data.source": str(turned)}))
    states = []
    for number, one in enumerate((prepared, other)):
        folder = tmp_path / str(number)
        folder.mkdir()
        fit_model("graph", one, folder=folder)
        states.append(saved(folder, one).state)
    jax.tree.map(np.testing.assert_array_equal, *states)


def test_the_test_part_is_read_once_and_after_training(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = []
    held_out, train = NodeSplit.held_out, node_classification.fit_model

    def spy_held_out(self: NodeSplit, part: Any) -> Any:
        events.append(part)
        return held_out(self, part)

    def spy_fit(*arguments: Any, **options: Any) -> Any:
        found = train(*arguments, **options)
        events.append("trained")
        return found

    monkeypatch.setattr(NodeSplit, "held_out", spy_held_out)
    monkeypatch.setattr(node_classification, "fit_model", spy_fit)
    fit(replace(config, **{"train.steps": 2}), out="run")
    assert events == ["valid", "trained", "test"]


def test_diverging_is_said_and_nothing_of_it_is_saved(
    prepared: PreparedNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = node_step.node_loss

    def poisoned(params: Any, *arguments: Any, step: jax.Array, **options: Any) -> Any:
        loss = real(params, *arguments, step=step, **options)
        return loss + jnp.where(step < 12, 0.0, jnp.nan)

    monkeypatch.setattr(node_step, "node_loss", poisoned)
    with pytest.raises(UserError, match=r"graph: loss at step 13: .*step 10 is good"):
        fit_model("graph", prepared, folder=tmp_path)


@pytest.mark.parametrize("part", ["val_idx", "test_idx"])
def test_nothing_to_judge_by(config: Config, tmp_path: Path, part: str) -> None:
    folder = written(tmp_path / "few", **{part: np.zeros(0, np.int64)})
    with pytest.raises(UserError, match="labelled nodes to validate and to test on"):
        prepare(replace(config, **{"data.source": str(folder)}))


def test_auto_chooses_a_backend_and_writes_it_down(config: Config) -> None:
    short = {"graph.backend": "auto", "train.steps": 2}
    folder = fit(replace(config, **short), out="run").folder
    chosen = json.loads((folder / "config.json").read_text())["graph"]["backend"]
    assert chosen == "csr"


# The command line


def typed(config: Config) -> list[str]:
    return [
        *("--data.source", config.data.source),
        *("--train.steps", "3", "--graph.backend", "csr"),
    ]


def test_the_recipe_from_the_command_line(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "cora-gcn", *typed(config), "--out", "run"]
    assert cli.main(command) == 0
    shown, _ = capsys.readouterr()
    assert "node_classification on topics" in shown
    assert "macro_f1" in shown
    assert cli.main([*command, "--resume", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    check_results(document)
    assert document["models"]["graph"]["budget"]["steps"] == 3

    assert cli.main(["evaluate", "run"]) == 0
    capsys.readouterr()
    assert cli.main(["recommend", "run", "--user", "1"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "error: run: expected a run that ranks items, got one of the task "
        "node_classification\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--models", "graph", "text"],
            "models: expected graph alone, for data without texts",
        ),
        (["--data.source", "ml-100k"], "dataset: expected one of cora, cora-text, or"),
    ],
)
def test_what_does_not_belong_together(
    config: Config,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["train", "cora-gcn", *typed(config), *options]) == 2
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert message in err


def test_a_graph_of_nodes_is_nothing_to_rank(
    topics: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "synthetic", "--data.source", str(topics)]) == 2
    _, err = capsys.readouterr()
    assert "expected interactions of users with items" in err


def test_cora_is_learned(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """A fraction of the recipe; `benchmarks.quality_cora` measures all of it."""
    changes = {
        "data.source": str(shared_data("cora-planetoid")),
        "train.steps": 60,
        "train.steps_per_call": 20,
        "train.validate_every": 20,
    }
    prepared = prepare(replace(recipe("cora-gcn"), **changes))
    dataset = prepared.split.dataset
    assert (dataset.num_nodes, dataset.num_edges) == (2708, 5278)
    model = fit_model("graph", prepared, folder=tmp_path)
    classes = model.predictor.classes(model.params, prepared.data.graph)
    valid = prepared.valid
    assert (classes[valid.nodes] == valid.labels).mean() > 0.75
