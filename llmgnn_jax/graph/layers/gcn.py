"""Graph convolution (Kipf and Welling 2017).

Shapes: N nodes, E edges, M nodes that a layer computes, D_in and D_out widths.
"""

import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx

from llmgnn_jax.graph.layers.products import times_kernel
from llmgnn_jax.graph.layers.self_loops import EdgeList, SelfLoops, with_self_loops
from llmgnn_jax.graph.neighbourhood import WeightedSums


class GCNLayer(nnx.Module):
    """One GCN layer: H' = A_hat H W + b, A_hat = D^-1/2 (A + I) D^-1/2.

    Kipf and Welling 2017, eq. 2, before the activation. A_hat are the weights of the
    graph: `structure.build` normalises users and items with `self_loops=True`, and
    `gcn_weights` any other list of edges.

    Args:
        in_dim: D_in.
        out_dim: D_out.
        rngs: For the Glorot-uniform matrix; b starts at 0.
    """

    def __init__(self, in_dim: int, out_dim: int, *, rngs: nnx.Rngs) -> None:
        init = nnx.initializers.glorot_uniform()
        self.kernel = nnx.Param(init(rngs.params(), (in_dim, out_dim)))
        self.bias = nnx.Param(jnp.zeros(out_dim))

    def __call__(
        self, graph: jraph.GraphsTuple, *, neighbours: WeightedSums
    ) -> jraph.GraphsTuple:
        """(N, D_in) nodes -> (M, D_out) nodes."""
        nodes_MD = times_kernel(neighbours.weighted, graph.nodes, self.kernel[...])
        return graph._replace(nodes=nodes_MD + self.bias[...][None, :])


def gcn_weights(
    senders: np.ndarray,
    receivers: np.ndarray,
    num_nodes: int,
    *,
    weights: np.ndarray | None = None,
    self_loops: SelfLoops = "all",
) -> EdgeList:
    """The entries of D^-1/2 (A + I) D^-1/2 (Kipf and Welling 2017, eq. 2).

        edges = gcn_weights(senders, receivers, num_nodes)
        graph, plan = sorted_graph(
            edges.senders, edges.receivers, num_nodes, edges=edges.edges
        )

    D counts what leads into a node: d_v = sum of the weights of its incoming edges, the
    self-loop's 1 included. A repeated edge adds up.

    Args:
        senders: (E,) node numbers.
        receivers: (E,).
        num_nodes: N.
        weights: (E,) entries of A, not negative; 1 if not given.
        self_loops: Which nodes get an edge to themselves.

    Returns:
        The edges with "weight" float32, self-loops last; 0 at a node of degree 0.

    Raises:
        ValueError: If a weight is negative.
    """
    if weights is None:
        weights = np.ones(len(senders))
    weights = np.asarray(weights, np.float64)
    if np.any(weights < 0):
        raise ValueError(f"weights: expected none below 0, got {weights.min()}")
    looped = with_self_loops(
        senders,
        receivers,
        num_nodes,
        edges={"weight": weights},
        self_loops=self_loops,
    )
    raw = looped.edges["weight"]
    degrees = np.bincount(looped.receivers, weights=raw, minlength=num_nodes)
    scale = np.where(degrees > 0, np.maximum(degrees, np.finfo(float).tiny) ** -0.5, 0)
    normalised = scale[looped.senders] * raw * scale[looped.receivers]
    return EdgeList(
        senders=looped.senders,
        receivers=looped.receivers,
        edges={"weight": normalised.astype(np.float32)},
    )
