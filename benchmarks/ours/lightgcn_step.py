"""The training step as `train.py` runs it: batches and negatives drawn on the device.

    python -m benchmarks.ours.lightgcn_step FOLDER OPTIONS

writes the batches of the first steps into a folder of inputs: the peers are given what
our program draws.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import check_backend
from benchmarks.ours.prepared import prepared_of
from benchmarks.ours.steps import STEPS_PER_CALL, task_of_steps, with_table
from llmgnn_jax.config import (
    Config,
    DataConfig,
    EvaluationConfig,
    GraphConfig,
    TrainConfig,
)
from llmgnn_jax.training.batch import draw_batch
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.state import TrainData
from llmgnn_jax.training.train_data import train_data
from llmgnn_jax.training.trained import Setup, set_up


def setup(inputs: Inputs, *, backend: str, **options: Any) -> Task:
    """`llmgnn_jax.training.step.build_program` with the published setting."""
    check_backend(backend)
    prepared, model, data = _prepared(inputs, {**options, "backend": backend})
    start, table = model.snapshot.state.params, np.asarray(inputs["table"])

    def outputs_of(gradients: Any, losses: np.ndarray) -> dict[str, np.ndarray]:
        gradient = np.asarray(gradients["node_embedding"])[: len(table)]
        return {"gradient": gradient, "losses": losses[: len(inputs["batch_nodes"])]}

    return task_of_steps(
        prepared,
        model,
        data,
        params={
            **start,
            "node_embedding": with_table(start["node_embedding"], table),
        },
        outputs_of=outputs_of,
    )


def draw(folder: Path, options: Mapping[str, Any]) -> None:
    """Writes `batch_nodes` (S, 3, B) and `batch_keep` (S, B), S steps from the first.

    The rows of `batch_nodes` are users, positives and negatives, as nodes.
    """
    inputs = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    prepared, model, data = _prepared(inputs, {**options, "backend": "csr"})
    for name, array in drawn_batches(prepared, model, data).items():
        np.save(folder / f"{name}.npy", array)


def drawn_batches(
    prepared: Prepared, model: Setup, data: TrainData
) -> dict[str, np.ndarray]:
    """The arrays that `draw` writes; item i is node num_users + i, as in the peers."""
    num_users = prepared.dataset.num_users
    key = jax.random.wrap_key_data(model.snapshot.state.key_data)
    nodes, keep = [], []
    for step in range(STEPS_PER_CALL):
        batch = draw_batch(
            data, key=key, step=jnp.int32(step), train=prepared.config.train
        )
        negatives_BK = batch.sampled_BK
        assert negatives_BK is not None
        known_BK = data.known.contain(batch.users_B, negatives_BK)
        items = (num_users + batch.positives_B, num_users + negatives_BK[:, 0])
        nodes.append(np.stack([batch.users_B, *items]))
        keep.append(~np.asarray(known_BK)[:, 0])
    return {
        "batch_nodes": np.stack(nodes).astype(np.int64),
        "batch_keep": np.stack(keep),
    }


def _prepared(
    inputs: Inputs, options: Mapping[str, Any]
) -> tuple[Prepared, Setup, TrainData]:
    """What `llmgnn_jax.training.prepare` makes of the pairs; all are trained on."""
    prepared = prepared_of(_config(options), inputs)
    return prepared, set_up("graph", prepared), train_data(prepared, text=False)


def _config(options: Mapping[str, Any]) -> Config:
    return Config(
        recipe="gowalla-lightgcn",
        models=("graph",),
        data=DataConfig(source="synthetic"),
        graph=GraphConfig(
            num_layers=options["num_layers"],
            embedding_dim=options["width"],
            backend=options["backend"],
            spare_users=0,
            spare_items=0,
            spare_edges=0,
        ),
        train=TrainConfig(
            loss="bpr",
            negatives="uniform",
            num_negatives=1,
            examples="users",
            batch_size=options["batch_size"],
            learning_rate=options["learning_rate"],
            half_life=0,
            l2=options["l2"],
            steps=1000,
            steps_per_call=STEPS_PER_CALL,
        ),
        evaluation=EvaluationConfig(ks=(20,), metric="ndcg@20"),
    )


if __name__ == "__main__":
    draw(Path(sys.argv[1]), json.loads(sys.argv[2]))
