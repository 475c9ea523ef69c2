"""What a step draws: examples and negatives, each keyed by (seed, step, row).

Shapes: B rows, K negatives.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from llmgnn_jax.config import DRAWN_NEGATIVES, TrainConfig
from llmgnn_jax.graph.placement import OneDevice, Placement
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
    NEIGHBOURS,
    USER_VIEWS,
    ITEM_VIEWS,
) = range(11)


class Batch(NamedTuple):
    """A step's draws.

    Attributes:
        key: The step's key, for what else is drawn.
        rows_B: (B,) int32, which rows of the whole batch they are.
        users_B: (B,) int32.
        positives_B: (B,) int32, an item of each user.
        sampled_BK: (B, K) int32 drawn negatives, (1, K) where the rows share them; None
            where negatives are not drawn.
        numbers_BK: (B, K) int32, likewise, the number of each draw in the whole batch.
    """

    key: jax.Array
    rows_B: jax.Array
    users_B: jax.Array
    positives_B: jax.Array
    sampled_BK: jax.Array | None
    numbers_BK: jax.Array | None = None

    @property
    def items_R(self) -> jax.Array:
        """(R,) positives, then drawn negatives: all items that the rows name."""
        if self.sampled_BK is None:
            return self.positives_B
        return jnp.concatenate([self.positives_B, self.sampled_BK.reshape(-1)])

    def node_rows(self, size: int) -> jax.Array:
        """(B + R,) int32, a number of its own in the whole batch for each row's user
        and each of `items_R`, of a batch of so many rows."""
        parts = [self.rows_B, size + self.rows_B]
        if self.numbers_BK is not None:
            parts.append(2 * size + self.numbers_BK.reshape(-1))
        return jnp.concatenate(parts)


def num_named(train: TrainConfig) -> int:
    """R, how many items `Batch.items_R` names, some of them more than once; of a part,
    where a batch is computed in parts."""
    size = train.batch_size // train.accumulate
    if train.negatives not in DRAWN_NEGATIVES:
        return size
    rows = 1 if _shares_negatives(train) else size
    return size + rows * train.num_negatives


def _shares_negatives(train: TrainConfig) -> bool:
    return train.loss == "sampled_softmax"


def draw_batch(
    data: TrainData,
    *,
    key: jax.Array,
    step: jax.Array,
    train: TrainConfig,
    rows_B: jax.Array | None = None,
    placement: Placement | None = None,
) -> Batch:
    """The draws of step `step`, which follow from the root key and the step alone.

    Args:
        data: What is drawn from.
        key: The root key.
        step: () int32.
        train: Of the run.
        rows_B: Which rows of the whole batch; all if None.
        placement: Where the data lie; by default all on one device.
    """
    placement = placement or OneDevice(backend="segment")  # No edge is summed here.
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
            known=data.known,
            num_active=data.num_active,
            placement=placement,
        )
    else:
        assert data.users_E is not None
        assert data.items_E is not None
        examples_B = draw_examples(
            example_key,
            step,
            rows_B,
            num_examples=data.num_examples,
            batch=train.batch_size,
        )
        users_B, positives_B = (
            placement.take(table, examples_B) for table in (data.users_E, data.items_E)
        )
    sampled_BK = places_BK = None
    if train.negatives in DRAWN_NEGATIVES:
        count = train.num_negatives
        own_B = rows_B[:1] * 0 if _shares_negatives(train) else rows_B
        places_BK = own_B[:, None] * count + jnp.arange(count, dtype=jnp.int32)[None, :]
        negative_key = jax.random.fold_in(step_key, NEGATIVES)
        if train.negatives == "popularity":
            assert data.popularity is not None
            sampled_BK = data.popularity.draw(
                negative_key, places_BK, take=placement.take
            )
        else:
            sampled_BK = draw_items(negative_key, places_BK, num_items=data.num_items)
    return Batch(step_key, rows_B, users_B, positives_B, sampled_BK, places_BK)
