"""What holds for all layers: padding changes nothing, a sampled tree is a graph."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.graph.layers import (
    EdgeUpdateLayer,
    GATLayer,
    GATv2Layer,
    GCNLayer,
    RGCNLayer,
    SAGELayer,
)
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.plan import sorted_graph
from llmgnn_jax.graph.sampling import TreeNeighbourhood

LAYERS: dict[str, Callable[..., nnx.Module]] = {
    "gcn": functools.partial(GCNLayer, 4, 3),
    "sage mean": functools.partial(SAGELayer, 4, 3, normalise=True),
    "sage max": functools.partial(SAGELayer, 4, 6, aggregator="max"),
    "sage pool": functools.partial(SAGELayer, 4, 3, aggregator="pool"),
    "gat": functools.partial(GATLayer, 4, 2, heads=2, edge_dim=3, residual=True),
    "gatv2": functools.partial(GATv2Layer, 4, 2, heads=2, edge_dim=3, residual=True),
    "edge sum": functools.partial(EdgeUpdateLayer, 4, 4, edge_dim=3),
    "edge mean": functools.partial(EdgeUpdateLayer, 4, 4, aggregation="mean"),
    "edge weighted": functools.partial(EdgeUpdateLayer, 4, 4, aggregation="weighted"),
    "edge attention": functools.partial(EdgeUpdateLayer, 4, 4, aggregation="attention"),
    "rgcn": functools.partial(RGCNLayer, 4, 3, num_relations=3),
    "rgcn bases": functools.partial(RGCNLayer, 4, 6, num_relations=3, num_bases=2),
}
# Most of the time goes into compiling what runs once.
QUICKLY = {"xla_backend_optimization_level": 0}
every_layer = pytest.mark.parametrize("name", LAYERS)


@every_layer
def test_more_padding_changes_nothing(
    hard: Callable[..., Any], drawn: Callable[..., Any], name: str
) -> None:
    definition, params = drawn(LAYERS[name](rngs=nnx.Rngs(0)))

    def run(case: Any) -> Any:
        real, neighbours = case.num_nodes, case.neighbours()

        @functools.partial(jax.value_and_grad, has_aux=True)
        def total(params: dict) -> tuple[jax.Array, jax.Array]:
            layer = nnx.merge(definition, params)
            out = layer(case.graph, neighbours=neighbours).nodes[:real]
            return jnp.sum(jnp.sin(out)), out

        return jax.jit(total, compiler_options=QUICKLY)(params)

    without = run(hard())
    padded = run(hard(padding_edges=13, padding_nodes=5))
    for left, right in zip(
        jax.tree.leaves(without), jax.tree.leaves(padded), strict=True
    ):
        assert np.abs(left).max() > 0
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@every_layer
def test_a_tree_is_a_graph(drawn: Callable[..., Any], name: str) -> None:
    """The same layer hears the same on a tree as on its edges as any graph.

    2 seeds with 3 slots each, 6 nodes with 2 each; some slots are empty. What the nodes
    hold is given by the tree's nodes, or in a table of the nodes of a larger graph.
    """
    definition, params = drawn(LAYERS[name](rngs=nnx.Rngs(0)))
    rng = np.random.default_rng(6)
    masks = (np.array([[1, 1, 0], [1, 1, 1]]), rng.integers(0, 2, (6, 2)))
    present = np.concatenate([mask.reshape(-1) for mask in masks]).astype(bool)
    num_edges = len(present)
    num_nodes, num_parents = 2 + num_edges, 2 + 6
    receivers = np.concatenate(
        [np.repeat(np.arange(2), 3), np.repeat(2 + np.arange(6), 2)]
    )
    senders = 2 + np.arange(num_edges)
    edges = {
        "weight": rng.uniform(0.5, 1.5, num_edges).astype(np.float32),
        "features": rng.normal(size=(num_edges, 3)).astype(np.float32),
        "relation": rng.integers(0, 3, num_edges).astype(np.int32),
    }
    graph, plan = sorted_graph(
        senders[present],
        receivers[present],
        num_nodes,
        edges={key: values[present] for key, values in edges.items()},
    )
    tree = jraph.GraphsTuple(
        nodes=None,
        edges={key: jnp.asarray(values) for key, values in edges.items()},
        senders=jnp.asarray(senders, jnp.int32),
        receivers=jnp.asarray(receivers, jnp.int32),
        globals=None,
        n_node=jnp.asarray([num_nodes]),
        n_edge=jnp.asarray([num_edges]),
    )
    in_tree = TreeNeighbourhood(
        masks=tuple(jnp.asarray(mask, bool) for mask in masks),
        weights=jnp.where(present, tree.edges["weight"], 0),
    )
    places = jnp.asarray(rng.permutation(30)[:num_nodes], jnp.int32)
    table = jnp.asarray(rng.normal(size=(30, 4)), jnp.float32)

    def run(graph: jraph.GraphsTuple, neighbours: Any, held: jax.Array) -> Any:
        @functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
        def total(nodes: jax.Array, params: dict) -> tuple[jax.Array, jax.Array]:
            layer = nnx.merge(definition, params)
            out = layer(graph._replace(nodes=nodes), neighbours=neighbours).nodes
            return jnp.sum(jnp.sin(out[:num_parents])), out

        (_, out), (gradient, gradients) = jax.jit(total, compiler_options=QUICKLY)(
            held, params
        )
        return out, gradient, gradients

    def same(got: Any, expected: Any) -> None:
        for left, right in zip(
            jax.tree.leaves(got), jax.tree.leaves(expected), strict=True
        ):
            np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)

    in_graph = LocalNeighbourhood(plan=plan, backend="segment")
    out, gradient, gradients = run(graph, in_graph, table[places])
    expected = out[:num_parents], gradient, gradients
    same(run(tree, in_tree, table[places]), expected)
    from_table = dataclasses.replace(in_tree, table_ids=places)
    out, gradient, gradients = run(tree, from_table, table)
    assert not np.delete(np.asarray(gradient), places, axis=0).any()
    same((out, gradient[places], gradients), expected)
