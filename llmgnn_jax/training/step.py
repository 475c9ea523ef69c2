"""One training step of a ranking model, and the compiled program of many steps.

Shapes: B rows, R items that a batch names, D width of a ranked vector.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from llmgnn_jax.config import Config, TrainConfig
from llmgnn_jax.graph.placement import OneDevice, Placement
from llmgnn_jax.models.recommender import RecommenderModel
from llmgnn_jax.parallel.strategy import Strategy
from llmgnn_jax.training import vector_losses
from llmgnn_jax.training.batch import TEXTS, Batch, draw_batch
from llmgnn_jax.training.program import Program, compile_steps
from llmgnn_jax.training.regularisers import with_regularisers
from llmgnn_jax.training.scores import Scored, loss_of_scores
from llmgnn_jax.training.sides import Sides
from llmgnn_jax.training.state import TrainData, TrainState, split_params
from llmgnn_jax.training.text_step import EncoderSpec, FreshTexts, encode_some

BatchLoss: TypeAlias = Callable[..., tuple[jax.Array, jax.Array]]


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
    size, rows_B = rows_of_step(train, placement, part)
    batch = draw_batch(
        data, key=key, step=step, train=train, rows_B=rows_B, placement=placement
    )
    fresh = fresh_texts(encoder, trained, data, batch, placement)
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

    user_BD, item_RD = sides.vectors()
    if train.loss == "alignment_uniformity":
        scored = Scored(
            vector_losses.alignment_uniformity(
                user_BD,
                item_RD,
                rows_b=batch.rows_B,
                weight=train.uniformity,
                placement=placement,
            )
        )
    else:
        scored = loss_of_scores(
            user_BD,
            item_RD,
            batch,
            data,
            train=train,
            size=size,
            placement=placement,
        )
    loss = jnp.sum(scored.loss_B) / len(batch.users_B)
    loss += train.l2 * sides.id_penalty(scored.chosen_BK)
    loss = with_regularisers(
        loss, model, sides, batch, config=config, placement=placement
    )
    return loss, sides.missed


def rows_of_step(
    train: TrainConfig, placement: Placement, part: jax.Array | None
) -> tuple[int, jax.Array]:
    """How many rows a step computes at once, over all programs, and (b,) which of them.

    Args:
        train: How large a batch is.
        placement: Which rows are this program's.
        part: Which part of a batch that is computed in several; None: all of it.
    """
    size = train.batch_size if part is None else train.batch_size // train.accumulate
    rows_B = placement.row_numbers(size)
    return size, rows_B if part is None else rows_B + part * size


def fresh_texts(
    encoder: EncoderSpec | None,
    trained: Any,
    data: Any,
    batch: Batch,
    placement: Placement,
) -> FreshTexts | None:
    """The texts of a batch's items, encoded in this step; None without an encoder."""
    if encoder is None:
        return None
    assert data.encoder is not None
    return encode_some(
        encoder,
        trained,
        data.encoder,
        items_R=batch.items_R,
        key=jax.random.fold_in(batch.key, TEXTS),
        placement=placement,
    )


def build_program(
    definition: nnx.GraphDef[RecommenderModel],
    optimizer: optax.GradientTransformation,
    config: Config,
    *,
    of_batch: BatchLoss | None = None,
    encoder: EncoderSpec | None = None,
    strategy: Strategy | None = None,
    state: TrainState | None = None,
) -> Program:
    """The program of a recommender, see `compile_steps`.

    Args:
        definition: The model's static half.
        optimizer: As configured.
        config: Of the run.
        of_batch: The loss of a step, with the arguments of `batch_loss`, which it is if
            not given.
        encoder: The text encoder, if it is trained.
        strategy: As of `compile_steps`.
        state: Likewise.
    """
    placement = None if strategy is None else strategy.placement

    def loss(
        params: Any,
        data: Any,
        *,
        key: jax.Array,
        step: jax.Array,
        part: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        return (of_batch or batch_loss)(
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


def _with_stored_text(data: Any, state: TrainState) -> Any:
    """The data of a step whose text vectors are part of the state."""
    features = dataclasses.replace(data.features, text=state.text)
    return dataclasses.replace(data, features=features)
