"""What the steps of a model read, from what a run prepared."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.config import TrainConfig
from llmgnn_jax.data.people import with_oneself
from llmgnn_jax.training.alias import AliasTable
from llmgnn_jax.training.known_items import KnownItems
from llmgnn_jax.training.native import library
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.state import TrainData

# Of all pairs as bits, where looking pairs up is a matter of speed alone.
_MOST_BYTES_OF_BITS = 2**28


def train_data(prepared: Prepared, *, text: bool) -> TrainData:
    """What the steps of a model read; text features only for one that has that side."""
    history, config = prepared.history, prepared.config
    users = np.repeat(np.arange(history.num_rows), history.counts())
    active = np.flatnonzero(history.counts())
    graph, shares = prepared.graph, prepared.strategy.placement.shares
    features = prepared.features
    if not text:
        features = dataclasses.replace(features, text=None)

    def in_pieces(values: np.ndarray) -> jax.Array:
        """Filled up, so that all pieces are of one length."""
        return jnp.asarray(np.pad(values.astype(np.int32), (0, -len(values) % shares)))

    native = _shares_candidates(config.train) and library.available()
    by_users = config.train.examples == "users"
    return TrainData(
        features=features,
        users_E=None if by_users else in_pieces(users),
        items_E=None if by_users else in_pieces(history.indices),
        known=KnownItems.build(
            # Nobody is an example of what one does not like oneself.
            with_oneself(history, people=prepared.train.people),
            num_items=graph.item_capacity,
            dense=_needs_bits(
                config.train,
                num_users=history.num_rows,
                num_items=graph.item_capacity,
                native=native,
            ),
            num_users=history.num_rows if shares == 1 else graph.user_capacity,
            shares=shares,
            native=native,
        ),
        item_counts_I=jnp.asarray(positive_counts(prepared).astype(np.float32)),
        active_users_A=in_pieces(active),
        num_items=prepared.dataset.num_items,
        num_examples=history.nnz,
        num_active=len(active),
        popularity=_popularity(prepared),
        hidden_I=_hidden(prepared),
    )


def _hidden(prepared: Prepared) -> jax.Array | None:
    hidden = prepared.split.hidden_items()
    if not hidden.any():
        return None
    return jnp.asarray(np.pad(hidden, (0, prepared.graph.item_capacity - len(hidden))))


def _popularity(prepared: Prepared) -> AliasTable | None:
    if prepared.config.train.negatives != "popularity":
        return None
    return AliasTable.build(
        popularity_weights(prepared), slots=prepared.graph.item_capacity
    )


def popularity_weights(prepared: Prepared) -> np.ndarray:
    """(num_items,) float64, what negatives are drawn in proportion to."""
    counts = np.bincount(prepared.history.indices, minlength=prepared.dataset.num_items)
    return counts.astype(np.float64) ** prepared.config.train.popularity_power


def positive_counts(prepared: Prepared) -> np.ndarray:
    """How often each item is a positive in as many draws as there are train pairs.

    Returns:
        (item slots,) float64.
    """
    history = prepared.history
    weights = None
    if prepared.config.train.examples == "users":
        # A pair is drawn by its user first: those of few items weigh more.
        active, counts = np.count_nonzero(history.counts()), history.counts()
        weights = history.nnz / (active * np.repeat(counts, counts))
    slots = prepared.graph.item_capacity
    return np.bincount(history.indices, weights, minlength=slots).astype(np.float64)


def _shares_candidates(train: TrainConfig) -> bool:
    """Whether a step asks of all its rows if they are known to like the same items."""
    if train.negatives == "all" or train.loss == "alignment_uniformity":
        return False  # It asks for whole rows, or for nothing.
    return train.loss == "sampled_softmax" or train.negatives == "in_batch"


def _needs_bits(
    train: TrainConfig, *, num_users: int, num_items: int, native: bool
) -> bool:
    """Whether a step asks of so many pairs if they are known that bits are worth it."""
    if train.negatives == "all":
        return True  # B x I of memory anyway.
    every_pair = _shares_candidates(train) and not native
    return every_pair and num_users * num_items / 8 <= _MOST_BYTES_OF_BITS
