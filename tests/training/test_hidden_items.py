"""Items that a cold split hides: to training they are not there."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.training.known_items import KnownItems


@pytest.mark.parametrize(
    "changes",
    [
        {"train.negatives": "all"},
        {"train.negatives": "uniform", "train.num_negatives": 64},
        {"train.negatives": "uniform", "train.loss": "bpr", "train.num_negatives": 8},
        {"train.negatives": "hard", "train.loss": "bpr", "train.num_negatives": 8},
        {"train.negatives": "popularity", "train.num_negatives": 64},
        {"train.negatives": "in_batch"},
    ],
    ids=lambda changes: " ".join(map(str, changes.values())),
)
def test_they_are_no_negatives(
    small: Callable[..., Any], changes: dict[str, Any]
) -> None:
    made = small("graph", **{"data.split": "cold_items", **changes})
    split = made.prepared.split
    hidden = split.cold_items("valid") | split.cold_items("test")
    assert hidden.sum() == 4
    rows = made.data.features.graph.layout.item_nodes(np.flatnonzero(hidden))
    before = np.asarray(made.params["node_embedding"])[rows]
    assert (before != 0).any(axis=1).all()

    def after(data: Any) -> np.ndarray:
        state, _ = made.program()(made.state(), data, jnp.int32(1))
        return np.asarray(state.params["node_embedding"])[rows]

    np.testing.assert_array_equal(after(made.data), before)
    # Were they not hidden, they would be pushed away where all are, or drawn.
    seen = after(dataclasses.replace(made.data, hidden_I=None))
    drawn = changes["train.negatives"] in ("all", "uniform", "hard")
    assert (seen != before).any() == drawn


def test_draws_that_count_for_nothing_leave_the_estimate_as_it_is(
    small: Callable[..., Any],
) -> None:
    """As many draws are expected of each other item: the softmax is of those."""
    changes = {"data.split": "cold_items", "train.num_negatives": 4096}
    losses = {}
    for negatives in ("all", "uniform"):
        made = small("graph", **{**changes, "train.negatives": negatives})
        _, metrics = made.program()(made.state(), made.data, jnp.int32(1))
        losses[negatives] = float(np.asarray(metrics[0]).reshape(-1)[0])
    assert losses["uniform"] == pytest.approx(losses["all"], rel=0.02)


def test_other_splits_hide_nothing(small: Callable[..., Any]) -> None:
    made = small("graph")
    assert made.data.hidden_I is None
    assert isinstance(made.data.known, KnownItems)
