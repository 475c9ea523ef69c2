"""What our program draws in its first steps, for peers that are given it as arrays.

Shapes: S steps, B rows of a batch, K items that each is compared with, P texts that a
step encodes, R = 2 B nodes of a batch, W parents of a hop of sampled neighbours, F of
each.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from benchmarks.ours.steps import STEPS_PER_CALL
from llmgnn_jax.config import Config
from llmgnn_jax.graph.sampling import SampleTable, sample_tree
from llmgnn_jax.training import batch as draws
from llmgnn_jax.training.batch import Batch, draw_batch
from llmgnn_jax.training.draws import keep_mask
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.state import TrainData
from llmgnn_jax.training.text_step import encode_some
from llmgnn_jax.training.train_data import train_data
from llmgnn_jax.training.trained import Setup


def draws_of(prepared: Prepared, model: Setup) -> dict[str, np.ndarray]:
    """What the first `STEPS_PER_CALL` steps read.

    Returns:
        `batch_users` and `batch_positives` (S, B) int64; `batch_bias` (S, B, K)
        float32, what is added to a row's scores before the softmax: -inf for what its
        user is known to like, but for the row's own positive, which has 0, and less
        log n_k; `batch_keep_user_graph`, `batch_keep_user_text` (S, B) and
        `batch_keep_item_graph`, `batch_keep_item_text` (S, K) bool, False where a side
        is dropped. Where the encoder is trained also `batch_fresh` (S, P) int64, items
        whose texts are encoded, -1 for none; and where neighbours are sampled
        `batch_tree_nodes_h` and `batch_tree_mask_h` (S, W, F) of each hop h.
    """
    config, data = prepared.config, train_data(prepared, text=True)
    train, num_items = config.train, prepared.dataset.num_items
    known = _known(prepared)
    key = jax.random.wrap_key_data(model.snapshot.state.key_data)
    rows = np.arange(train.batch_size)
    assert data.features.text is not None
    found: dict[str, list[np.ndarray]] = {}
    for step in range(STEPS_PER_CALL):
        batch = draw_batch(data, key=key, step=jnp.int32(step), train=train)
        users, positives = np.asarray(batch.users_B), np.asarray(batch.positives_B)
        if train.negatives == "all":
            items, own = np.arange(num_items), positives
            log_expected = np.zeros(num_items)
        else:
            items, own = positives, rows
            counts = np.asarray(data.item_counts_I)[items]
            log_expected = np.log(counts * (len(rows) - 1) / data.num_examples)
        likes = known[users][:, items].toarray()
        bias = np.where(likes, -np.inf, -log_expected[None, :])
        bias[rows, own] = 0.0
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
                ("keep_user_graph", draws.USER_GRAPH, rows),
                ("keep_user_text", draws.USER_TEXT, rows),
                ("keep_item_graph", draws.ITEM_GRAPH, items),
                ("keep_item_text", draws.ITEM_TEXT, items),
            )
        }
        keep["keep_user_text"] = keep["keep_user_text"] & np.asarray(has_text)
        drawn = {
            "users": users.astype(np.int64),
            "positives": positives.astype(np.int64),
            "bias": bias.astype(np.float32),
            **keep,
        }
        if model.text is not None:
            drawn["fresh"] = _fresh(model, batch)
        if config.graph.fanouts:
            drawn |= _tree_of(data, batch, config)
        for name, array in drawn.items():
            found.setdefault(f"batch_{name}", []).append(array)
    return {name: np.stack(arrays) for name, arrays in found.items()}


def _known(prepared: Prepared) -> scipy.sparse.csr_array:
    """(U, I) bool, who is known to like what."""
    users_E, items_E = prepared.history.pairs()
    shape = (prepared.dataset.num_users, prepared.dataset.num_items)
    ones = np.ones(len(users_E), bool)
    return scipy.sparse.csr_array((ones, (users_E, items_E)), shape=shape)


def _fresh(model: Setup, batch: Batch) -> np.ndarray:
    """(P,) int64 items that the step encodes; -1 where it encodes nothing."""
    text = model.text
    assert text is not None

    @jax.jit  # Of which nothing is left that encodes.
    def chosen(items_R: jax.Array, key: jax.Array) -> jax.Array:
        fresh = encode_some(
            text.spec, text.start, text.inputs, items_R=items_R, key=key
        )
        return jnp.where(fresh.known_P, fresh.items_P, -1)

    key = jax.random.fold_in(batch.key, draws.TEXTS)
    return np.asarray(chosen(batch.items_R, key), np.int64)


def _tree_of(data: TrainData, batch: Batch, config: Config) -> dict[str, np.ndarray]:
    """The neighbours that a step draws, as `Sides` asks for them."""
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
