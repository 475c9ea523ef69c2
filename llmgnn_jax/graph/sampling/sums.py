"""Layers with constant weights on a sampled tree: estimates of what the graph gives.

Shapes: B seeds, W parents of a hop, K slots of each, N nodes of the tree, M of them
that a layer computes, E edges, D width.
"""

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.sampling.neighbourhood import TreeNeighbourhood
from llmgnn_jax.graph.sampling.tree import SampledTree


class TreeSums:
    """`WeightedSums` of a tree, one hop less with each layer.

    A layer is given the N nodes of some first hops and computes those of all but the
    last one of them: how many there are says which.

    Args:
        tree: What was drawn, uniformly without replacement.
        degrees_N: (N,) float32, the degree in the graph of each node of the tree.

    An edge from u to v counts d_v / k_v times its weight 1 / sqrt(d_u d_v), with d_v
    neighbours of which k_v were drawn: the sum's expectation is the sum over all, and
    it is that sum where a node has no more neighbours than it draws (Hamilton et al.
    2017; Chen et al. 2018, "FastGCN", on the scale).
    """

    def __init__(self, tree: SampledTree, degrees_N: jax.Array) -> None:
        self._masks = tuple(hop.mask for hop in tree.hops)
        self._sizes = [tree.seeds.shape[0], *(mask.size for mask in self._masks)]
        scale_N = jnp.sqrt(degrees_N)
        # 0 in empty slots, which have no neighbours that were told.
        inverse_N = jnp.where(degrees_N > 0, 1.0 / jnp.maximum(scale_N, 1e-30), 0.0)
        weights, first = [], 0
        for mask_WK, count in zip(self._masks, self._sizes, strict=False):
            children = first + count
            parts_W = scale_N[first:children] / jnp.maximum(mask_WK.sum(axis=1), 1)
            of_children = inverse_N[children : children + mask_WK.size]
            block_WK = parts_W[:, None] * of_children.reshape(mask_WK.shape)
            weights.append(jnp.where(mask_WK, block_WK, 0.0).reshape(-1))
            first = children
        self._weights_E = jnp.concatenate(weights)

    def own(self, nodes: jax.Array) -> jax.Array:
        """(N, ...) -> (M, ...)."""
        return nodes[: sum(self._sizes[: self._hops(nodes)])]

    def weighted(self, nodes: jax.Array) -> jax.Array:
        """(N, D) -> (M, D)."""
        hops = self._hops(nodes)
        edges = sum(self._sizes[1 : hops + 1])
        return TreeNeighbourhood(
            masks=self._masks[:hops], weights=self._weights_E[:edges]
        ).weighted(nodes)

    def _hops(self, nodes: jax.Array) -> int:
        total = 0
        for hops, size in enumerate(self._sizes):
            total += size
            if total == nodes.shape[0] and hops:
                return hops
        raise ValueError(
            f"expected the nodes of some hops of {self._sizes}, got {nodes.shape[0]}"
        )
