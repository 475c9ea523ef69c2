"""The training step as `train.py` runs it: batches and negatives drawn on the device.

    python -m benchmarks.ours.lightgcn_step FOLDER OPTIONS

writes the batches of the first steps into a folder of inputs: the peers are given what
our program draws.
"""

import dataclasses
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
from benchmarks.ours.device import check_backend, compiled, peak_mb
from benchmarks.ours.prepared import prepared_of
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
from llmgnn_jax.training.step import batch_loss, build_program
from llmgnn_jax.training.train_data import train_data
from llmgnn_jax.training.trained import Setup, set_up

# A call of the program runs this many steps, as in training.
STEPS_PER_CALL = 10


def setup(inputs: Inputs, *, backend: str, **options: Any) -> Task:
    """`llmgnn_jax.training.step.build_program` with the published setting."""
    check_backend(backend)
    prepared, model, data = _prepared(inputs, {**options, "backend": backend})
    config = prepared.config

    def fresh_state():
        state = model.snapshot.state
        table = jnp.asarray(inputs["table"])
        # Spare slots and the padding node are no part of the peers' table.
        start = state.params["node_embedding"]
        assert start.shape[0] >= table.shape[0]
        padded = jnp.zeros_like(start).at[: table.shape[0]].set(table)
        params = {**state.params, "node_embedding": padded}
        state = dataclasses.replace(state, params=params)
        return jax.tree.map(jnp.copy, state)

    program = build_program(model.definition, model.optimizer, config)
    count = jnp.int32(STEPS_PER_CALL)
    program, compile_s = compiled(program, fresh_state(), data, count)

    def outputs() -> dict[str, np.ndarray]:
        state = fresh_state()
        key = jax.random.wrap_key_data(state.key_data)

        @jax.jit
        def gradients(params: Any, data: TrainData) -> Any:
            gradients, _ = jax.grad(batch_loss, has_aux=True)(
                params,
                model.definition,
                data,
                key=key,
                step=jnp.int32(0),
                config=config,
            )
            return gradients

        gradient = np.asarray(gradients(state.params, data)["node_embedding"])
        _, metrics = program(state, data, count)
        num_nodes = inputs["table"].shape[0]
        return {
            "gradient": gradient[:num_nodes],
            "losses": np.asarray(metrics.loss)[: len(inputs["batch_nodes"])],
        }

    state = fresh_state()

    def run() -> None:
        nonlocal state
        state, metrics = program(state, data, count)
        metrics.loss.block_until_ready()

    return Task(
        run=run,
        outputs=outputs,
        units=STEPS_PER_CALL,
        compile_s=compile_s,
        notes={"backend": prepared.backend, "steps_per_call": STEPS_PER_CALL},
        device_peak_mb=peak_mb(),
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
