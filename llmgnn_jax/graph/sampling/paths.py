"""LightGCN on sampled trees: what is at the end of each path, in one sum.

Shapes: N nodes of the graph, R seeds, T places of a seed's tree, the seed first, L
hops, D width.

LightGCN's layers are linear, and all weights are known when a tree is drawn. So the
mean of the layers at a seed is a sum over the places of its tree, each with the product
of the weights on its way to the seed: no layer has to be computed by itself.
"""

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.aggregate import native
from llmgnn_jax.graph.aggregate.operations import no_gradient
from llmgnn_jax.graph.sampling.tree import SampledTree


def lightgcn_of_tree(
    ego_ND: jax.Array, tree: SampledTree, degrees_N: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """What `layers.lightgcn` gives the seeds by `TreeSums`, by native kernels.

    Args:
        ego_ND: (N, D) float32 id vectors.
        tree: What was drawn, uniformly without replacement.
        degrees_N: (N,) float32 degrees in the graph.

    Returns:
        (R, D), the mean of the input and of each layer; (R, D), the input. Both are
        differentiable in `ego_ND`.
    """
    ids_RT, weights_RT = path_weights(tree, degrees_N)
    return _sums(ego_ND, ids_RT, weights_RT)


def path_weights(
    tree: SampledTree, degrees_N: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The places of each seed's tree, and what each counts in the mean of the layers.

    An edge u -> v counts sqrt(d_v / d_u) / k_v, where k_v neighbours of v were drawn
    (`TreeSums`): of a path from u to the seed s remains sqrt(d_s / d_u) over the
    product of the k, and the mean is over L + 1 layers.

    Returns:
        (R, T) int32 nodes, and (R, T) float32 weights, 0 in empty slots.
    """
    seeds_R = jnp.maximum(tree.seeds, 0)
    there_R1 = (tree.seeds >= 0)[:, None]
    rows, layers = len(seeds_R), len(tree.hops) + 1
    share_R1 = jnp.sqrt(degrees_N[seeds_R])[:, None] / layers
    share = jnp.where(there_R1, share_R1, 0.0)
    nodes, weights = [seeds_R[:, None]], [there_R1 / layers]
    for hop in tree.hops:
        drawn_W1 = jnp.maximum(hop.mask.sum(axis=1, keepdims=True), 1)
        share = jnp.where(hop.mask, share.reshape(-1, 1) / drawn_W1, 0.0)
        # Empty slots name any node; the padding node hears itself, with degree 0.
        degrees_WK = degrees_N[hop.nodes]
        there_WK = hop.mask & (degrees_WK > 0)
        scale_WK = jnp.sqrt(jnp.where(there_WK, degrees_WK, 1.0))
        weights_WK = jnp.where(there_WK, share / scale_WK, 0.0)
        places = hop.nodes.size // max(rows, 1)
        nodes.append(hop.nodes.reshape(rows, places))
        weights.append(weights_WK.reshape(rows, places))
    return jnp.concatenate(nodes, axis=1), jnp.concatenate(weights, axis=1)


@jax.custom_vjp
def _sums(
    ego_ND: jax.Array, ids_RT: jax.Array, weights_RT: jax.Array
) -> tuple[jax.Array, jax.Array]:
    final_RD = native.gathered_sums(ego_ND, ids_RT, weights_RT, weights_RT != 0)
    own_RD = native.gather_rows(ego_ND, ids_RT[:, 0])
    return final_RD, jnp.where(weights_RT[:, :1] != 0, own_RD, 0.0)


def _forward(
    ego_ND: jax.Array, ids_RT: jax.Array, weights_RT: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], tuple]:
    return _sums(ego_ND, ids_RT, weights_RT), (ego_ND, ids_RT, weights_RT)


def _backward(residuals: tuple, gradients: tuple[jax.Array, jax.Array]) -> tuple:
    """One array of the table's size for both outputs, not one for each."""
    ego_ND, ids_RT, weights_RT = residuals
    rows, size = ids_RT.shape
    own_R = jnp.arange(rows, dtype=jnp.int32)
    gradient_ND = native.scattered_sums(
        jnp.concatenate([ids_RT.reshape(-1), ids_RT[:, 0]]),
        jnp.concatenate([jnp.repeat(own_R, size), rows + own_R]),
        jnp.concatenate([weights_RT.reshape(-1), (weights_RT[:, 0] != 0) * 1.0]),
        jnp.concatenate(gradients),
        num_rows=len(ego_ND),
    )
    return gradient_ND, no_gradient(ids_RT), jnp.zeros_like(weights_RT)


_sums.defvjp(_forward, _backward)
