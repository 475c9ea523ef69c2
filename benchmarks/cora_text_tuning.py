"""What the models of `cora-text` are tuned by: a random search for each, on valid.

The three have the same number of trials, from spaces that share all that they have in
common; the first one is the recipe as it stands. A trial's value is the mean of its
best accuracy on valid over the splits of `SEEDS`; test is not read.
"""

import dataclasses
import itertools
import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax.config import Config, ModelName, replace
from llmgnn_jax.evaluation.results import write_atomically
from llmgnn_jax.training.node_classification import TrainedClassifier, fit_model
from llmgnn_jax.training.node_data import PreparedNodes, prepare_nodes
from llmgnn_jax.tuning.space import Space, draw

logger = logging.getLogger(__name__)

SEEDS = (0, 1)
TRIALS = 6
METRIC = "accuracy"

_OF_ALL: dict[str, Any] = {
    "train.learning_rate": (3e-3, 3e-2, "log"),
    "train.l2": (1e-5, 5e-3, "log"),
    "node.dropout": (0.3, 0.5, 0.7),
    "graph.embedding_dim": (32, 64, 128),
}
_OF_GRAPH: dict[str, Any] = {
    "graph.layer": ("gcn", "sage", "gat"),
    "graph.num_layers": (1, 2, 3),
}
_OF_TEXT: dict[str, Any] = {"node.text_layers": (1, 2, 3)}

SPACES: Mapping[ModelName, Space] = {
    "graph": {**_OF_ALL, **_OF_GRAPH},
    "text": {**_OF_ALL, **_OF_TEXT},
    "fused": {
        **_OF_ALL,
        **_OF_GRAPH,
        **_OF_TEXT,
        "fusion.kind": ("concat", "sum", "gate", "attention"),
    },
}


def tune(file: Path, *, config: Config, trials: int = TRIALS) -> dict[str, Any]:
    """Model -> its trials and what was chosen; goes on where the file ends.

    Args:
        file: Finished trials are kept in it.
        config: Of the run; fields that no space names stay as they are.
        trials: Of each model.
    """
    tuned: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    prepared: list[PreparedNodes] = []
    for number, name in itertools.product(range(trials), SPACES):
        row = tuned.setdefault(name, {"trials": []})
        if number < len(row["trials"]):
            continue
        if not prepared:
            prepared = [prepare_nodes(replace(config, seed=one)) for one in SEEDS]
        values = draw(SPACES[name], seed=0, trial=number) if number else {}
        found = [valid_accuracy(train_one(name, one, values), one) for one in prepared]
        trial = {"values": values, "valid": found, "mean": float(np.mean(found))}
        logger.info("%s, trial %d: %s", name, number, trial)
        row["trials"].append(trial)
        write_atomically(file, json.dumps(tuned, indent=1) + "\n")
    for name, row in tuned.items():
        best = max(row["trials"], key=lambda trial: trial["mean"])
        row["chosen"], row["value"] = best["values"], best["mean"]
        row["space"], row["seeds"] = SPACES[name], list(SEEDS)
    write_atomically(file, json.dumps(tuned, indent=1) + "\n")
    return tuned


def train_one(
    name: ModelName, prepared: PreparedNodes, values: Mapping[str, Any]
) -> TrainedClassifier:
    """A model of a prepared run, with other values of what preparing does not read."""
    changed = dataclasses.replace(prepared, config=replace(prepared.config, **values))
    with tempfile.TemporaryDirectory() as folder:
        return fit_model(name, changed, folder=Path(folder))


def valid_accuracy(model: TrainedClassifier, prepared: PreparedNodes) -> float:
    """Of the parameters that were kept."""
    classes = model.predictor.classes(model.params, prepared.data.graph)
    valid = prepared.valid
    return float((classes[valid.nodes] == valid.labels).mean())
