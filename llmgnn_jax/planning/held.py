"""What a planned step's arrays take of one device."""

import dataclasses
from typing import Any

import jax

from llmgnn_jax.planning.shapes import PlannedStep

BESIDE = ("best parameters", "validation graph")
"""Held from the first validation on, and no arguments of the step."""


def bytes_of(tree: Any) -> int:
    """What a tree of placed shapes takes on one device."""
    return sum(
        _held(leaf) for leaf in jax.tree.leaves(tree) if hasattr(leaf, "sharding")
    )


def _held(leaf: jax.ShapeDtypeStruct) -> int:
    assert leaf.sharding is not None
    shape = leaf.sharding.shard_shape(leaf.shape)
    size = 1
    for extent in shape:
        size *= extent
    return size * leaf.dtype.itemsize


def by_kind(step: PlannedStep) -> dict[str, int]:
    """What each kind of array takes on one device, in bytes.

    A step reads all but what a run holds beside it, see `BESIDE`.
    """
    state, data = step.state, step.data
    text = [state.text, data.features.text]
    edges = data.features.graph.plan
    of_graph = dataclasses.replace(data.features.graph, plan=None)  # type: ignore[arg-type]
    return {
        "parameters": bytes_of(state.params),
        "optimizer": bytes_of(state.opt_state),
        "best parameters": bytes_of(state.params),
        "edges": bytes_of(edges),
        "validation graph": bytes_of(step.validation),
        "nodes": bytes_of(of_graph),
        "text vectors": bytes_of(text),
        "tokens": 0
        if data.encoder is None
        else bytes_of((data.encoder.ids_IL, data.encoder.counts_I)),
        "frozen encoder": 0 if data.encoder is None else bytes_of(data.encoder.frozen),
        "train pairs": bytes_of(
            (
                data.users_E,
                data.items_E,
                data.known,
                data.item_counts_I,
                data.active_users_A,
            )
        ),
    }
