"""Trees and rows from pieces: the same as from the whole, and what has no place."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from llmgnn_jax.config import ParallelConfig
from llmgnn_jax.graph.node_layout import NodeLayout
from llmgnn_jax.graph.placement import Draw, OneDevice
from llmgnn_jax.graph.plan import plan_edges
from llmgnn_jax.graph.sampling import SampleTable, sample_tree
from llmgnn_jax.graph.sampling.words import key_words
from llmgnn_jax.parallel.mesh import AXES, device_mesh
from llmgnn_jax.parallel.partition import table_in_shares
from llmgnn_jax.parallel.placements import OnMesh
from llmgnn_jax.parallel.routes import Reach, route
from llmgnn_jax.parallel.sampling import sample_shared

MESHES = [(1, 4), (2, 2), (8, 1)]
NUM_NODES, FANOUTS, ROWS = 64, (3, 2), 24


def mesh_of(shape):
    return device_mesh(ParallelConfig(data=shape[0], model=shape[1]))


def edges(hub=None):
    rng = np.random.default_rng(3)
    senders, receivers = rng.integers(0, NUM_NODES - 1, (2, 400))
    if hub is not None:
        receivers[:200] = hub
        senders[:100] = hub
    order = np.lexsort((senders, receivers))
    spare = np.full(7, NUM_NODES - 1)
    return plan_edges(
        np.concatenate([senders[order], spare]),
        np.concatenate([receivers[order], spare]),
        NUM_NODES,
        weights=np.ones(407, np.float32),
        num_edges=400,
    )


def of_whole(plan, seeds, rows):
    table = SampleTable.of_rows(plan.incoming.indptr, plan.incoming.others)
    return sample_tree(jax.random.key(9), table, seeds, fanouts=FANOUTS, rows_B=rows)


def of_pieces(plan, seeds, rows, mesh, slack):
    reach = Reach(axes=AXES, shares=mesh.size, slack=slack)

    def run(table, seeds, rows):
        tree, missed = sample_shared(
            key_words(jax.random.key(9)),
            table,
            seeds,
            rows,
            fanouts=FANOUTS,
            reach=reach,
        )
        hops = [(hop.nodes, hop.mask) for hop in tree.hops]
        return hops, jax.lax.psum(missed, AXES)

    spread = jax.shard_map(
        run,
        mesh=mesh,
        in_specs=(P(AXES), P(AXES), P(AXES)),
        out_specs=(P(AXES), P()),
        check_vma=False,
    )
    return jax.jit(spread)(table_in_shares(plan, shares=mesh.size), seeds, rows)


@pytest.mark.parametrize("shape", MESHES)
@pytest.mark.parametrize("hub", [None, 5])
def test_trees_are_those_of_the_whole_graph(shape, hub):
    plan = edges(hub)
    rng = np.random.default_rng(0)
    seeds = rng.integers(0, NUM_NODES, ROWS).astype(np.int32)
    seeds[4] = -1
    rows = rng.permutation(1000)[:ROWS].astype(np.int32)
    expected = of_whole(plan, jnp.asarray(seeds), jnp.asarray(rows))
    hops, missed = of_pieces(plan, seeds, rows, mesh_of(shape), slack=8.0)
    assert int(missed) == 0
    for (nodes, mask), hop in zip(hops, expected.hops, strict=True):
        np.testing.assert_array_equal(mask, hop.mask)
        np.testing.assert_array_equal(np.where(mask, nodes, 0), hop.nodes)
    assert np.asarray(expected.edge_mask).any()


def test_what_has_no_place_is_counted_and_empty():
    seeds = np.full(400, 5, np.int32)  # All of one node, all asked of one device.
    rows = np.arange(400, dtype=np.int32)
    hops, missed = of_pieces(edges(5), seeds, rows, mesh_of((8, 1)), slack=1.0)
    nodes, mask = (np.asarray(array) for array in hops[0])
    heard = mask.any(axis=1)
    assert 0 < heard.sum() < 400
    assert int(missed) >= 400 - heard.sum() > 0
    assert not nodes[~heard].any()
    expected = of_whole(edges(5), jnp.asarray(seeds), jnp.asarray(rows))
    np.testing.assert_array_equal(
        nodes[heard], np.asarray(expected.hops[0].nodes)[heard]
    )


@pytest.mark.parametrize("distinct", [True, False])
def test_rows_come_back_to_who_asked(distinct):
    mesh = mesh_of((4, 2))
    reach = Reach(axes=AXES, shares=8, slack=8.0)
    table = np.random.default_rng(1).normal(size=(64, 3)).astype(np.float32)
    numbers = np.random.default_rng(2).integers(0, 64, 40 * 8).astype(np.int32)
    numbers[::7] = 13
    real = np.arange(40 * 8) % 5 > 0

    def run(table, numbers, real):
        ways = route(numbers, real, size=8, reach=reach, distinct=distinct)
        return ways.rows(table), jax.lax.psum(ways.missed, AXES)

    spread = jax.shard_map(
        run,
        mesh=mesh,
        in_specs=(P(AXES),) * 3,
        out_specs=(P(AXES), P()),
        check_vma=False,
    )

    def total(table):
        rows, _ = spread(table, numbers, real)
        return jnp.sum(rows * jnp.arange(3.0)[None, :])

    rows, missed = jax.jit(spread)(table, numbers, real)
    assert int(missed) == 0
    np.testing.assert_array_equal(rows, np.where(real[:, None], table[numbers], 0))
    gradient = jax.jit(jax.grad(total))(table)
    expected = np.zeros_like(table)
    np.add.at(expected, numbers[real], np.arange(3.0, dtype=np.float32))
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


LAYOUT = NodeLayout(user_capacity=1600, item_capacity=1600, groups=8)
HUB = int(LAYOUT.item_nodes(np.arange(1))[0])


class Graph:
    """As much of an InteractionGraph as a placement reads."""

    def __init__(self, plan, degrees):
        self.plan, self.degrees = plan, degrees


def of_hub():
    """Pairs of users and items, a fifth of which are with one item."""
    rng = np.random.default_rng(5)
    users = LAYOUT.user_nodes(rng.integers(0, 1600, 8000))
    items = LAYOUT.item_nodes(rng.integers(1, 1599, 8000))
    items[:1600] = HUB
    pairs = np.unique(np.stack([users, items], 1), axis=0)
    senders, receivers = np.concatenate([pairs, pairs[:, ::-1]]).T
    order = np.lexsort((senders, receivers))
    return plan_edges(
        senders[order],
        receivers[order],
        LAYOUT.num_nodes,
        weights=np.ones(len(order), np.float32),
    )


def taught(on, nodes, graph, seeds, rows):
    """Final and first vectors, what was missed, and the gradient of a loss."""

    def layers(scale, graph, neighbours):
        for _ in range(2):
            graph = graph._replace(nodes=scale * neighbours.weighted(graph.nodes))
        return graph

    def loss(nodes):
        draw = Draw(key=jax.random.key(1), fanouts=(6, 4), rows_R=rows)
        out = on.run_sampled(layers, jnp.float32(0.7), nodes, graph, seeds, draw)
        return jnp.sum(jnp.sin(out.final_RD)) + jnp.sum(out.ego_RD**2), out

    (_, out), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(nodes)
    return out, gradient


@pytest.mark.parametrize("shape", MESHES)
def test_places_by_rows_lose_nothing_and_few_are_enough(shape):
    """Far fewer places than by requests, where hubs are asked for again and again."""
    mesh, plan = mesh_of(shape), of_hub()
    rng = np.random.default_rng(0)
    seeds = jnp.asarray(rng.integers(0, LAYOUT.num_nodes, 25 * mesh.size), jnp.int32)
    rows = jnp.arange(len(seeds), dtype=jnp.int32)
    nodes = jnp.asarray(rng.normal(size=(LAYOUT.num_nodes, 5)), jnp.float32)
    degrees = jnp.asarray(np.diff(plan.incoming.indptr), jnp.float32)
    table = table_in_shares(plan, shares=mesh.size, layout=LAYOUT)
    reach = Reach(axes=AXES, shares=mesh.size, slack=2.0)
    requests, size = 25 * (1 + 6 + 24), LAYOUT.num_nodes // mesh.size
    expected = table.distinct(25, (6, 4))
    places = reach.row_places(requests, size=size, expected=expected)
    assert places < 0.6 * reach.row_places(requests, size=size)

    want, pulled = taught(
        OneDevice(backend="segment"), nodes, Graph(plan, degrees), seeds, rows
    )
    on = OnMesh(mesh=mesh, backend="segment", slack=8.0)
    got, gradient = taught(on, nodes, Graph(table, degrees), seeds, rows)
    assert int(got.missed) == 0
    np.testing.assert_array_equal(got.ego_RD, want.ego_RD)
    np.testing.assert_allclose(got.final_RD, want.final_RD, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, pulled, rtol=1e-5, atol=1e-5)
    # Too little room: what has none is counted, nothing is confused.
    short = dataclasses.replace(on, row_slack=0.05)
    lost, _ = taught(short, nodes, Graph(table, degrees), seeds, rows)
    assert int(lost.missed) > 0
    ego = np.asarray(lost.ego_RD)
    there = (ego == np.asarray(want.ego_RD)).all(axis=1)
    assert there.any()
    assert not ego[~there].any()


def test_few_rows_have_places_for_many_that_ask_for_them():
    """A row that is asked for often takes one place."""
    reach = Reach(axes=AXES, shares=8, slack=1.0)
    numbers = np.full(8 * 500, 3, np.int32)

    def run(numbers):
        ways = route(numbers, numbers >= 0, size=8, reach=reach)
        return jax.lax.psum(ways.missed, AXES)

    spread = jax.shard_map(
        run, mesh=mesh_of((8, 1)), in_specs=P(AXES), out_specs=P(), check_vma=False
    )
    assert int(jax.jit(spread)(numbers)) == 0
    assert dataclasses.replace(reach, slack=0.01).places(500) < 20
