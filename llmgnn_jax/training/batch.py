"""What a step draws: examples and negatives, each keyed by (seed, step, row).

Shapes: B rows, K negatives.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from llmgnn_jax.config import TrainConfig
from llmgnn_jax.training.draws import draw_examples, draw_items, draw_of_users
from llmgnn_jax.training.state import TrainData

# What is drawn from a step's key: one number each, so that none shares its stream.
(
    USER_GRAPH,
    USER_TEXT,
    ITEM_GRAPH,
    ITEM_TEXT,
    NEGATIVES,
    USERS,
    POSITIVES,
    TEXTS,
) = range(8)


class Batch(NamedTuple):
    """A step's draws.

    Attributes:
        key: The step's key, for what else is drawn.
        rows_B: (B,) int32, which rows of the whole batch they are.
        users_B: (B,) int32.
        positives_B: (B,) int32, an item of each user.
        sampled_BK: (B, K) int32 uniform draws, (1, K) where the rows share them; None
            where negatives are not drawn.
    """

    key: jax.Array
    rows_B: jax.Array
    users_B: jax.Array
    positives_B: jax.Array
    sampled_BK: jax.Array | None

    @property
    def items_R(self) -> jax.Array:
        """(R,) positives, then drawn negatives: all items that the rows name."""
        if self.sampled_BK is None:
            return self.positives_B
        return jnp.concatenate([self.positives_B, self.sampled_BK.reshape(-1)])


def num_named(train: TrainConfig) -> int:
    """R, how many items `Batch.items_R` names, some of them more than once."""
    if train.negatives != "uniform":
        return train.batch_size
    rows = 1 if _shares_negatives(train) else train.batch_size
    return train.batch_size + rows * train.num_negatives


def _shares_negatives(train: TrainConfig) -> bool:
    return train.loss == "sampled_softmax"


def draw_batch(
    data: TrainData,
    *,
    key: jax.Array,
    step: jax.Array,
    train: TrainConfig,
    rows_B: jax.Array | None = None,
) -> Batch:
    """The draws of step `step`, which follow from the root key and the step alone.

    Args:
        data: What is drawn from.
        key: The root key.
        step: () int32.
        train: Of the run.
        rows_B: Which rows of the whole batch; all if None.
    """
    if rows_B is None:
        rows_B = jnp.arange(train.batch_size, dtype=jnp.int32)
    example_key, noise_key = jax.random.split(key)
    step_key = jax.random.fold_in(noise_key, step)
    if train.examples == "users":
        users_B, positives_B = draw_of_users(
            jax.random.fold_in(step_key, USERS),
            jax.random.fold_in(step_key, POSITIVES),
            rows_B,
            active_users_A=data.active_users_A,
            indptr=data.known.indptr,
            indices=data.known.indices,
        )
    else:
        examples_B = draw_examples(
            example_key,
            step,
            rows_B,
            num_examples=len(data.users_E),
            batch=train.batch_size,
        )
        users_B, positives_B = data.users_E[examples_B], data.items_E[examples_B]
    sampled_BK = None
    if train.negatives == "uniform":
        count = train.num_negatives
        own_B = rows_B[:1] * 0 if _shares_negatives(train) else rows_B
        places_BK = own_B[:, None] * count + jnp.arange(count, dtype=jnp.int32)[None, :]
        negative_key = jax.random.fold_in(step_key, NEGATIVES)
        sampled_BK = draw_items(negative_key, places_BK, num_items=data.num_items)
    return Batch(step_key, rows_B, users_B, positives_B, sampled_BK)
