"""What a loss adds beside the ranking: terms that are off by default.

Shapes: B rows, D width of node vectors.

Each is a mean over the rows that a program computes, and its mean over the programs is
the term.
"""

import jax
import jax.numpy as jnp

from llmgnn_jax.config import Config, FusionConfig, GraphConfig
from llmgnn_jax.graph.placement import Placement
from llmgnn_jax.models.recommender import RecommenderModel, Side
from llmgnn_jax.training.batch import ITEM_VIEWS, USER_VIEWS, Batch
from llmgnn_jax.training.sides import Sides
from llmgnn_jax.training.vector_losses import first_of_each, info_nce, perturbed


def with_regularisers(
    loss: jax.Array,
    model: RecommenderModel,
    sides: Sides,
    batch: Batch,
    *,
    config: Config,
    placement: Placement,
) -> jax.Array:
    """(), the loss and all that a configuration adds to it.

    Args:
        loss: () of the batch.
        model: Any.
        sides: Of the batch.
        batch: The draws.
        config: Of the run.
        placement: Where rows lie.
    """
    if config.graph.contrast and model.spec.uses_graph:
        loss += config.graph.contrast * contrast(
            sides, batch, graph=config.graph, placement=placement
        )
    if model.spec.sides == "fused":
        loss += config.fusion.anchor * model.fusion.distance_from_start()
        if config.fusion.alignment:
            loss += config.fusion.alignment * text_alignment(
                model, sides, batch, fusion=config.fusion, placement=placement
            )
        if config.graph.text_pull:
            loss += config.graph.text_pull * text_pull(model, sides)
    return loss


def contrast(
    sides: Sides, batch: Batch, *, graph: GraphConfig, placement: Placement
) -> jax.Array:
    """(), InfoNCE of two views of each of the batch's users, plus that of its items.

    SimGCL (Yu et al. 2022, https://arxiv.org/abs/2112.08679), with the
    noise in the propagated vectors. There each layer's noise is propagated on as well,
    which takes two more propagations a step; here a view costs nothing but its rows,
    and comes from whatever gave the vectors: any kernel, layer, placement, sampled
    neighbours. LightGCN is linear, so that what is left out is only the neighbours'
    noise, averaged. That paper finds the even spread of the vectors, not the views, to
    be what helps; XSimGCL (Yu et al. 2023, https://arxiv.org/abs/2209.02544) contrasts
    a layer with the last one instead, and ranks by perturbed vectors in training.

    Args:
        sides: Of the batch; with a graph side.
        batch: The draws.
        graph: Of the run.
        placement: Where rows lie.
    """
    total = jnp.zeros(())
    for vectors_BD, numbers_B, stream in zip(
        sides.propagated(),
        (batch.users_B, batch.positives_B),
        (USER_VIEWS, ITEM_VIEWS),
        strict=True,
    ):
        views = [
            perturbed(vectors_BD, numbers_B, key=key, length=graph.contrast_noise)
            for key in jax.random.split(jax.random.fold_in(batch.key, stream))
        ]
        keep_B = first_of_each(
            numbers_B,
            keep_b=jnp.ones(len(numbers_B), bool),
            rows_b=batch.rows_B,
            placement=placement,
        )
        loss_B = info_nce(
            *views,
            keep_b=keep_B,
            rows_b=batch.rows_B,
            temperature=graph.contrast_temperature,
            placement=placement,
        )
        total += jnp.mean(loss_B)
    return total


def text_alignment(
    model: RecommenderModel,
    sides: Sides,
    batch: Batch,
    *,
    fusion: FusionConfig,
    placement: Placement,
) -> jax.Array:
    """(), InfoNCE of what graph and text say before fusion, of users plus of items.

    RLMRec-Con (Ren et al. 2024, "Representation learning with large language models for
    recommendation", https://arxiv.org/abs/2310.15950): the node vector
    is to tell its own text from those of the batch's others. The text goes through the
    model's own projection, not a network beside it, and a user's is that of the first
    row that names it, whose target is left out. Who has no text is left out.

    Args:
        model: With both sides.
        sides: Of the batch.
        batch: The draws.
        fusion: Of the run.
        placement: Where rows lie.
    """
    total = jnp.zeros(())
    whose: tuple[Side, ...] = ("user", "item")
    for of, vectors_BD, (texts_BT, known_B), numbers_B in zip(
        whose,
        sides.propagated(),
        (sides.user_texts(), sides.positive_texts()),
        (batch.users_B, batch.positives_B),
        strict=True,
    ):
        keep_B = first_of_each(
            numbers_B, keep_b=known_B, rows_b=batch.rows_B, placement=placement
        )
        loss_B = info_nce(
            vectors_BD,
            model.project(texts_BT, of=of),
            keep_b=keep_B,
            rows_b=batch.rows_B,
            temperature=fusion.alignment_temperature,
            placement=placement,
        )
        total += jnp.mean(loss_B)
    return total


def text_pull(model: RecommenderModel, sides: Sides) -> jax.Array:
    """(), half the squared distance of a positive's id vector from its text's image.

    The image is linear and learned, and starts at 0: the pull is plain L2 at first. An
    item without a text is not pulled.

    Args:
        model: With both sides, and a `text_image`.
        sides: Of the batch.
    """
    texts_BT, known_B = sides.positive_texts()
    apart_BD = sides.positive_ids() - texts_BT @ model.text_image[...]
    return 0.5 * jnp.mean(jnp.where(known_B, jnp.sum(apart_BD**2, axis=-1), 0.0))
