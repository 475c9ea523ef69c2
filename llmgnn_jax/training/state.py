"""What training carries from step to step."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from llmgnn_jax.models.features import Features, TextFeatures
from llmgnn_jax.training.alias import AliasTable
from llmgnn_jax.training.known_items import KnownItems
from llmgnn_jax.training.text_step import EncoderInputs


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["params", "opt_state", "step", "key_data", "text"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class TrainState:
    """Parameters, optimizer, step and root key: donated to each call.

    Attributes:
        params: A pure dict of arrays.
        opt_state: The optimizer's state.
        step: () int32, steps taken.
        key_data: Raw data of the root key, from which every draw is derived.
        text: Stored text vectors, refreshed on a schedule, where the encoder is
            trained; None where it is frozen.
    """

    params: Any
    opt_state: Any
    step: jax.Array
    key_data: jax.Array
    text: TextFeatures | None = None


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "features",
        "users_E",
        "items_E",
        "known",
        "item_counts_I",
        "active_users_A",
        "encoder",
        "popularity",
        "hidden_I",
    ],
    meta_fields=["num_items", "num_examples", "num_active"],
)
@dataclass(frozen=True, kw_only=True)
class TrainData:
    """All that a step reads, on the device; an argument, never a captured constant.

    Attributes:
        features: Graph and text vectors.
        users_E: (E,) int32, user of each different train pair, filled up to a multiple
            of the pieces that tables are cut into; None where users are drawn instead.
        items_E: (E,) int32, its item; None likewise.
        known: The same pairs as a set.
        item_counts_I: (item slots,) float32, how often each item is a positive in E
            draws.
        active_users_A: (A,) int32, the users that have a train pair, filled up
            likewise.
        encoder: What a trained text encoder reads; None where it is frozen.
        popularity: What negatives are drawn by, for "popularity"; else None.
        hidden_I: (item slots,) bool, items that a cold split keeps from training: as if
            they were not there, they are no negatives; None where there are none.
        num_items: Item slots in use: negatives are drawn below it.
        num_examples: Different train pairs.
        num_active: Users that have one.
    """

    features: Features
    users_E: jax.Array | None
    items_E: jax.Array | None
    known: KnownItems
    item_counts_I: jax.Array
    active_users_A: jax.Array
    num_items: int
    num_examples: int
    num_active: int
    encoder: EncoderInputs | None = None
    popularity: AliasTable | None = None
    hidden_I: jax.Array | None = None


def create_state(
    params: Any,
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    text: TextFeatures | None = None,
) -> TrainState:
    """The state before the first step."""
    return TrainState(
        params=params,
        opt_state=optimizer.init(params),
        step=jnp.zeros((), jnp.int32),
        key_data=jax.random.key_data(jax.random.key(seed)),
        text=text,
    )


def copy_params(params: Any) -> Any:
    """Parameters of their own, where those that they come from are donated."""
    return jax.tree.map(jnp.copy, params)


TEXT_PROJECTIONS = ("text_projection", "user_text_projection")
"""Where the text side's matrices are; the second one with two towers alone."""

NODE_TABLE = "node_embedding"
"""Where the table of node vectors is among the parameters, if a model has one."""

TEXT_ENCODER = "text_encoder"
"""Where the parameters of a trained text encoder are, beside those of the model."""


def split_params(params: Any) -> tuple[Any, Any]:
    """The model's parameters, and those of its text encoder ({} where it is frozen)."""
    model = {name: value for name, value in params.items() if name != TEXT_ENCODER}
    return model, params.get(TEXT_ENCODER, {})
