"""Graphs for jraph's layers, and LightGCN's propagation by its `GraphConvolution`.

Shapes: N nodes, E edges, D width. Edges are sorted by receiver beforehand.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jraph
import numpy as np

from benchmarks.harness.system import Inputs

# A graph whose nodes are (N, D) -> (N, D), A X.
Layer = Callable[[jraph.GraphsTuple], jax.Array]


def graph_of(inputs: Inputs) -> jraph.GraphsTuple:
    """Nodes, edges with their weights, and degrees where the layers look for them."""
    return jraph.GraphsTuple(
        nodes=jnp.asarray(inputs["nodes"]),
        edges={"weight": jnp.asarray(inputs["weights"])},
        senders=jnp.asarray(inputs["senders"]),
        receivers=jnp.asarray(inputs["receivers"]),
        globals={"scale": _scale(inputs)},
        n_node=jnp.asarray([int(inputs["num_nodes"])], jnp.int32),
        n_edge=jnp.asarray([len(inputs["senders"])], jnp.int32),
    )


def _scale(inputs: Inputs) -> jax.Array:
    """(N, 1) 1 / sqrt(degree)."""
    degrees = np.diff(np.asarray(inputs["indptr"]))
    return jnp.asarray(1 / np.sqrt(np.maximum(degrees, 1))[:, None], jnp.float32)


# jraph's own, told what is true of our edges.
sorted_sum = functools.partial(jraph.segment_sum, indices_are_sorted=True)


def graph_network(graph: jraph.GraphsTuple) -> jax.Array:
    """`GraphNetwork` with weighted messages: what jraph's documentation begins with."""
    network = jraph.GraphNetwork(
        update_edge_fn=lambda edges, sent, received, globals_: (
            sent * edges["weight"][:, None]
        ),
        update_node_fn=lambda nodes, sent, received, globals_: received,
    )
    return network(graph._replace(globals=None)).nodes


def graph_convolution(graph: jraph.GraphsTuple) -> jax.Array:
    """`GraphConvolution` as it comes: it counts degrees and normalises in each call."""
    return jraph.GraphConvolution(lambda nodes: nodes)(graph).nodes


def scaled_convolution(graph: jraph.GraphsTuple) -> jax.Array:
    """`GraphConvolution`, degrees counted beforehand, sums told that edges are sorted.

    Nodes are scaled before and after: no product of E x D.
    """
    scale_N1 = graph.globals["scale"]
    layer = jraph.GraphConvolution(
        lambda nodes: nodes * scale_N1,
        aggregate_nodes_fn=sorted_sum,
        symmetric_normalization=False,
    )
    return layer(graph).nodes * scale_N1


LAYERS: dict[str, Layer] = {
    "GraphNetwork": graph_network,
    "GraphConvolution": graph_convolution,
    "GraphConvolution, scaled beforehand, sorted": scaled_convolution,
}
