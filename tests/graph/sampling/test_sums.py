"""Constant weights on a tree: exact where all is drawn, right on average elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.graph.aggregate import weighted_sum
from llmgnn_jax.graph.layers import lightgcn
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.placement import run_on_tree
from llmgnn_jax.graph.plan import sorted_graph
from llmgnn_jax.graph.sampling import TreeSums, sample_table, sample_tree

NUM_NODES, WIDTH = 12, 3
SEEDS = np.array([0, 5, 11, -1, 3])


@pytest.fixture(scope="module")
def world():
    """A graph with symmetrically normalised weights, a hub and a node without edges."""
    rng = np.random.default_rng(0)
    pairs = {(0, other) for other in range(1, 9)}
    pairs |= {(int(a), int(b)) for a, b in rng.integers(1, 11, (12, 2)) if a < b}
    one, other = np.array(sorted(pairs)).T
    senders, receivers = np.concatenate([one, other]), np.concatenate([other, one])
    degrees = np.bincount(receivers, minlength=NUM_NODES).astype(np.float32)
    weights = 1 / np.sqrt(degrees[senders] * degrees[receivers])
    graph, plan = sorted_graph(
        senders, receivers, NUM_NODES, edges={"weight": weights.astype(np.float32)}
    )
    table = sample_table(senders, receivers, NUM_NODES).to_device()
    nodes = jnp.asarray(rng.normal(size=(NUM_NODES, WIDTH)), jnp.float32)
    return graph._replace(nodes=nodes), plan, table, jnp.asarray(degrees)


def layers(num_layers):
    def run(parameters, graph, neighbours):
        del parameters
        return lightgcn(graph, num_layers=num_layers, neighbours=neighbours)

    return run


def sampled(world, key, fanouts):
    graph, _, table, degrees = world
    tree = sample_tree(key, table, SEEDS, fanouts=fanouts)
    held = jnp.where(tree.node_mask, degrees[tree.node_ids], 0)
    nodes = jnp.where(tree.node_mask[:, None], graph.nodes[tree.node_ids], 0)
    return run_on_tree(layers(len(fanouts)), None, tree, nodes, held)


def whole(world, num_layers):
    graph, plan, _, _ = world
    neighbours = LocalNeighbourhood(plan=plan, backend="segment")
    out = layers(num_layers)(None, graph, neighbours).nodes
    return np.where(SEEDS[:, None] >= 0, np.asarray(out)[SEEDS], 0)


@pytest.mark.slow
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_with_all_neighbours_it_is_the_whole_graph(world, num_layers):
    got = sampled(world, jax.random.key(1), (8,) * num_layers)
    np.testing.assert_allclose(got, whole(world, num_layers), rtol=1e-5, atol=1e-6)


def test_on_average_it_is_the_whole_graph(world):
    keys = jax.random.split(jax.random.key(2), 4000)
    draws = jax.jit(jax.vmap(lambda key: sampled(world, key, (2, 2))))(keys)
    draws = np.asarray(draws, np.float64)
    error = draws.std(axis=0) / np.sqrt(len(keys))
    assert np.all(np.abs(draws.mean(axis=0) - whole(world, 2)) <= 5 * error + 1e-6)
    assert error.max() > 0  # Something was left to chance.


def test_nodes_of_no_hop_are_refused(world):
    _, _, table, _ = world
    tree = sample_tree(jax.random.key(0), table, SEEDS, fanouts=(2,))
    sums = TreeSums(tree, jnp.ones(tree.num_nodes))
    with pytest.raises(ValueError, match="expected the nodes of some hops"):
        sums.weighted(jnp.ones((tree.num_nodes - 1, 2)))


def test_its_gradient_is_that_of_the_whole_graph(world):
    graph, plan, _, _ = world
    weight = jnp.arange(WIDTH, dtype=jnp.float32)

    def of_tree(nodes):
        changed = (graph._replace(nodes=nodes), *world[1:])
        return jnp.sum(sampled(changed, jax.random.key(1), (8,)) @ weight)

    def of_graph(nodes):
        sums = nodes + weighted_sum(nodes, None, plan, backend="segment")
        return jnp.sum((sums / 2)[SEEDS[SEEDS >= 0]] @ weight)

    np.testing.assert_allclose(
        jax.grad(of_tree)(graph.nodes), jax.grad(of_graph)(graph.nodes), rtol=1e-5
    )
