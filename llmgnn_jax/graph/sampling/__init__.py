"""Neighbour sampling: trees of static shape, drawn on the device or on the host alike.

table = sample_table(senders, receivers, num_nodes).to_device()
tree = sample_tree(key, table, seeds_B, fanouts=(15, 10))
nodes_ND = gather_features(features, tree)
out_BD = propagate_tree(layers, tree, nodes_ND)
"""

from llmgnn_jax.graph.sampling.host import (
    BlockStream,
    HostSampler,
    SampledBlock,
    SampleRequest,
)
from llmgnn_jax.graph.sampling.neighbourhood import TreeNeighbourhood
from llmgnn_jax.graph.sampling.paths import lightgcn_of_tree
from llmgnn_jax.graph.sampling.sample import sample_tree
from llmgnn_jax.graph.sampling.sums import TreeSums
from llmgnn_jax.graph.sampling.table import SampleTable, sample_table
from llmgnn_jax.graph.sampling.tree import (
    Fanout,
    Hop,
    SampledTree,
    gather_features,
    propagate_tree,
)

__all__ = [
    "BlockStream",
    "Fanout",
    "Hop",
    "HostSampler",
    "SampleRequest",
    "SampleTable",
    "SampledBlock",
    "SampledTree",
    "TreeNeighbourhood",
    "TreeSums",
    "gather_features",
    "lightgcn_of_tree",
    "propagate_tree",
    "sample_table",
    "sample_tree",
]
