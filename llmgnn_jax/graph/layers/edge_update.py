"""Layers whose edges hold something that is computed anew: h_e = f(h_v, h_w, e).

Shapes: N nodes, E edges, M nodes that a layer computes, D width of a node, F of an
edge, D_e of an edge before.

`v` is the node that hears, `w` the neighbour that sends.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import jraph
from flax import nnx

from llmgnn_jax.graph.layers.heads import edge_features
from llmgnn_jax.graph.neighbourhood import Neighbourhood

EdgeAggregation = Literal["sum", "mean", "weighted", "attention"]
NodeUpdate = Literal["linear", "residual", "nonlinear"]

# (h_v, h_w, e) -> (E, F); e is None where edges hold no features.
Message = Callable[[jax.Array, jax.Array, jax.Array | None], jax.Array]
# (h_v, h_w, h_e) -> (E,)
Logits = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
# (h, a) -> (M, D')
Update = Callable[[jax.Array, jax.Array], jax.Array]


def edge_update(
    graph: jraph.GraphsTuple,
    *,
    message: Message,
    update: Update,
    neighbours: Neighbourhood,
    aggregation: EdgeAggregation = "sum",
    logits: Logits | None = None,
) -> jraph.GraphsTuple:
    """h_e = f(h_v, h_w, e), a_v = AGG of v's h_e, h_v' = update(h_v, a_v).

    The graph network of Battaglia et al. 2018, algorithm 1, that hears incoming edges
    and has no globals: equal to `jraph.GraphNetwork` with the same functions, values
    and gradients.

    Args:
        graph: `nodes` (N, D); `edges["features"]` (E, D_e), e, if there are any.
        message: f, of (E, D), (E, D) and (E, D_e) rows.
        update: Of the (M, D) nodes and their (M, F) aggregates.
        neighbours: Who sends to whom.
        aggregation: AGG: `sum`; `mean`; `weighted`, the sum of edges["weight"] h_e;
            `attention`, the sum of softmax_e(logits) h_e.
        logits: For `attention`, of (E, D), (E, D) and (E, F) rows.

    Returns:
        The graph with (M, D') nodes and `edges["features"]` (E, F), h_e; with attention
        times its share, as jraph has it.

    Raises:
        ValueError: If there are no logits to attend by, or no weights to weigh with.
    """
    held = dict(graph.edges or {})
    heard_ED = neighbours.gather_receivers(graph.nodes)
    sent_ED = neighbours.gather_senders(graph.nodes)
    edges_EF = message(heard_ED, sent_ED, held.get("features"))
    logits_E = None if logits is None else logits(heard_ED, sent_ED, edges_EF)
    held["features"], nodes_MF = _aggregated(
        edges_EF, held.get("weight"), logits_E, aggregation, neighbours
    )
    nodes_MD = update(neighbours.own(graph.nodes), nodes_MF)
    return graph._replace(nodes=nodes_MD, edges=held)


class EdgeUpdateLayer(nnx.Module):
    """One layer of the common form of `edge_update`.

        h_e = sigma(W_m [h_v ; h_w ; e] + b_m)
        a_v = AGG of v's h_e, with softmax over a . h_e for attention
        h_v' = h_v + a_v                    linear
               h_v + sigma(W a_v + b)       residual
               sigma(W a_v + b)             nonlinear

    W_m is applied in its three parts, the first two to nodes before they are gathered:
    2 N D F multiplications instead of 2 E D F.

    Args:
        in_dim: D; also that of the result for `linear` and `residual`.
        out_dim: D', and F.
        edge_dim: D_e of edges["features"]; 0: they are not looked at.
        aggregation: See `edge_update`.
        update: See above.
        activation: sigma.
        rngs: For the Glorot-uniform matrices; biases start at 0.

    Raises:
        ValueError: If h_v is added to something of another width.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        edge_dim: int = 0,
        aggregation: EdgeAggregation = "sum",
        update: NodeUpdate = "residual",
        activation: Callable[[jax.Array], jax.Array] = jax.nn.relu,
        rngs: nnx.Rngs,
    ) -> None:
        if update != "nonlinear" and in_dim != out_dim:
            raise ValueError(
                f"out_dim: expected in_dim ({in_dim}) for update {update!r}, "
                f"got {out_dim}"
            )
        self.edge_dim, self.aggregation, self.update = edge_dim, aggregation, update
        self.activation = activation
        init = nnx.initializers.glorot_uniform()
        message_shape = (2 * in_dim + edge_dim, out_dim)
        self.message_kernel = nnx.Param(init(rngs.params(), message_shape))
        self.message_bias = nnx.Param(jnp.zeros(out_dim))
        if aggregation == "attention":
            self.attention = nnx.Param(init(rngs.params(), (out_dim, 1)))
        if update != "linear":
            self.kernel = nnx.Param(init(rngs.params(), (out_dim, out_dim)))
            self.bias = nnx.Param(jnp.zeros(out_dim))

    def __call__(
        self, graph: jraph.GraphsTuple, *, neighbours: Neighbourhood
    ) -> jraph.GraphsTuple:
        """(N, D) nodes -> (M, D') nodes, and `edges["features"]` (E, F)."""
        nodes_ND = graph.nodes
        held = dict(graph.edges or {})
        heard_NF, sent_NF, kernel_edges = self._parts(nodes_ND)
        message_EF = neighbours.gather_receivers(heard_NF) + neighbours.gather_senders(
            sent_NF
        )
        features = edge_features(graph, self.edge_dim)
        if features is not None:
            message_EF += features @ kernel_edges
        edges_EF = self.activation(message_EF)
        logits_E = None
        if self.aggregation == "attention":
            logits_E = edges_EF @ self.attention[...][:, 0]
        held["features"], nodes_MF = _aggregated(
            edges_EF, held.get("weight"), logits_E, self.aggregation, neighbours
        )
        if self.update != "linear":
            nodes_MF = self.activation(
                nodes_MF @ self.kernel[...] + self.bias[...][None, :]
            )
        if self.update != "nonlinear":
            nodes_MF = neighbours.own(nodes_ND) + nodes_MF
        return graph._replace(nodes=nodes_MF, edges=held)

    def _parts(self, nodes_ND: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """(N, F) for who hears, (N, F) for who sends, (D_e, F) for what edges hold."""
        kernel, in_dim = self.message_kernel[...], nodes_ND.shape[1]
        heard_NF = nodes_ND @ kernel[:in_dim] + self.message_bias[...][None, :]
        return heard_NF, nodes_ND @ kernel[in_dim : 2 * in_dim], kernel[2 * in_dim :]


def _aggregated(
    edges_EF: jax.Array,
    weights_E: jax.Array | None,
    logits_E: jax.Array | None,
    aggregation: EdgeAggregation,
    neighbours: Neighbourhood,
) -> tuple[jax.Array, jax.Array]:
    """(E, F) what the edges hold after it, and (M, F) what the nodes hear."""
    if aggregation == "attention":
        if logits_E is None:
            raise ValueError("logits: expected for aggregation 'attention', got none")
        edges_EF = edges_EF * neighbours.softmax(logits_E)[:, None]
        return edges_EF, neighbours.sum_edges(edges_EF)
    if aggregation == "weighted":
        if weights_E is None:
            raise ValueError('edges["weight"]: expected for "weighted", got none')
        return edges_EF, neighbours.sum_edges(edges_EF * weights_E[:, None])
    sums_MF = neighbours.sum_edges(edges_EF)
    if aggregation == "mean":
        sums_MF = sums_MF / jnp.maximum(neighbours.degrees(), 1.0)[:, None]
    return edges_EF, sums_MF
