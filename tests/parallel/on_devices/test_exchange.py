"""Sums over neighbours on other devices, and rows of tables that lie in pieces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from llmgnn_jax.config import ParallelConfig
from llmgnn_jax.graph.aggregate import weighted_sum
from llmgnn_jax.graph.plan import plan_edges
from llmgnn_jax.parallel.exchange import EXCHANGES
from llmgnn_jax.parallel.mesh import AXES, device_mesh
from llmgnn_jax.parallel.partition import share_out
from llmgnn_jax.parallel.placements import OnMesh
from llmgnn_jax.parallel.rules import shardings

MESHES = [(1, 4), (2, 2), (4, 1), (8, 1)]


def undirected(num_nodes, num_edges, seed=0, hub=None):
    """An EdgePlan of an undirected graph with symmetric weights, padding at its end."""
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, num_nodes - 1, (2, num_edges))
    if hub is not None:
        one[: num_edges // 2] = hub
    pairs = np.unique(
        np.stack([np.minimum(one, other), np.maximum(one, other)], 1), axis=0
    )
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    weights = rng.uniform(0.1, 1, len(pairs)).astype(np.float32)
    senders = np.concatenate([pairs[:, 0], pairs[:, 1]])
    receivers = np.concatenate([pairs[:, 1], pairs[:, 0]])
    both = np.concatenate([weights, weights])
    order = np.lexsort((senders, receivers))
    spare = np.full(5, num_nodes - 1)
    return plan_edges(
        np.concatenate([senders[order], spare]),
        np.concatenate([receivers[order], spare]),
        num_nodes,
        weights=np.concatenate([both[order], np.zeros(5, np.float32)]),
        num_edges=len(order),
    )


def mesh_of(shape):
    return device_mesh(ParallelConfig(data=shape[0], model=shape[1]))


def in_pieces(array, mesh):
    """Whether its first axis is spread over all devices."""
    return array.sharding.is_equivalent_to(NamedSharding(mesh, P(AXES)), array.ndim)


class Graph:
    """As much of an InteractionGraph as a placement reads."""

    def __init__(self, plan):
        self.plan = plan


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize(
    ("shape", "backend"),
    [*((shape, "segment") for shape in MESHES), ((2, 2), "csr"), ((2, 2), "native")],
)
def test_sums_and_gradients_are_those_of_one_device(shape, exchange, backend):
    plan = undirected(64, 300, hub=7)
    nodes = jnp.asarray(np.random.default_rng(1).normal(size=(64, 6)), jnp.float32)
    mesh = mesh_of(shape)
    on = OnMesh(mesh=mesh, backend=backend)
    shares = share_out(plan, shares=mesh.devices.size, exchange=exchange)
    graph = {"graph": {"plan": shares}}
    placed = jax.device_put(graph, shardings(graph, mesh))["graph"]["plan"]
    assert in_pieces(placed.near.own, mesh)

    def layers(scale, graph, neighbours):
        return graph._replace(nodes=scale * neighbours.weighted(graph.nodes))

    def loss(scale, nodes, shares):
        out = on.run_layers(layers, scale, nodes, Graph(shares))
        return jnp.sum(jnp.sin(out)), out

    def expected(scale, nodes):
        out = scale * weighted_sum(nodes, None, plan, backend="segment")
        return jnp.sum(jnp.sin(out)), out

    spread = jax.device_put(nodes, NamedSharding(mesh, P(AXES)))
    got = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(
        jnp.float32(1.5), spread, placed
    )
    want = jax.jit(jax.value_and_grad(expected, argnums=(0, 1), has_aux=True))(
        jnp.float32(1.5), nodes
    )
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)
    assert in_pieces(got[0][1], mesh)
    assert in_pieces(got[1][1], mesh)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_no_edges_but_padding(exchange):
    plan = undirected(16, 0)
    mesh = mesh_of((4, 1))
    on = OnMesh(mesh=mesh, backend="segment")
    shares = share_out(plan, shares=4, exchange=exchange)
    nodes = jax.device_put(jnp.ones((16, 3)), NamedSharding(mesh, P(AXES)))
    out = jax.jit(
        lambda nodes, shares: on.run_layers(
            lambda _, graph, n: graph._replace(nodes=n.weighted(graph.nodes)),
            None,
            nodes,
            Graph(shares),
        )
    )(nodes, shares)
    np.testing.assert_array_equal(out, np.zeros((16, 3)))


@pytest.mark.parametrize("shape", MESHES)
def test_rows_of_a_table_in_pieces(shape):
    mesh = mesh_of(shape)
    on = OnMesh(mesh=mesh, backend="segment")
    table = jnp.asarray(np.random.default_rng(0).normal(size=(32, 5)), jnp.float32)
    numbers = jnp.asarray([0, 31, 7, 7, 8, 15, 16, 0], jnp.int32)
    weights = jnp.arange(40.0).reshape(8, 5)
    spread = jax.device_put(table, NamedSharding(mesh, P(AXES)))

    @jax.jit
    def taken(table):
        return jax.value_and_grad(
            lambda table: jnp.sum(jnp.cos(on.take(table, numbers)) * weights)
        )(table)

    value, gradient = taken(spread)
    want = jax.value_and_grad(lambda table: jnp.sum(jnp.cos(table[numbers]) * weights))(
        table
    )
    np.testing.assert_allclose(value, want[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, want[1], rtol=1e-6, atol=1e-6)
    assert in_pieces(gradient, mesh)
    rows = jax.jit(on.take)(spread, numbers[:3])  # 3: of no use to several
    np.testing.assert_array_equal(rows, table[numbers[:3]])


def test_a_piece_holds_its_edges_and_no_table_comes_to_a_device():
    """Bytes a device, and what the compiled program moves."""
    plan = undirected(512, 4000)
    mesh = mesh_of((8, 1))
    table_bytes = 512 * 16 * 4
    for exchange in ("ring", "all_to_all"):
        on = OnMesh(mesh=mesh, backend="segment")
        shares = share_out(plan, shares=8, exchange=exchange)
        tree = {"graph": {"plan": shares}}
        placed = jax.device_put(tree, shardings(tree, mesh))["graph"]["plan"]
        for array in jax.tree.leaves(placed):
            held = [shard.data.nbytes for shard in array.addressable_shards]
            assert held == [array.nbytes // 8] * 8
        nodes = jax.device_put(jnp.ones((512, 16)), NamedSharding(mesh, P(AXES)))
        compiled = (
            jax.jit(
                lambda nodes, shares, on=on: on.run_layers(
                    lambda _, graph, n: graph._replace(nodes=n.weighted(graph.nodes)),
                    None,
                    nodes,
                    Graph(shares),
                )
            )
            .lower(nodes, placed)
            .compile()
        )
        text = compiled.as_text()
        assert "all-gather" not in text
        name = "collective-permute" if exchange == "ring" else "all-to-all"
        assert name in text
        if exchange == "ring":
            temporaries = compiled.memory_analysis().temp_size_in_bytes
            assert temporaries < table_bytes


def test_a_directed_graph_is_refused():
    plan = plan_edges(np.array([1, 2]), np.array([0, 1]), 4, weights=np.ones(2))
    with pytest.raises(ValueError, match="undirected"):
        share_out(plan, shares=2, exchange="ring")
    with pytest.raises(ValueError, match="cannot be cut into 3"):
        share_out(undirected(16, 10), shares=3, exchange="ring")
