"""Node classification with texts: whole runs, what is refused, nothing that leaks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from llmgnn_jax import assets
from llmgnn_jax.config import (
    Config,
    DataConfig,
    EvaluationConfig,
    GraphConfig,
    NodeConfig,
    TextConfig,
    TrainConfig,
    replace,
)
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.contract import check_results
from llmgnn_jax.recipes import recipe
from llmgnn_jax.training.checkpoint import CheckpointFolder
from llmgnn_jax.training.node_classification import (
    fit_model,
    load_trained,
    prepare,
    set_up,
)
from llmgnn_jax.training.node_data import PreparedNodes
from llmgnn_jax.training.run import evaluate, fit

pytestmark = pytest.mark.usefixtures("workplace")

NODES, CLASSES = 120, 3
MODELS = ("graph", "text", "fused")


def topics() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Texts, classes and edges: words say something of a topic, and so do edges."""
    rng = np.random.default_rng(0)
    words = sorted({word for text in synthetic().item_texts for word in text.split()})
    words = [word.lower() for word in words if word.isalpha()][: 12 * CLASSES]
    labels = np.arange(NODES) % CLASSES
    texts = []
    for label in labels:
        own = rng.choice(words[label::CLASSES], 3)
        texts.append(" ".join([*own, *rng.choice(words, 4)]))
    ends = rng.integers(0, NODES, (2500, 2))
    same = labels[ends[:, 0]] == labels[ends[:, 1]]
    return texts, labels, ends[rng.random(2500) < 0.03 + 0.12 * same]


def written(folder: Path, *, labels: np.ndarray | None = None) -> Path:
    texts, planted, edges = topics()
    labels = planted if labels is None else labels
    folder.mkdir(parents=True)
    (folder / "data.txt").write_text("\n".join(texts) + "\n")
    groups = ["" if label < 0 else str(label) for label in labels]
    (folder / "group.txt").write_text("\n".join(groups) + "\n")
    lines = [f"{one}\t{other}" for one, other in edges]
    (folder / "graph.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Config:
    folder = written(tmp_path_factory.mktemp("data") / "topics")
    return Config(
        recipe="topics",
        task="node_classification",
        models=MODELS,
        data=DataConfig(source=str(folder), split="random"),
        graph=GraphConfig(layer="gcn", num_layers=2, embedding_dim=8, backend="csr"),
        node=NodeConfig(dropout=0.3, valid_size=30, test_size=0.3),
        text=TextConfig(encoder=str(tiny_encoder)),
        train=TrainConfig(
            learning_rate=0.05,
            half_life=0,
            l2=1e-4,
            steps=40,
            steps_per_call=5,
            validate_every=5,
            patience=0,
            checkpoint_every=20,
        ),
        evaluation=EvaluationConfig(metric="accuracy", baselines=False),
    )


@pytest.fixture(scope="module")
def run(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    fit(config, out=folder, command="llmgnn train topics")
    return folder


def results_of(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "results.json").read_text("utf-8"))
    return loaded


def test_a_run_has_all_three_models(run: Path) -> None:
    results = results_of(run)
    check_results(results)
    assert list(results["models"]) == list(MODELS)
    name = results["protocol"]["split_name"]
    assert name == "random valid 30, test 0.3 54/30/36, seed 0"
    accuracy = {
        name: row["test"]["accuracy"] for name, row in results["models"].items()
    }
    # One in three by chance.
    assert min(accuracy.values()) > 0.5
    report = (run / "report.html").read_text("utf-8")
    assert all(name in report for name in MODELS)
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    encoded = [one for one in map(json.loads, lines) if one["model"] == "encoder"]
    # None where another run has stored the vectors.
    assert [one["texts"] for one in encoded] in ([], [NODES])


def test_evaluate_measures_the_same_again(run: Path) -> None:
    before = results_of(run)
    after = evaluate(run).results
    assert after is not None
    assert after["models"] == before["models"]


def test_the_split_follows_the_seed(config: Config) -> None:
    hashes = [prepare(replace(config, seed=one)).split.split_hash for one in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("name", MODELS)
def test_no_held_out_label_reaches_training(
    config: Config, tmp_path: Path, name: Any
) -> None:
    """The parameters of every step are the same with all other labels turned."""
    states = []
    labels = topics()[1]
    for number in range(2):
        source = written(tmp_path / f"data-{number}", labels=labels)
        prepared = prepare(
            replace(config, **{"data.source": str(source), "train.steps": 10})
        )
        folder = tmp_path / str(number)
        folder.mkdir()
        fit_model(name, prepared, folder=folder)
        with CheckpointFolder(folder / "checkpoints" / name, keep=2) as kept:
            snapshot = kept.restore(set_up(name, prepared).snapshot)
        assert snapshot is not None
        states.append(snapshot.state)
        held_out = np.setdiff1d(np.arange(NODES), prepared.split.train)
        labels = labels.copy()
        labels[held_out] = (labels[held_out] + 1) % CLASSES
    jax.tree.map(np.testing.assert_array_equal, *states)


def test_nodes_without_a_class_are_in_no_part(config: Config, tmp_path: Path) -> None:
    labels = topics()[1]
    labels[:7] = -1
    source = written(tmp_path / "some", labels=labels)
    split = prepare(replace(config, **{"data.source": str(source)})).split
    parts = np.concatenate([split.train, split.valid, split.test])
    assert np.sort(parts).tolist() == list(range(7, NODES))


def test_a_fusion_is_pulled_to_where_it_starts(config: Config, tmp_path: Path) -> None:
    moved = []
    for anchor in (0.0, 100.0):
        changes = {"fusion.anchor": anchor, "train.steps": 20}
        prepared = prepare(replace(config, **changes))
        start = set_up("fused", prepared).snapshot.state.params["fusion"]["kernel"]
        folder = tmp_path / str(anchor)
        folder.mkdir()
        fit_model("fused", prepared, folder=folder)
        end = load_trained("fused", prepared, folder=folder).params
        moved.append(float(np.abs(end["fusion"]["kernel"] - start).max()))
    assert moved[1] < 0.3 * moved[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"text.encoder": "lstm"},
            "text.mode: expected full with the encoder lstm, .* got frozen; choose "
            "--text.encoder words",
        ),
        ({"data.split": "published"}, "data.split 'published': expected random, got"),
        ({"node.train_per_class": 41}, "no more than the 40 nodes of class 0, got 41"),
        ({"node.test_size": 91}, "expected no more than 120 of the 120 .*, got 30 an"),
    ],
)
def test_what_does_not_belong_together(
    config: Config, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        prepare(replace(config, **changes))
    assert "\n" not in str(caught.value)


def test_the_recipe_from_the_command_line(
    config: Config, llmgnn: Callable[..., tuple[int, str, str]]
) -> None:
    typed = (
        *("--data.source", config.data.source, "--text.encoder", config.text.encoder),
        *("--train.steps", "5", "--graph.backend", "csr", "--out", "run"),
    )
    code, out, _ = llmgnn("train", "cora-text", *typed)
    assert code == 0
    assert all(name in out for name in MODELS)
    code, out, _ = llmgnn("evaluate", "run", "--json")
    assert code == 0
    assert list(json.loads(out)["models"]) == list(MODELS)


@pytest.fixture(scope="module")
def minilm() -> Path:
    path = assets.where("minilm-l6")
    if path is None:
        pytest.skip("minilm-l6 is not in the cache (`llmgnn data fetch minilm-l6`)")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_citations_and_abstracts_are_worth_more_than_either(
    shared_data: Callable[[str], Path], minilm: Path, tmp_path: Path, seed: int
) -> None:
    """The recipe on real papers; `benchmarks.quality_cora_text` has ten splits."""
    changes = {
        "data.source": str(shared_data("cora-text-cane")),
        "text.encoder": str(minilm),
    }
    prepared = prepare(replace(recipe("cora-text"), seed=seed, **changes))
    accuracy = {name: _on_test(name, prepared, tmp_path / name) for name in MODELS}
    assert accuracy["fused"] > accuracy["text"] + 0.01
    assert accuracy["fused"] > accuracy["graph"] + 0.01


def _on_test(name: Any, prepared: PreparedNodes, folder: Path) -> float:
    folder.mkdir()
    model = fit_model(name, prepared, folder=folder)
    classes = model.predictor.classes(model.params, prepared.data.graph)
    test = prepared.split.held_out("test")
    return float((classes[test.nodes] == test.labels).mean())
