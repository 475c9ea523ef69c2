"""Our aggregation inside stock jraph networks."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest

from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.layers import segment_aggregation, segment_normalisation
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood

Graph = jraph.GraphsTuple


def two_rounds(graph: Graph, functions: dict[str, Any]) -> Graph:
    """Sent and received edges, attention, a nest of edges, twice."""

    def update_edge(edges: Any, sent: Any, received: Any, _: Any) -> Any:
        mixed = jnp.tanh(edges["features"] + sent[:, :3] * received[:, 1:])
        return {**edges, "features": mixed, "weight": edges["weight"] * mixed[:, 0]}

    def update_node(nodes: Any, sent: Any, received: Any, _: Any) -> Any:
        heard = jnp.pad(received["features"], ((0, 0), (0, 1)))
        told = jnp.pad(sent["features"], ((0, 0), (1, 0)))
        return nodes + jnp.tanh(heard - 2 * told) + sent["weight"][:, None]

    network = jraph.GraphNetwork(
        update_edge,
        update_node,
        attention_logit_fn=lambda e, s, r, _: jnp.sum(s * r, axis=1),
        attention_reduce_fn=lambda e, shares: {
            **e,
            "features": e["features"] * shares[:, None],
        },
        **functions,
    )
    return network(network(graph))


def ours(graph: Graph, neighbours: LocalNeighbourhood) -> Graph:
    return two_rounds(
        graph,
        {
            "aggregate_edges_for_nodes_fn": segment_aggregation(
                graph, neighbours=neighbours
            ),
            "attention_normalize_fn": segment_normalisation(
                graph, neighbours=neighbours
            ),
        },
    )


def stock(graph: Graph, neighbours: LocalNeighbourhood) -> Graph:
    return two_rounds(graph, {})


@functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
def value_and_gradients(
    nodes: jax.Array,
    features: jax.Array,
    graph: Graph,
    neighbours: LocalNeighbourhood,
    network: Callable[[Graph, LocalNeighbourhood], Graph],
) -> tuple[jax.Array, Graph]:
    edges = {**graph.edges, "features": features}
    out = network(graph._replace(nodes=nodes, edges=edges), neighbours)
    return jnp.sum(jnp.sin(out.nodes)) + jnp.sum(out.edges["features"] ** 2), out


compiled = functools.partial(jax.jit, static_argnums=4)(value_and_gradients)


def same(got: Any, expected: Any) -> None:
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for left, right in zip(
        jax.tree.leaves(got), jax.tree.leaves(expected), strict=True
    ):
        assert left.dtype == right.dtype
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def expected(hard: Callable[..., Any]) -> Any:
    case = hard()
    held = case.graph.nodes, case.graph.edges["features"], case.graph
    return compiled(*held, case.neighbours(), stock)


@pytest.mark.slow
def test_a_graph_network_is_the_same(
    hard: Callable[..., Any], expected: Any, backend: Backend
) -> None:
    """Values and gradients, the whole numbers among what the edges hold too."""
    case = hard()
    held = case.graph.nodes, case.graph.edges["features"], case.graph
    same(compiled(*held, case.neighbours(backend), ours), expected)


def test_a_graph_network_is_the_same_without_a_compilation(
    hard: Callable[..., Any], expected: Any
) -> None:
    case = hard()
    held = case.graph.nodes, case.graph.edges["features"], case.graph
    same(value_and_gradients(*held, case.neighbours("csr"), ours), expected)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["senders", "receivers"])
def test_sums_over_each_end(
    hard: Callable[..., Any], backend: Backend, end: str
) -> None:
    case = hard()
    aggregation = segment_aggregation(case.graph, neighbours=case.neighbours(backend))
    ids = getattr(case.graph, end)
    for name, values in case.graph.edges.items():
        got = aggregation(values, ids, case.num_nodes)
        expected = jraph.segment_sum(values, ids, case.num_nodes)
        assert got.dtype == values.dtype, name
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_the_sum_over_senders_scatters_nothing(hard: Callable[..., Any]) -> None:
    case = hard()
    aggregation = segment_aggregation(case.graph, neighbours=case.neighbours("csr"))

    def total(features: jax.Array) -> jax.Array:
        return jnp.sum(aggregation(features, case.graph.senders, case.num_nodes) ** 2)

    program = jax.jit(jax.grad(total)).lower(case.graph.edges["features"])
    assert "scatter" not in program.as_text()


def test_other_segments_are_refused(hard: Callable[..., Any]) -> None:
    """What cannot be told apart is not guessed."""
    case = hard()
    neighbours = case.neighbours()
    functions = (
        segment_aggregation(case.graph, neighbours=neighbours),
        segment_normalisation(case.graph, neighbours=neighbours),
    )
    for function in functions:
        with pytest.raises(ValueError, match="segment_ids: expected the"):
            function(case.graph.edges["weight"], jnp.array(case.graph.receivers), 12)
    with pytest.raises(ValueError, match="segment_ids: expected the receivers"):
        functions[1](case.graph.edges["weight"], case.graph.senders, 12)
