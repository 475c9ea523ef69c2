"""The narrower side is sent over the edges, and in a tree few rows are multiplied."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.graph.layers.products import times_kernel


@pytest.mark.parametrize(
    ("out_dim", "heard", "sent_dim"), [(2, 5, 2), (7, 5, 4), (4, 5, 4), (2, 3, 4)]
)
def test_what_is_sent(out_dim: int, heard: int, sent_dim: int) -> None:
    rng = np.random.default_rng(0)
    matrix, nodes, kernel = (
        jnp.asarray(rng.normal(size=shape), jnp.float32)
        for shape in ((heard, 5), (5, 4), (4, out_dim))
    )
    widths = []

    def combine(nodes: jax.Array) -> jax.Array:
        widths.append(nodes.shape[1])
        return matrix @ nodes

    out = times_kernel(combine, nodes, kernel)
    assert widths[-1] == sent_dim
    np.testing.assert_allclose(out, matrix @ nodes @ kernel, rtol=1e-5, atol=1e-5)
