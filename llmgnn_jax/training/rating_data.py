"""Ratings: those that steps read, on the device, and those that are to be predicted.

Shapes: E train interactions.
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.data.distinct import among
from llmgnn_jax.data.splits import HeldOutPart
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.question import question_of
from llmgnn_jax.evaluation.ratings import Pairs
from llmgnn_jax.models.features import Features
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.text_step import EncoderInputs


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["features", "users_E", "items_E", "values_E", "encoder"],
    meta_fields=["num_examples"],
)
@dataclass(frozen=True, kw_only=True)
class RatingData:
    """All that a step reads, on the device; an argument, never a captured constant.

    Attributes:
        features: Graph and text vectors.
        users_E: (E,) int32 of each train interaction, filled up to a multiple of the
            pieces that tables are cut into.
        items_E: (E,) int32, likewise.
        values_E: (E,) float32, what the user gave the item.
        num_examples: E, a pair that was rated twice counted twice.
        encoder: What a trained text encoder reads; None where it is frozen.
    """

    features: Features
    users_E: jax.Array
    items_E: jax.Array
    values_E: jax.Array
    num_examples: int
    encoder: EncoderInputs | None = None


def rating_data(prepared: Prepared) -> RatingData:
    """What steps read, in an order that the content alone decides."""
    train, dataset = prepared.train, prepared.dataset
    # How rows and ids are numbered must not change what a step draws.
    in_train = np.zeros(dataset.num_interactions, bool)
    in_train[prepared.split.train] = True
    order = dataset.canonical_order[in_train[dataset.canonical_order]]
    rows = np.searchsorted(prepared.split.train, order)
    shares = prepared.strategy.placement.shares

    def in_pieces(values: np.ndarray, kind: type) -> jax.Array:
        ordered = values[rows].astype(kind)
        return jnp.asarray(np.pad(ordered, (0, -len(ordered) % shares)))

    return RatingData(
        features=prepared.features,
        users_E=in_pieces(train.users, np.int32),
        items_E=in_pieces(train.items, np.int32),
        values_E=in_pieces(train.values, np.float32),
        num_examples=len(rows),
    )


def clipped(predicted: np.ndarray | np.floating, prepared: Prepared) -> np.ndarray:
    """Predictions within the lowest and the highest rating of the train part."""
    values = prepared.train.values
    return np.clip(predicted, float(values.min()), float(values.max()))


def held_out_ratings(prepared: Prepared, part: HeldOutPart) -> Pairs:
    """The ratings of a part, but of pairs that were seen before.

    As where items are ranked: whoever rates again mostly repeats himself.
    """
    split, data = prepared.split, prepared.dataset
    question = prepared.on_valid if part == "valid" else question_of(split, part)
    rows = split.valid if part == "valid" else split.test
    asked_users, asked_items = question.positives.pairs()
    width = data.num_items
    codes = data.users[rows].astype(np.int64) * width + data.items[rows]
    rows = rows[among(codes, asked_users.astype(np.int64) * width + asked_items)]
    return Pairs(
        users=data.users[rows], items=data.items[rows], values=data.values[rows]
    )


def check_values(prepared: Prepared) -> None:
    """Passes only if there is something to predict.

    Raises:
        UserError: If all train ratings are the same.
    """
    values = prepared.train.values
    if values.min() == values.max():
        raise UserError.field(
            "task",
            expected="ranking, for data whose interactions all have one value",
            got=f"rating, of {len(values)} times {values[0]:g}",
            fix="choose another --data.source, or a recipe that ranks",
        )
