"""One training step of a rating model: squared errors of a batch of interactions.

Shapes: B rows, D width of a node's vector.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from llmgnn_jax.config import Config
from llmgnn_jax.graph.placement import OneDevice, Placement
from llmgnn_jax.models.rating import RatingModel
from llmgnn_jax.training.batch import Batch
from llmgnn_jax.training.draws import draw_examples
from llmgnn_jax.training.rating_data import RatingData
from llmgnn_jax.training.regularisers import with_regularisers
from llmgnn_jax.training.sides import Sides
from llmgnn_jax.training.state import split_params
from llmgnn_jax.training.step import fresh_texts, rows_of_step
from llmgnn_jax.training.text_step import EncoderSpec


def rating_loss(
    params: Any,
    definition: nnx.GraphDef[RatingModel],
    data: RatingData,
    *,
    key: jax.Array,
    step: jax.Array,
    config: Config,
    encoder: EncoderSpec | None = None,
    placement: Placement | None = None,
    part: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The loss of step `step`: mean of (r - mu - b_u - b_i - <h_u, h_i>)^2 and L2.

    The L2 is `train.l2` times half the squared norm of a row's two id vectors, and
    `rating.bias_l2` times half the squares of its two biases, as means over rows.
    Predictions are not clipped: a clipped one would have no gradient.

    Args:
        params: As of `batch_loss`.
        definition: The model's static half.
        data: What the step reads.
        key: The root key.
        step: () int32.
        config: Of the run.
        encoder: The text encoder, if it is trained.
        placement: Where nodes and rows lie; by default all on one device.
        part: () int32, which of the batch's `train.accumulate` parts; None for all.

    Returns:
        As `batch_loss`.
    """
    train = config.train
    of_model, trained = split_params(params)
    model = nnx.merge(definition, of_model)
    if placement is None:
        placement = OneDevice(backend=model.spec.backend)
    _, rows_B = rows_of_step(train, placement, part)
    batch, values_B = _drawn(
        data, key=key, step=step, config=config, rows_B=rows_B, placement=placement
    )
    fresh = fresh_texts(encoder, trained, data, batch, placement)
    sides = Sides(
        model,
        data,
        batch,
        dropout=config.fusion.modality_dropout,
        whole=False,
        fresh=fresh,
        placement=placement,
        fanouts=config.graph.fanouts,
        size=train.batch_size,
    )
    user_biases_B, item_biases_B = (
        placement.take(table, numbers_B)
        for table, numbers_B in (
            (model.user_bias[...], batch.users_B),
            (model.item_bias[...], batch.positives_B),
        )
    )
    predicted_B = model.mean + user_biases_B + item_biases_B
    user_BD, item_BD = sides.vectors()
    predicted_B += jnp.sum(user_BD * item_BD, axis=-1)
    loss = jnp.mean((values_B - predicted_B) ** 2)
    loss += train.l2 * sides.id_penalty()
    biases = jnp.mean(user_biases_B**2 + item_biases_B**2)
    loss += config.rating.bias_l2 * 0.5 * biases
    loss = with_regularisers(
        loss, model, sides, batch, config=config, placement=placement
    )
    return loss, sides.missed


def _drawn(
    data: RatingData,
    *,
    key: jax.Array,
    step: jax.Array,
    config: Config,
    rows_B: jax.Array,
    placement: Placement,
) -> tuple[Batch, jax.Array]:
    """The interactions of a step, in epochs, and (B,) their ratings."""
    example_key, noise_key = jax.random.split(key)
    examples_B = draw_examples(
        example_key,
        step,
        rows_B,
        num_examples=data.num_examples,
        batch=config.train.batch_size,
    )
    users_B, items_B, values_B = (
        placement.take(table, examples_B)
        for table in (data.users_E, data.items_E, data.values_E)
    )
    step_key = jax.random.fold_in(noise_key, step)
    return Batch(step_key, rows_B, users_B, items_B, None), values_B
