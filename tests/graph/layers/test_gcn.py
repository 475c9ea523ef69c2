"""GCN against its formula, and the weights of any list of edges."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.layers import GCNLayer, gcn_weights, with_self_loops
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.plan import sorted_graph
from llmgnn_jax.graph.structure import InteractionGraph, build

widths = pytest.mark.parametrize(("in_dim", "out_dim"), [(4, 2), (4, 6), (4, 4)])


def loop(nodes: np.ndarray, params: Mapping[str, np.ndarray], case: Any) -> np.ndarray:
    out = np.tile(params["bias"], (len(nodes), 1))
    for sender, receiver, weight in zip(
        *case.ends, case.of_edges("weight"), strict=True
    ):
        out[receiver] += weight * (nodes[sender] @ params["kernel"])
    return out


@widths
def test_values_and_gradients(
    hard: Callable[..., Any],
    agrees: Callable[..., None],
    in_dim: int,
    out_dim: int,
    backend: Backend,
) -> None:
    layer = GCNLayer(in_dim, out_dim, rngs=nnx.Rngs(0))
    assert not layer.bias[...].any()
    agrees(layer, hard(padding_edges=2, padding_nodes=1), loop, backend)


@widths
def test_it_is_kipf_and_wellings_formula(
    small: TrainSplit,
    dense_of: Callable[[InteractionGraph], np.ndarray],
    in_dim: int,
    out_dim: int,
) -> None:
    graph = build(small, self_loops=True, spare_users=1)
    layer = GCNLayer(in_dim, out_dim, rngs=nnx.Rngs(0))
    layer.bias[...] = jnp.arange(1.0, out_dim + 1)
    rng = np.random.default_rng(1)
    start = jnp.asarray(rng.normal(size=(graph.num_nodes, in_dim)), jnp.float32)
    neighbours = LocalNeighbourhood(plan=graph.plan, backend="csr")
    result = layer(graph.graph._replace(nodes=start), neighbours=neighbours)
    expected = (
        dense_of(graph)
        @ np.asarray(start, np.float64)
        @ np.asarray(layer.kernel[...], np.float64)
    ) + np.arange(1.0, out_dim + 1)
    assert result.nodes.shape == (graph.num_nodes, out_dim)
    np.testing.assert_allclose(result.nodes, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("self_loops", ["all", "missing", "none"])
@pytest.mark.parametrize("weighted", [True, False])
def test_weights_are_those_of_a_dense_matrix(weighted: bool, self_loops: str) -> None:
    # Node 3 has a self-edge, node 4 is alone, (0, 1) is there twice.
    senders, receivers = np.array([0, 0, 2, 3, 1]), np.array([1, 1, 0, 3, 3])
    weights = np.array([0.5, 1.5, 2.0, 3.0, 0.0]) if weighted else None
    edges = gcn_weights(senders, receivers, 5, weights=weights, self_loops=self_loops)
    matrix = np.zeros((5, 5))
    np.add.at(matrix, (receivers, senders), np.ones(5) if weights is None else weights)
    if self_loops == "all":
        matrix += np.eye(5)
    elif self_loops == "missing":
        matrix += np.diag([1.0, 1.0, 1.0, 0.0, 1.0])
    with np.errstate(divide="ignore"):
        scale = np.where(matrix.sum(1) > 0, matrix.sum(1) ** -0.5, 0.0)
    graph, _ = sorted_graph(edges.senders, edges.receivers, 5, edges=edges.edges)
    assert graph.edges["weight"].dtype == jnp.float32
    got = np.zeros((5, 5))
    ends = np.asarray(graph.receivers), np.asarray(graph.senders)
    np.add.at(got, ends, np.asarray(graph.edges["weight"]))
    expected = scale[:, None] * matrix * scale[None, :]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_negative_weights_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weights: expected none below 0, got -1"):
        gcn_weights(np.array([0]), np.array([1]), 2, weights=np.array([-1.0]))


def test_self_loops_hold_means() -> None:
    edges = with_self_loops(
        np.array([1, 2, 1]),
        np.array([0, 0, 1]),
        3,
        edges={
            "weight": np.array([5.0, 6.0, 7.0], np.float32),
            "features": np.array([[1.0, 0.0], [3.0, 4.0], [9.0, 9.0]], np.float32),
        },
    )
    # Node 1 has one already; nobody tells node 2 anything.
    assert edges.senders.tolist() == [1, 2, 1, 0, 2]
    assert edges.receivers.tolist() == [0, 0, 1, 0, 2]
    assert edges.edges["weight"].tolist() == [5, 6, 7, 1, 1]
    assert edges.edges["features"][3:].tolist() == [[2, 2], [0, 0]]
    assert edges.edges["features"].dtype == np.float32
    with pytest.raises(ValueError, match=r"edges\['relation'\]: expected floating"):
        with_self_loops(
            np.array([0]), np.array([1]), 2, edges={"relation": np.array([0])}
        )
