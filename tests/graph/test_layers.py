"""LightGCN and GCN against their formulas, dense in float64."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.graph.layers import GCNLayer, lightgcn, local_aggregate
from llmgnn_jax.graph.structure import InteractionGraph, build

Dense = Callable[[InteractionGraph], np.ndarray]


def vectors(graph: InteractionGraph, width: int) -> jax.Array:
    rng = np.random.default_rng(1)
    return jnp.asarray(rng.normal(size=(graph.num_nodes, width)), jnp.float32)


@pytest.mark.parametrize("num_layers", [0, 1, 3])
def test_lightgcn_is_the_mean_of_its_powers(
    small: TrainSplit,
    normalised: Callable[..., tuple[np.ndarray, np.ndarray]],
    num_layers: int,
) -> None:
    graph = build(small, spare_users=1, spare_items=2, spare_edges=3)
    start = vectors(graph, 4)
    result = lightgcn(
        graph.graph._replace(nodes=start),
        num_layers=num_layers,
        aggregate=local_aggregate(graph.plan, backend="csr"),
    )
    matrix, _ = normalised(small, user_capacity=6, item_capacity=8, self_loops=False)
    powers = [np.linalg.matrix_power(matrix, n) for n in range(num_layers + 1)]
    expected = sum(powers) @ np.asarray(start, np.float64) / (num_layers + 1)
    np.testing.assert_allclose(result.nodes, expected, rtol=1e-5, atol=1e-6)
    # A graph in, the same graph out.
    for left, right in zip(
        jax.tree.leaves(result._replace(nodes=None)),
        jax.tree.leaves(graph.graph),
        strict=True,
    ):
        assert left is right


@pytest.mark.parametrize(("in_dim", "out_dim"), [(5, 2), (2, 5), (3, 3)])
def test_gcn_is_kipf_and_wellings_formula(
    small: TrainSplit, dense_of: Dense, in_dim: int, out_dim: int
) -> None:
    graph = build(small, self_loops=True, spare_users=1)
    layer = GCNLayer(in_dim, out_dim, rngs=nnx.Rngs(0))
    assert not layer.bias[...].any()
    layer.bias[...] = jnp.arange(1.0, out_dim + 1)
    start = vectors(graph, in_dim)
    aggregate = local_aggregate(graph.plan, backend="csr")
    result = layer(graph.graph._replace(nodes=start), aggregate=aggregate)
    expected = (
        dense_of(graph)
        @ np.asarray(start, np.float64)
        @ np.asarray(layer.kernel[...], np.float64)
    ) + np.arange(1.0, out_dim + 1)
    assert result.nodes.shape == (graph.num_nodes, out_dim)
    np.testing.assert_allclose(result.nodes, expected, rtol=1e-5, atol=1e-5)
