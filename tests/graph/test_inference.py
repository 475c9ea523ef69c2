"""Inference layer by layer: the result of the whole graph, whatever the chunks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jraph
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.inference import HostEdges, host_edges, layerwise
from llmgnn_jax.graph.layers import GATLayer, GCNLayer, RGCNLayer, SAGELayer
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.plan import sorted_graph

NODES, WIDTH = 60, 4
RNG = np.random.default_rng(2)
# A hub that hears 90 edges; nodes from 50 on hear nobody.
SENDERS = RNG.integers(0, NODES, 340)
RECEIVERS = np.concatenate([RNG.integers(0, 50, 250), np.full(90, 11)])
HELD = {
    "weight": RNG.uniform(0.1, 1, 340).astype(np.float32),
    "relation": RNG.integers(0, 3, 340).astype(np.int32),
    "features": RNG.normal(size=(340, 2)).astype(np.float32),
}
FEATURES = RNG.normal(size=(NODES, WIDTH)).astype(np.float32)
LAYERS: dict[str, Callable[[nnx.Rngs], nnx.Module]] = {
    "gcn": lambda rngs: GCNLayer(WIDTH, WIDTH, rngs=rngs),
    "mean": lambda rngs: SAGELayer(WIDTH, WIDTH, rngs=rngs),
    "pool": lambda rngs: SAGELayer(WIDTH, WIDTH, aggregator="pool", rngs=rngs),
    "gat": lambda rngs: GATLayer(WIDTH, 2, heads=2, edge_dim=2, rngs=rngs),
    "rgcn": lambda rngs: RGCNLayer(WIDTH, WIDTH, num_relations=3, rngs=rngs),
}


@pytest.fixture(scope="module")
def edges() -> HostEdges:
    return host_edges(SENDERS, RECEIVERS, NODES, held=HELD)


def whole(layers: list[Any]) -> np.ndarray:
    graph, plan = sorted_graph(SENDERS, RECEIVERS, NODES, edges=HELD)
    graph = graph._replace(nodes=jnp.asarray(FEATURES))
    for layer in layers:
        graph = layer(
            graph, neighbours=LocalNeighbourhood(plan=plan, backend="segment")
        )
    return np.asarray(graph.nodes)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_it_is_the_whole_graph(edges: HostEdges, name: str) -> None:
    rngs = nnx.Rngs(0)
    layers = [LAYERS[name](rngs), LAYERS[name](rngs)]
    out = layerwise(layers, FEATURES, edges, max_rows=16, max_edges=64)
    np.testing.assert_allclose(out, whole(layers), rtol=1e-5, atol=1e-5)


def mean_layer(graph: jraph.GraphsTuple, *, neighbours: Any) -> jraph.GraphsTuple:
    """A function, that widens; against a slow loop below."""
    heard = neighbours.mean(graph.nodes)
    return graph._replace(nodes=jnp.concatenate([graph.nodes, jnp.tanh(heard)], 1))


def slow_loop() -> np.ndarray:
    nodes = FEATURES.astype(np.float64)
    for _ in range(2):
        heard = np.zeros_like(nodes)
        for v in range(NODES):
            senders = SENDERS[v == RECEIVERS]
            if len(senders):
                heard[v] = sum(nodes[u] for u in senders) / len(senders)
        nodes = np.concatenate([nodes, np.tanh(heard)], 1)
    return nodes


# One node at a time; the hub above the bound; rows that bind; all at once.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("max_rows", "max_edges"), [(1, 1), (60, 30), (7, 1000), (1000, 1000)]
)
def test_chunks_change_nothing(edges: HostEdges, max_rows: int, max_edges: int) -> None:
    out = layerwise(
        [mean_layer] * 2, FEATURES, edges, max_rows=max_rows, max_edges=max_edges
    )
    np.testing.assert_allclose(out, slow_loop(), rtol=1e-5, atol=1e-5)


def test_from_files_to_files(edges: HostEdges, tmp_path: Path) -> None:
    arrays = {"indptr": edges.indptr, "senders": edges.senders, "features": FEATURES}
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in arrays}
    out = layerwise(
        [mean_layer] * 2,
        mapped["features"],
        HostEdges(indptr=mapped["indptr"], senders=mapped["senders"]),
        max_rows=10,
        folder=tmp_path / "out",
    )
    assert isinstance(out, np.memmap)
    np.testing.assert_allclose(out, slow_loop(), rtol=1e-5, atol=1e-5)
    first = np.load(tmp_path / "out" / "layer_0.npy")
    np.testing.assert_allclose(first, slow_loop()[:, : 2 * WIDTH], rtol=1e-5, atol=1e-5)


def test_few_shapes_are_compiled() -> None:
    rng = np.random.default_rng(0)
    senders, receivers = rng.integers(0, 4000, (2, 30_000))
    traced: list[tuple[int, ...]] = []

    def layer(graph: jraph.GraphsTuple, *, neighbours: Any) -> jraph.GraphsTuple:
        traced.append((*graph.nodes.shape, *graph.senders.shape))
        return graph._replace(nodes=neighbours.sum(graph.nodes))

    out = layerwise(
        [layer],
        rng.normal(size=(4000, 2)).astype(np.float32),
        host_edges(senders, receivers, 4000),
        max_rows=128,
        max_edges=1024,
    )
    assert out.shape == (4000, 2)
    # About 35 chunks, of which the last one is smaller.
    assert 1 <= len(traced) <= 4
    assert all(size & (size - 1) == 0 for nodes, _, size in traced)
    assert max(nodes for nodes, _, _ in traced) <= 2048


def test_without_layers_or_edges() -> None:
    none = host_edges(np.zeros(0, int), np.zeros(0, int), 3)
    features = np.ones((3, 2), np.float32)
    assert layerwise([], features, none) is features
    out = layerwise([mean_layer], features, none)
    np.testing.assert_array_equal(out, [[1, 1, 0, 0]] * 3)


def test_what_does_not_fit(edges: HostEdges) -> None:
    with pytest.raises(UserError, match="features: expected 60 rows, got 59"):
        layerwise([mean_layer], FEATURES[:59], edges)
    for name in ("max_rows", "max_edges"):
        with pytest.raises(UserError, match=f"{name}: expected a number >= 1, got 0"):
            layerwise([mean_layer], FEATURES, edges, **{name: 0})
    with pytest.raises(UserError, match=r"senders: expected numbers in \[0, 3\)"):
        host_edges(np.asarray([3]), np.asarray([0]), 3)


def test_it_repeats_bit_for_bit(edges: HostEdges) -> None:
    layers = [LAYERS["gat"](nnx.Rngs(1))]
    one, other = (layerwise(layers, FEATURES, edges, max_rows=8) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def halves_layer(graph: jraph.GraphsTuple, *, neighbours: Any) -> jraph.GraphsTuple:
    """What it gives depends on the type that it is given."""
    heard = neighbours.mean(graph.nodes) + (graph.nodes.dtype == jnp.bfloat16)
    return graph._replace(nodes=heard.astype(jnp.bfloat16))


def test_bfloat16_in_files_is_float32(edges: HostEdges, tmp_path: Path) -> None:
    layers = [halves_layer] * 2
    in_memory = layerwise(layers, FEATURES, edges, max_rows=16)
    assert in_memory.dtype == jnp.bfloat16
    out = layerwise(layers, FEATURES, edges, max_rows=16, folder=tmp_path)
    assert isinstance(out, np.memmap)
    for values in (out, np.load(tmp_path / "layer_1.npy")):
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, in_memory.astype(np.float32))


def test_features_may_be_what_it_replaces(edges: HostEdges, tmp_path: Path) -> None:
    first = layerwise([mean_layer], FEATURES, edges, folder=tmp_path)
    assert isinstance(first, np.memmap)
    assert first.filename == tmp_path / "layer_0.npy"
    held = np.array(first)
    out = layerwise([mean_layer], first, edges, max_rows=7, folder=tmp_path)
    np.testing.assert_allclose(out, slow_loop(), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(first, held)
    assert [path.name for path in tmp_path.iterdir()] == ["layer_0.npy"]


def test_what_fails_replaces_nothing(edges: HostEdges, tmp_path: Path) -> None:
    held = np.array(layerwise([mean_layer], FEATURES, edges, folder=tmp_path))
    broken = HostEdges(indptr=edges.indptr, senders=edges.senders.copy())
    broken.senders[-1] = 10**6
    with pytest.raises(IndexError):
        layerwise([mean_layer], FEATURES, broken, max_rows=7, folder=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "layer_0.npy"), held)
    assert [path.name for path in tmp_path.iterdir()] == ["layer_0.npy"]


@pytest.mark.parametrize("in_files", [False, True])
def test_no_nodes(tmp_path: Path, in_files: bool) -> None:
    none = host_edges(np.zeros(0, int), np.zeros(0, int), 0)
    features = np.zeros((0, WIDTH), np.float32)
    folder = tmp_path if in_files else None
    out = layerwise([mean_layer] * 2, features, none, folder=folder)
    assert out.shape == (0, 4 * WIDTH)
    assert out.dtype == np.float32
