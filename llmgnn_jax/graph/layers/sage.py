"""GraphSAGE (Hamilton, Ying and Leskovec 2017).

Shapes: N nodes, M nodes that a layer computes, D_in and D_out widths, P width of the
pool.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import jraph
from flax import nnx

from llmgnn_jax.graph.layers.products import times_kernel
from llmgnn_jax.graph.neighbourhood import Neighbourhood

SAGEAggregator = Literal["mean", "max", "pool"]


class SAGELayer(nnx.Module):
    """One GraphSAGE layer: h_v' = W [h_v ; AGG of h_u, u in N(v)] + b.

    Hamilton et al. 2017, algorithm 1, lines 4 and 5, before the activation; W is kept
    in its two parts, W_root and W_neighbours.

    * `mean`: the mean over the neighbours.
    * `max`: their maximum, coordinate by coordinate.
    * `pool`: max over u of relu(W_pool h_u + b_pool), eq. 3.

    Args:
        in_dim: D_in.
        out_dim: D_out.
        aggregator: AGG.
        root: Whether a node hears itself, W_root.
        normalise: Whether each h_v' is brought to unit length (line 7).
        pool_dim: P for `pool`; D_in if not given.
        rngs: For the Glorot-uniform matrices; biases start at 0.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        aggregator: SAGEAggregator = "mean",
        root: bool = True,
        normalise: bool = False,
        pool_dim: int | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self.aggregator, self.root, self.normalise = aggregator, root, normalise
        init = nnx.initializers.glorot_uniform()
        heard_dim = in_dim
        if aggregator == "pool":
            heard_dim = in_dim if pool_dim is None else pool_dim
            self.pool_kernel = nnx.Param(init(rngs.params(), (in_dim, heard_dim)))
            self.pool_bias = nnx.Param(jnp.zeros(heard_dim))
        self.kernel = nnx.Param(init(rngs.params(), (heard_dim, out_dim)))
        if root:
            self.root_kernel = nnx.Param(init(rngs.params(), (in_dim, out_dim)))
        self.bias = nnx.Param(jnp.zeros(out_dim))

    def __call__(
        self, graph: jraph.GraphsTuple, *, neighbours: Neighbourhood
    ) -> jraph.GraphsTuple:
        """(N, D_in) nodes -> (M, D_out) nodes."""
        nodes_ND, kernel = graph.nodes, self.kernel[...]
        if self.aggregator == "mean":
            heard_MD = times_kernel(neighbours.mean, nodes_ND, kernel)
        elif self.aggregator == "max":
            heard_MD = neighbours.max(nodes_ND) @ kernel
        else:
            pooled_NP = nodes_ND @ self.pool_kernel[...] + self.pool_bias[...][None, :]
            heard_MD = neighbours.max(jax.nn.relu(pooled_NP)) @ kernel
        out_MD = heard_MD + self.bias[...][None, :]
        if self.root:
            out_MD = out_MD + neighbours.own(nodes_ND) @ self.root_kernel[...]
        if self.normalise:
            out_MD = _unit_length(out_MD)
        return graph._replace(nodes=out_MD)


def _unit_length(nodes_MD: jax.Array) -> jax.Array:
    """Each row over its length; a row of zeros stays, with a gradient of zeros."""
    squares_M1 = jnp.sum(nodes_MD**2, axis=-1, keepdims=True)
    # Chosen before the root as well: its slope at 0 is infinite, and 0 times that is no
    # number.
    known_M1 = squares_M1 > 0
    scale_M1 = jax.lax.rsqrt(jnp.where(known_M1, squares_M1, 1.0))
    return jnp.where(known_M1, nodes_MD * scale_M1, 0.0)
