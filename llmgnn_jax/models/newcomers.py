"""Users that come after training: folded in by their items, with no recompilation.

Shapes: B newcomers, D' width of a ranked vector, T width of the stored text vectors.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from llmgnn_jax.data.dataset import Csr
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.structure import SupportEdges, extend
from llmgnn_jax.models.features import Features, FilterFeatures, sum_of_items
from llmgnn_jax.models.scoring import Scorer


def fold_in_users(
    scorer: Scorer, params: Any, features: Features, *, histories: Sequence[np.ndarray]
) -> np.ndarray:
    """Vectors of new users, each known by the items it likes.

    A newcomer takes a spare user slot, whose id vector is 0, and one propagation brings
    its items' vectors there; its text is the mean of its items' text vectors. Newcomers
    neither change what was trained nor see one another. They are taken in as many
    rounds as the graph's spare room asks for.

    Args:
        scorer: Of the model.
        params: Its parameters.
        features: As in training.
        histories: B arrays of item slots, none empty.

    Returns:
        (B, D') float32 on the host.

    Raises:
        UserError: If the graph has no spare room for even one of them, or the model
            knows a user by its id vector alone.
    """
    spec = scorer.spec
    if spec.sides == "graph" and not (spec.num_layers or spec.filter_rank):
        raise UserError.field(
            "graph.num_layers",
            expected="1 or more, for users that are known by their items",
            got=0,
        )
    rounds = _rounds(features, histories)
    vectors = []
    for start, stop in rounds:
        extended = _extended(features, histories[start:stop])
        users, _ = scorer.vectors(params, extended)
        first = _first_slot(features)
        vectors.append(np.asarray(users[first : first + stop - start]))
    return np.concatenate(vectors)


def _first_slot(features: Features) -> int:
    return int(features.graph.num_users)


def _rounds(
    features: Features, histories: Sequence[np.ndarray]
) -> list[tuple[int, int]]:
    """Consecutive ranges that fit into the spare user slots and edges at a time."""
    graph = features.graph
    slots = graph.user_capacity - int(graph.num_users)
    edges = graph.edge_capacity - int(graph.plan.num_edges) - 1
    rounds, start, used = [], 0, 0
    for number, history in enumerate(histories):
        size = len(np.unique(history)) + graph.self_loops
        if slots < 1 or size > edges:
            raise UserError.field(
                "graph",
                expected=f"spare room for a user and its {size} edges",
                got=f"{slots} spare users and {edges} spare edges",
                fix="train with more, --graph.spare-users and --graph.spare-edges",
            )
        if number - start == slots or used + size > edges:
            rounds.append((start, number))
            start, used = number, 0
        used += size
    rounds.append((start, len(histories)))
    return rounds


def _extended(features: Features, histories: Sequence[np.ndarray]) -> Features:
    first = _first_slot(features)
    counts = [len(history) for history in histories]
    users = first + np.repeat(np.arange(len(histories)), counts)
    graph = extend(
        features.graph,
        SupportEdges(users=users, items=np.concatenate([*histories])),
    )
    text = features.text
    if text is not None:
        slots = jnp.arange(first, first + len(histories))
        # On the host: on the device each length of history would be compiled anew.
        liked = Csr.from_pairs(users - first, np.concatenate([*histories]), len(counts))
        sums, parts = sum_of_items(
            liked, np.asarray(text.item_IT), np.asarray(text.item_known_I)
        )
        text = dataclasses.replace(
            text,
            user_UT=text.user_UT.at[slots].set(sums),
            user_parts_U=text.user_parts_U.at[slots].set(parts),
        )
    return Features(graph=graph, text=text, filter=_filtered(features, histories))


def _filtered(
    features: Features, histories: Sequence[np.ndarray]
) -> FilterFeatures | None:
    """The filter's vectors of newcomers: their items all count in full."""
    if features.filter is None:
        return None
    read_IK = np.asarray(features.filter.read_IK)
    sums = np.stack([read_IK[np.unique(history)].sum(axis=0) for history in histories])
    slots = _first_slot(features) + jnp.arange(len(histories))
    users_UK = features.filter.user_UK.at[slots].set(sums)
    return dataclasses.replace(features.filter, user_UK=users_UK)
