"""The aggregation: values and gradients against loops and dense autodiff."""

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest

from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.graph.aggregate import aggregate, resolve_backend
from llmgnn_jax.graph.layers import lightgcn, local_aggregate
from llmgnn_jax.graph.structure import EdgePlan, build

Backend = Literal["segment", "csr"]
Digraph = Callable[..., tuple[jraph.GraphsTuple, EdgePlan]]
backends = pytest.mark.parametrize("backend", ["segment", "csr"])

RNG = np.random.default_rng(7)
# 10 nodes, of which the last is the padding node; (senders, receivers).
CASES: dict[str, tuple[list[int], list[int]]] = {
    # 40 edges among 9 nodes: some are there twice, some lead to their own sender.
    "random": (RNG.integers(0, 9, 40).tolist(), RNG.integers(0, 9, 40).tolist()),
    "hub that hears all": (list(range(9)) * 3, [0] * 27),
    "hub that all hear": ([4] * 27, list(range(9)) * 3),
    "empty": ([], []),
    "isolated nodes": ([1, 5], [5, 1]),
    "duplicate edges": ([2, 2, 2], [3, 3, 3]),
    "self edges": ([0, 1, 8], [0, 1, 8]),
}
NODES, WIDTH, EDGES = 10, 3, 42


def loop(
    nodes: np.ndarray, weights: np.ndarray, senders: np.ndarray, receivers: np.ndarray
) -> np.ndarray:
    out = np.zeros(nodes.shape, np.float64)
    for weight, sender, receiver in zip(weights, senders, receivers, strict=True):
        for column in range(nodes.shape[1]):
            out[receiver, column] += float(weight) * float(nodes[sender, column])
    return out


def random_case(
    digraph: Digraph, name: str
) -> tuple[jraph.GraphsTuple, EdgePlan, jax.Array, jax.Array, jax.Array]:
    """Graph, plan, nodes, weights and a direction; one shape, so one compilation."""
    senders, receivers = CASES[name]
    rng = np.random.default_rng(3)
    graph, plan = digraph(
        senders,
        receivers,
        rng.normal(size=len(senders)),
        num_nodes=NODES,
        padding=EDGES - len(senders),
    )
    nodes, direction = jnp.asarray(rng.normal(size=(2, NODES, WIDTH)), jnp.float32)
    return graph, plan, nodes, graph.edges["weight"], direction


@functools.partial(jax.jit, static_argnames="backend")
@functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
def ours(
    nodes: jax.Array,
    weights: jax.Array,
    graph: jraph.GraphsTuple,
    plan: EdgePlan,
    direction: jax.Array,
    backend: Backend,
) -> tuple[jax.Array, jax.Array]:
    out = aggregate(graph._replace(nodes=nodes), plan, weights=weights, backend=backend)
    return jnp.sum(direction * jnp.tanh(out)), out


@jax.jit
@functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
def dense(
    nodes: jax.Array, weights: jax.Array, graph: jraph.GraphsTuple, direction: jax.Array
) -> tuple[jax.Array, jax.Array]:
    matrix = jnp.zeros((NODES, NODES)).at[graph.receivers, graph.senders].add(weights)
    out = jnp.matmul(matrix, nodes, precision="highest")
    return jnp.sum(direction * jnp.tanh(out)), out


@backends
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(digraph: Digraph, name: str, backend: Backend) -> None:
    graph, plan, nodes, weights, direction = random_case(digraph, name)
    (_, out), gradients = ours(nodes, weights, graph, plan, direction, backend)
    expected = loop(*map(np.asarray, (nodes, weights, graph.senders, graph.receivers)))
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
    _, references = dense(nodes, weights, graph, direction)
    for gradient, reference in zip(gradients, references, strict=True):
        assert gradient.shape == reference.shape
        np.testing.assert_allclose(gradient, reference, rtol=1e-5, atol=1e-5)


@backends
def test_gradients_are_finite_differences(digraph: Digraph, backend: Backend) -> None:
    graph, plan, nodes, weights, direction = random_case(digraph, "random")
    ends = np.asarray(graph.senders), np.asarray(graph.receivers)
    arguments = [np.asarray(nodes, np.float64), np.asarray(weights, np.float64)]

    def reference(nodes: np.ndarray, weights: np.ndarray) -> float:
        out = np.tanh(loop(nodes, weights, *ends))
        return float((np.asarray(direction, np.float64) * out).sum())

    _, gradients = ours(nodes, weights, graph, plan, direction, backend)
    step = 1e-6
    for which in range(2):
        for index in np.ndindex(arguments[which].shape):
            up, down = ([a.copy() for a in arguments] for _ in range(2))
            up[which][index] += step
            down[which][index] -= step
            slope = (reference(*up) - reference(*down)) / (2 * step)
            assert float(gradients[which][index]) == pytest.approx(
                slope, rel=1e-4, abs=1e-5
            )


@backends
def test_inside_scan_and_fori_loop(digraph: Digraph, backend: Backend) -> None:
    graph, plan, nodes, weights, direction = random_case(digraph, "random")

    def layer(nodes: jax.Array, weights: jax.Array) -> jax.Array:
        return aggregate(
            graph._replace(nodes=nodes), plan, weights=weights, backend=backend
        )

    @jax.jit
    def scanned(nodes: jax.Array, weights: jax.Array) -> jax.Array:
        out, _ = jax.lax.scan(
            lambda carry, _: (jnp.tanh(layer(carry, weights)), None), nodes, length=3
        )
        return jnp.sum(direction * out)

    def looped(nodes: jax.Array, weights: jax.Array) -> jax.Array:
        matrix = (
            jnp.zeros((NODES, NODES)).at[graph.receivers, graph.senders].add(weights)
        )
        for _ in range(3):
            nodes = jnp.tanh(jnp.matmul(matrix, nodes, precision="highest"))
        return jnp.sum(direction * nodes)

    value, gradients = jax.value_and_grad(scanned, argnums=(0, 1))(nodes, weights)
    expected, references = jax.value_and_grad(looped, argnums=(0, 1))(nodes, weights)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    for gradient, reference in zip(gradients, references, strict=True):
        np.testing.assert_allclose(gradient, reference, rtol=1e-5, atol=1e-5)

    # As in training: gradient steps in a loop of a traced length.
    @jax.jit
    def descended(nodes: jax.Array, count: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(
            0, count, lambda _, n: n - 0.1 * jax.grad(scanned)(n, weights), nodes
        )

    expected_nodes = nodes
    for _ in range(2):
        expected_nodes -= 0.1 * jax.grad(looped)(expected_nodes, weights)
    np.testing.assert_allclose(
        descended(nodes, jnp.int32(2)), expected_nodes, rtol=1e-5, atol=1e-5
    )


@backends
def test_bfloat16_nodes_are_summed_in_float32(
    digraph: Digraph, backend: Backend
) -> None:
    # A running sum in bfloat16 gets no further than 256 ones.
    thousand = [0] * 1000
    spread = [1 + e % 8 for e in range(1000)]
    ones = jnp.ones((NODES, 2), jnp.bfloat16)
    hears_all, hears_all_plan = digraph(spread, thousand, [1.0] * 1000, num_nodes=NODES)
    out = aggregate(hears_all._replace(nodes=ones), hears_all_plan, backend=backend)
    assert out.dtype == jnp.bfloat16
    assert out[0].tolist() == [1000.0, 1000.0]

    # The same over the edges that leave: a gradient of 1,000 ones.
    all_hear, plan = digraph(thousand, spread, [1.0] * 1000, num_nodes=NODES)

    def total(nodes: jax.Array) -> jax.Array:
        out = aggregate(all_hear._replace(nodes=nodes), plan, backend=backend)
        return jnp.sum(out.astype(jnp.float32))

    gradient = jax.grad(total)(ones)
    assert gradient.dtype == jnp.bfloat16
    assert gradient[0].tolist() == [1000.0, 1000.0]

    # And a sum of anything is the float32 sum, rounded once.
    rng = np.random.default_rng(0)
    some = jnp.asarray(rng.uniform(0.5, 1.5, (NODES, 2)), jnp.bfloat16)
    weights = jnp.asarray(rng.uniform(0.5, 1.5, 1001), jnp.float32)
    for_hub = functools.partial(
        aggregate, plan=hears_all_plan, weights=weights, backend=backend
    )
    in_float32 = for_hub(hears_all._replace(nodes=some.astype(jnp.float32)))
    rounded = for_hub(hears_all._replace(nodes=some))
    assert rounded.tolist() == in_float32.astype(jnp.bfloat16).tolist()


@backends
def test_repeats_bit_for_bit(digraph: Digraph, backend: Backend) -> None:
    graph, plan, nodes, weights, direction = random_case(digraph, "random")

    def loss(nodes: jax.Array, weights: jax.Array) -> jax.Array:
        out = aggregate(
            graph._replace(nodes=nodes), plan, weights=weights, backend=backend
        )
        return jnp.sum(direction * out)

    def run(compiled: Any) -> list[np.ndarray]:
        value, gradients = compiled(nodes, weights)
        return [np.asarray(leaf) for leaf in (value, *gradients)]

    one, other = (jax.jit(jax.value_and_grad(loss, argnums=(0, 1))) for _ in range(2))
    first = run(one)
    for again in (*(run(one) for _ in range(5)), run(other)):
        for left, right in zip(first, again, strict=True):
            np.testing.assert_array_equal(left, right)


@backends
@pytest.mark.parametrize("seed", range(2))
def test_more_padding_changes_nothing(
    train_split: Callable[..., TrainSplit], backend: Backend, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    num_users, num_items = rng.integers(2, 12, 2).tolist()
    size = int(rng.integers(1, 40))
    train = train_split(
        rng.integers(0, num_users, size),
        rng.integers(0, num_items, size),
        num_users,
        num_items,
    )
    vectors, direction = rng.normal(size=(2, num_users + num_items, 4)).astype("f4")

    def run(spare: tuple[int, int, int]) -> list[np.ndarray]:
        graph = build(
            train, spare_users=spare[0], spare_items=spare[1], spare_edges=spare[2]
        )

        def slots(rows: np.ndarray, fill: float) -> jax.Array:
            users, items = rows[:num_users], rows[num_users:]
            # What lies in the spare slots must not matter.
            users, items = (
                np.pad(part, ((0, extra), (0, 0)), constant_values=fill)
                for part, extra in ((users, spare[0]), (items, spare[1]))
            )
            return graph.join_nodes(jnp.asarray(users), jnp.asarray(items))

        def out(nodes: jax.Array) -> jax.Array:
            propagated = lightgcn(
                graph.graph._replace(nodes=nodes),
                num_layers=2,
                aggregate=local_aggregate(graph.plan, backend=backend),
            )
            return propagated.nodes

        @jax.jit
        def both(nodes: jax.Array, direction: jax.Array) -> tuple[jax.Array, ...]:
            result, pullback = jax.vjp(out, nodes)
            return result, *pullback(direction)

        result, gradient = both(slots(vectors, 99.0), slots(direction, 0.0))
        return [
            np.asarray(part)[:used]
            for rows in (result, gradient)
            for part, used in zip(
                graph.split_nodes(rows), (num_users, num_items), strict=True
            )
        ]

    plain = run((0, 0, 0))
    for spare in ((0, 0, 13), (3, 0, 1), (2, 5, 40)):
        for left, right in zip(plain, run(spare), strict=True):
            np.testing.assert_array_equal(left, right)


def test_no_scatter_is_left_in_a_training_step(digraph: Digraph) -> None:
    graph, plan, nodes, weights, direction = random_case(digraph, "random")

    def planned(nodes: jax.Array, weights: jax.Array) -> jax.Array:
        out = aggregate(
            graph._replace(nodes=nodes), plan, weights=weights, backend="csr"
        )
        return jnp.sum(direction * jnp.tanh(out))

    def autodiff(nodes: jax.Array, weights: jax.Array) -> jax.Array:
        messages = nodes[graph.senders] * weights[:, None]
        out = jax.ops.segment_sum(messages, graph.receivers, NODES)
        return jnp.sum(direction * jnp.tanh(out))

    def programs(loss: Any) -> tuple[str, str]:
        step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
        lowered = step.lower(nodes, weights)
        return lowered.as_text(), lowered.compile().as_text()

    as_written, optimized = programs(planned)
    assert "stablehlo.scatter" not in as_written
    assert "scatter(" not in optimized
    # The same words are found where there is one to find.
    as_written, optimized = programs(autodiff)
    assert "stablehlo.scatter" in as_written
    assert "scatter(" in optimized


def test_the_weights_of_the_graph_are_the_default(digraph: Digraph) -> None:
    graph, plan, nodes, weights, _ = random_case(digraph, "random")
    filled = graph._replace(nodes=nodes)
    np.testing.assert_array_equal(
        aggregate(filled, plan), aggregate(filled, plan, weights=weights)
    )


def test_auto_goes_by_the_device() -> None:
    assert resolve_backend("auto") == "csr"  # tests run on the CPU
    assert resolve_backend("segment") == "segment"
    assert resolve_backend("csr") == "csr"
    with pytest.raises(ValueError, match="expected segment, csr or auto, got 'dense'"):
        resolve_backend("dense")
