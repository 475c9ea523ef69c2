"""What both attention layers do around their logits.

Shapes: N nodes, E edges, M nodes that a layer computes, H heads, F width of a head.
"""

import jax
import jax.numpy as jnp
import jraph

from llmgnn_jax.graph.neighbourhood import Neighbourhood


def edge_features(graph: jraph.GraphsTuple, edge_dim: int) -> jax.Array | None:
    """(E, edge_dim) what the edges hold; None for layers that do not look at it.

    Raises:
        ValueError: If the layer expects features that the graph does not have.
    """
    if not edge_dim:
        return None
    edges = graph.edges if isinstance(graph.edges, dict) else {}
    features = edges.get("features")
    if features is None or features.shape[1:] != (edge_dim,):
        got = "none" if features is None else str(features.shape)
        raise ValueError(f'edges["features"]: expected (E, {edge_dim}), got {got}')
    return features


def attend(
    logits_EH: jax.Array,
    values_NHF: jax.Array,
    *,
    keep_EH: jax.Array | None,
    neighbours: Neighbourhood,
) -> jax.Array:
    """out[v, h] = sum over e = (u, v) of softmax_e(logits)[e, h] values[u, h].

    Args:
        logits_EH: (E, H).
        values_NHF: (N, H, F).
        keep_EH: (E, H) what the shares are multiplied with, or None: dropout of
            attention, 0 or 1 / (1 - rate).
        neighbours: Who sends to whom.

    Returns:
        (M, H, F); 0 for a node without edges.
    """
    shares_EH = neighbours.softmax(logits_EH)
    if keep_EH is not None:
        shares_EH = shares_EH * keep_EH
    return neighbours.sum(values_NHF, shares_EH)


def join_heads(nodes_MHF: jax.Array, *, concat: bool) -> jax.Array:
    """(M, H F) side by side, or (M, F) their mean."""
    if concat:
        return nodes_MHF.reshape(nodes_MHF.shape[0], -1)
    return jnp.mean(nodes_MHF, axis=1)
