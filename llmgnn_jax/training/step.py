"""One training step of a ranking model, and the compiled program of many.

Shapes: B rows, R items that a batch names, K negatives, D width of a ranked vector.
"""

import contextlib
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from llmgnn_jax.config import Config
from llmgnn_jax.graph.placement import OneDevice, Placement
from llmgnn_jax.models.recommender import RecommenderModel
from llmgnn_jax.parallel.strategy import Strategy
from llmgnn_jax.training import losses
from llmgnn_jax.training.batch import TEXTS, draw_batch
from llmgnn_jax.training.known_items import KnownItems
from llmgnn_jax.training.program import Program, compile_steps
from llmgnn_jax.training.sides import Sides
from llmgnn_jax.training.state import TrainData, TrainState, split_params
from llmgnn_jax.training.text_step import EncoderSpec, encode_some


def batch_loss(
    params: Any,
    definition: nnx.GraphDef[RecommenderModel],
    data: TrainData,
    *,
    key: jax.Array,
    step: jax.Array,
    config: Config,
    encoder: EncoderSpec | None = None,
    placement: Placement | None = None,
    part: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The loss of step `step`: every draw follows from key and step.

    Args:
        params: Of the model; of the text encoder too, at `TEXT_ENCODER`, if it is
            trained.
        definition: The model's static half.
        data: What the step reads.
        key: The root key.
        step: () int32.
        config: Of the run.
        encoder: The text encoder, if it is trained.
        placement: Where nodes and rows lie; by default all on one device.
        part: () int32, which of the batch's `train.accumulate` parts; None for all.

    Returns:
        () float32; and () int32, requests to other devices that had no place.

    Of the rows that a program computes, where there are several: the mean over the
    programs is then the loss.
    """
    train = config.train
    of_model, trained = split_params(params)
    model = nnx.merge(definition, of_model)
    if placement is None:
        placement = OneDevice(backend=model.spec.backend)
    size = train.batch_size if part is None else train.batch_size // train.accumulate
    rows_B = placement.row_numbers(size)
    if part is not None:
        rows_B += part * size
    batch = draw_batch(
        data, key=key, step=step, train=train, rows_B=rows_B, placement=placement
    )
    fresh = None
    if encoder is not None:
        assert data.encoder is not None
        fresh = encode_some(
            encoder,
            trained,
            data.encoder,
            items_R=batch.items_R,
            key=jax.random.fold_in(batch.key, TEXTS),
            placement=placement,
        )
    sides = Sides(
        model,
        data,
        batch,
        placement=placement,
        dropout=config.fusion.modality_dropout,
        whole=train.negatives == "all",
        fresh=fresh,
        fanouts=config.graph.fanouts,
        size=train.batch_size,
    )

    def known(items_BK: jax.Array) -> jax.Array:
        """(B, K) bool, whether the rows' users are known to like them."""
        return placement.ask(
            KnownItems.contain,
            data.known,
            users_B,
            items_BK,
            rows=data.known.num_users,
        )

    users_B, positives_B, sampled_BK = (
        batch.users_B,
        batch.positives_B,
        batch.sampled_BK,
    )
    user_BD, item_RD = sides.users(), sides.items()
    if train.negatives == "all":
        positive_BD = item_RD[positives_B]
        negative_BK = user_BD @ item_RD.T
        keep_BK = ~placement.ask(
            KnownItems.rows, data.known, users_B, rows=data.known.num_users
        )
        keep_BK &= (jnp.arange(keep_BK.shape[1]) < data.num_items)[None, :]
        log_expected_K = jnp.zeros(keep_BK.shape[1])
    elif sampled_BK is None:
        positive_BD = item_RD
        everyones_K = placement.everyones(positives_B)
        negative_BK = user_BD @ placement.everyones(positive_BD).T
        keep_BK = ~known(jnp.broadcast_to(everyones_K[None, :], negative_BK.shape))
        # The other rows' positives: drawn by popularity.
        counts_K = placement.take(data.item_counts_I, everyones_K)
        log_expected_K = jnp.log(counts_K * ((size - 1) / data.num_examples))
    else:
        positive_BD, negative_RD = jnp.split(item_RD, [len(users_B)])
        if train.loss == "sampled_softmax":  # The draws are shared by all rows.
            negative_BK = user_BD @ negative_RD.T
            sampled_BK = jnp.broadcast_to(sampled_BK, negative_BK.shape)
        else:
            negative_BKD = negative_RD.reshape(*sampled_BK.shape, -1)
            negative_BK = jnp.einsum("bd,bkd->bk", user_BD, negative_BKD)
        keep_BK = ~known(sampled_BK)
        log_expected_K = jnp.full(
            train.num_negatives, jnp.log(train.num_negatives / data.num_items)
        )

    positive_B = jnp.sum(user_BD * positive_BD, axis=-1)
    if train.loss == "bpr":
        loss_B = losses.bpr(positive_B, negative_BK, keep_BK=keep_BK)
    else:
        loss_B = losses.sampled_softmax(
            positive_B, negative_BK, keep_BK=keep_BK, log_expected_K=log_expected_K
        )
    loss = jnp.sum(loss_B) / len(users_B)
    loss += train.l2 * sides.id_penalty()
    if model.spec.sides == "fused":
        loss += config.fusion.anchor * model.fusion.distance_from_start()
    return loss, sides.missed


def build_program(
    definition: nnx.GraphDef[RecommenderModel],
    optimizer: optax.GradientTransformation,
    config: Config,
    *,
    encoder: EncoderSpec | None = None,
    strategy: Strategy | None = None,
    state: TrainState | None = None,
) -> Program:
    """The program of a ranking model, see `compile_steps`."""
    placement = None if strategy is None else strategy.placement

    def loss(
        params: Any,
        data: TrainData,
        *,
        key: jax.Array,
        step: jax.Array,
        part: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        with contextlib.nullcontext() if strategy is None else strategy.traced():
            return batch_loss(
                params,
                definition,
                data,
                key=key,
                step=step,
                config=config,
                encoder=encoder,
                placement=placement,
                part=part,
            )

    return compile_steps(
        loss,
        optimizer,
        capacity=config.train.steps_per_call,
        parts=config.train.accumulate,
        bind=None if encoder is None else _with_stored_text,
        strategy=strategy,
        state=state,
    )


def _with_stored_text(data: TrainData, state: TrainState) -> TrainData:
    """The data of a step whose text vectors are part of the state."""
    features = dataclasses.replace(data.features, text=state.text)
    return dataclasses.replace(data, features=features)
