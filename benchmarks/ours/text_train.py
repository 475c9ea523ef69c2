"""A fine-tuning step of `llmgnn_jax.text`: one program, its state donated.

    python -m benchmarks.ours.text_train FOLDER ENCODER MAX_LENGTH

writes the tokens of the texts in a folder of inputs.

Shapes: S batches, N texts of a batch, B rows, L tokens, K texts of a row at most,
D width.
"""

import functools
import itertools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.bert_weights import for_parity, without_prefix
from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.bert_names import our_adapters, peers_names
from benchmarks.ours.device import compiled, peak_mb
from benchmarks.texts import unpack_texts
from llmgnn_jax import assets
from llmgnn_jax.native.memory import keep_freed_memory
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.encoders.model import (
    EncoderModel,
    apply,
    declare,
    with_kernels_in,
)
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.lora import Adapters
from llmgnn_jax.text.packing import pack
from llmgnn_jax.text.parameters import flat, nested
from llmgnn_jax.text.pooling import l2_normalise
from llmgnn_jax.text.pretrained.bert_names import bert_names
from llmgnn_jax.text.pretrained.load import transposed
from llmgnn_jax.text.tokens import load_tokenizer
from llmgnn_jax.text.trainable import combine, partition, trainable


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["rows", "weights_BKL", "places_N"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class Batch:
    """N texts laid into rows.

    Attributes:
        rows: The tokens.
        weights_BKL: (B, K, L) float32: 1 / its tokens where a row's text has one.
        places_N: (N,) int32, b * K + k of each text.
    """

    rows: TokenRows
    weights_BKL: jax.Array
    places_N: jax.Array


def setup(
    inputs: Inputs,
    *,
    mode: Literal["full", "lora"],
    dtype: ComputeDtype,
    layout: Literal["rows", "packed"],
    unit: Literal["texts", "tokens"],
    shape: Mapping[str, int],
    learning_rate: float,
    weight_decay: float,
    temperature: float,
    alpha: float,
) -> Task:
    """The step in one mode, on rows of one text or on packed ones."""
    keep_freed_memory()  # As `llmgnn train` does.
    model = _model(inputs, mode=mode, dtype=dtype, shape=shape, alpha=alpha)
    mask = trainable(model.params, mode=mode)
    trained, frozen = partition(model.params, mask)
    if frozen:
        # What is never trained is cast once rather than in each step.
        frozen = with_kernels_in(dtype, frozen)
    batches = batches_of(inputs, packed=layout == "packed")
    optimizer = optax.adamw(learning_rate, weight_decay=weight_decay)

    def loss_of(trained: Any, frozen: Any, batch: Batch) -> jax.Array:
        params = combine(trained, frozen)
        vectors = unit_vectors(apply(model.graphdef, params, batch.rows), batch)
        return contrastive_loss(vectors, temperature=temperature)

    def step(state: Any, frozen: Any, batch: Batch) -> Any:
        trained, moments = state
        loss, gradients = jax.value_and_grad(loss_of)(trained, frozen, batch)
        updates, moments = optimizer.update(gradients, moments, trained)
        return (optax.apply_updates(trained, updates), moments), loss

    def fresh_state() -> Any:
        copied = jax.tree.map(jnp.copy, trained)
        return copied, optimizer.init(copied)

    state = fresh_state()
    program, compile_s = compiled(
        jax.jit(step, donate_argnums=0), state, frozen, batches[0]
    )

    def outputs() -> dict[str, np.ndarray]:
        gradients = jax.jit(jax.grad(loss_of))(trained, frozen, batches[0])
        state, losses = fresh_state(), []
        for batch in batches[:3]:
            state, loss = program(state, frozen, batch)
            losses.append(float(loss))
        named = peers_names(flat(gradients), model.config)
        return {**for_parity(named, precision=dtype), "losses": np.array(losses)}

    turns = itertools.cycle(batches)

    def run() -> None:
        nonlocal state
        state, loss = program(state, frozen, next(turns))
        jax.block_until_ready((state, loss))

    places = sum(batch.rows.mask_BL.size for batch in batches)
    texts = int(inputs["texts"])
    return Task(
        run=run,
        outputs=outputs,
        units=texts if unit == "texts" else len(inputs["token_ids"]) / len(batches),
        compile_s=compile_s,
        notes={
            "rows": list(batches[0].rows.ids_BL.shape),
            "padding": 1 - len(inputs["token_ids"]) / places,
            "trained": sum(leaf.size for leaf in jax.tree.leaves(trained)),
        },
        device_peak_mb=peak_mb(),
    )


def unit_vectors(hidden_BLD: jax.Array, batch: Batch) -> jax.Array:
    """(N, D) means over the tokens of each text, of length 1."""
    means_BKD = jnp.einsum(
        "bkl,bld->bkd",
        batch.weights_BKL,
        hidden_BLD,
        precision=jax.lax.Precision.HIGHEST,
    )
    dim = hidden_BLD.shape[-1]
    return l2_normalise(means_BKD.reshape(-1, dim)[batch.places_N])


def contrastive_loss(vectors_ND: jax.Array, *, temperature: float) -> jax.Array:
    """Mean cross-entropy of finding the second half's vectors from the first's.

    InfoNCE (van den Oord et al. 2018, https://arxiv.org/abs/1807.03748) with the other
    pairs of the batch as negatives.
    """
    first, second = jnp.split(vectors_ND, 2)
    logits = jnp.dot(first, second.T, precision=jax.lax.Precision.HIGHEST) / temperature
    return -jnp.diagonal(jax.nn.log_softmax(logits, axis=1)).mean()


def batches_of(inputs: Inputs, *, packed: bool) -> list[Batch]:
    """All batches in one shape, so that the step is compiled once."""
    ends = np.asarray(inputs["token_ends"])
    token_lists = np.split(np.asarray(inputs["token_ids"]), ends[:-1])
    texts = int(inputs["texts"])
    counts_SN = np.diff(ends, prepend=0).reshape(-1, texts)
    length = int(counts_SN.max())
    layouts = [
        packed_layout(token_lists[number * texts : (number + 1) * texts], length=length)
        if packed
        else np.stack([np.arange(texts), np.zeros(texts, int)], axis=1)
        for number in range(len(counts_SN))
    ]
    num_rows = max(int(layout[:, 0].max()) + 1 for layout in layouts)
    most = max(int(np.bincount(layout[:, 0]).max()) for layout in layouts)
    return [
        _batch(
            token_lists[number * texts : (number + 1) * texts],
            layout,
            shape=(num_rows, most, length),
            packed=packed,
        )
        for number, layout in enumerate(layouts)
    ]


def packed_layout(token_lists: list[np.ndarray], *, length: int) -> np.ndarray:
    """(N, 2) the row of each text and where in it the text begins."""
    lists = [ids.tolist() for ids in token_lists]
    layout = np.zeros((len(lists), 2), int)
    rows = pack(lists, row_length=length, num_rows=1, num_texts=len(lists))
    for number, row in enumerate(rows):
        there = row.texts >= 0
        layout[row.texts[there], 0] = number
        layout[row.texts[there], 1] = row.starts[there]
    return layout


def _batch(
    token_lists: list[np.ndarray],
    layout: np.ndarray,
    *,
    shape: tuple[int, int, int],
    packed: bool,
) -> Batch:
    num_rows, most, length = shape
    ids = np.zeros((num_rows, length), np.int32)
    mask = np.zeros((num_rows, length), bool)
    segments, positions = np.zeros_like(ids), np.zeros_like(ids)
    weights = np.zeros((num_rows, most, length), np.float32)
    places = np.zeros(len(token_lists), np.int32)
    filled = np.zeros(num_rows, int)
    for text, (row, start) in enumerate(layout):
        count = len(token_lists[text])
        here = slice(start, start + count)
        ids[row, here], mask[row, here] = token_lists[text], True
        segments[row, here], positions[row, here] = filled[row], np.arange(count)
        weights[row, filled[row], here] = 1 / count
        places[text] = row * most + filled[row]
        filled[row] += 1
    rows = TokenRows(
        ids_BL=jnp.asarray(ids),
        mask_BL=jnp.asarray(mask),
        segments_BL=jnp.asarray(segments) if packed else None,
        positions_BL=jnp.asarray(positions) if packed else None,
    )
    return Batch(
        rows=rows, weights_BKL=jnp.asarray(weights), places_N=jnp.asarray(places)
    )


def _model(
    inputs: Inputs,
    *,
    mode: str,
    dtype: ComputeDtype,
    shape: Mapping[str, int],
    alpha: float,
) -> EncoderModel:
    """The encoder with the weights of the inputs, and their adapters."""
    config = BertConfig(**shape)
    weights = without_prefix(inputs, "weight.")
    arrays = {
        ours: transposed(ours, weights[theirs])
        for ours, theirs in bert_names(config).items()
    }
    adapters = None
    if given := without_prefix(inputs, "adapter."):
        rank = next(iter(given.values())).shape[1]
        adapters = Adapters(rank=rank, alpha=alpha, targets=("query", "value"))
        arrays |= our_adapters(given)
    assert (mode == "lora") == (adapters is not None)
    declared = declare(config, dtype=dtype, adapters=adapters)
    params = nested({name: jnp.asarray(array) for name, array in arrays.items()})
    assert flat(params).keys() == flat(declared.params).keys()
    return declared._replace(params=params)


def _write_tokens(folder: Path, encoder: str, max_length: int) -> None:
    inputs = {path.stem: np.load(path) for path in folder.glob("text_*.npy")}
    where = assets.fetch(encoder) if encoder in assets.ASSETS else Path(encoder)
    ids = load_tokenizer(where).encode(unpack_texts(inputs), max_length=max_length)
    np.save(folder / "token_ids.npy", np.concatenate(ids).astype(np.int32))
    np.save(folder / "token_ends.npy", np.cumsum([len(one) for one in ids]))


if __name__ == "__main__":
    _write_tokens(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
