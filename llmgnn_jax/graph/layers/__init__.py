"""Message-passing layers: `jraph.GraphsTuple` in, `jraph.GraphsTuple` out.

    graph = layer(graph, neighbours=neighbours)

`nodes` (N, D) go in, (M, D') come out; M is N, or in a sampled tree the nodes that hear
of others. `edges` is a dict: "weight" (E,), and for layers that look at them "features"
(E, F) and "relation" (E,) int32. Who sends to whom is told by `neighbours` alone, a
`Neighbourhood`: the same layer runs on a graph, a sampled tree or a part of a graph.

Modules hold parameters and nothing else; no layer ends in an activation, and none adds
self-loops: the edges bring them.
"""

from llmgnn_jax.graph.layers.edge_update import EdgeUpdateLayer, edge_update
from llmgnn_jax.graph.layers.gat import GATLayer
from llmgnn_jax.graph.layers.gatv2 import GATv2Layer
from llmgnn_jax.graph.layers.gcn import GCNLayer, gcn_weights
from llmgnn_jax.graph.layers.jraph_functions import (
    segment_aggregation,
    segment_normalisation,
)
from llmgnn_jax.graph.layers.lightgcn import lightgcn, lightgcn_layer
from llmgnn_jax.graph.layers.relations import (
    Relation,
    RelationalGraph,
    join_relations,
)
from llmgnn_jax.graph.layers.rgcn import RGCNLayer
from llmgnn_jax.graph.layers.sage import SAGELayer
from llmgnn_jax.graph.layers.self_loops import EdgeList, with_self_loops

__all__ = [
    "EdgeList",
    "EdgeUpdateLayer",
    "GATLayer",
    "GATv2Layer",
    "GCNLayer",
    "RGCNLayer",
    "Relation",
    "RelationalGraph",
    "SAGELayer",
    "edge_update",
    "gcn_weights",
    "join_relations",
    "lightgcn",
    "lightgcn_layer",
    "segment_aggregation",
    "segment_normalisation",
    "with_self_loops",
]
