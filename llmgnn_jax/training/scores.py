"""The loss of a batch's scores: positives beside their negatives.

Shapes: B rows, R items that a batch names, K negatives, D width of a ranked vector.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from llmgnn_jax.config import TrainConfig
from llmgnn_jax.graph.placement import Placement
from llmgnn_jax.text import kernels
from llmgnn_jax.training import losses
from llmgnn_jax.training.batch import Batch
from llmgnn_jax.training.known_items import KnownItems
from llmgnn_jax.training.state import TrainData


class Scored(NamedTuple):
    """What the scores of a batch come to.

    Attributes:
        loss_B: (B,), a number a row.
        chosen_BK: (B, K) bool, which of a row's own draws are its negatives; None where
            all of them are.
    """

    loss_B: jax.Array
    chosen_BK: jax.Array | None = None


def loss_of_scores(
    user_BD: jax.Array,
    item_RD: jax.Array,
    batch: Batch,
    data: TrainData,
    *,
    train: TrainConfig,
    size: int,
    placement: Placement,
) -> Scored:
    """`bpr` or `sampled_softmax` of a batch, whichever its negatives.

    Args:
        user_BD: (B, D) users of the rows.
        item_RD: (R, D) all items for negatives "all", else `batch.items_R`.
        batch: The draws.
        data: What is known of users and items.
        train: Of the run.
        size: Rows of the whole batch, or of a part.
        placement: Where rows lie.
    """
    users_B, positives_B = batch.users_B, batch.positives_B
    sampled_BK = batch.sampled_BK

    def unfit(items_BK: jax.Array, *, shared: bool) -> jax.Array:
        """(B, K) bool, whether the rows' users are known to like them, or nobody can.

        Draws of what is hidden count for nothing: of the others as many are expected.
        Items that the rows share are (1, K).
        """
        known_BK = placement.ask(
            KnownItems.among if shared else KnownItems.contain,
            data.known,
            users_B,
            items_BK[0] if shared else items_BK,
            rows=data.known.num_users,
        )
        return known_BK if data.hidden_I is None else known_BK | data.hidden_I[items_BK]

    if train.negatives == "all":
        keep_BK = ~placement.ask(
            KnownItems.rows, data.known, users_B, rows=data.known.num_users
        )
        keep_BK &= (jnp.arange(keep_BK.shape[1]) < data.num_items)[None, :]
        if data.hidden_I is not None:
            keep_BK &= ~data.hidden_I[None, :]
        log_expected_K = jnp.zeros(keep_BK.shape[1])
        compared_KD, own_B = item_RD, positives_B
    elif sampled_BK is None:
        everyones_K = placement.everyones(positives_B)
        keep_BK = ~unfit(everyones_K[None, :], shared=True)
        # The other rows' positives: drawn by popularity.
        counts_K = placement.take(data.item_counts_I, everyones_K)
        log_expected_K = jnp.log(counts_K * ((size - 1) / data.num_examples))
        compared_KD, own_B = placement.everyones(item_RD), placement.row_numbers(size)
    if sampled_BK is None:
        # A row's positive is among what all rows are compared with.
        if kernels.usable() and train.loss == "sampled_softmax":
            return Scored(
                kernels.softmax_targets(
                    user_BD, compared_KD, log_expected_K, keep_BK, own_B
                )
            )
        positive_BD = item_RD[positives_B] if train.negatives == "all" else item_RD
        negative_BK = user_BD @ compared_KD.T
    else:
        positive_BD, negative_RD = jnp.split(item_RD, [len(users_B)])
        shared = train.loss == "sampled_softmax"  # All rows have the same draws.
        if shared:
            negative_BK = user_BD @ negative_RD.T
        else:
            negative_BKD = negative_RD.reshape(*sampled_BK.shape, -1)
            negative_BK = jnp.einsum("bd,bkd->bk", user_BD, negative_BKD)
        keep_BK = ~unfit(sampled_BK, shared=shared)
        if train.negatives == "hard":
            keep_BK = losses.hardest(negative_BK, keep_BK=keep_BK)
        if train.negatives == "popularity":
            assert data.popularity is not None
            log_shares_K = placement.take(data.popularity.log_share_I, sampled_BK[0])
            log_expected_K = log_shares_K + jnp.log(train.num_negatives)
        else:
            log_expected_K = jnp.full(
                train.num_negatives, jnp.log(train.num_negatives / data.num_items)
            )

    positive_B = jnp.sum(user_BD * positive_BD, axis=-1)
    if train.loss == "bpr":
        loss_B = losses.bpr(positive_B, negative_BK, keep_BK=keep_BK)
        return Scored(loss_B, _chosen(keep_BK, sampled_BK, data, train))
    return Scored(
        losses.sampled_softmax(
            positive_B, negative_BK, keep_BK=keep_BK, log_expected_K=log_expected_K
        )
    )


def _chosen(
    keep_BK: jax.Array,
    sampled_BK: jax.Array | None,
    data: TrainData,
    train: TrainConfig,
) -> jax.Array | None:
    """(B, K) bool, which own draws are negatives at all; None for all of them."""
    if train.negatives == "hard":
        return keep_BK
    if data.hidden_I is None or sampled_BK is None:
        return None
    return ~data.hidden_I[sampled_BK]
