"""jraph's graphs, padded or not, as nodes and as users and items."""

import jax.numpy as jnp
import jraph
import numpy as np
import pytest

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.jraph_graph import from_jraph, nodes_from_jraph
from llmgnn_jax.data.splits import split_random
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.structure import build


def triangle(**fields: object) -> jraph.GraphsTuple:
    """Four nodes, the last one alone, its features not all zeros."""
    whole: dict = {
        "nodes": jnp.array([[1.0, 0], [0, 1], [0, 0], [2, 2]]),
        "edges": None,
        "senders": jnp.array([0, 1, 1, 2, 2, 0]),
        "receivers": jnp.array([1, 0, 2, 1, 0, 2]),
        "n_node": jnp.array([4]),
        "n_edge": jnp.array([6]),
        "globals": None,
    }
    return jraph.GraphsTuple(**whole | fields)


@pytest.mark.parametrize("padded", [False, True])
def test_nodes(padded: bool) -> None:
    graph = triangle()
    if padded:
        graph = jraph.pad_with_graphs(graph, n_node=9, n_edge=20, n_graph=4)
    data = nodes_from_jraph(graph, labels=[1, 0, -1, 2])
    assert data.num_nodes == 4
    assert data.edges.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert (data.labels.tolist(), data.class_names) == ([1, 0, -1, 2], ("0", "1", "2"))
    whole = jraph.unpad_with_graphs(graph) if padded else graph
    np.testing.assert_array_equal(data.features, whole.nodes)


def test_labels_among_the_nodes_and_several_graphs() -> None:
    one = triangle(nodes={"x": jnp.ones((4, 2)), "y": jnp.array([0, 1, 0, 1])})
    batch = jraph.batch([one, one])
    data = nodes_from_jraph(batch, class_names=("no", "yes"))
    assert (data.num_nodes, data.num_edges) == (8, 6)
    padded = jraph.pad_with_graphs(batch, n_node=10, n_edge=12, n_graph=3)
    again = nodes_from_jraph(padded, class_names=("no", "yes"))
    assert again.content_hash() == data.content_hash()


def test_users_and_items() -> None:
    graph = jraph.GraphsTuple(
        nodes=None,
        edges={"weight": jnp.array([5.0, 3, 5, 3, 1, 1, 2])},
        # 0 and 1 are users; 2, 3, 4 are items.
        senders=jnp.array([0, 1, 2, 4, 0, 1, 3]),
        receivers=jnp.array([2, 4, 0, 1, 1, 0, 4]),
        n_node=jnp.array([5]),
        n_edge=jnp.array([7]),
        globals=None,
    )
    data = from_jraph(graph, num_users=2, item_titles=("A", "B", "C"))
    rows = zip(data.users, data.items, data.values, strict=True)
    assert sorted(rows) == [(0, 0, 5), (1, 2, 3)]
    assert (data.user_ids, data.item_ids) == (("0", "1"), ("0", "1", "2"))
    assert data.item_texts == ("A", "B", "C")
    friends, links = data.relations["user-user"], data.relations["item-item"]
    assert (friends.num_links, friends.directed) == (1, False)
    assert (links.heads, links.tails, links.directed) == (1, 2, True)
    padded = jraph.pad_with_graphs(graph, n_node=6, n_edge=8)
    again = from_jraph(padded, num_users=2, item_titles=("A", "B", "C"))
    assert again.content_hash() == data.content_hash()


def test_a_graph_of_this_package() -> None:
    split = split_random(synthetic(), seed=0)
    train = split.training()
    made = build(train, spare_edges=10)
    data = from_jraph(made.graph, num_users=made.user_capacity)
    assert isinstance(data, Dataset)
    pairs = set(zip(train.users.tolist(), train.items.tolist(), strict=True))
    assert set(zip(data.users.tolist(), data.items.tolist(), strict=True)) == pairs
    assert data.num_interactions == len(pairs)


def test_a_mistake_names_what_is_wrong() -> None:
    for call, told in (
        (lambda: nodes_from_jraph(triangle()), "graph.labels: .* labels="),
        (lambda: nodes_from_jraph(triangle(), labels=[1]), "a class for each of 4"),
        (lambda: nodes_from_jraph(triangle(nodes=None), labels=[0]), "graph.nodes"),
        (lambda: from_jraph(triangle(), num_users=4), "num_users: expected a whole"),
        (lambda: from_jraph(triangle(), num_users=2.0), "nodes, 4, got 2.0"),  # type: ignore[arg-type]
        (lambda: from_jraph(triangle(), num_users=None), "got None"),  # type: ignore[arg-type]
        (
            lambda: from_jraph(triangle(edges={"w": jnp.ones(6)}), num_users=1),
            "graph.edges: expected one of value, rating, weight, got w",
        ),
        (
            lambda: from_jraph(triangle(edges=jnp.ones((6, 2))), num_users=1),
            r"a number for each of 6 edges, got shape \(6, 2\)",
        ),
        (
            lambda: from_jraph(triangle(n_edge=jnp.array([7])), num_users=1),
            "graph.n_edge: expected a sum of 6, got 7",
        ),
    ):
        with pytest.raises(UserError, match=told):
            call()
