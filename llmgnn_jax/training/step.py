"""One training step of a ranking model, and the compiled program of many.

Shapes: B rows, R items that a batch names, K negatives, D width of a ranked vector.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from llmgnn_jax.config import Config
from llmgnn_jax.models.recommender import RecommenderModel
from llmgnn_jax.training import losses
from llmgnn_jax.training.batch import TEXTS, draw_batch
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
) -> jax.Array:
    """The loss of step `step`, a () float32: every draw follows from key and step.

    Args:
        params: Of the model; of the text encoder too, at `TEXT_ENCODER`, if it is
            trained.
        definition: The model's static half.
        data: What the step reads.
        key: The root key.
        step: () int32.
        config: Of the run.
        encoder: The text encoder, if it is trained.
    """
    train = config.train
    batch = draw_batch(data, key=key, step=step, train=train)
    fresh = None
    if encoder is not None:
        params, trained = split_params(params)
        assert data.encoder is not None
        fresh = encode_some(
            encoder,
            trained,
            data.encoder,
            items_R=batch.items_R,
            key=jax.random.fold_in(batch.key, TEXTS),
        )
    model = nnx.merge(definition, params)
    sides = Sides(
        model,
        data,
        batch,
        dropout=config.fusion.modality_dropout,
        whole=train.negatives == "all",
        fresh=fresh,
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
        keep_BK = ~data.known.rows(users_B)
        keep_BK &= (jnp.arange(keep_BK.shape[1]) < data.num_items)[None, :]
        log_expected_K = jnp.zeros(keep_BK.shape[1])
    elif sampled_BK is None:
        positive_BD = item_RD
        negative_BK = user_BD @ positive_BD.T
        keep_BK = ~data.known.contain(
            users_B, jnp.broadcast_to(positives_B[None, :], negative_BK.shape)
        )
        # The other rows' positives: drawn by popularity.
        log_expected_K = jnp.log(
            data.item_counts_I[positives_B]
            * ((train.batch_size - 1) / len(data.users_E))
        )
    else:
        positive_BD, negative_RD = jnp.split(item_RD, [train.batch_size])
        if train.loss == "sampled_softmax":  # The draws are shared by all rows.
            negative_BK = user_BD @ negative_RD.T
            sampled_BK = jnp.broadcast_to(sampled_BK, negative_BK.shape)
        else:
            negative_BKD = negative_RD.reshape(*sampled_BK.shape, -1)
            negative_BK = jnp.einsum("bd,bkd->bk", user_BD, negative_BKD)
        keep_BK = ~data.known.contain(users_B, sampled_BK)
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
    loss = jnp.sum(loss_B) / train.batch_size
    loss += train.l2 * sides.id_penalty()
    if model.spec.sides == "fused":
        loss += config.fusion.anchor * model.fusion.distance_from_start()
    return loss


def build_program(
    definition: nnx.GraphDef[RecommenderModel],
    optimizer: optax.GradientTransformation,
    config: Config,
    *,
    encoder: EncoderSpec | None = None,
) -> Program:
    """The program of a ranking model, see `compile_steps`."""

    def loss(
        params: Any, data: TrainData, *, key: jax.Array, step: jax.Array
    ) -> jax.Array:
        return batch_loss(
            params,
            definition,
            data,
            key=key,
            step=step,
            config=config,
            encoder=encoder,
        )

    return compile_steps(
        loss,
        optimizer,
        capacity=config.train.steps_per_call,
        bind=None if encoder is None else _with_stored_text,
    )


def _with_stored_text(data: TrainData, state: TrainState) -> TrainData:
    """The data of a step whose text vectors are part of the state."""
    features = dataclasses.replace(data.features, text=state.text)
    return dataclasses.replace(data, features=features)
