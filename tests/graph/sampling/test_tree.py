"""Message passing over trees: against dense matrices, whole graphs and slow loops."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.layers import (
    GATLayer,
    GATv2Layer,
    GCNLayer,
    RGCNLayer,
    SAGELayer,
)
from llmgnn_jax.graph.native import library
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.plan import sorted_graph
from llmgnn_jax.graph.sampling import (
    SampledTree,
    TreeNeighbourhood,
    gather_features,
    gathered,
    propagate_tree,
    sample_table,
    sample_tree,
)
from llmgnn_jax.graph.sampling import neighbourhood as neighbourhood_module

SEEDS = np.asarray([7, 0, 36, 7, 12, -1])
FANOUTS = ((2, 0, 3), (1, 2, 1))
WIDTH = 4
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def tree(multigraph: Any) -> SampledTree:
    host = sample_tree(jax.random.key(0), multigraph.table, SEEDS, fanouts=FANOUTS)
    assert 0 < host.edge_mask.sum() < host.num_edges
    return jax.device_put(host)


def table_of_nodes(*shape: int) -> jax.Array:
    return jnp.asarray(RNG.normal(size=(40, *(shape or (WIDTH,)))), jnp.float32)


def dense(
    tree: SampledTree, weights: jax.Array, edges: jax.Array | None = None
) -> jax.Array:
    """out[v] = sum of weights[e] edges[e], with a matrix [M, E] of real edges."""
    graph = tree.graph()
    matrix = (
        np.asarray(graph.receivers)[None, :] == np.arange(tree.num_parents)[:, None]
    ) & np.asarray(tree.edge_mask)[None, :]
    messages = weights if edges is None else weights[..., None] * edges
    return jnp.einsum("ve,e...->v...", matrix.astype(np.float32), messages)


def test_the_graph(tree: SampledTree) -> None:
    graph = tree.graph(tree.node_ids, edges={"relation": tree.relations})
    receivers, senders = np.asarray(graph.receivers), np.asarray(graph.senders)
    assert (np.diff(receivers) >= 0).all()
    # Breadth first: 5 children for each of 6 seeds, 4 for each of these.
    expected = np.concatenate([np.repeat(np.arange(6), 5), 6 + np.arange(120) // 4])
    np.testing.assert_array_equal(receivers, expected)
    np.testing.assert_array_equal(senders, 6 + np.arange(150))
    np.testing.assert_array_equal(graph.edges["weight"], tree.edge_mask)
    assert graph.edges["relation"].tolist() == [0, 0, 2, 2, 2] * 6 + [0, 1, 1, 2] * 30
    assert int(graph.n_node[0]) == 156 == tree.num_nodes
    assert tree.num_parents == 36 == tree.trimmed.num_nodes
    assert tree.trimmed.node_ids.tolist() == tree.node_ids[:36].tolist()


def test_the_graph_runs_in_jraph(tree: SampledTree) -> None:
    nodes = gather_features(table_of_nodes(), tree)
    network = jraph.GraphNetwork(
        update_edge_fn=lambda edges, sent, *_: {"m": sent * edges["weight"][:, None]},
        update_node_fn=lambda nodes, sent, received, globals_: received["m"],
    )
    out = network(tree.graph(nodes)).nodes[: tree.num_parents]
    expected = tree.neighbourhood().sum(nodes)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


Operation = Callable[[TreeNeighbourhood, jax.Array, jax.Array], jax.Array]


def operations(tree: SampledTree) -> dict[str, tuple[Operation, Operation]]:
    """Name -> ours and the reference, of the tree's nodes (N, D) and weights (E,)."""
    senders, receivers = tree.graph().senders, tree.graph().receivers
    ones = jnp.ones(tree.num_edges)
    degrees = dense(tree, ones)
    mask = tree.edge_mask

    def softmax(logits: jax.Array) -> jax.Array:
        powers = jnp.exp(logits)
        total = jnp.concatenate([dense(tree, powers), jnp.ones(tree.num_edges)])
        shares = powers / jnp.where(total > 0, total, 1.0)[receivers]
        return jnp.where(mask, shares, 0.0)

    def maximum(nodes: jax.Array) -> jax.Array:
        reached = jnp.where(mask[:, None], nodes[senders], -jnp.inf)
        highest = jax.ops.segment_max(reached, receivers, tree.num_parents)
        return jnp.where(degrees[:, None] > 0, highest, 0.0)

    return {
        "sum": (
            lambda tn, x, w: tn.sum(x, w),
            lambda tn, x, w: dense(tree, w, x[senders]),
        ),
        "plain sum": (
            lambda tn, x, w: tn.sum(x),
            lambda tn, x, w: dense(tree, ones, x[senders]),
        ),
        "mean": (
            lambda tn, x, w: tn.mean(x),
            lambda tn, x, w: (
                dense(tree, ones, x[senders]) / jnp.maximum(degrees, 1)[:, None]
            ),
        ),
        "max": (lambda tn, x, w: tn.max(x), lambda tn, x, w: maximum(x)),
        "softmax": (lambda tn, x, w: tn.softmax(w), lambda tn, x, w: softmax(w)),
        "sum_edges": (
            lambda tn, x, w: tn.sum_edges(tn.gather_senders(x)),
            lambda tn, x, w: dense(tree, ones, x[senders]),
        ),
        "gather_receivers": (
            lambda tn, x, w: tn.gather_receivers(x) * w[:, None],
            lambda tn, x, w: x[receivers] * w[:, None],
        ),
        "own": (lambda tn, x, w: tn.own(x), lambda tn, x, w: x[: tree.num_parents]),
        "attention": (
            lambda tn, x, w: tn.sum(x, tn.softmax(tn.gather_receivers(x)[:, 0] * w)),
            lambda tn, x, w: dense(tree, softmax(x[receivers][:, 0] * w), x[senders]),
        ),
    }


@pytest.mark.slow
@pytest.mark.parametrize("of_table", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        *("sum", "plain sum", "mean", "max", "softmax", "sum_edges"),
        *("gather_receivers", "own", "attention"),
    ],
)
def test_values_and_gradients(tree: SampledTree, name: str, of_table: bool) -> None:
    ours, reference = operations(tree)[name]
    table = table_of_nodes()
    weights = jnp.asarray(RNG.normal(size=tree.num_edges), jnp.float32)
    neighbourhood = tree.neighbourhood(of_table=of_table)

    def loss(
        operation: Operation, table: jax.Array, weights: jax.Array, whole: bool
    ) -> tuple[jax.Array, jax.Array]:
        held = jnp.where(tree.node_mask[:, None], table[tree.node_ids], 0)
        nodes = table if whole else held
        out = operation(neighbourhood, nodes, weights)
        directions = jnp.cos(jnp.arange(out.size, dtype=jnp.float32))
        return jnp.sum(jnp.sin(out) * directions.reshape(out.shape)), out

    both = jax.value_and_grad(loss, argnums=(1, 2), has_aux=True)
    (_, out), gradients = jax.jit(both, static_argnums=(0, 3))(
        ours, table, weights, of_table
    )
    (_, expected), references = both(reference, table, weights, False)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
    for gradient, right in zip(gradients, references, strict=True):
        np.testing.assert_allclose(gradient, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("of_table", [False, True])
def test_heads_have_weights_of_their_own(tree: SampledTree, of_table: bool) -> None:
    table = table_of_nodes(2, WIDTH)
    weights = jnp.asarray(RNG.normal(size=(tree.num_edges, 2)), jnp.float32)
    nodes = table if of_table else table[tree.node_ids]
    neighbourhood = tree.neighbourhood(of_table=of_table)
    out = neighbourhood.sum(nodes, weights)
    shares = neighbourhood.softmax(weights)
    unweighted = neighbourhood.sum(nodes)
    for head in range(2):
        one = tree.neighbourhood()
        held = table[tree.node_ids][:, head]
        np.testing.assert_allclose(
            out[:, head], one.sum(held, weights[:, head]), rtol=1e-5, atol=1e-5
        )
        np.testing.assert_allclose(
            unweighted[:, head], one.sum(held), rtol=1e-5, atol=1e-5
        )
        np.testing.assert_allclose(shares[:, head], one.softmax(weights[:, head]))


OPERATIONS: dict[str, Operation] = {
    "sum": lambda tn, x, w: tn.sum(x, w),
    "plain sum": lambda tn, x, w: tn.sum(x),
    "mean": lambda tn, x, w: tn.mean(x),
    "max": lambda tn, x, w: tn.max(x),
    "sum_edges": lambda tn, x, w: tn.sum_edges(tn.gather_senders(x)),
    "heads": lambda tn, x, w: tn.sum(jnp.stack([x, x], 1), jnp.stack([w, w], 1)),
}


@pytest.mark.parametrize("of_table", [False, True])
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("what", [np.nan, np.inf])
def test_empty_slots_take_part_in_nothing(
    name: str, of_table: bool, what: float
) -> None:
    # 3 hears 1 and 2, 4 hears 0, 1 hears nobody: each has empty slots, which name 0.
    table = sample_table(np.asarray([1, 2, 0]), np.asarray([3, 3, 4]), 5)
    seeds = np.asarray([3, 4, 1, -1])
    tree = jax.device_put(
        sample_tree(jax.random.key(0), table, seeds, fanouts=(4,)),
    )
    weights = jnp.where(tree.edge_mask, 0.5, what)
    neighbourhood = tree.neighbourhood(of_table=of_table)
    rows = jnp.asarray(RNG.normal(size=(5, WIDTH)), jnp.float32)

    @jax.jit
    def run(rows: jax.Array) -> Any:
        def loss(rows: jax.Array, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
            # In a tree, what the empty slots hold is not finite either.
            nodes = rows if of_table else rows[tree.node_ids]
            out = OPERATIONS[name](neighbourhood, nodes, weights)
            return jnp.sum(out[jnp.asarray([0, 2, 3])]), out

        return jax.grad(loss, argnums=(0, 1), has_aux=True)(rows, weights)

    gradients, out = run(rows.at[0].set(what))
    references, expected = run(rows.at[0].set(0.0))
    others = np.asarray([0, 2, 3])
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(out[others], expected[others])
    # Node 4 does hear it.
    assert not np.isfinite(out[1]).any()
    np.testing.assert_array_equal(gradients[0], references[0])
    empty = ~np.asarray(tree.edge_mask)
    assert (np.asarray(gradients[1])[empty] == 0).all()
    np.testing.assert_array_equal(gradients[1][:4], references[1][:4])


def gathered_by(
    backend: Backend,
) -> Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]:
    if backend == "native" and not library.available():
        pytest.skip("no C++ compiler")
    return jax.jit(functools.partial(gathered.gathered_sums, backend=backend))


# 214 columns: blocks of 128 and of 64 lanes, one of 16, and a rest.
@pytest.mark.parametrize("width", [WIDTH, 214])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("backend", ["native", "csr", "segment"])
def test_gathered_sums_of_every_kernel(
    backend: Backend, dtype: Any, width: int
) -> None:
    table = jnp.asarray(RNG.normal(size=(6, width)), dtype).at[0].set(jnp.nan)
    ids = jnp.asarray([[0, 2, 3], [0, 0, 0], [0, 4, 0], [5, 1, 2]])
    mask = jnp.asarray([[0, 1, 1], [0, 0, 0], [1, 1, 0], [1, 1, 1]], bool)
    weights = jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32)
    held = np.asarray(table, np.float32)
    expected = [
        sum(
            (weights[w, k] * held[ids[w, k]] for k in range(3) if mask[w, k]),
            start=np.zeros(width, np.float32),
        )
        for w in range(4)
    ]
    assert [np.isfinite(row).all() for row in expected] == [True, True, False, True]
    out = gathered_by(backend)(table, ids, weights, mask)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, np.stack(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", ["native", "csr", "segment"])
def test_gathered_sums_have_the_gradients_of_their_formula(backend: Backend) -> None:
    table = jnp.asarray(RNG.normal(size=(9, WIDTH)), jnp.float32)
    ids = jnp.asarray(RNG.integers(0, 9, (5, 4)), jnp.int32)
    mask = jnp.asarray(RNG.random((5, 4)) < 0.7)
    weights = jnp.asarray(RNG.normal(size=(5, 4)), jnp.float32)
    kernel = gathered_by(backend)

    def formula(table: jax.Array, weights: jax.Array) -> jax.Array:
        rows = table[ids] * jnp.where(mask, weights, 0.0)[:, :, None]
        return jnp.sum(jnp.sin(rows.sum(axis=1)))

    found = jax.grad(
        lambda table, weights: jnp.sum(jnp.sin(kernel(table, ids, weights, mask))),
        argnums=(0, 1),
    )(table, weights)
    for one, wanted in zip(
        found, jax.grad(formula, argnums=(0, 1))(table, weights), strict=True
    ):
        np.testing.assert_allclose(one, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["native", "csr"])
def test_many_sums_are_gathered(backend: Backend) -> None:
    # More than one task of a kernel, and rows that are asked for ahead.
    table = jnp.asarray(RNG.normal(size=(50, 70)), jnp.float32)
    ids = jnp.asarray(RNG.integers(0, 50, (300, 10)), jnp.int32)
    mask = jnp.asarray(RNG.random((300, 10)) < 0.8)
    weights = jnp.asarray(RNG.normal(size=(300, 10)), jnp.float32)
    given = (table, ids, weights, mask)
    expected = gathered_by("segment")(*given)
    np.testing.assert_allclose(
        gathered_by(backend)(*given), expected, rtol=1e-5, atol=1e-5
    )


def test_float16_is_gathered_where_it_is_named_alone() -> None:
    table = jnp.asarray(RNG.normal(size=(6, WIDTH)), jnp.float16)
    given = (table, jnp.ones((2, 1), jnp.int32), jnp.ones((2, 1)))
    out = gathered_by("native")(*given, jnp.asarray([[True], [False]]))
    np.testing.assert_array_equal(out[0], table[1].astype(jnp.float32))
    np.testing.assert_array_equal(out[1], np.zeros(WIDTH, np.float32))


@pytest.mark.parametrize("backend", ["native", "segment"])
def test_backends_read_the_table_alike(tree: SampledTree, backend: Backend) -> None:
    if backend == "native" and not library.available():
        pytest.skip("no C++ compiler")
    asked = []
    gathered_sums = gathered.gathered_sums

    def noted(*arguments: Any) -> jax.Array:
        asked.append(arguments[4])
        return gathered_sums(*arguments)

    table = table_of_nodes()
    layers = [SAGELayer(WIDTH, WIDTH, rngs=nnx.Rngs(number)) for number in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        for module in (gathered, neighbourhood_module):
            patch.setattr(module, "gathered_sums", noted)
        rows = gather_features(table, tree, backend=backend)
        out = propagate_tree(layers, tree, table_ND=table, backend=backend)
    # The tree's nodes; those of the first layer, and the two hops that they hear.
    assert len(asked) >= 4
    assert set(asked) == {backend}
    np.testing.assert_array_equal(rows, gather_features(table, tree))
    np.testing.assert_allclose(
        out, propagate_tree(layers, tree, table_ND=table), rtol=1e-5, atol=1e-6
    )


def test_no_sums_are_gathered() -> None:
    table, none = jnp.ones((3, WIDTH)), jnp.zeros((0, 2))
    for backend in ("native", "csr", "segment"):
        out = gathered_by(backend)(
            table, none.astype(jnp.int32), none, none.astype(bool)
        )
        assert out.shape == (0, WIDTH)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_host_and_the_device_gather_alike_what_is_not_finite(
    tree: SampledTree, dtype: Any
) -> None:
    table = table_of_nodes().astype(dtype).at[0].set(jnp.inf)
    host = jax.tree.map(np.asarray, tree)
    rows = np.asarray(gather_features(table, tree))
    assert np.isinf(rows).any()
    np.testing.assert_array_equal(rows, gather_features(np.asarray(table), host))
    own = tree.neighbourhood(of_table=True).own(table)
    np.testing.assert_array_equal(own, rows[: tree.num_parents])


def test_degrees_and_constant_weights(tree: SampledTree) -> None:
    ones = jnp.ones(tree.num_edges)
    neighbourhood = tree.neighbourhood()
    np.testing.assert_array_equal(neighbourhood.degrees(), dense(tree, ones))
    nodes = gather_features(table_of_nodes(), tree)
    with pytest.raises(ValueError, match="the tree has none"):
        neighbourhood.weighted(nodes)
    weights = jnp.arange(tree.num_edges, dtype=jnp.float32)
    np.testing.assert_array_equal(
        tree.neighbourhood(weights=weights).weighted(nodes),
        neighbourhood.sum(nodes, weights),
    )


@pytest.mark.parametrize("of_table", [False, True])
def test_bfloat16_is_summed_in_float32(of_table: bool) -> None:
    # A running sum in bfloat16 gets no further than 256 ones.
    table = sample_table(np.ones(1000, int), np.zeros(1000, int), 2)
    host = sample_tree(jax.random.key(0), table, np.asarray([0]), fanouts=(1000,))
    tree = jax.device_put(host)
    ones = jnp.ones((2, 3), jnp.bfloat16)
    nodes = ones if of_table else gather_features(ones, tree)
    out = tree.neighbourhood(of_table=of_table).sum(nodes)
    assert out.dtype == jnp.bfloat16
    assert out.tolist() == [[1000.0] * 3]


def test_gathered_features(multigraph: Any, tree: SampledTree) -> None:
    table = table_of_nodes()
    rows = gather_features(table, tree)
    expected = np.where(
        np.asarray(tree.node_mask)[:, None], np.asarray(table)[tree.node_ids], 0
    )
    np.testing.assert_array_equal(rows, expected)
    host = jax.tree.map(np.asarray, tree)
    np.testing.assert_array_equal(gather_features(np.asarray(table), host), expected)
    halves = gather_features(table.astype(jnp.bfloat16), tree)
    assert halves.dtype == jnp.bfloat16
    np.testing.assert_array_equal(halves, jnp.asarray(expected, jnp.bfloat16))


def relu(layer: nnx.Module) -> Callable[..., jraph.GraphsTuple]:
    def both(graph: jraph.GraphsTuple, *, neighbours: Any) -> jraph.GraphsTuple:
        out = layer(graph, neighbours=neighbours)  # type: ignore[operator]
        return out._replace(nodes=jax.nn.relu(out.nodes))

    return both


LAYERS: dict[str, Callable[[nnx.Rngs], nnx.Module]] = {
    "gcn": lambda rngs: GCNLayer(WIDTH, WIDTH, rngs=rngs),
    "mean": lambda rngs: SAGELayer(WIDTH, WIDTH, rngs=rngs),
    "max": lambda rngs: SAGELayer(WIDTH, WIDTH, aggregator="max", rngs=rngs),
    "pool": lambda rngs: SAGELayer(WIDTH, WIDTH, aggregator="pool", rngs=rngs),
    "gat": lambda rngs: GATLayer(WIDTH, 2, heads=2, residual=True, rngs=rngs),
    "gatv2": lambda rngs: GATv2Layer(WIDTH, 2, heads=2, rngs=rngs),
    "rgcn": lambda rngs: RGCNLayer(WIDTH, WIDTH, num_relations=3, rngs=rngs),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "of_table"),
    [*((name, True) for name in LAYERS), ("mean", False), ("gat", False)],
)
def test_with_every_neighbour_it_is_the_whole_graph(name: str, of_table: bool) -> None:
    rng = np.random.default_rng(5)
    senders, receivers = rng.integers(0, 20, (2, 60))
    edges = {
        "relation": rng.integers(0, 3, 60).astype(np.int32),
        "weight": rng.uniform(0.1, 1, 60).astype(np.float32),
    }
    most = int(np.bincount(receivers).max())
    table = sample_table(
        senders, receivers, 20, relations=edges["relation"], num_relations=3
    )
    seeds = np.arange(20)
    tree = jax.device_put(
        sample_tree(jax.random.key(0), table, seeds, fanouts=((most,) * 3,) * 2)
    )
    held = {"relation": tree.relations, "weight": tree.edge_values(edges["weight"])}
    whole, plan = sorted_graph(senders, receivers, 20, edges=edges)
    features = jnp.asarray(rng.normal(size=(20, WIDTH)), jnp.float32)
    rngs = nnx.Rngs(0)
    definition, params = nnx.split([LAYERS[name](rngs) for _ in range(2)])

    def loss(
        params: Any, features: jax.Array, sampled: bool
    ) -> tuple[jax.Array, jax.Array]:
        first, second = nnx.merge(definition, params)
        layers = [relu(first), second]
        if sampled:
            given = {"table_ND": features}
            if not of_table:
                given = {"nodes_ND": gather_features(features, tree)}
            out = propagate_tree(layers, tree, **given, edges=held)
        else:
            graph = whole._replace(nodes=features)
            neighbours = LocalNeighbourhood(plan=plan, backend="segment")
            for layer in layers:
                graph = layer(graph, neighbours=neighbours)
            out = graph.nodes
        return jnp.sum(jnp.sin(out)), out

    both = jax.jit(
        jax.value_and_grad(loss, argnums=(0, 1), has_aux=True), static_argnums=2
    )
    (_, out), gradients = both(params, features, True)
    (_, expected), references = both(params, features, False)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
    for gradient, reference in zip(
        jax.tree.leaves(gradients), jax.tree.leaves(references), strict=True
    ):
        np.testing.assert_allclose(gradient, reference, rtol=1e-4, atol=1e-5)


def test_updates_of_edges_are_carried_on(tree: SampledTree) -> None:
    def counts(graph: jraph.GraphsTuple, *, neighbours: Any) -> jraph.GraphsTuple:
        heard = neighbours.sum_edges(graph.edges["features"])
        updated = {**graph.edges, "features": graph.edges["features"] + 1.0}
        return graph._replace(nodes=neighbours.own(graph.nodes) + heard, edges=updated)

    nodes = jnp.zeros((tree.num_nodes, 1))
    edges = {"features": jnp.ones((tree.num_edges, 1))}
    out = propagate_tree([counts, counts], tree, nodes, edges=edges)
    degrees = tree.neighbourhood().degrees()[: len(SEEDS)]
    np.testing.assert_array_equal(out[:, 0], 3 * degrees)


def test_layers_and_hops_belong_together(tree: SampledTree) -> None:
    with pytest.raises(ValueError, match="expected 2 layers, got 1"):
        propagate_tree([lambda graph, neighbours: graph], tree, jnp.zeros((156, 1)))
    with pytest.raises(ValueError, match="one of nodes_ND and table_ND"):
        propagate_tree([lambda graph, neighbours: graph] * 2, tree)


def test_no_scatter_is_left_in_a_training_step(tree: SampledTree) -> None:
    table = table_of_nodes()

    def ours(kernel: jax.Array, table: jax.Array, tree: SampledTree) -> jax.Array:
        def layer(graph: jraph.GraphsTuple, *, neighbours: Any) -> jraph.GraphsTuple:
            heard = neighbours.mean(graph.nodes) + neighbours.own(graph.nodes)
            attention = neighbours.softmax(neighbours.gather_senders(graph.nodes)[:, 0])
            heard = heard + neighbours.sum(graph.nodes, attention)
            return graph._replace(nodes=jnp.tanh(heard @ kernel))

        return jnp.sum(propagate_tree([layer, layer], tree, table_ND=table))

    def autodiff(kernel: jax.Array, table: jax.Array, tree: SampledTree) -> jax.Array:
        rows = (table @ kernel)[tree.node_ids]
        return jnp.sum(jnp.tanh(rows))

    def program(loss: Callable[..., jax.Array]) -> str:
        compiled = jax.jit(jax.grad(loss)).lower(jnp.eye(WIDTH), table, tree).compile()
        return str(compiled.as_text())

    assert "scatter(" not in program(ours)
    assert "scatter(" in program(autodiff)
