"""What training carries from step to step."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from llmgnn_jax.models.features import Features
from llmgnn_jax.training.known_items import KnownItems


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["params", "opt_state", "step", "key_data"],
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
    """

    params: Any
    opt_state: Any
    step: jax.Array
    key_data: jax.Array


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "features",
        "users_E",
        "items_E",
        "known",
        "item_counts_I",
        "active_users_A",
    ],
    meta_fields=["num_items"],
)
@dataclass(frozen=True, kw_only=True)
class TrainData:
    """All that a step reads, on the device; an argument, never a captured constant.

    Attributes:
        features: Graph and text vectors.
        users_E: (E,) int32, user of each different train pair.
        items_E: (E,) int32, its item.
        known: The same pairs as a set.
        item_counts_I: (item slots,) float32, how often each item is a positive in E
            draws.
        active_users_A: (A,) int32, the users that have a train pair.
        num_items: Item slots in use: negatives are drawn below it.
    """

    features: Features
    users_E: jax.Array
    items_E: jax.Array
    known: KnownItems
    item_counts_I: jax.Array
    active_users_A: jax.Array
    num_items: int


def create_state(
    params: Any, optimizer: optax.GradientTransformation, *, seed: int
) -> TrainState:
    """The state before the first step."""
    return TrainState(
        params=params,
        opt_state=optimizer.init(params),
        step=jnp.zeros((), jnp.int32),
        key_data=jax.random.key_data(jax.random.key(seed)),
    )


def copy_params(params: Any) -> Any:
    """Parameters of their own, where those that they come from are donated."""
    return jax.tree.map(jnp.copy, params)
