"""LightGCN on trees as one sum, against its layers; and the transpose of such sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.graph.aggregate import native
from llmgnn_jax.graph.layers import lightgcn
from llmgnn_jax.graph.native import library
from llmgnn_jax.graph.placement import run_on_tree
from llmgnn_jax.graph.sampling import (
    lightgcn_of_tree,
    sample_table,
    sample_tree,
)
from llmgnn_jax.graph.sampling.gathered import gathered_sums

NUM_NODES = 40


@pytest.fixture(autouse=True)
def kernels():
    if reason := library.unavailable_because():
        pytest.skip(reason)


@pytest.mark.parametrize("width", [3, 16, 70])
@pytest.mark.parametrize("fanouts", [(3,), (4, 2), (2, 3, 2)])
def test_lightgcn_of_a_tree_is_its_layers(width: int, fanouts: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(fanouts))
    # Node 39 has no edge; some have fewer neighbours than are drawn.
    ends = rng.integers(0, NUM_NODES - 1, (2, 90))
    senders, receivers = np.concatenate([ends, ends[::-1]], axis=1)
    degrees = jnp.asarray(np.bincount(receivers, minlength=NUM_NODES) * 0.5)
    table = sample_table(senders, receivers, NUM_NODES).to_device()
    seeds = np.array([0, 5, 39, 5, -1, 17], np.int32)
    tree = sample_tree(jax.random.key(1), table, seeds, fanouts=fanouts)
    ego = jnp.asarray(rng.standard_normal((NUM_NODES, width)), jnp.float32)

    def by_layers(ego: jax.Array) -> tuple[jax.Array, jax.Array]:
        there = tree.node_mask
        nodes = jnp.where(there[:, None], ego[tree.node_ids], 0)
        held = jnp.where(there, degrees[tree.node_ids], 0)

        def layers(parameters, graph, neighbours):
            del parameters
            return lightgcn(graph, num_layers=len(fanouts), neighbours=neighbours)

        return run_on_tree(layers, None, tree, nodes, held), nodes[: len(seeds)]

    def by_paths(ego: jax.Array) -> tuple[jax.Array, jax.Array]:
        return lightgcn_of_tree(ego, tree, degrees)

    wanted, of_layers = jax.vjp(by_layers, ego)
    found, of_paths = jax.jit(lambda ego: jax.vjp(by_paths, ego))(ego)
    cotangents = tuple(
        jnp.asarray(rng.standard_normal(one.shape), jnp.float32) for one in wanted
    )
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        of_paths(cotangents)[0], of_layers(cotangents)[0], rtol=1e-5, atol=1e-5
    )
    # Nothing that the tree does not name is reached.
    assert not np.asarray(of_paths(cotangents)[0])[38].any() or 38 in tree.node_ids


def test_no_seeds_and_a_node_of_degree_0_that_hears_itself() -> None:
    """As jraph's padding node does, which has spare edges."""
    ends = np.array([0, 1, 2, 2, 2])
    table = sample_table(ends, ends[[1, 0, 2, 3, 4]], 3).to_device()
    degrees = jnp.asarray([1.0, 1.0, 0.0])
    ego = jnp.ones((3, 4))
    tree = sample_tree(jax.random.key(0), table, np.array([2, 0]), fanouts=(2, 2))
    final, own = lightgcn_of_tree(ego, tree, degrees)
    np.testing.assert_allclose(final[0], 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(final[1], 1.0, rtol=1e-6)
    np.testing.assert_array_equal(own, 1.0)
    none = sample_tree(jax.random.key(0), table, np.zeros(0, np.int32), fanouts=(2, 2))
    assert [part.shape for part in lightgcn_of_tree(ego, none, degrees)] == [(0, 4)] * 2


@pytest.mark.parametrize("width", [1, 16, 65, 131])
@pytest.mark.parametrize("entries", [0, 1, 5000])
def test_scattered_sums(width: int, entries: int) -> None:
    rng = np.random.default_rng(entries)
    ids = np.minimum(rng.geometric(0.01, entries) - 1, 299).astype(np.int32)
    owners = rng.integers(0, 50, entries).astype(np.int32)
    weights = (rng.integers(-2, 3, entries)).astype(np.float32)
    gradient = rng.standard_normal((50, width)).astype(np.float32)
    # What has weight 0 is not read.
    gradient[7] = np.nan
    weights[owners == 7] = 0
    found = native.scattered_sums(
        *map(jnp.asarray, (ids, owners, weights, gradient)), num_rows=300
    )
    wanted = np.zeros((300, width))
    kept = weights != 0
    terms = weights[kept, None] * gradient[owners[kept]].astype(np.float64)
    np.add.at(wanted, ids[kept], terms)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("wrong", ["ids", "owners"])
def test_numbers_of_no_row_are_refused(wrong: str) -> None:
    arrays = {
        "ids": jnp.zeros(3, jnp.int32),
        "owners": jnp.zeros(3, jnp.int32),
    }
    arrays[wrong] = jnp.asarray([0, 9, 0], jnp.int32)
    with pytest.raises(Exception, match=f"{wrong}: expected"):
        native.scattered_sums(
            arrays["ids"],
            arrays["owners"],
            jnp.ones(3),
            jnp.ones((5, 4)),
            num_rows=5,
        ).block_until_ready()


def test_gradients_of_gathered_sums_are_those_of_other_backends() -> None:
    rng = np.random.default_rng(0)
    table = jnp.asarray(rng.standard_normal((30, 20)), jnp.float32)
    ids = jnp.asarray(rng.integers(0, 30, (11, 6)), jnp.int32)
    weights = jnp.asarray(rng.standard_normal((11, 6)), jnp.float32)
    mask = jnp.asarray(rng.random((11, 6)) < 0.7)

    def gradients(backend):
        def total(table, weights):
            return jnp.sum(jnp.sin(gathered_sums(table, ids, weights, mask, backend)))

        return jax.grad(total, argnums=(0, 1))(table, weights)

    for one, other in zip(gradients("native"), gradients("segment"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
