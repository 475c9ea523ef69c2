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
    "repeated": [5, 5, 0, 39, 5, 0],
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


@functools.partial(
    jax.jit,
    static_argnames=("num_layers", "backend"),
    compiler_options={"xla_backend_optimization_level": 0},
)
def ours(
    ego: jax.Array,
    chosen: jax.Array,
    plan: EdgePlan,
    directions: tuple[jax.Array, jax.Array],
    num_layers: int,
    backend: Backend,
) -> tuple[Any, jax.Array]:
    """Both outputs, and the gradient along a direction of each."""

    def of_some(ego: jax.Array) -> tuple[jax.Array, jax.Array]:
        return lightgcn_of(ego, chosen, plan, num_layers=num_layers, backend=backend)

    out, pull = jax.vjp(of_some, ego)
    return out, pull(directions)[0]


@functools.cache
def whole_layer(num_layers: int) -> Callable[[jax.Array], jax.Array]:
    """(N, D) -> (N, D), compiled once: the layer of the whole graph."""
    graph, plan = directed()

    @jax.jit
    def run(ego: jax.Array) -> jax.Array:
        return lightgcn(
            graph._replace(nodes=ego),
            num_layers=num_layers,
            neighbours=LocalNeighbourhood(plan=plan, backend="segment"),
        ).nodes

    return run


@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
@pytest.mark.parametrize("name", CHOSEN)
def test_equals_the_whole_layer(name: str, num_layers: int, backend: Backend) -> None:
    _, plan = directed()
    rng = np.random.default_rng(1)
    rows, chosen = CHOSEN[name], jnp.asarray(CHOSEN[name], jnp.int32)
    ego = jnp.asarray(rng.normal(size=(NODES, WIDTH)), jnp.float32)
    one, other = jnp.asarray(rng.normal(size=(2, len(rows), WIDTH)), jnp.float32)
    whole, none = whole_layer(num_layers), jnp.zeros_like(one)
    expected = np.asarray(whole(ego))[rows]
    # Of each output alone, and of both.
    for of_final, of_ego in ((one, none), (none, other), (one, other)):
        (final, same), gradient = ours(
            ego, chosen, plan, (of_final, of_ego), num_layers, backend
        )
        np.testing.assert_allclose(final, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(same, np.asarray(ego)[rows])
        on_nodes = np.zeros((2, NODES, WIDTH), np.float32)
        for direction, into in zip((of_final, of_ego), on_nodes, strict=True):
            np.add.at(into, rows, np.asarray(direction))
        _, pull = jax.vjp(whole, ego)
        reference = np.asarray(pull(jnp.asarray(on_nodes[0]))[0]) + on_nodes[1]
        np.testing.assert_allclose(gradient, reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_layers", [1, 3])
def test_in_float64_by_hand(num_layers: int, backend: Backend) -> None:
    _, plan = directed()
    matrix = np.zeros((NODES, NODES))
    incoming = plan.incoming
    for sender, receiver, weight in zip(
        *map(np.asarray, (incoming.others, incoming.own, incoming.weights)), strict=True
    ):
        matrix[receiver, sender] += weight
    powers = [np.linalg.matrix_power(matrix, n) for n in range(num_layers + 1)]
    operator, rows = sum(powers) / len(powers), CHOSEN["repeated"]
    rng = np.random.default_rng(3)
    ego, directions = (
        jnp.asarray(rng.normal(size=shape), jnp.float32)
        for shape in ((NODES, WIDTH), (2, len(rows), WIDTH))
    )
    (final, _), gradient = ours(
        ego, jnp.asarray(rows), plan, tuple(directions), num_layers, backend
    )
    doubles = np.asarray(ego, np.float64), np.asarray(directions, np.float64)
    np.testing.assert_allclose(final, (operator @ doubles[0])[rows], atol=1e-5)
    back = np.zeros((NODES, WIDTH))
    for number, row in enumerate(rows):
        back += operator[row][:, None] * doubles[1][0, number][None, :]
        back[row] += doubles[1][1, number]
    np.testing.assert_allclose(gradient, back, atol=1e-5)


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
    run = jax.jit(functools.partial(lightgcn_of, num_layers=2, backend=backend))
    final, same = run(ego, chosen, plan)
    exact = np.asarray(whole_layer(2)(ego.astype(jnp.float32)))[[3, 3, 17]]
    assert final.dtype == same.dtype == jnp.bfloat16
    np.testing.assert_allclose(final.astype(jnp.float32), exact, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("wrong", [-1, NODES])
def test_the_kernel_reads_no_node_that_is_not_there(wrong: int, native: None) -> None:
    _, plan = directed()
    chosen = jnp.asarray([0, wrong], jnp.int32)

    def loss(ego: jax.Array) -> jax.Array:
        return lightgcn_of(ego, chosen, plan, num_layers=2, backend="native")[0].sum()

    with pytest.raises(Exception, match="expected numbers of nodes"):
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
