"""Which nodes are drawn, where, and how they are called."""

import dataclasses
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np

from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.describe.neighbourhood import Neighbourhood, neighbourhood
from llmgnn_jax.data.describe.node_neighbourhood import node_neighbourhood
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.evaluation.report.network import network


def linked() -> Dataset:
    """The synthetic data with friends, genres of items and households of users."""
    planted = synthetic(num_users=200, num_interactions=3_000)

    def relation(heads_of: str, tails_of: str, directed: bool = False) -> Relation:
        sizes = {"user": 200, "item": 40, "genre": 3, "household": 100}
        rng = np.random.default_rng(0)
        return Relation.merged(
            heads_of=heads_of,
            tails_of=tails_of,
            heads=rng.integers(0, sizes[heads_of], 2_000),
            tails=rng.integers(0, sizes[tails_of], 2_000),
            directed=directed,
        )

    return dataclasses.replace(
        planted,
        entities={
            "genre": ("crime", "love", "war"),
            "household": tuple(f"Main Street {number}" for number in range(100)),
        },
        relations={
            "friends": relation("user", "user"),
            "is a": relation("item", "genre"),
            "lives in": relation("user", "household", directed=True),
        },
    )


def titles(picture: Neighbourhood) -> list[str]:
    """All that can be read in the drawing, what the pointer shows included."""
    root = ET.fromstring(network(picture))
    return [text for text in root.itertext() if text.strip()]


def test_who_is_drawn() -> None:
    data = linked()
    picture = neighbourhood(data, show_ids=True)
    kinds = [node.kind for node in picture.nodes]
    assert kinds[0] == "user"
    assert len(kinds) <= 60
    middle = data.user_ids.index(picture.nodes[0].label.removeprefix("user "))
    counts = np.bincount(data.users, minlength=data.num_users)
    assert abs(counts[middle] - np.median(counts)) <= 1
    met = set(zip(data.users.tolist(), data.items.tolist(), strict=True))
    names = {f"user {one}": at for at, one in enumerate(data.user_ids)}
    shown = {title: at for at, title in enumerate(data.item_titles)}
    drawn = set()
    for edge in picture.edges:
        ends = [picture.nodes[end] for end in edge.ends]
        if not edge.relation:
            drawn.add((names[ends[0].label], shown[ends[1].label]))
    assert drawn <= met
    others = [node for node in picture.nodes[1:] if node.kind == "user"]
    assert all(
        any((names[node.label], item) in drawn for item in range(40)) for node in others
    )
    assert {edge.relation for edge in picture.edges} == {"", *data.relations}
    assert all(edge.directed == (edge.relation == "lives in") for edge in picture.edges)
    assert picture.left_out["user"] > 0


def test_nodes_lie_apart_and_the_same_picture_comes_again() -> None:
    data = linked()
    picture = neighbourhood(data, show_ids=False)
    places = [(node.x, node.y) for node in picture.nodes]
    for at, one in enumerate(places):
        for other in places[:at]:
            assert math.dist(one, other) > 0.2
    rng = np.random.default_rng(1)
    turned = data.taken(
        rows=rng.permutation(data.num_interactions),
        users=rng.permutation(data.num_users),
        items=rng.permutation(data.num_items),
    )
    again = neighbourhood(turned, show_ids=False)
    assert {(n.label, n.x, n.y) for n in again.nodes} == {
        (n.label, n.x, n.y) for n in picture.nodes
    }
    assert network(neighbourhood(data, show_ids=False)) == network(picture)


def test_users_and_what_is_linked_to_them_have_no_names() -> None:
    data = linked()
    read = titles(neighbourhood(data, show_ids=False))
    assert "user 1" in read
    assert "household 1" in read
    assert "crime" in read
    secret = {f"user {one}" for one in data.user_ids} | set(data.user_ids)
    secret |= set(data.entities["household"])
    assert not secret & set(read)
    open_ = titles(neighbourhood(data, show_ids=True))
    assert any(one.startswith("Main Street") for one in open_)
    assert secret & set(open_)


def test_the_drawing_asks_for_nothing_from_elsewhere() -> None:
    data = dataclasses.replace(
        linked(), item_titles=tuple(f"<b>&{number}" for number in range(40))
    )
    drawing = network(neighbourhood(data, show_ids=False))
    assert "href" not in drawing
    assert drawing.count("http") == 1  # The name of SVG itself.
    read = titles(neighbourhood(data, show_ids=False))
    assert any(one.startswith("<b>&") for one in read)
    for word in ("interaction", "friends", "is a", "lives in", "genre"):
        assert word in read
    assert any(one.startswith("household (") for one in read)


def test_one_user_with_one_item() -> None:
    data = linked()
    alone = Dataset(
        name="alone",
        user_ids=("ann",),
        item_ids=("x", "y"),
        users=np.array([0]),
        items=np.array([1]),
        values=np.ones(1),
        timestamps=np.zeros(1, np.int64),
        item_titles=("", ""),
        item_texts=("", ""),
    )
    assert data.num_users > alone.num_users
    picture = neighbourhood(alone, show_ids=False)
    assert [node.label for node in picture.nodes] == ["user 1", "item y"]
    assert [edge.ends for edge in picture.edges] == [(0, 1)]
    assert titles(picture)


def test_nodes_with_labels(shared_data: Callable[[str], Path]) -> None:
    split = catalog.load_nodes(shared_data("cora-planetoid"))
    picture = node_neighbourhood(split)
    edges = {tuple(edge) for edge in split.dataset.edges.tolist()}
    for edge in picture.edges:
        head, tail = sorted(int(picture.nodes[end].label) for end in edge.ends)
        assert (head, tail) in edges
    assert 2 < len(picture.nodes) <= 60
    assert titles(picture)
