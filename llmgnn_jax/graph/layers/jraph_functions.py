"""Our aggregation as the functions that `jraph.GraphNetwork` takes.

Shapes: N nodes, E edges; `...` any number of trailing axes.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jraph

from llmgnn_jax.graph.neighbourhood import Neighbourhood

# (data (E, ...), segment_ids (E,), num_segments) -> (num_segments, ...)
SegmentFunction = Callable[[jax.Array, jax.Array, int], jax.Array]


def segment_aggregation(
    graph: jraph.GraphsTuple, *, neighbours: Neighbourhood
) -> SegmentFunction:
    """`aggregate_edges_for_nodes_fn`, in place of `jraph.segment_sum`.

        network = jraph.GraphNetwork(
            update_edge_fn,
            update_node_fn,
            aggregate_edges_for_nodes_fn=segment_aggregation(
                graph, neighbours=neighbours
            ),
        )
        graph = network(graph)

    jraph sums edges twice: over their receivers and, in the order of the transposed
    matrix, over their senders. Which is meant is told by the array of numbers that it
    hands over, the same object as in `graph`: so make the function inside the program
    that is compiled, from the graph that the network is given. What a network returns
    has the same senders and receivers, so one function serves all its rounds.

    Args:
        graph: That the network runs on.
        neighbours: Its edges.

    Returns:
        A function that sums (E, ...) over each node's incoming or outgoing edges, with
        gradients that are gathers. It raises ValueError for any other segments.
    """

    def aggregate(
        data: jax.Array, segment_ids: jax.Array, num_segments: int
    ) -> jax.Array:
        if segment_ids is graph.receivers:
            sums = neighbours.sum_edges(data)
            assert sums.shape[0] == num_segments, "jraph updates every node"
            return sums
        if segment_ids is graph.senders:
            return _sum_sent(data, neighbours, num_segments)
        raise ValueError(
            "segment_ids: expected the senders or the receivers of the graph that the "
            "aggregation was made for, got another array"
        )

    return aggregate


def segment_normalisation(
    graph: jraph.GraphsTuple, *, neighbours: Neighbourhood
) -> SegmentFunction:
    """`attention_normalize_fn`, in place of `jraph.segment_softmax`.

    As `segment_aggregation`, for the softmax over each node's incoming edges.
    """

    def normalise(
        logits: jax.Array, segment_ids: jax.Array, num_segments: int
    ) -> jax.Array:
        del num_segments
        if segment_ids is not graph.receivers:
            raise ValueError(
                "segment_ids: expected the receivers of the graph that the softmax was "
                "made for, got another array"
            )
        return neighbours.softmax(logits)

    return normalise


def _sum_sent(edges: jax.Array, neighbours: Neighbourhood, num_nodes: int) -> jax.Array:
    """(E, ...) -> (N, ...), over each node's outgoing edges."""
    if jnp.issubdtype(edges.dtype, jnp.floating):
        return _transposed_gather(edges, neighbours, num_nodes)
    sums = _transposed_gather(edges.astype(jnp.float32), neighbours, num_nodes)
    return sums.astype(edges.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _transposed_gather(
    edges: jax.Array, neighbours: Neighbourhood, num_nodes: int
) -> jax.Array:
    """What the gradient of `gather_senders` computes; its own is the gather."""
    nodes = jnp.zeros((num_nodes, *edges.shape[1:]), edges.dtype)
    _, pull = jax.vjp(neighbours.gather_senders, nodes)
    return pull(edges)[0]


_transposed_gather.defvjp(
    lambda edges, neighbours, num_nodes: (
        _transposed_gather(edges, neighbours, num_nodes),
        neighbours,
    ),
    # None: the neighbourhood is constant.
    lambda num_nodes, neighbours, gradient: (
        neighbours.gather_senders(gradient),
        None,
    ),
)
