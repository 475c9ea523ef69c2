"""LightGCN against powers of a dense matrix in float64."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.layers import lightgcn
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.structure import build


@pytest.mark.parametrize("num_layers", [0, 1, 3])
def test_it_is_the_mean_of_its_powers(
    small: TrainSplit,
    normalised: Callable[..., tuple[np.ndarray, np.ndarray]],
    num_layers: int,
    backend: Backend,
) -> None:
    graph = build(small, spare_users=1, spare_items=2, spare_edges=3, buckets=True)
    rng = np.random.default_rng(1)
    start = jnp.asarray(rng.normal(size=(graph.num_nodes, 4)), jnp.float32)
    result = lightgcn(
        graph.graph._replace(nodes=start),
        num_layers=num_layers,
        neighbours=LocalNeighbourhood(plan=graph.plan, backend=backend),
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
