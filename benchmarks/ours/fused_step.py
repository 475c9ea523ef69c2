"""The fused training step as `train.py` runs it, draws and look-ups included.

    python -m benchmarks.ours.fused_step FOLDER OPTIONS

writes what our program draws in its first steps into a folder of inputs.

Shapes: S steps, B rows of a batch, K items that each is compared with.
"""

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
from benchmarks.ours.device import check_backend
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
from llmgnn_jax.training import batch as draws
from llmgnn_jax.training.batch import draw_batch
from llmgnn_jax.training.draws import keep_mask
from llmgnn_jax.training.train_data import train_data
from llmgnn_jax.training.trained import set_up


def setup(inputs: Inputs, *, backend: str, **options: Any) -> Task:
    """`llmgnn_jax.training.step.build_program` with the recipe's model."""
    check_backend(backend)
    prepared = prepared_of(_config({**options, "backend": backend}), inputs)
    model, data = set_up("fused", prepared), train_data(prepared, text=True)
    start, named = flat(model.snapshot.state.params), without_prefix(inputs, "weight.")
    assert start.keys() == named.keys()
    weights = {name: jnp.asarray(array) for name, array in named.items()}
    table = named["node_embedding"]
    weights["node_embedding"] = with_table(start["node_embedding"], table)
    params = nested(weights)

    def outputs_of(gradients: Any, losses: np.ndarray) -> dict[str, np.ndarray]:
        scorer = Scorer(model.definition, model.spec)
        users, items = scorer.vectors(params, data.features)
        found = {name: np.asarray(array) for name, array in flat(gradients).items()}
        found["node_embedding"] = found["node_embedding"][: len(table)]
        return {
            "user_vectors": np.asarray(users)[: int(inputs["num_users"])],
            "item_vectors": np.asarray(items)[: int(inputs["num_items"])],
            **with_prefix(found, "gradient."),
            "losses": losses,
        }

    return task_of_steps(prepared, model, data, params=params, outputs_of=outputs_of)


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
