"""LightGCN of a few nodes: what the whole of it gives them, gradients too."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest

from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.chosen import lightgcn_of
from llmgnn_jax.graph.layers import lightgcn
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.plan import EdgePlan, sorted_graph

NODES, WIDTH = 40, 19
CHOSEN = {
    "some": [3, 17, 4, 39],
    "repeated": [5, 5, 0, 39, 5, 0],
    "one": [8],
    "none": [],
    "all, some twice": [*range(NODES), 1, 2],
}


@functools.cache
def directed() -> tuple[jraph.GraphsTuple, EdgePlan]:
    """Its transpose is another matrix; nodes from 30 on hear nobody."""
    rng = np.random.default_rng(0)
    senders, receivers = rng.integers(0, NODES, 300), rng.integers(0, 30, 300)
    weights = rng.uniform(0.1, 0.4, 300).astype(np.float32)
    return sorted_graph(
        senders, receivers, NODES, edges={"weight": weights}, buckets=True
    )


def check(
    of_some: Callable[..., tuple[jax.Array, jax.Array]],
    of_all: Callable[..., tuple[jax.Array, jax.Array]],
    ego: jax.Array,
    num_rows: int,
) -> None:
    rng = np.random.default_rng(2)
    directions = jnp.asarray(rng.normal(size=(2, num_rows, WIDTH)), jnp.float32)

    def pulled(function: Any) -> tuple[Any, list[jax.Array]]:
        @functools.partial(
            jax.jit, compiler_options={"xla_backend_optimization_level": 0}
        )
        def run(ego: jax.Array) -> tuple[Any, list[jax.Array]]:
            out, pull = jax.vjp(function, ego)
            # Of each output alone, and of both.
            first, second = directions
            none = jnp.zeros_like(first)
            pairs = (first, none), (none, second), (first, second)
            return out, [pull(pair)[0] for pair in pairs]

        return run(ego)

    (final, same), gradients = pulled(of_some)
    (expected, expected_ego), references = pulled(of_all)
    np.testing.assert_allclose(final, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(same, expected_ego)
    for gradient, reference in zip(gradients, references, strict=True):
        np.testing.assert_allclose(gradient, reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
@pytest.mark.parametrize("name", CHOSEN)
def test_equals_the_whole_layer(name: str, num_layers: int, backend: Backend) -> None:
    graph, plan = directed()
    chosen = jnp.asarray(CHOSEN[name], jnp.int32)
    ego = jnp.asarray(np.random.default_rng(1).normal(size=(NODES, WIDTH)), "f4")

    def of_some(ego: jax.Array) -> tuple[jax.Array, jax.Array]:
        return lightgcn_of(ego, chosen, plan, num_layers=num_layers, backend=backend)

    def of_all(ego: jax.Array) -> tuple[jax.Array, jax.Array]:
        whole = lightgcn(
            graph._replace(nodes=ego),
            num_layers=num_layers,
            neighbours=LocalNeighbourhood(plan=plan, backend="segment"),
        )
        return whole.nodes[chosen], ego[chosen]

    check(of_some, of_all, ego, len(CHOSEN[name]))


def test_without_an_edge(backend: Backend) -> None:
    none = np.zeros(0, np.int32)
    _, plan = sorted_graph(none, none, 5, edges={"weight": none}, buckets=True)
    ego, chosen = jnp.ones((5, WIDTH)), jnp.asarray([4, 4], jnp.int32)

    def loss(ego: jax.Array) -> jax.Array:
        final, same = lightgcn_of(ego, chosen, plan, num_layers=2, backend=backend)
        return (final + same).sum()

    value, gradient = jax.value_and_grad(loss)(ego)
    assert float(value) == pytest.approx(2 * WIDTH * (1 + 1 / 3))
    np.testing.assert_allclose(gradient[4], 2 * (1 + 1 / 3), rtol=1e-6)
    assert not gradient[:4].any()


def test_bfloat16_vectors(backend: Backend) -> None:
    _, plan = directed()
    ego = jnp.asarray(np.random.default_rng(1).normal(size=(NODES, WIDTH)), "bfloat16")
    chosen = jnp.asarray([3, 3, 17], jnp.int32)
    final, same = lightgcn_of(ego, chosen, plan, num_layers=2, backend=backend)
    exact, _ = lightgcn_of(
        ego.astype(jnp.float32), chosen, plan, num_layers=2, backend="segment"
    )
    assert final.dtype == same.dtype == jnp.bfloat16
    np.testing.assert_allclose(final.astype(jnp.float32), exact, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("wrong", [-1, NODES])
def test_the_kernel_reads_no_node_that_is_not_there(wrong: int, native: None) -> None:
    _, plan = directed()
    chosen = jnp.asarray([0, wrong], jnp.int32)

    def loss(ego: jax.Array) -> jax.Array:
        return lightgcn_of(ego, chosen, plan, num_layers=2, backend="native")[0].sum()

    with pytest.raises(Exception, match="chosen: expected numbers of nodes"):
        jax.block_until_ready(jax.grad(loss)(jnp.ones((NODES, WIDTH))))


def test_mapped_over_a_batch(backend: Backend) -> None:
    _, plan = directed()
    chosen = jnp.asarray([1, 5, 5], jnp.int32)
    ego = jnp.asarray(np.random.default_rng(0).normal(size=(3, NODES, 4)), "f4")

    def loss(ego: jax.Array) -> jax.Array:
        final, same = lightgcn_of(ego, chosen, plan, num_layers=2, backend=backend)
        return (jnp.tanh(final) * same).sum()

    together = jax.jit(jax.vmap(jax.grad(loss)))(ego)
    one = jax.jit(jax.grad(loss))
    np.testing.assert_allclose(
        together, np.stack([one(ego[i]) for i in range(3)]), rtol=1e-5, atol=1e-6
    )
