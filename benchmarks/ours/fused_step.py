"""The fused training step as `train.py` runs it, draws and look-ups included.

    python -m benchmarks.ours.fused_step FOLDER OPTIONS

writes what our program draws in its first steps into a folder of inputs.

Shapes: S steps, B rows of a batch, K items that each is compared with, R = B + K, W
parents of a hop of sampled neighbours, F of each.
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
from flax import nnx

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
from llmgnn_jax.graph.sampling import SampleTable, sample_tree
from llmgnn_jax.models.scoring import Scorer
from llmgnn_jax.text.parameters import flat, nested
from llmgnn_jax.training import batch as draws
from llmgnn_jax.training.batch import draw_batch
from llmgnn_jax.training.draws import keep_mask
from llmgnn_jax.training.sides import Sides
from llmgnn_jax.training.state import TrainData
from llmgnn_jax.training.train_data import train_data
from llmgnn_jax.training.trained import Setup, set_up


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
            **_tree_of(data, batch, config),
        }.items():
            found.setdefault(name, []).append(array)
    for name, arrays in found.items():
        np.save(folder / f"batch_{name}.npy", np.stack(arrays))


def _tree_of(
    data: TrainData, batch: draws.Batch, config: Config
) -> dict[str, np.ndarray]:
    """The neighbours that a step draws, as `Sides` asks for them; {} for all."""
    if not config.graph.fanouts:
        return {}
    graph = data.features.graph
    nodes_R = jnp.concatenate(
        [
            graph.layout.user_nodes(batch.users_B),
            graph.layout.item_nodes(batch.items_R),
        ]
    )
    rows = graph.plan.incoming
    tree = sample_tree(
        jax.random.fold_in(batch.key, draws.NEIGHBOURS),
        SampleTable.of_rows(rows.indptr, rows.others),
        nodes_R,
        fanouts=config.graph.fanouts,
        rows_B=batch.node_rows(config.train.batch_size),
    )
    found = {}
    for number, hop in enumerate(tree.hops):
        found[f"tree_nodes_{number}"] = np.asarray(hop.nodes)
        found[f"tree_mask_{number}"] = np.asarray(hop.mask)
    return found


def _config(options: Mapping[str, Any]) -> Config:
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
