"""The fused step whose text encoder is trained, as `train.py` runs it.

    python -m benchmarks.ours.fused_text_step FOLDER OPTIONS

writes the stored text vectors, the tokens and what our program draws in its first steps
into a folder of inputs.

Shapes: P texts that a step encodes, T width of a text vector.
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

from benchmarks.bert_weights import for_parity, with_prefix, without_prefix
from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.bert_names import our_adapters, peers_names
from benchmarks.ours.device import check_backend
from benchmarks.ours.drawn import draws_of
from benchmarks.ours.fused_step import config_of
from benchmarks.ours.prepared import prepared_of
from benchmarks.ours.steps import task_of_steps, with_table
from benchmarks.texts import unpack_texts
from llmgnn_jax.config import Config, TextConfig
from llmgnn_jax.models.scoring import Scorer
from llmgnn_jax.native.memory import keep_freed_memory
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.parameters import flat, nested
from llmgnn_jax.training.batch import TEXTS, draw_batch
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.state import TEXT_ENCODER, TrainData, split_params
from llmgnn_jax.training.text_step import encode_some
from llmgnn_jax.training.train_data import train_data
from llmgnn_jax.training.trained import Setup, set_up


def setup(inputs: Inputs, *, backend: str, **options: Any) -> Task:
    """`llmgnn_jax.training.step.build_program` with `text.mode` lora or full."""
    keep_freed_memory()  # As `llmgnn train` does.
    check_backend(backend)
    prepared = _prepared(inputs, {**options, "backend": backend})
    model = set_up("fused", prepared)
    assert model.text is not None
    data = dataclasses.replace(
        train_data(prepared, text=True), encoder=model.text.inputs
    )
    params = _with_weights(model.snapshot.state.params, inputs)

    def outputs_of(gradients: Any, losses: np.ndarray) -> dict[str, np.ndarray]:
        of_model, _ = split_params(params)
        users, items = Scorer(model.definition, model.spec).vectors(
            of_model, data.features
        )
        others, of_encoder = split_params(gradients)
        found = {name: np.asarray(array) for name, array in flat(others).items()}
        num_nodes = len(inputs["weight.node_embedding"])
        found["node_embedding"] = found["node_embedding"][:num_nodes]
        assert isinstance(prepared.encoder, TextEncoder)
        named = peers_names(flat(of_encoder), prepared.encoder.config)
        return {
            "user_vectors": np.asarray(users)[: int(inputs["num_users"])],
            "item_vectors": np.asarray(items)[: int(inputs["num_items"])],
            "text_vectors": _first_texts(params, prepared, model, data),
            **with_prefix(found, "gradient."),
            **for_parity(named, precision="float32"),
            "losses": losses,
        }

    task = task_of_steps(prepared, model, data, params=params, outputs_of=outputs_of)
    counts = np.diff(inputs["token_ends"], prepend=0)
    fresh = inputs["batch_fresh"]
    tokens = counts[fresh[fresh >= 0]].sum() / len(fresh)
    places = model.text.spec.places or model.text.spec.texts * counts.max()
    notes = {
        **task.notes,
        "padding": 1 - float(tokens / places),
        "trained": sum(leaf.size for leaf in jax.tree.leaves(params[TEXT_ENCODER])),
    }
    return dataclasses.replace(task, notes=notes)


def _with_weights(start: Any, inputs: Inputs) -> Any:
    """The parameters of the inputs; the encoder's are those that it was loaded with."""
    weights = without_prefix(inputs, "weight.")
    table = with_table(start["node_embedding"], weights["node_embedding"])
    weights |= with_prefix(
        our_adapters(without_prefix(inputs, "adapter.")), f"{TEXT_ENCODER}."
    )
    named = {name: jnp.asarray(array) for name, array in weights.items()}
    params = {**flat(start), **named, "node_embedding": table}
    assert params.keys() == flat(start).keys()
    return nested(params)


def _first_texts(
    params: Any, prepared: Prepared, model: Setup, data: TrainData
) -> np.ndarray:
    """(P, T) vectors of the texts that the first step encodes."""
    assert model.text is not None
    spec, train = model.text.spec, prepared.config.train
    key = jax.random.wrap_key_data(model.snapshot.state.key_data)

    @jax.jit
    def encode(trained: Any, data: TrainData) -> tuple[jax.Array, jax.Array]:
        batch = draw_batch(data, key=key, step=jnp.int32(0), train=train)
        assert data.encoder is not None
        fresh = encode_some(
            spec,
            trained,
            data.encoder,
            items_R=batch.items_R,
            key=jax.random.fold_in(batch.key, TEXTS),
        )
        return fresh.vectors_PT, fresh.known_P

    vectors, known = encode(params[TEXT_ENCODER], data)
    return np.asarray(vectors)[np.asarray(known)]


def draw(folder: Path, options: Mapping[str, Any]) -> None:
    """Writes what peers are given beside graph, texts and weights.

    `item_texts` (I, T) float32; `token_ids`, one item after another, and `token_ends`,
    where each ends; and what `drawn.draws_of` has.
    """
    inputs = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    encoder = TextEncoder.load(options["encoder"])
    texts = unpack_texts(inputs)
    ids = encoder.tokens(texts)
    found = {
        "item_texts": encoder.encode(texts),
        "token_ids": np.concatenate(ids).astype(np.int32),
        "token_ends": np.cumsum([len(one) for one in ids]),
    }
    prepared = _prepared({**inputs, **found}, {**options, "backend": "csr"})
    found |= draws_of(prepared, set_up("fused", prepared))
    for name, array in found.items():
        np.save(folder / f"{name}.npy", array)


def _prepared(inputs: Inputs, options: Mapping[str, Any]) -> Prepared:
    encoder = TextEncoder.load(options["encoder"])
    return prepared_of(_config(options), inputs, encoder=encoder)


def _config(options: Mapping[str, Any]) -> Config:
    text = TextConfig(
        encoder=options["encoder"],
        mode=options["mode"],
        learning_rate=options["text_learning_rate"],
        lora_rank=options["rank"],
        lora_alpha=options["alpha"],
    )
    return dataclasses.replace(config_of(options), text=text)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), json.loads(sys.argv[2]))
