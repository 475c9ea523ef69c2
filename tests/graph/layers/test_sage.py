"""GraphSAGE against a slow loop."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.layers import SAGELayer


def loop_of(layer: SAGELayer) -> Callable[..., np.ndarray]:
    def loop(
        nodes: np.ndarray, params: Mapping[str, np.ndarray], case: Any
    ) -> np.ndarray:
        out = []
        senders, receivers = case.ends
        for node in range(len(nodes)):
            told = nodes[senders[receivers == node]]
            if layer.aggregator == "pool":
                told = np.maximum(told @ params["pool_kernel"] + params["pool_bias"], 0)
            if not len(told):
                heard = np.zeros(params["kernel"].shape[0])
            else:
                heard = told.mean(0) if layer.aggregator == "mean" else told.max(0)
            row = heard @ params["kernel"] + params["bias"]
            if layer.root:
                row = row + nodes[node] @ params["root_kernel"]
            if layer.normalise:
                row = row / np.sqrt((row**2).sum())
            out.append(row)
        return np.stack(out)

    return loop


@pytest.mark.parametrize(
    ("out_dim", "options"),
    [
        (3, {"aggregator": "mean"}),
        (6, {"aggregator": "mean", "root": False}),
        (3, {"aggregator": "max"}),
        (3, {"aggregator": "pool", "pool_dim": 5}),
        (6, {"aggregator": "pool", "normalise": True}),
    ],
)
def test_values_and_gradients(
    hard: Callable[..., Any],
    agrees: Callable[..., None],
    backend: Backend,
    out_dim: int,
    options: dict,
) -> None:
    layer = SAGELayer(4, out_dim, rngs=nnx.Rngs(0), **options)
    agrees(layer, hard(padding_edges=2, padding_nodes=1), loop_of(layer), backend)


def test_rows_of_zeros_have_no_direction(hard: Callable[..., Any]) -> None:
    """Nodes that know and hear nothing stay 0, and their gradients are 0 too."""
    case = hard()
    layer = SAGELayer(4, 3, normalise=True, rngs=nnx.Rngs(0))
    neighbours = case.neighbours()

    def total(nodes: jax.Array) -> jax.Array:
        return layer(
            case.graph._replace(nodes=nodes), neighbours=neighbours
        ).nodes.sum()

    nodes = case.graph.nodes.at[7:9].set(0)
    out = layer(case.graph._replace(nodes=nodes), neighbours=neighbours).nodes
    lengths = np.linalg.norm(out, axis=1)
    np.testing.assert_allclose(lengths, [1] * 7 + [0] * 2 + [1] * 3, rtol=1e-6)
    gradient = jax.grad(total)(nodes)
    assert jnp.isfinite(gradient).all()
    assert not gradient[8].any()
