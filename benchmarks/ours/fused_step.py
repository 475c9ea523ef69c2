"""The fused training step as `train.py` runs it, draws and look-ups included.

    python -m benchmarks.ours.fused_step FOLDER OPTIONS

writes what our program draws in its first steps into a folder of inputs.

Shapes: B rows of a batch, D width.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.bert_weights import with_prefix, without_prefix
from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import check_backend
from benchmarks.ours.drawn import draws_of
from benchmarks.ours.prepared import prepared_of
from benchmarks.ours.steps import STEPS_PER_CALL, task_of_steps, with_table
from llmgnn_jax.config import (
    Config,
    DataConfig,
    FusionConfig,
    GraphConfig,
    TrainConfig,
)
from llmgnn_jax.models.scoring import Scorer
from llmgnn_jax.text.parameters import flat, nested
from llmgnn_jax.training.batch import draw_batch
from llmgnn_jax.training.sides import Sides
from llmgnn_jax.training.state import TrainData
from llmgnn_jax.training.train_data import train_data
from llmgnn_jax.training.trained import Setup, set_up


def setup(inputs: Inputs, *, backend: str, **options: Any) -> Task:
    """`llmgnn_jax.training.step.build_program` with the recipe's model."""
    check_backend(backend)
    prepared = prepared_of(config_of({**options, "backend": backend}), inputs)
    model, data = set_up("fused", prepared), train_data(prepared, text=True)
    start, named = flat(model.snapshot.state.params), without_prefix(inputs, "weight.")
    assert start.keys() == named.keys()
    weights = {name: jnp.asarray(array) for name, array in named.items()}
    table = named["node_embedding"]
    weights["node_embedding"] = with_table(start["node_embedding"], table)
    params = nested(weights)

    def outputs_of(gradients: Any, losses: np.ndarray) -> dict[str, np.ndarray]:
        found = {name: np.asarray(array) for name, array in flat(gradients).items()}
        found["node_embedding"] = found["node_embedding"][: len(table)]
        if prepared.config.graph.fanouts:
            vectors = {"propagated": _propagated(model, params, data, prepared.config)}
        else:
            scorer = Scorer(model.definition, model.spec)
            users, items = scorer.vectors(params, data.features)
            vectors = {
                "user_vectors": np.asarray(users)[: int(inputs["num_users"])],
                "item_vectors": np.asarray(items)[: int(inputs["num_items"])],
            }
        return {**vectors, **with_prefix(found, "gradient."), "losses": losses}

    return task_of_steps(prepared, model, data, params=params, outputs_of=outputs_of)


def _propagated(
    model: Setup, params: Any, data: TrainData, config: Config
) -> np.ndarray:
    """(2 B, D) what the first step's users and positives hear of their neighbours."""

    @jax.jit
    def both(params: Any, data: TrainData) -> jax.Array:
        key = jax.random.wrap_key_data(model.snapshot.state.key_data)
        batch = draw_batch(data, key=key, step=jnp.int32(0), train=config.train)
        sides = Sides(
            nnx.merge(model.definition, params),
            data,
            batch,
            dropout=0.0,
            whole=False,
            fanouts=config.graph.fanouts,
            size=config.train.batch_size,
        )
        return jnp.concatenate(sides.propagated())

    return np.asarray(both(params, data))


def draw(folder: Path, options: Mapping[str, Any]) -> None:
    """Writes what the first steps read, see `drawn.draws_of`, into a folder."""
    inputs = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    prepared = prepared_of(config_of({**options, "backend": "csr"}), inputs)
    for name, array in draws_of(prepared, set_up("fused", prepared)).items():
        np.save(folder / f"{name}.npy", array)


def config_of(options: Mapping[str, Any]) -> Config:
    """A run of `train.py` with the options of a case, text vectors stored."""
    table = {
        name: options[name]
        for name in ("table_optimizer", "table_learning_rate")
        if name in options
    }
    return Config(
        recipe="ml-100k",
        models=("fused",),
        data=DataConfig(source="synthetic"),
        graph=GraphConfig(
            num_layers=options["num_layers"],
            fanouts=tuple(options.get("fanouts", ())),
            embedding_dim=options["width"],
            backend=options["backend"],
            spare_users=0,
            spare_items=0,
            spare_edges=0,
        ),
        fusion=FusionConfig(anchor=options["anchor"]),
        train=TrainConfig(
            negatives=options["negatives"],
            batch_size=options["batch_size"],
            learning_rate=options["learning_rate"],
            half_life=0,
            l2=options["l2"],
            steps=1000,
            steps_per_call=STEPS_PER_CALL,
            **table,
        ),
    )


if __name__ == "__main__":
    draw(Path(sys.argv[1]), json.loads(sys.argv[2]))
