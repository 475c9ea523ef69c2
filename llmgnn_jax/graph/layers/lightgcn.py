"""LightGCN: the normalised adjacency and nothing else (He et al. 2020).

Shapes: N nodes, D width.
"""

import jraph

from llmgnn_jax.graph.neighbourhood import WeightedSums


def lightgcn_layer(
    graph: jraph.GraphsTuple, *, neighbours: WeightedSums
) -> jraph.GraphsTuple:
    """One LightGCN layer: h_v = sum over u in N(v) of h_u / sqrt(d_u d_v).

    No self-loop, no matrix, no activation (He et al. 2020, eq. 3).
    """
    return graph._replace(nodes=neighbours.weighted(graph.nodes))


def lightgcn(
    graph: jraph.GraphsTuple, *, num_layers: int, neighbours: WeightedSums
) -> jraph.GraphsTuple:
    """LightGCN: the mean of the input and of each layer (He et al. 2020, eq. 4).

    Args:
        graph: `nodes` (N, D), the id vectors.
        num_layers: Layers, 0 returns the input.
        neighbours: Who sends to whom, with symmetrically normalised weights.

    Returns:
        The graph with (N, D) nodes (1 / (L + 1)) sum over l = 0..L of h^(l).
    """
    total_ND, layer = graph.nodes, graph
    for _ in range(num_layers):
        layer = lightgcn_layer(layer, neighbours=neighbours)
        # A sampled tree has fewer nodes with each layer.
        total_ND = neighbours.own(total_ND) + layer.nodes
    return graph._replace(nodes=total_ND / (num_layers + 1))
