"""Node classifiers against their formulas."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.graph.transductive import (
    NodeTexts,
    TransductiveGraph,
    build_transductive,
)
from llmgnn_jax.models.dropout import dropout, dropout_of_rows
from llmgnn_jax.models.node_tasks import NodeClassifierSpec, create_classifier

NODES, FEATURES, CLASSES, TEXT = 7, 5, 3, 6
EDGES = np.array([[0, 1], [0, 2], [2, 3], [4, 5]])


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(0).random((NODES, FEATURES)).astype(np.float32)


@pytest.fixture(scope="module")
def graph(features: np.ndarray) -> TransductiveGraph:
    return built(features)


def built(features: np.ndarray) -> TransductiveGraph:
    dataset = NodeDataset(
        name="tiny",
        features=features,
        labels=np.arange(NODES) % CLASSES,
        edges=EDGES,
        class_names=("a", "b", "c"),
    )
    parts = {"train": [0, 1, 2], "valid": [3], "test": [4]}
    split = NodeSplit(
        dataset=dataset,
        rule="by hand",
        **{name: np.array(nodes) for name, nodes in parts.items()},
    )
    return build_transductive(split.training(), normalisation="none", backend="csr")


@pytest.fixture(scope="module")
def papers() -> TransductiveGraph:
    """Nodes with texts, all but the last, and no features."""
    vectors = np.random.default_rng(1).normal(size=(NODES, TEXT)).astype(np.float32)
    texts = NodeTexts(
        vectors_NT=jnp.asarray(vectors), known_N=jnp.arange(NODES) < NODES - 1
    )
    return dataclasses.replace(built(np.zeros((NODES, 0))), texts=texts)


def spec(**changes: object) -> NodeClassifierSpec:
    fields = {
        "num_features": FEATURES,
        "hidden_dim": 4,
        "num_classes": CLASSES,
        "num_layers": 2,
        "dropout": 0.5,
        "backend": "csr",
    }
    return NodeClassifierSpec(**(fields | changes))  # type: ignore[arg-type]


def text_spec(**changes: object) -> NodeClassifierSpec:
    fields: dict[str, Any] = {"sides": "fused", "text_dim": TEXT, "num_features": 0}
    return spec(**(fields | changes))


def by_hand(
    graph: TransductiveGraph, layers: list[np.ndarray], params: dict
) -> np.ndarray:
    """Logits where each layer's input is multiplied by these masks."""
    adjacency = np.zeros((NODES, NODES))
    ends = np.asarray(graph.graph.receivers), np.asarray(graph.graph.senders)
    adjacency[ends] = np.asarray(graph.graph.edges["weight"])
    nodes = np.asarray(graph.graph.nodes, np.float64)
    for number, mask in enumerate(layers):
        if number:
            nodes = np.maximum(nodes, 0)
        one = params[f"gcn_{number}"]
        nodes = adjacency @ (nodes * mask) @ np.asarray(one["kernel"], np.float64)
        nodes += np.asarray(one["bias"])
    return nodes


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_logits(graph: TransductiveGraph, num_layers: int) -> None:
    definition, params = create_classifier(spec(num_layers=num_layers), seed=1)
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)  # biases too
    logits = nnx.merge(definition, params)(graph)
    expected = by_hand(graph, [np.ones(1)] * num_layers, params)
    assert logits.shape == (NODES, CLASSES)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


def test_each_layers_input_is_dropped(graph: TransductiveGraph) -> None:
    definition, params = create_classifier(spec(), seed=1)
    key = jax.random.key(5)
    masks = [
        np.asarray(
            dropout(
                jax.numpy.ones((NODES, width)),
                key=jax.random.fold_in(key, number),
                rate=0.5,
            )
        )
        for number, width in enumerate((FEATURES, 4))
    ]
    assert 0 < (masks[0] == 0).mean() < 1
    logits = nnx.merge(definition, params)(graph, dropout_key=key)
    expected = by_hand(graph, masks, params)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


def test_the_penalty_is_of_the_first_layer_alone() -> None:
    definition, params = create_classifier(spec(), seed=1)
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)
    first = params["gcn_0"]
    expected = 0.5 * sum(np.sum(np.square(leaf)) for leaf in first.values())
    model = nnx.merge(definition, params)
    np.testing.assert_allclose(model.penalty(), expected, rtol=1e-6)


def test_initial_parameters() -> None:
    _, params = create_classifier(spec(num_features=300, hidden_dim=50), seed=1)
    _, again = create_classifier(spec(num_features=300, hidden_dim=50), seed=1)
    _, other = create_classifier(spec(num_features=300, hidden_dim=50), seed=2)
    jax.tree.map(np.testing.assert_array_equal, params, again)
    kernel = np.asarray(params["gcn_0"]["kernel"])
    assert (kernel != np.asarray(other["gcn_0"]["kernel"])).any()
    # Glorot and Bengio 2010: uniform up to sqrt(6 / (in + out)).
    bound = (6 / 350) ** 0.5
    assert 0.99 * bound < np.abs(kernel).max() <= bound
    assert not np.any(params["gcn_0"]["bias"])


# Nodes without features, with texts


def a_hat(graph: TransductiveGraph) -> np.ndarray:
    adjacency = np.zeros((NODES, NODES))
    ends = np.asarray(graph.graph.receivers), np.asarray(graph.graph.senders)
    adjacency[ends] = np.asarray(graph.graph.edges["weight"])
    return adjacency


def dense(layer: Mapping[str, Any], nodes: np.ndarray) -> np.ndarray:
    return nodes @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"])


def relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0)


def parameters(model: NodeClassifierSpec, *, seed: int = 1) -> tuple[Any, Any]:
    """Every one of them other than 0: biases and the null vector too."""
    definition, params = create_classifier(model, seed=seed)
    return definition, jax.tree.map(lambda leaf: leaf + 0.1, params)


def read_texts(papers: TransductiveGraph, params: Mapping[str, Any]) -> np.ndarray:
    assert papers.texts is not None
    texts = np.asarray(papers.texts.vectors_NT, np.float64).copy()
    texts[-1] = np.asarray(params["null_text"])
    return texts


def test_without_features_a_node_is_its_number(papers: TransductiveGraph) -> None:
    """The first matrix is a table of node vectors."""
    definition, params = parameters(spec(num_features=NODES))
    logits = nnx.merge(definition, params)(papers)
    first = a_hat(papers) @ np.asarray(params["gcn_0"]["kernel"], np.float64)
    first = relu(first + np.asarray(params["gcn_0"]["bias"]))
    expected = a_hat(papers) @ first @ np.asarray(params["gcn_1"]["kernel"])
    expected += np.asarray(params["gcn_1"]["bias"])
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("text_layers", [1, 2, 3])
def test_text_alone(papers: TransductiveGraph, text_layers: int) -> None:
    definition, params = parameters(text_spec(sides="text", text_layers=text_layers))
    nodes = read_texts(papers, params)
    for number in range(text_layers):
        nodes = dense(params[f"text_{number}"], relu(nodes) if number else nodes)
    logits = nnx.merge(definition, params)(papers)
    assert logits.shape == (NODES, CLASSES)
    np.testing.assert_allclose(logits, nodes, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("fusion", ["concat", "sum", "gate", "attention"])
def test_fused(papers: TransductiveGraph, fusion: str, num_layers: int) -> None:
    model = text_spec(fusion=fusion, num_layers=num_layers)
    definition, params = parameters(model)
    texts = read_texts(papers, params)
    own = dense(params["text_1"], relu(dense(params["text_0"], texts)))
    sent = a_hat(papers) @ texts @ np.asarray(params["sent_text"]["kernel"], np.float64)
    sent += np.asarray(params["sent_text"]["bias"])
    if num_layers == 2:
        sent = a_hat(papers) @ relu(sent) @ np.asarray(params["gcn_1"]["kernel"])
        sent += np.asarray(params["gcn_1"]["bias"])
    merged = nnx.merge(definition, params)
    # What a fusion is has tests of its own.
    fused = np.asarray(merged.fusion(jnp.float32(sent), jnp.float32(own)))
    expected = dense(params["head"], fused)
    np.testing.assert_allclose(merged(papers), expected, rtol=1e-4, atol=1e-5)
    assert "gcn_0" not in params


def test_features_are_sent_beside_texts(
    papers: TransductiveGraph, features: np.ndarray
) -> None:
    both = dataclasses.replace(built(features), texts=papers.texts)
    model = text_spec(num_features=FEATURES, num_layers=1, fusion="sum")
    definition, params = parameters(model)
    texts = read_texts(papers, params)
    own = dense(params["text_1"], relu(dense(params["text_0"], texts)))
    sent = sum(
        a_hat(both) @ what @ np.asarray(params[name]["kernel"], np.float64)
        + np.asarray(params[name]["bias"])
        for what, name in ((features, "gcn_0"), (texts, "sent_text"))
    )
    expected = dense(params["head"], own + sent)
    logits = nnx.merge(definition, params)(both)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", ["gcn", "sage", "gat"])
@pytest.mark.parametrize("sides", ["graph", "fused"])
def test_every_layer_hears_neighbours_and_no_others(
    papers: TransductiveGraph, layer: str, sides: str
) -> None:
    """Two rounds: what node 0 says reaches 3 by way of 2, and never 4, 5 and 6."""
    of_sides = {"graph": {"num_features": NODES, "text_dim": 0}, "fused": {}}
    model = text_spec(sides=sides, layer=layer, **of_sides[sides])
    definition, params = parameters(model)
    changed: TransductiveGraph = papers
    if sides == "fused":
        assert papers.texts is not None
        vectors = papers.texts.vectors_NT.at[0].add(1.0)
        texts = dataclasses.replace(papers.texts, vectors_NT=vectors)
        changed = dataclasses.replace(papers, texts=texts)
        other = params
    else:
        other = jax.tree.map(lambda leaf: leaf, params)
        for name, leaf in params[f"{layer}_0"].items():
            if leaf.shape[:1] == (NODES,):
                other[f"{layer}_0"][name] = leaf.at[0].add(1.0)
    before = np.asarray(nnx.merge(definition, params)(papers))
    after = np.asarray(nnx.merge(definition, other)(changed))
    moved = (np.abs(before - after) > 1e-6).any(axis=1)
    assert moved.tolist() == [True, True, True, True, False, False, False]


def test_what_is_dropped_belongs_to_its_node(papers: TransductiveGraph) -> None:
    """A step's masks differ between steps, and from node to node."""
    definition, params = parameters(text_spec())
    model = nnx.merge(definition, params)
    one, again, other = (
        np.asarray(model(papers, dropout_key=jax.random.key(seed)))
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    key = jax.random.key(5)
    rows = dropout_of_rows(jnp.ones((NODES, 400)), key=key, rate=0.25)
    assert set(np.unique(rows)) == {0.0, np.float32(1 / 0.75)}
    assert 0.2 < (np.asarray(rows) == 0).mean() < 0.3
    assert (rows[0] != rows[1]).any()
    # More nodes change nothing for those that are there.
    more = dropout_of_rows(jnp.ones((NODES + 9, 400)), key=key, rate=0.25)
    np.testing.assert_array_equal(more[:NODES], rows)
    np.testing.assert_array_equal(
        dropout_of_rows(jnp.ones((2, 3)), key=key, rate=0.0), np.ones((2, 3))
    )


def test_the_penalty_is_of_the_first_layer_of_each_side() -> None:
    definition, params = parameters(text_spec(num_features=FEATURES))
    expected = 0.5 * sum(
        np.sum(np.square(leaf))
        for name in ("gcn_0", "text_0", "sent_text")
        for leaf in params[name].values()
    )
    model = nnx.merge(definition, params)
    np.testing.assert_allclose(model.penalty(), expected, rtol=1e-6)
