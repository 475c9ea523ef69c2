"""Message-passing layers: `jraph.GraphsTuple` in, `jraph.GraphsTuple` out.

Shapes: N nodes, E edges, D width. Edges carry `edges["weight"]` (E,), normalised by
`structure.build`; layers that want self-loops find them among the edges.
"""

import functools
from collections.abc import Callable

import jax
import jraph
from flax import nnx

from llmgnn_jax.graph.aggregate import Backend, aggregate
from llmgnn_jax.graph.structure import EdgePlan

# GraphsTuple -> (N, D): the layers take it as an argument, so that a sharded program
# can hand in one with a collective inside.
Aggregate = Callable[[jraph.GraphsTuple], jax.Array]


def local_aggregate(plan: EdgePlan, *, backend: Backend) -> Aggregate:
    """The aggregation of a graph that lies whole on each device."""
    return functools.partial(aggregate, plan=plan, backend=backend)


def lightgcn_layer(
    graph: jraph.GraphsTuple, *, aggregate: Aggregate
) -> jraph.GraphsTuple:
    """One LightGCN layer: h_v = sum over u in N(v) of h_u / sqrt(d_u d_v).

    No self-loop, no matrix, no activation (He et al. 2020, eq. 3).
    """
    return graph._replace(nodes=aggregate(graph))


def lightgcn(
    graph: jraph.GraphsTuple, *, num_layers: int, aggregate: Aggregate
) -> jraph.GraphsTuple:
    """LightGCN: the mean of the input and of each layer (He et al. 2020, eq. 4).

    Args:
        graph: `nodes` (N, D), the id vectors; symmetrically normalised weights.
        num_layers: Layers, 0 returns the input.
        aggregate: Sums neighbours.

    Returns:
        The graph with (N, D) nodes (1 / (L + 1)) sum over l = 0..L of h^(l).
    """
    total_ND, layer = graph.nodes, graph
    for _ in range(num_layers):
        layer = lightgcn_layer(layer, aggregate=aggregate)
        total_ND = total_ND + layer.nodes
    return graph._replace(nodes=total_ND / (num_layers + 1))


class GCNLayer(nnx.Module):
    """One GCN layer: H' = A_hat H W + b, A_hat normalised with self-loops.

    Kipf and Welling 2017, eq. 2, before the activation. The graph must be built with
    `self_loops=True`.

    Args:
        in_dim: D_in.
        out_dim: D_out.
        rngs: For the Glorot-uniform matrix; b starts at 0.
    """

    def __init__(self, in_dim: int, out_dim: int, *, rngs: nnx.Rngs) -> None:
        init = nnx.initializers.glorot_uniform()
        self.kernel = nnx.Param(init(rngs.params(), (in_dim, out_dim)))
        self.bias = nnx.Param(jax.numpy.zeros(out_dim))

    def __call__(
        self, graph: jraph.GraphsTuple, *, aggregate: Aggregate
    ) -> jraph.GraphsTuple:
        # A (H W) = (A H) W: the narrower side is sent over the edges.
        kernel, bias = self.kernel[...], self.bias[...]
        if kernel.shape[1] <= kernel.shape[0]:
            nodes_ND = aggregate(graph._replace(nodes=graph.nodes @ kernel))
        else:
            nodes_ND = aggregate(graph) @ kernel
        return graph._replace(nodes=nodes_ND + bias[None, :])
