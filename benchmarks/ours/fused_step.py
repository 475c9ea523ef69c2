"""The fused training step as `train.py` runs it, draws and look-ups included.

    python -m benchmarks.ours.fused_step FOLDER OPTIONS

writes what our program draws in its first steps into a folder of inputs.

Shapes: S steps, B rows of a batch, K items that each is compared with.
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
import scipy.sparse

from benchmarks.bert_weights import with_prefix, without_prefix
from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import check_backend, compiled, peak_mb
from benchmarks.ours.prepared import prepared_of
from llmgnn_jax.config import (
    Config,
    DataConfig,
    FusionConfig,
    GraphConfig,
    TrainConfig,
)
from llmgnn_jax.models.scoring import Scorer
from llmgnn_jax.text.parameters import flat, nested
from llmgnn_jax.training import batch as draws
from llmgnn_jax.training.batch import draw_batch
from llmgnn_jax.training.draws import keep_mask
from llmgnn_jax.training.state import TrainData
from llmgnn_jax.training.step import batch_loss, build_program
from llmgnn_jax.training.train_data import train_data
from llmgnn_jax.training.trained import set_up

# A call of the program runs this many steps, as in training.
STEPS_PER_CALL = 10


def setup(inputs: Inputs, *, backend: str, **options: Any) -> Task:
    """`llmgnn_jax.training.step.build_program` with the recipe's model."""
    check_backend(backend)
    config = _config({**options, "backend": backend})
    prepared = prepared_of(config, inputs)
    model, data = set_up("fused", prepared), train_data(prepared, text=True)
    num_nodes = len(inputs["weight.node_embedding"])

    def fresh_state() -> Any:
        state = model.snapshot.state
        start = flat(state.params)
        weights = without_prefix(inputs, "weight.")
        assert start.keys() == weights.keys()
        params = {name: jnp.asarray(array) for name, array in weights.items()}
        # Spare slots and the padding node are no part of the peers' table.
        table = jnp.zeros_like(start["node_embedding"])
        params["node_embedding"] = table.at[:num_nodes].set(params["node_embedding"])
        state = dataclasses.replace(state, params=nested(params))
        return jax.tree.map(jnp.copy, state)

    program = build_program(model.definition, model.optimizer, config)
    count = jnp.int32(STEPS_PER_CALL)
    program, compile_s = compiled(program, fresh_state(), data, count)

    def outputs() -> dict[str, np.ndarray]:
        state = fresh_state()
        users, items = Scorer(model.definition, model.spec).vectors(
            state.params, data.features
        )
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

        named = {
            name: np.asarray(array)
            for name, array in flat(gradients(state.params, data)).items()
        }
        named["node_embedding"] = named["node_embedding"][:num_nodes]
        _, metrics = program(state, data, count)
        return {
            "user_vectors": np.asarray(users)[: int(inputs["num_users"])],
            "item_vectors": np.asarray(items)[: int(inputs["num_items"])],
            **with_prefix(named, "gradient."),
            "losses": np.asarray(metrics.loss),
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
    """Writes what the first `STEPS_PER_CALL` steps read.

    `batch_users` and `batch_positives` (S, B) int64; `batch_bias` (S, B, K) float32,
    what is added to a row's scores before the softmax: -inf for what its user is known
    to like, but for the row's own positive, which has 0, and less log n_k;
    `batch_keep_user_graph`, `batch_keep_user_text` (S, B) and `batch_keep_item_graph`,
    `batch_keep_item_text` (S, K) bool, False where a side is dropped.
    """
    inputs = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    config = _config({**options, "backend": "csr"})
    prepared = prepared_of(config, inputs)
    data = train_data(prepared, text=True)
    users_E, items_E = prepared.history.pairs()
    known = scipy.sparse.csr_array(
        (np.ones(len(users_E), bool), (users_E, items_E)),
        shape=(int(inputs["num_users"]), int(inputs["num_items"])),
    )
    key = jax.random.wrap_key_data(set_up("fused", prepared).snapshot.state.key_data)
    num_items, rows = int(inputs["num_items"]), np.arange(options["batch_size"])
    found: dict[str, list[np.ndarray]] = {}
    for step in range(STEPS_PER_CALL):
        batch = draw_batch(data, key=key, step=jnp.int32(step), train=config.train)
        users, positives = np.asarray(batch.users_B), np.asarray(batch.positives_B)
        if options["negatives"] == "all":
            items, own = np.arange(num_items), positives
            log_expected = np.zeros(num_items)
        else:
            items, own = positives, rows
            counts = np.asarray(data.item_counts_I)[items]
            log_expected = np.log(counts * (len(rows) - 1) / data.num_examples)
        likes = known[users][:, items].toarray()
        bias = np.where(likes, -np.inf, -log_expected[None, :])
        bias[rows, own] = 0.0
        assert data.features.text is not None
        _, has_text = data.features.text.of_users(
            batch.users_B, left_out_B=batch.positives_B
        )
        keep = {
            name: np.asarray(
                keep_mask(
                    jax.random.fold_in(batch.key, stream),
                    jnp.asarray(numbers, jnp.int32),
                    dropout=config.fusion.modality_dropout,
                )
            )
            for name, stream, numbers in (
                ("user_graph", draws.USER_GRAPH, rows),
                ("user_text", draws.USER_TEXT, rows),
                ("item_graph", draws.ITEM_GRAPH, items),
                ("item_text", draws.ITEM_TEXT, items),
            )
        }
        keep["user_text"] = keep["user_text"] & np.asarray(has_text)
        for name, array in {
            "users": users.astype(np.int64),
            "positives": positives.astype(np.int64),
            "bias": bias.astype(np.float32),
            **with_prefix(keep, "keep_"),
        }.items():
            found.setdefault(name, []).append(array)
    for name, arrays in found.items():
        np.save(folder / f"batch_{name}.npy", np.stack(arrays))


def _config(options: Mapping[str, Any]) -> Config:
    return Config(
        recipe="ml-100k",
        models=("fused",),
        data=DataConfig(source="synthetic"),
        graph=GraphConfig(
            num_layers=options["num_layers"],
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
        ),
    )


if __name__ == "__main__":
    draw(Path(sys.argv[1]), json.loads(sys.argv[2]))
