"""A score as a function of the edges' multipliers, in NumPy and float64."""

from typing import Any

import jax
import numpy as np

from tests.evidence.worlds import RATING_POWER, World


def reference_score(world: World, user: int, item: int, there_M: np.ndarray) -> float:
    """The score of an item slot for a user slot, with so much of each edge there."""
    spec, features = world.spec, world.features
    params = jax.tree.map(lambda one: np.asarray(one, np.float64), world.params)
    edges = world.explainer.edges
    nodes = edges.user_node(user), edges.item_node(item)
    sides: list[list[np.ndarray]] = [[], []]
    connected = np.asarray(features.graph.connected)
    if spec.sides != "text":
        vectors = _nodes(world, params, there_M)
        for side, node in zip(sides, nodes, strict=True):
            vector = vectors[node]
            if spec.temperature:
                vector = vector / np.linalg.norm(vector) / spec.temperature**0.5
            known = connected[node]
            if spec.sides == "fused" and not known:
                vector = params["null_graph"]
            if spec.sides == "graph" and "user_bias" in params and not known:
                vector = 0.0 * vector
            side.append(vector)
    if spec.sides != "graph":
        for side, vector in zip(
            sides, _texts(world, params, user, item, there_M), strict=True
        ):
            side.append(vector)
    user_D, item_D = (_fused(world, params, side) for side in sides)
    score = user_D @ item_D
    if spec.filter_rank and (spec.sides != "graph" or connected[nodes[1]]):
        score += spec.filter_weight * _filter(world, user, item, there_M)
    if "user_bias" in params:
        score += 3.5 + params["user_bias"][user] + params["item_bias"][item]
    return float(score)


def _nodes(world: World, params: Any, there_M: np.ndarray) -> np.ndarray:
    graph, spec = world.features.graph, world.spec
    matrix = np.zeros((graph.num_nodes, graph.num_nodes))
    used = int(graph.plan.num_edges)
    for place in range(used):
        sender = int(graph.graph.senders[place])
        receiver = int(graph.graph.receivers[place])
        edge = world.explainer.edges.between(sender, receiver)
        there = 1.0 if sender == receiver else there_M[edge]
        matrix[receiver, sender] = there * float(graph.graph.edges["weight"][place])
    start = params["node_embedding"]
    if spec.layer == "lightgcn":
        layers = [start]
        for _ in range(spec.num_layers):
            layers.append(matrix @ layers[-1])
        return sum(layers) / len(layers)
    out = start
    for number in range(spec.num_layers):
        layer = params[f"gcn_{number}"]
        out = np.maximum(out, 0) if number else out
        out = matrix @ out @ layer["kernel"] + layer["bias"]
    return out


def _texts(
    world: World, params: Any, user: int, item: int, there_M: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    text = world.features.text
    assert text is not None
    items_IT = np.asarray(text.item_IT, np.float64)
    of_user = np.asarray(text.user_UT, np.float64)[user]
    if bool(text.from_history_U[user]):
        length = max(np.linalg.norm(of_user), 1e-6)
        of_user = sum(
            (
                there_M[_own_edge(world, user, one)] * items_IT[one] / length
                for one in world.train.csr().row(user).tolist()
            ),
            np.zeros(items_IT.shape[1]),
        )
    user_D = of_user @ params["text_projection"]
    item_D = items_IT[item] @ params["text_projection"]
    if not int(text.user_parts_U[user]):
        user_D = params["null_text"]
    if not bool(text.item_known_I[item]):
        item_D = params["null_text"]
    return user_D, item_D


def _own_edge(world: World, user: int, item: int) -> int:
    edges = world.explainer.edges
    return edges.between(edges.user_node(user), edges.item_node(item))


def _fused(world: World, params: Any, side: list[np.ndarray]) -> np.ndarray:
    if len(side) == 1:
        return side[0]
    if world.spec.fusion == "sum":
        return side[0] + side[1]
    fusion = params["fusion"]
    hidden = np.concatenate(side) @ fusion["kernel"] + fusion["bias"]
    hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
    return hidden @ fusion["output_kernel"] + fusion["output_bias"]


def _filter(world: World, user: int, item: int, there_M: np.ndarray) -> float:
    """By the ratings as they are read, not by what is stored of the user."""
    of_filter, train = world.features.filter, world.train
    assert of_filter is not None
    read_IK = np.asarray(of_filter.read_IK, np.float64)
    total = np.zeros(read_IK.shape[1])
    for row in np.flatnonzero(train.users == user).tolist():
        liked = int(train.items[row])
        counts = float(train.values[row] / train.values.max()) ** RATING_POWER
        if world.spectral:
            counts = 1.0
        total += there_M[_own_edge(world, user, liked)] * counts * read_IK[liked]
    return float(total @ np.asarray(of_filter.item_IK, np.float64)[item])
