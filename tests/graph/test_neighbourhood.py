"""The neighbourhood of a whole graph: what layers ask, against loops, in programs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest

from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.plan import EdgePlan

Digraph = Callable[..., tuple[jraph.GraphsTuple, EdgePlan]]
# Node 0 hears 1 (twice), 2 and itself; 3 hears 0; 1, 2 and 4 hear nobody; 5 is padding.
SENDERS, RECEIVERS = (1, 1, 2, 0, 0), (0, 0, 0, 0, 3)
WEIGHTS = (0.5, 2.0, -1.0, 3.0, 0.25)
HEARD = {0: (0, 1, 1, 2), 3: (0,)}


def neighbours(digraph: Digraph, backend: Backend) -> LocalNeighbourhood:
    _, plan = digraph(SENDERS, RECEIVERS, WEIGHTS, num_nodes=6, padding=4)
    return LocalNeighbourhood(plan=plan, backend=backend)


@pytest.fixture
def nodes() -> jax.Array:
    """What lies in the padding node must not matter: it is huge."""
    values = np.random.default_rng(0).normal(size=(6, 2))
    values[5] = 1e20
    return jnp.asarray(values, jnp.float32)


def test_who_hears_whom(digraph: Digraph, nodes: jax.Array, backend: Backend) -> None:
    hood = neighbours(digraph, backend)

    @jax.jit
    def ask(nodes: jax.Array) -> tuple[jax.Array, ...]:
        return (
            hood.own(nodes),
            hood.degrees(),
            hood.sum(nodes),
            hood.mean(nodes),
            hood.max(nodes),
            hood.weighted(nodes),
        )

    own, degrees, total, mean, highest, weighted = ask(nodes)
    np.testing.assert_array_equal(own, nodes)
    assert degrees.tolist() == [4.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    held = np.asarray(nodes, np.float64)
    weight = {
        (s, r): sum(
            w
            for a, b, w in zip(SENDERS, RECEIVERS, WEIGHTS, strict=True)
            if (a, b) == (s, r)
        )
        for s in range(5)
        for r in range(5)
    }
    for node in range(5):
        mine = held[list(HEARD.get(node, ()))]
        np.testing.assert_allclose(total[node], mine.sum(axis=0), rtol=1e-6)
        expected = mine.mean(axis=0) if len(mine) else np.zeros(2)
        np.testing.assert_allclose(mean[node], expected, rtol=1e-6)
        expected = mine.max(axis=0) if len(mine) else np.zeros(2)
        np.testing.assert_allclose(highest[node], expected, rtol=1e-6)
        expected = sum(weight[sender, node] * held[sender] for sender in range(5))
        np.testing.assert_allclose(weighted[node], expected, rtol=1e-5, atol=1e-6)
    # Padding is no edge, not even of the padding node.
    assert not np.asarray(jnp.stack([total[5], mean[5], weighted[5]])).any()


def test_edges_and_heads(digraph: Digraph, nodes: jax.Array, backend: Backend) -> None:
    hood = neighbours(digraph, backend)
    senders, receivers = map(
        np.asarray, (hood.plan.incoming.others, hood.plan.incoming.own)
    )
    np.testing.assert_array_equal(hood.gather_senders(nodes), nodes[senders])
    np.testing.assert_array_equal(hood.gather_receivers(nodes), nodes[receivers])
    logits = jnp.asarray(np.random.default_rng(1).normal(size=(9, 2)), jnp.float32)
    shares = hood.softmax(logits)
    sums = hood.sum_edges(shares)
    np.testing.assert_allclose(sums[jnp.asarray([0, 3])], 1.0, rtol=1e-6)
    assert not np.asarray(sums)[[1, 2, 4]].any()
    pairs = jnp.stack([nodes, 2 * nodes], axis=1)
    plain = hood.sum(pairs)
    np.testing.assert_allclose(plain[:5, 1], 2 * hood.sum(nodes)[:5], rtol=1e-6)
    ones = hood.sum(pairs, (jnp.arange(9) < 5).astype(jnp.float32)[:, None] * logits)
    for head in range(2):
        alone = hood.sum(
            pairs[:, head], jnp.where(jnp.arange(9) < 5, logits[:, head], 0)
        )
        np.testing.assert_allclose(ones[:, head], alone, rtol=1e-5, atol=1e-6)


def test_it_is_an_argument_of_a_compiled_loop(
    digraph: Digraph, nodes: jax.Array, backend: Backend
) -> None:
    hood = neighbours(digraph, backend)
    traces = []

    @jax.jit
    def rounds(hood: LocalNeighbourhood, nodes: jax.Array) -> jax.Array:
        traces.append(hood.backend)

        def one(nodes: jax.Array, _: None) -> tuple[jax.Array, None]:
            return jnp.tanh(hood.weighted(nodes) + hood.mean(nodes)), None

        return jax.lax.scan(one, nodes, length=3)[0]

    out = rounds(hood, nodes)
    _, other = digraph(SENDERS, RECEIVERS, WEIGHTS[::-1], num_nodes=6, padding=4)
    moved = rounds(LocalNeighbourhood(plan=other, backend=backend), nodes)
    assert (np.asarray(out)[0] != np.asarray(moved)[0]).all()
    assert traces == [backend]
    expected = nodes
    for _ in range(3):
        expected = jnp.tanh(hood.weighted(expected) + hood.mean(expected))
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
