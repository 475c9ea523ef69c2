"""Edge-updating layers against slow loops and against `jraph.GraphNetwork`."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.layers import EdgeUpdateLayer, edge_update

AGGREGATIONS = ("sum", "mean", "weighted", "attention")
Params = Mapping[str, Any]


def loop_of(layer: EdgeUpdateLayer) -> Callable[..., np.ndarray]:
    def loop(nodes: np.ndarray, params: Params, case: Any) -> np.ndarray:
        senders, receivers = case.ends
        features, weights = case.of_edges("features"), case.of_edges("weight")
        width = params["message_bias"].shape[0]
        out = []
        for node in range(len(nodes)):
            into = np.flatnonzero(receivers == node)
            told = np.zeros((len(into), width))
            for row, edge in enumerate(into):
                met = [nodes[node], nodes[senders[edge]]]
                met += [features[edge]] if layer.edge_dim else []
                told[row] = np.tanh(
                    np.concatenate(met) @ params["message_kernel"]
                    + params["message_bias"]
                )
            shares = np.ones(len(into))
            if layer.aggregation == "mean":
                shares = shares / max(len(into), 1)
            elif layer.aggregation == "weighted":
                shares = weights[into]
            elif layer.aggregation == "attention":
                powers = np.exp(told @ params["attention"][:, 0])
                shares = powers / powers.sum()
            heard = shares @ told
            if layer.update != "linear":
                heard = np.tanh(heard @ params["kernel"] + params["bias"])
            if layer.update != "nonlinear":
                heard = nodes[node] + heard
            out.append(heard)
        return np.stack(out)

    return loop


@pytest.mark.parametrize(
    ("aggregation", "update", "out_dim"),
    [
        ("sum", "linear", 4),
        ("mean", "residual", 4),
        ("weighted", "nonlinear", 6),
        ("attention", "residual", 4),
    ],
)
def test_values_and_gradients(
    hard: Callable[..., Any],
    agrees: Callable[..., None],
    backend: Backend,
    aggregation: Any,
    update: Any,
    out_dim: int,
) -> None:
    layer = EdgeUpdateLayer(
        4,
        out_dim,
        edge_dim=0 if aggregation == "mean" else 3,
        aggregation=aggregation,
        update=update,
        activation=jnp.tanh,
        rngs=nnx.Rngs(0),
    )
    agrees(layer, hard(padding_edges=2, padding_nodes=1), loop_of(layer), backend)


def message(
    params: Params, h_v: jax.Array, h_w: jax.Array, e: jax.Array | None
) -> jax.Array:
    assert e is not None
    both = jnp.concatenate([h_v, h_w, e], axis=1)
    return jnp.tanh(both @ params["message"])


def logits(params: Params, h_v: jax.Array, h_w: jax.Array, h_e: jax.Array) -> jax.Array:
    return jnp.sum(h_v * h_w, axis=1) + h_e @ params["attention"]


def update(params: Params, h: jax.Array, a: jax.Array) -> jax.Array:
    return h @ params["own"] + jnp.tanh(a @ params["heard"])


def jraph_network(
    graph: jraph.GraphsTuple, params: Params, aggregation: str
) -> jraph.GraphsTuple:
    """Stock jraph with the same functions."""
    segments: Any = jraph.segment_mean if aggregation == "mean" else jraph.segment_sum
    held = graph.edges
    if aggregation == "weighted":

        def segments(data: jax.Array, ids: jax.Array, number: int) -> jax.Array:
            return jraph.segment_sum(data * held["weight"][:, None], ids, number)

    attention: dict[str, Any] = {}
    if aggregation == "attention":
        attention = {
            "attention_logit_fn": lambda e, s, r, _: logits(params, r, s, e),
            "attention_reduce_fn": lambda e, shares: e * shares[:, None],
        }
    network = jraph.GraphNetwork(
        update_edge_fn=lambda e, s, r, _: message(params, r, s, e),
        update_node_fn=lambda h, sent, received, _: update(params, h, received),
        aggregate_edges_for_nodes_fn=segments,
        **attention,
    )
    result = network(graph._replace(edges=held["features"]))
    return result._replace(edges={**held, "features": result.edges})


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_it_is_a_graph_network(hard: Callable[..., Any], aggregation: Any) -> None:
    case = hard()
    rng = np.random.default_rng(4)
    shapes = {"message": (11, 5), "attention": (5,), "own": (4, 3), "heard": (5, 3)}
    params = {
        name: jnp.asarray(rng.normal(size=shape), jnp.float32)
        for name, shape in shapes.items()
    }
    direction = jnp.asarray(rng.normal(size=(case.num_nodes, 3)), jnp.float32)
    edge_direction = jnp.asarray(rng.normal(size=(case.num_edges, 5)), jnp.float32)

    def ours(graph: jraph.GraphsTuple, params: Params) -> jraph.GraphsTuple:
        return edge_update(
            graph,
            message=functools.partial(message, params),
            update=functools.partial(update, params),
            logits=functools.partial(logits, params),
            neighbours=case.neighbours("csr"),
            aggregation=aggregation,
        )

    def theirs(graph: jraph.GraphsTuple, params: Params) -> jraph.GraphsTuple:
        return jraph_network(graph, params, aggregation)

    def run(layer: Callable[..., jraph.GraphsTuple]) -> Any:
        @functools.partial(jax.value_and_grad, argnums=(0, 1, 2), has_aux=True)
        def total(
            nodes: jax.Array, features: jax.Array, params: Params
        ) -> tuple[jax.Array, jraph.GraphsTuple]:
            edges = {**case.graph.edges, "features": features}
            out = layer(case.graph._replace(nodes=nodes, edges=edges), params)
            loss = jnp.sum(direction * out.nodes)
            return loss + jnp.sum(edge_direction * out.edges["features"]), out

        held = case.graph.nodes, case.graph.edges["features"], params
        (_, out), gradients = jax.jit(total)(*held)
        return out, gradients

    got, expected = run(ours), run(theirs)
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for left, right in zip(
        jax.tree.leaves(got), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(left, right, rtol=2e-5, atol=2e-5)


def test_what_is_missing_is_named(hard: Callable[..., Any]) -> None:
    case = hard()
    neighbours = case.neighbours()
    bare = case.graph._replace(edges=None)
    layer = EdgeUpdateLayer(4, 4, aggregation="weighted", rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r'edges\["weight"\]: expected for "weighted"'):
        layer(bare, neighbours=neighbours)
    with pytest.raises(ValueError, match="logits: expected for aggregation"):
        edge_update(
            bare,
            message=lambda h_v, h_w, e: h_w,
            update=lambda h, a: a,
            neighbours=neighbours,
            aggregation="attention",
        )
    with pytest.raises(ValueError, match=r"out_dim: expected in_dim \(4\)"):
        EdgeUpdateLayer(4, 5, update="linear", rngs=nnx.Rngs(0))
