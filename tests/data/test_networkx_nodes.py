"""NetworkX graphs of labelled nodes, read and written."""

from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from llmgnn_jax.data import catalog
from llmgnn_jax.data.sources.networkx_nodes import (
    nodes_from_networkx,
    nodes_to_networkx,
)
from llmgnn_jax.errors import UserError


def papers(kind: Callable[..., nx.Graph] = nx.Graph) -> nx.Graph:
    """Three papers; the last one says not what it is about."""
    graph = kind(name="papers")
    graph.add_node("a", x=[1, 0], y="maths", pages=10)
    graph.add_node("b", x=np.array([0, 0.5]), y="art", pages=3)
    graph.add_node("c", x=(0, 0), pages=7)
    graph.add_edges_from([("c", "a"), ("a", "b"), ("b", "a")])
    return graph


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph])
def test_what_is_read(kind: Callable[..., nx.Graph]) -> None:
    data = nodes_from_networkx(papers(kind))
    assert data.name == "papers"
    assert data.class_names == ("art", "maths")
    assert data.labels.tolist() == [1, 0, -1]
    assert data.edges.tolist() == [[0, 1], [0, 2]]
    np.testing.assert_array_equal(data.features, [[1, 0], [0, 0.5], [0, 0]])
    assert nodes_from_networkx(papers(kind), features=("pages",)).num_features == 1


def test_whole_numbers_are_classes_in_their_order() -> None:
    graph = papers()
    nx.set_node_attributes(graph, {"a": 10, "b": 9, "c": 10}, "y")
    data = nodes_from_networkx(graph)
    assert (data.class_names, data.labels.tolist()) == (("9", "10"), [1, 0, 1])
    data = nodes_from_networkx(graph, class_names=("10", "9", "8"))
    assert data.labels.tolist() == [0, 1, 0]


def test_there_and_back() -> None:
    data = nodes_from_networkx(papers(), class_names=("maths", "none", "art"))
    back = nodes_from_networkx(nodes_to_networkx(data))
    assert back.content_hash() == data.content_hash()
    assert back.name == data.name


def test_loops_and_attributes_of_edges_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    graph = papers()
    graph.add_edge("a", "a", cited=3)
    assert nodes_from_networkx(graph).num_edges == 2
    assert "1 edges of a node with itself left out" in caplog.text
    assert "not read: cited" in caplog.text


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        ({"x": [1]}, {}, "node 'b', attribute 'x': expected 2 numbers, got '.1.'"),
        ({"x": "red"}, {}, "node 'b', attribute 'x'"),
        ({}, {"features": "z"}, "node 'a', attribute 'z': expected a vector of"),
        ({}, {"label": "z"}, "attribute 'z': expected the class of a node"),
        ({}, {"class_names": ("maths",)}, "node 'b', .* classes maths, got 'art'"),
    ],
)
def test_a_mistake_names_the_node(change: dict, options: dict, told: str) -> None:
    graph = papers()
    graph.nodes["b"].update(change)
    with pytest.raises(UserError, match=told):
        nodes_from_networkx(graph, **options)


def test_cora_there_and_back(shared_data: Callable[[str], Path]) -> None:
    data = catalog.load_nodes(shared_data("cora-planetoid")).dataset
    back = nodes_from_networkx(nodes_to_networkx(data))
    assert back.content_hash() == data.content_hash()
