"""The aggregation: values and gradients against float64, on every backend."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest

from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.graph.aggregate import (
    Backend,
    aggregate,
    edge_softmax,
    gather_receivers,
    gather_senders,
    maximum,
    sum_edges,
    weighted_sum,
)
from llmgnn_jax.graph.layers import lightgcn
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.plan import EdgePlan, plan_edges
from llmgnn_jax.graph.structure import build

Digraph = Callable[..., tuple[jraph.GraphsTuple, EdgePlan]]

RNG = np.random.default_rng(7)
# 10 nodes, of which the last is the padding node; (senders, receivers).
CASES: dict[str, tuple[list[int], list[int]]] = {
    # 40 edges among 9 nodes: some are there twice, some lead to their own sender.
    "random": (RNG.integers(0, 9, 40).tolist(), RNG.integers(0, 9, 40).tolist()),
    "random too": (RNG.integers(0, 9, 31).tolist(), RNG.integers(0, 9, 31).tolist()),
    "hub that hears all": (list(range(9)) * 3, [0] * 27),
    "hub that all hear": ([4] * 27, list(range(9)) * 3),
    "empty": ([], []),
    "isolated nodes": ([1, 5], [5, 1]),
    "duplicate edges": ([2, 2, 2], [3, 3, 3]),
    "self edges": ([0, 1, 8], [0, 1, 8]),
    "both ways": ([0, 1, 1, 2, 3, 3], [1, 0, 2, 1, 3, 3]),
}
NODES, WIDTH, EDGES = 10, 3, 42
# What is compiled for one test alone need not be optimised.
compiled = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def ends_of(plan: EdgePlan) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(plan.incoming.others), np.asarray(plan.incoming.own)


def doubles(*arrays: jax.Array) -> list[np.ndarray]:
    return [np.asarray(array).astype(np.float64) for array in arrays]


def assert_close(ours: jax.Array, expected: np.ndarray, terms: np.ndarray) -> None:
    """To 1e-5 of the sum of the absolute terms; and of bfloat16 to its rounding."""
    assert ours.shape == expected.shape
    error = np.abs(np.asarray(ours).astype(np.float64) - expected)
    rounding = 2.0**-8 if ours.dtype == jnp.bfloat16 else 0.0
    assert (error <= 1e-5 * terms + rounding * np.abs(expected) + 1e-30).all()


def summed(rows: np.ndarray, into: np.ndarray, count: int) -> np.ndarray:
    """A loop over edges, each added to the row that it leads into."""
    out = np.zeros((count, *rows.shape[1:]))
    for row, node in zip(rows, into, strict=True):
        out[node] += row
    return out


def with_terms(
    rows: np.ndarray, into: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    return summed(rows, into, count), summed(np.abs(rows), into, count)


@functools.partial(compiled, static_argnums=4)
def pulled(
    nodes: jax.Array,
    weights: jax.Array | None,
    direction: jax.Array,
    plan: EdgePlan,
    backend: Backend,
) -> tuple[jax.Array, ...]:
    """The weighted sum, and its gradients along a direction."""
    out, pull = jax.vjp(
        lambda n, w: weighted_sum(n, w, plan, backend=backend), nodes, weights
    )
    return out, *pull(direction)


@functools.partial(compiled, static_argnums=(0, 4))
def pulled_through(
    operation: Callable[..., jax.Array],
    values: jax.Array,
    direction: jax.Array,
    plan: EdgePlan,
    backend: Backend,
) -> tuple[jax.Array, ...]:
    """Any operation of one array, and its gradient along a direction."""
    out, pull = jax.vjp(lambda v: operation(v, plan, backend=backend), values)
    return out, *pull(direction)


def check_weighted_sum(
    nodes: jax.Array,
    weights: jax.Array | None,
    direction: jax.Array,
    plan: EdgePlan,
    backend: Backend,
) -> None:
    """Values, and the gradients along a direction, against loops in float64."""

    out, nodes_gradient, weights_gradient = pulled(
        nodes, weights, direction, plan, backend
    )
    assert out.dtype == nodes_gradient.dtype == nodes.dtype
    senders, receivers = ends_of(plan)
    used = plan.incoming.weights if weights is None else weights
    held, along, scale = doubles(nodes, direction, used)
    scale, count = scale[..., None], len(nodes)
    assert_close(out, *with_terms(scale * held[senders], receivers, count))
    back = with_terms(scale * along[receivers], senders, count)
    assert_close(nodes_gradient, *back)
    if weights is not None:
        products = along[receivers] * held[senders]
        assert weights_gradient.dtype == weights.dtype
        assert_close(
            weights_gradient, products.sum(axis=-1), np.abs(products).sum(axis=-1)
        )


def random_case(
    digraph: Digraph, name: str, *, seed: int = 3
) -> tuple[jraph.GraphsTuple, EdgePlan, jax.Array, jax.Array, jax.Array]:
    """Graph, plan, nodes, weights and a direction."""
    senders, receivers = CASES[name]
    rng = np.random.default_rng(seed)
    graph, plan = digraph(
        senders,
        receivers,
        rng.normal(size=len(senders)),
        num_nodes=NODES,
        padding=EDGES - len(senders),
    )
    nodes, direction = jnp.asarray(rng.normal(size=(2, NODES, WIDTH)), jnp.float32)
    return graph, plan, nodes, graph.edges["weight"], direction


def normal(*shape: int, seed: int = 0, dtype: Any = jnp.float32) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


# the weighted sum


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(digraph: Digraph, name: str, backend: Backend) -> None:
    _, plan, nodes, weights, direction = random_case(digraph, name)
    check_weighted_sum(nodes, weights, direction, plan, backend)
    check_weighted_sum(nodes, None, direction, plan, backend)


@pytest.mark.parametrize("num_nodes", [0, 1, 5])
def test_a_graph_without_edges(num_nodes: int, backend: Backend) -> None:
    none = np.zeros(0, np.int32)
    plan = plan_edges(none, none, num_nodes, weights=np.zeros(0), buckets=True)
    nodes = jnp.ones((num_nodes, 2))
    for weights in (None, jnp.zeros(0)):
        check_weighted_sum(nodes, weights, nodes, plan, backend)
    assert sum_edges(jnp.ones((0, 3)), plan, backend=backend).tolist() == (
        [[0.0] * 3] * num_nodes
    )
    assert gather_senders(nodes, plan, backend=backend).shape == (0, 2)
    assert edge_softmax(jnp.zeros((0, 4)), plan, backend=backend).shape == (0, 4)
    assert not maximum(nodes, plan, backend=backend).any()
    gradient = jax.grad(lambda n: maximum(n, plan, backend=backend).sum())(nodes)
    assert gradient.shape == nodes.shape
    assert not gradient.any()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("width", [1, 17, 130])
def test_widths(digraph: Digraph, width: int, dtype: Any, backend: Backend) -> None:
    _, plan, _, weights, _ = random_case(digraph, "random", seed=width)
    nodes, direction = (normal(NODES, width, seed=s, dtype=dtype) for s in (1, 2))
    check_weighted_sum(nodes, weights, direction, plan, backend)
    check_weighted_sum(nodes, None, direction, plan, backend)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("width", [2, 3, 7, 16, 31, 32, 64, 100, 128, 256])
def test_every_path_of_the_kernel(
    digraph: Digraph, width: int, dtype: Any, native: None
) -> None:
    _, plan, _, weights, _ = random_case(digraph, "random", seed=width)
    nodes, direction = (normal(NODES, width, seed=s, dtype=dtype) for s in (1, 2))
    check_weighted_sum(nodes, weights, direction, plan, "native")
    check_weighted_sum(nodes, None, direction, plan, "native")


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("heads", [(1, 16), (4, 16), (6, 16), (3, 5), (4, 1)])
def test_heads_have_weights_of_their_own(
    digraph: Digraph, heads: tuple[int, int], dtype: Any, backend: Backend
) -> None:
    _, plan, *_ = random_case(digraph, "random")
    nodes, direction = (normal(NODES, *heads, seed=s, dtype=dtype) for s in (1, 2))
    weights = normal(EDGES, heads[0], seed=3)
    check_weighted_sum(nodes, weights, direction, plan, backend)


@pytest.mark.parametrize("seed", range(2))
def test_graphs_drawn_at_random(seed: int, backend: Backend) -> None:
    # Degrees from 0 to hundreds: many widths of block, several tasks of a kernel.
    rng = np.random.default_rng(seed)
    num_nodes, num_edges = int(rng.integers(50, 400)), int(rng.integers(4000, 9000))
    receivers = np.sort(np.floor(num_nodes * rng.random(num_edges) ** 3).astype(int))
    senders = np.floor(num_nodes * rng.random(num_edges) ** 2).astype(int)
    plan = plan_edges(
        senders,
        receivers,
        num_nodes,
        weights=rng.normal(size=num_edges),
        buckets=True,
    )
    nodes, direction = (normal(num_nodes, 19, seed=seed + s) for s in (1, 2))
    weights = normal(num_edges, seed=seed)
    check_weighted_sum(nodes, weights, direction, plan, backend)
    check_weighted_sum(nodes, None, direction, plan, backend)


HUB = 70_000
"""More than 256 x 256: the rows of a hub are themselves a hub's."""


def hub_plan(num_edges: int = HUB) -> EdgePlan:
    """One node that hears all, of 300 that send; node 1 has 300 edges, 2 has none."""
    into_hub = np.arange(num_edges) % 300
    senders = np.concatenate([np.sort(into_hub), np.arange(300)])
    receivers = np.concatenate([np.zeros(num_edges, int), np.ones(300, int)])
    weights = np.random.default_rng(0).normal(size=len(senders))
    return plan_edges(senders, receivers, 300, weights=weights, buckets=True)


@pytest.mark.slow
def test_hubs(backend: Backend) -> None:
    plan = hub_plan()
    nodes, direction = (normal(300, 2, seed=s) for s in (1, 2))
    check_weighted_sum(nodes, None, direction, plan, backend)
    check_weighted_sum(nodes, normal(HUB + 300), direction, plan, backend)
    # The other way round: one node that all hear.
    check_weighted_sum(
        nodes,
        None,
        direction,
        plan_edges(
            np.zeros(HUB, int),
            np.sort(np.arange(HUB) % 300),
            300,
            weights=np.random.default_rng(0).normal(size=HUB),
            buckets=True,
        ),
        backend,
    )
    # And the other operations over its rows.
    _, receivers = ends_of(plan)
    edges = normal(HUB + 300, 2, seed=4)
    total = sum_edges(edges, plan, backend=backend)
    assert_close(total, *with_terms(*doubles(edges), receivers, 300))
    highest = maximum(nodes, plan, backend=backend)
    np.testing.assert_array_equal(highest[0], nodes.max(axis=0))
    assert not highest[2:].any()
    shares = edge_softmax(edges, plan, backend=backend)
    powers = np.exp(doubles(edges)[0])
    expected = powers / summed(powers, receivers, 300)[receivers]
    np.testing.assert_allclose(shares, expected, rtol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("exact", ["bucketed", "native"])
def test_a_hub_of_equal_terms_does_not_drift(exact: Backend, native: None) -> None:
    # One running float32 sum of 70,000 equal terms is off by 1e-4.
    plan = hub_plan()
    nodes = jnp.full((300, 3), 0.7)
    weights = jnp.full(HUB + 300, 0.1)
    out = weighted_sum(nodes, weights, plan, backend=exact)
    np.testing.assert_allclose(out[0], HUB * 0.07, rtol=1e-6)
    total = sum_edges(weights, plan, backend=exact)
    np.testing.assert_allclose(total[0], HUB * 0.1, rtol=1e-6)
    logits = weights.at[0].set(1.3)  # each power is exp(-1.2)
    shares = edge_softmax(logits, plan, backend=exact)
    assert np.asarray(shares)[:HUB].sum(dtype=np.float64) == pytest.approx(1, rel=1e-6)


def test_weights_of_another_shape_are_refused(
    digraph: Digraph, backend: Backend
) -> None:
    _, plan, nodes, weights, _ = random_case(digraph, "random")
    two = jnp.stack([weights, weights], axis=1)
    with pytest.raises(ValueError, match=r"weights \(42, 2\) do not belong to nodes"):
        weighted_sum(nodes, two, plan, backend=backend)
    unweighted = plan_edges(*ends_of(plan), NODES)
    with pytest.raises(ValueError, match="the plan has none"):
        weighted_sum(nodes, None, unweighted, backend=backend)


# what stands beside it


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("shape", [(), (3,), (17,), (2, 3)])
def test_gathers_and_sums_of_edges(
    digraph: Digraph, shape: tuple[int, ...], dtype: Any, backend: Backend
) -> None:
    _, plan, *_ = random_case(digraph, "random")
    senders, receivers = ends_of(plan)
    nodes, direction = (normal(NODES, *shape, seed=s, dtype=dtype) for s in (1, 2))
    edges, edge_direction = (normal(EDGES, *shape, seed=s, dtype=dtype) for s in (3, 4))

    @compiled
    def ours(*arguments: jax.Array) -> list[jax.Array]:
        nodes, edges, direction, edge_direction = arguments
        found = []
        for gather in (gather_senders, gather_receivers):
            take = functools.partial(gather, plan=plan, backend=backend)
            out, pull = jax.vjp(take, nodes)
            found += [out, *pull(edge_direction)]
        out, pull = jax.vjp(lambda e: sum_edges(e, plan, backend=backend), edges)
        return [*found, out, *pull(direction)]

    from_senders, back, from_receivers, back_too, total, spread = ours(
        nodes, edges, direction, edge_direction
    )
    np.testing.assert_array_equal(from_senders, nodes[senders])
    np.testing.assert_array_equal(from_receivers, nodes[receivers])
    np.testing.assert_array_equal(spread, direction[receivers])
    (along,) = doubles(edge_direction)
    assert_close(back, *with_terms(along, senders, NODES))
    assert_close(back_too, *with_terms(along, receivers, NODES))
    assert_close(total, *with_terms(*doubles(edges), receivers, NODES))
    assert {a.dtype for a in (back, back_too, total, spread)} == {jnp.dtype(dtype)}


@pytest.mark.parametrize("name", ["random", "hub that hears all", "duplicate edges"])
@pytest.mark.parametrize("shape", [(), (2,), (3,), (4,), (8,)])
def test_softmax_over_incoming_edges(
    digraph: Digraph, name: str, shape: tuple[int, ...], backend: Backend
) -> None:
    _, plan, *_ = random_case(digraph, name)
    _, receivers = ends_of(plan)
    # Far apart, and far from 0: only differences may matter.
    logits = 500 + 20 * normal(EDGES, *shape)
    direction = normal(EDGES, *shape, seed=1)

    shares, gradient = pulled_through(edge_softmax, logits, direction, plan, backend)
    held, along = doubles(logits, direction)
    powers = np.exp(held - 500 - 60)
    expected = powers / summed(powers, receivers, NODES)[receivers]
    np.testing.assert_allclose(shares, expected, rtol=2e-5, atol=1e-30)
    flow = expected * along
    back = flow - expected * summed(flow, receivers, NODES)[receivers]
    terms = np.abs(flow) + expected * summed(np.abs(flow), receivers, NODES)[receivers]
    assert_close(gradient, back, 2 * terms)
    # Of bfloat16 logits the shares are float32, the gradient is as the logits are.
    rounded, back = pulled_through(
        edge_softmax, logits.astype(jnp.bfloat16), direction, plan, backend
    )
    assert (rounded.dtype, back.dtype) == (jnp.float32, jnp.bfloat16)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(
    "name", ["random", "hub that hears all", "isolated nodes", "duplicate edges"]
)
def test_maximum_and_its_ties(
    digraph: Digraph, name: str, dtype: Any, backend: Backend
) -> None:
    _, plan, *_ = random_case(digraph, name)
    senders, receivers = ends_of(plan)
    # Few different numbers, all below 0: ties, and 0 only for who hears nobody.
    rng = np.random.default_rng(0)
    nodes = jnp.asarray(-rng.integers(1, 4, (NODES, 5)), dtype)
    direction = normal(NODES, 5, dtype=dtype)

    out, gradient = pulled_through(maximum, nodes, direction, plan, backend)
    held, along = doubles(nodes, direction)
    expected, back = np.zeros((NODES, 5)), np.zeros((NODES, 5))
    for node in range(NODES):
        into = senders[receivers == node]
        for column in range(5) if len(into) else ():
            expected[node, column] = held[into, column].max()
            ties = into[held[into, column] == expected[node, column]]
            for sender in ties:
                back[sender, column] += along[node, column] / len(ties)
    np.testing.assert_array_equal(out.astype(jnp.float32), expected)
    assert out.dtype == gradient.dtype == dtype
    assert_close(gradient, back, np.full_like(back, np.abs(along).sum()))


def test_a_maximum_hides_nothing_that_diverged(
    digraph: Digraph, backend: Backend
) -> None:
    _, plan = digraph([0, 1, 2, 3], [1, 2, 3, 4], [1.0] * 4, num_nodes=6)
    nodes = jnp.asarray([1.0, jnp.nan, jnp.inf, 2.0, 0.0, 0.0])[:, None]
    out = maximum(nodes, plan, backend=backend)[:, 0]
    np.testing.assert_array_equal(out, [0.0, 1.0, jnp.nan, jnp.inf, 2.0, 0.0])


# programs


def operations(plan: EdgePlan, backend: Backend) -> dict[str, Callable[..., jax.Array]]:
    """Name -> (nodes (N, D), weights (E,)) -> an array, each operation once."""

    def ends(nodes: jax.Array, weights: jax.Array) -> jax.Array:
        sent = gather_senders(nodes, plan, backend=backend)
        return sent * gather_receivers(nodes, plan, backend=backend)

    def attention(nodes: jax.Array, weights: jax.Array) -> jax.Array:
        shares = edge_softmax(weights, plan, backend=backend)
        return weighted_sum(nodes, shares, plan, backend=backend)

    def heads(nodes: jax.Array, weights: jax.Array) -> jax.Array:
        two = jnp.stack([weights, 2 * weights], axis=1)
        pairs = jnp.stack([nodes, nodes], axis=1)
        return weighted_sum(pairs, two, plan, backend=backend)

    def mean(nodes: jax.Array, weights: jax.Array) -> jax.Array:
        return LocalNeighbourhood(plan=plan, backend=backend).mean(nodes)

    return {
        "weighted": lambda n, w: weighted_sum(n, w, plan, backend=backend),
        "constant": lambda n, w: weighted_sum(n, None, plan, backend=backend),
        "heads": heads,
        "ends": ends,
        "edges": lambda n, w: sum_edges(w, plan, backend=backend),
        "mean": mean,
        "attention": attention,
        "maximum": lambda n, w: maximum(n, plan, backend=backend),
    }


def losses(
    plan: EdgePlan, backend: Backend, names: set[str] | None = None
) -> Callable[..., jax.Array]:
    """(nodes, weights) -> the loss of each operation; of those named."""
    chosen = operations(plan, backend)
    found = [chosen[name] for name in sorted(names or set(chosen))]

    def run(nodes: jax.Array, weights: jax.Array) -> jax.Array:
        return jnp.stack([jnp.sum(jnp.tanh(one(nodes, weights))) for one in found])

    return run


@pytest.mark.slow
def test_mapped_over_a_batch(digraph: Digraph, backend: Backend) -> None:
    _, plan, *_ = random_case(digraph, "random")
    nodes, weights = normal(3, NODES, WIDTH), normal(3, EDGES, seed=1)
    one = losses(plan, backend)

    def both(nodes: jax.Array, weights: jax.Array) -> tuple[Any, ...]:
        gradient = jax.grad(lambda *both: one(*both).sum(), argnums=(0, 1))
        return one(nodes, weights), gradient(nodes, weights)

    together = compiled(jax.vmap(both))(nodes, weights)
    run = compiled(both)
    alone = [run(nodes[i], weights[i]) for i in range(3)]
    for ours, *parts in zip(
        jax.tree.leaves(together), *map(jax.tree.leaves, alone), strict=True
    ):
        np.testing.assert_allclose(ours, np.stack(parts), rtol=1e-5, atol=1e-5)


# A maximum over rows is a scatter in all but two.
SCATTERS = {
    "segment": set(operations(None, "segment")),
    "csr": {"heads", "attention", "maximum"},
    "bucketed": set(),
    "native": set(),
}


def test_where_something_is_scattered(digraph: Digraph, backend: Backend) -> None:
    _, plan, nodes, weights, _ = random_case(digraph, "random")

    def lowered(*names: str) -> jax.stages.Lowered:
        def loss(nodes: jax.Array, weights: jax.Array, plan: EdgePlan) -> jax.Array:
            return losses(plan, backend, set(names))(nodes, weights).sum()

        step = compiled(jax.value_and_grad(loss, argnums=(0, 1)))
        return step.lower(nodes, weights, plan)

    scatter = SCATTERS[backend]
    if clean := set(operations(plan, backend)) - scatter:
        program = lowered(*clean)
        assert "stablehlo.scatter" not in program.as_text()
        assert "scatter(" not in program.compile().as_text()
    # The same words are found where there is one to find.
    for name in scatter:
        assert "stablehlo.scatter" in lowered(name).as_text()
    if backend == "segment":
        assert "scatter(" in lowered("weighted").compile().as_text()


@pytest.mark.slow
def test_repeats_bit_for_bit(digraph: Digraph, backend: Backend) -> None:
    _, plan, nodes, weights, _ = random_case(digraph, "random")

    def run(compiled: Any) -> list[np.ndarray]:
        leaves = jax.tree.leaves(compiled(nodes, weights))
        return [np.asarray(leaf) for leaf in leaves]

    def loss(nodes: jax.Array, weights: jax.Array) -> jax.Array:
        return losses(plan, backend)(nodes, weights).sum()

    one, other = (jax.jit(jax.value_and_grad(loss, argnums=(0, 1))) for _ in range(2))
    first = run(one)
    for again in (*(run(one) for _ in range(5)), run(other)):
        for left, right in zip(first, again, strict=True):
            np.testing.assert_array_equal(left, right)


def test_a_plan_is_an_argument(digraph: Digraph, backend: Backend) -> None:
    # Another graph of the same shapes goes through the same program.
    rng = np.random.default_rng(5)
    traces = []

    @jax.jit
    def run(nodes: jax.Array, weights: jax.Array, plan: EdgePlan) -> jax.Array:
        traces.append(plan)
        both = weighted_sum(nodes, None, plan, backend=backend)
        return both + weighted_sum(nodes, weights, plan, backend=backend)

    nodes = normal(NODES, WIDTH)
    for _ in range(3):
        # A ring in another order: the degrees, and so all shapes, stay.
        ring = rng.permutation(9)
        _, plan = digraph(ring, np.roll(ring, 1), rng.normal(size=9), num_nodes=NODES)
        weights = jnp.asarray(rng.normal(size=10), jnp.float32)
        out = run(nodes, weights, plan)
        senders, receivers = ends_of(plan)
        scale = np.asarray(plan.incoming.weights + weights, np.float64)
        rows = scale[:, None] * np.asarray(nodes, np.float64)[senders]
        assert_close(out, *with_terms(rows, receivers, NODES))
    assert len(traces) == 1
    closed = jax.make_jaxpr(lambda n, p: weighted_sum(n, None, p, backend=backend))(
        nodes, plan
    )
    assert sum(np.size(constant) for constant in closed.consts) <= 1


# as layers use it


def loop(
    nodes: np.ndarray, weights: np.ndarray, senders: np.ndarray, receivers: np.ndarray
) -> np.ndarray:
    return summed(weights[:, None] * nodes[senders], receivers, len(nodes))


@functools.partial(jax.jit, static_argnames="backend")
@functools.partial(jax.grad, argnums=(0, 1))
def gradients_of(
    nodes: jax.Array,
    weights: jax.Array,
    graph: jraph.GraphsTuple,
    plan: EdgePlan,
    direction: jax.Array,
    backend: Backend,
) -> jax.Array:
    out = aggregate(graph._replace(nodes=nodes), plan, weights=weights, backend=backend)
    return jnp.sum(direction * jnp.tanh(out))


def test_gradients_are_finite_differences(digraph: Digraph, backend: Backend) -> None:
    graph, plan, nodes, weights, direction = random_case(digraph, "random")
    ends = np.asarray(graph.senders), np.asarray(graph.receivers)
    arguments = [np.asarray(nodes, np.float64), np.asarray(weights, np.float64)]

    def reference(nodes: np.ndarray, weights: np.ndarray) -> float:
        out = np.tanh(loop(nodes, weights, *ends))
        return float((np.asarray(direction, np.float64) * out).sum())

    gradients = gradients_of(nodes, weights, graph, plan, direction, backend)
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


@pytest.mark.slow
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


@pytest.mark.slow
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
            train,
            spare_users=spare[0],
            spare_items=spare[1],
            spare_edges=spare[2],
            buckets=True,
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
                neighbours=LocalNeighbourhood(plan=graph.plan, backend=backend),
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
            if backend == "bucketed":  # Other blocks, and XLA rounds by their shape.
                np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-7)
            else:
                np.testing.assert_array_equal(left, right)


def test_the_weights_of_the_graph_are_the_default(digraph: Digraph) -> None:
    graph, plan, nodes, weights, _ = random_case(digraph, "random")
    filled = graph._replace(nodes=nodes)
    np.testing.assert_array_equal(
        aggregate(filled, plan), aggregate(filled, plan, weights=weights)
    )
