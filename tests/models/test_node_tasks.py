"""The node classifier against its formula."""

import jax
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.graph.transductive import TransductiveGraph, build_transductive
from llmgnn_jax.models.dropout import dropout
from llmgnn_jax.models.node_tasks import NodeClassifierSpec, create_classifier

NODES, FEATURES, CLASSES = 7, 5, 3


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(0).random((NODES, FEATURES)).astype(np.float32)


@pytest.fixture(scope="module")
def graph(features: np.ndarray) -> TransductiveGraph:
    dataset = NodeDataset(
        name="tiny",
        features=features,
        labels=np.arange(NODES) % CLASSES,
        edges=np.array([[0, 1], [0, 2], [2, 3], [4, 5]]),
        class_names=("a", "b", "c"),
    )
    parts = {"train": [0, 1, 2], "valid": [3], "test": [4]}
    split = NodeSplit(
        dataset=dataset,
        rule="by hand",
        **{name: np.array(nodes) for name, nodes in parts.items()},
    )
    return build_transductive(split.training(), normalisation="none", backend="csr")


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
