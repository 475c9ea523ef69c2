"""NetworkX graphs of users and items, read and written."""

import dataclasses
import datetime
import logging
import re
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.sources import networkx_import
from llmgnn_jax.data.sources.networkx_graph import from_networkx, to_networkx
from llmgnn_jax.errors import UserError
from tests.data.random_datasets import datasets


def shop(kind: Callable[..., nx.Graph] = nx.MultiGraph) -> nx.Graph:
    """Three people, two books and a tag, as somebody would write them down."""
    graph = kind(name="shop")
    graph.add_node("ann", kind="user", age=30, city="Bonn")
    graph.add_node("bob", kind="user", age=41.5)
    graph.add_node("cid", kind="user", city="Köln")
    graph.add_node(7, kind="item", title="Emma", genre=["Novel", "Love"])
    graph.add_node(8, kind="item", title="Ulysses", genre="Novel")
    graph.add_node("old", kind="tag")
    graph.add_edge("ann", 7, rating=5, time=100.9, text="lovely")
    graph.add_edge("bob", 7, rating=4)
    graph.add_edge("bob", 8, rating=1, time=datetime.datetime(1970, 1, 2))
    graph.add_edge("ann", "bob", relation="friends", weight=2)
    graph.add_edge(8, "old", relation="tagged")
    return graph


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph])
def test_what_is_read(kind: Callable[..., nx.Graph]) -> None:
    data = from_networkx(shop(kind))
    assert data.name == "shop"
    assert data.user_ids == ("ann", "bob", "cid")
    assert data.item_ids == ("7", "8")
    rows = zip(data.users, data.items, data.values, data.timestamps, strict=True)
    assert sorted(rows) == [(0, 0, 5, 100), (1, 0, 4, 0), (1, 1, 1, 86_400)]
    assert sorted(data.interaction_texts or ()) == ["", "", "lovely"]
    assert data.item_titles == ("Emma", "Ulysses")
    assert data.item_texts == ("Emma. Novel, Love.", "Ulysses. Novel.")
    assert data.user_texts is None
    assert data.item_categorical == {"genre": (("Novel", "Love"), ("Novel",))}
    assert data.user_categorical == {"city": (("Bonn",), (), ("Köln",))}
    np.testing.assert_array_equal(data.user_numeric["age"], [30, 41.5, np.nan])
    assert data.entities == {"tag": ("old",)}
    friends, tagged = data.relations["friends"], data.relations["tagged"]
    assert friends.kinds == ("user", "user")
    assert (friends.heads, friends.tails, friends.weights) == (0, 1, 2)
    assert tagged.kinds == ("item", "tag")
    assert (tagged.heads, tagged.tails, tagged.weights) == (1, 0, 1)
    assert friends.directed == tagged.directed == graph_is_directed(kind)


def graph_is_directed(kind: Callable[..., nx.Graph]) -> bool:
    return kind in (nx.DiGraph, nx.MultiDiGraph)


def test_bipartite_graphs_and_names_of_ones_own() -> None:
    graph = nx.Graph([("u1", "i1", {"stars": 3}), ("u2", "i1", {"stars": 2})])
    nx.set_node_attributes(graph, {"u1": 0, "u2": 0, "i1": 1}, "bipartite")
    data = from_networkx(graph, value="stars")
    assert (data.user_ids, data.item_ids) == (("u1", "u2"), ("i1",))
    assert data.values.tolist() == [3, 2]
    assert from_networkx(graph).values.tolist() == [1, 1]
    for node, label in (("u1", "customer"), ("u2", "customer"), ("i1", "product")):
        graph.nodes[node].update(label=label, sku=f"no {node}")
    named = from_networkx(
        graph, kind="label", user_kind="customer", item_kind="product", node_id="sku"
    )
    assert named.user_ids == ("no u1", "no u2")


def test_parallel_edges_are_interactions_and_named_ones_may_be() -> None:
    graph = shop()
    graph.add_edge("cid", 8, relation="wishes")
    graph.add_edge("ann", 7, rating=2)
    data = from_networkx(graph)
    assert data.num_interactions == 4
    assert data.relations["wishes"].kinds == ("user", "item")
    graph.edges["cid", 8, 0]["rating"] = 3
    data = from_networkx(graph, interactions=("wishes",))
    assert data.num_interactions == 5
    assert "wishes" not in data.relations


def test_links_without_a_name_are_called_by_their_kinds() -> None:
    graph = shop()
    graph.add_edge("old", 7)
    graph.add_edge(8, 7)
    graph.add_edge("bob", "old", relation="tagged")
    relations = from_networkx(graph).relations
    assert relations["item-tag"].kinds == ("item", "tag")
    assert relations["item-item"].num_links == 1
    # One name for several kinds of ends.
    assert {"tagged item-tag", "tagged user-tag"} < set(relations)


def test_numbers_may_be_categories_and_what_is_no_feature_is_left_out() -> None:
    graph = shop()
    graph.nodes[7].update(shelf=3, spot=np.zeros(2))
    data = from_networkx(graph, categorical=("shelf",), ignore=("spot",))
    assert data.item_categorical["shelf"] == (("3",), ())


def test_what_is_left_out_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    graph = shop()
    graph.nodes["old"]["color"] = "red"
    graph.edges["ann", 7, 0]["shop"] = "web"
    graph.add_edge("ann", "bob", relation="friends", weight=0.5)
    graph.add_edge("ann", "ann", relation="friends")
    with caplog.at_level(logging.WARNING):
        data = from_networkx(graph)
    assert data.relations["friends"].weights.tolist() == [2.5]
    assert "entities that are not read: color (1)" in caplog.text
    assert "edges that are not read: shop (1)" in caplog.text
    assert "friends: 1 of 2 links repeat others" in caplog.text
    assert "friends: 1 links to oneself left out" in caplog.text


def test_interactions_that_go_both_ways_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert from_networkx(shop().to_directed()).num_interactions == 6
    assert "3 of 6 interactions go from the item to the user" in caplog.text


def _without_kind(graph: nx.Graph) -> None:
    graph.add_node("dan")


def _twice(graph: nx.Graph) -> None:
    graph.add_node("7", kind="item")


def _no_rating(graph: nx.Graph) -> None:
    graph.add_edge("cid", 8)


@pytest.mark.parametrize(
    ("spoil", "options", "told"),
    [
        (_without_kind, {}, "node 'dan': expected an attribute 'kind' .* got none; s"),
        (_twice, {}, r"node '7': expected each item id once, got '7', as node 7 has"),
        (_no_rating, {}, r"edge \('cid', 8\), attribute 'rating': .* got none; fill"),
        (
            lambda graph: graph.edges["ann", 7, 0].update(rating="good"),
            {},
            r"edge \('ann', 7\), attribute 'rating': expected a finite number, got 'g",
        ),
        (
            lambda graph: graph.edges["ann", 7, 0].update(time="now"),
            {},
            r"edge \('ann', 7\), attribute 'time': expected seconds .* got 'now'",
        ),
        (
            lambda graph: graph.edges["ann", 7, 0].update(time=-1),
            {},
            "not negative",
        ),
        (
            lambda graph: graph.edges["ann", "bob", 0].update(weight=0),
            {},
            r"edge \('ann', 'bob'\), attribute 'weight': expected a number above 0",
        ),
        (
            lambda graph: graph.nodes[7].update(spot=[1, 2]),
            {},
            r"node 7, attribute 'spot': .* name it in ignore",
        ),
        (
            lambda graph: graph.nodes["ann"].update(age="old"),
            {},
            "node 'bob', attribute 'age': expected a number at every node",
        ),
        (
            lambda graph: graph.nodes[7].update(title=5),
            {},
            "node 7, attribute 'title': expected a string, got 5",
        ),
        (
            lambda graph: graph.nodes[7].update(kind=["item"]),
            {},
            r"node 7, attribute 'kind': expected a string or a whole number",
        ),
        (
            lambda graph: graph.nodes[7].update({"categorical:genre": 5}),
            {},
            "attribute 'categorical:genre': .* each feature once, got 'genre' twice",
        ),
        (
            lambda graph: graph.nodes[7].update({3: 5}),
            {},
            "attribute 3: expected a name, got int",
        ),
        (
            lambda graph: None,
            {"time": "when"},
            "time: expected one of rating, relation, text, time, weight, got 'when'",
        ),
        (
            lambda graph: None,
            {"categorical": ("agee",)},
            "categorical: expected one of .*, got 'agee'; did you mean 'age'",
        ),
        (lambda graph: None, {"ignore": "ages"}, "ignore: .*; did you mean 'age'"),
        (lambda graph: None, {"text": "txt"}, "text: .* got 'txt'; did you mean 'text"),
        (
            lambda graph: None,
            {"interactions": ("friend",)},
            "interactions: expected one of friends, tagged, got 'friend'; did you mean",
        ),
        (
            lambda graph: graph.edges["bob", 7, 0].update(rating=float("nan")),
            {},
            "attribute 'rating': expected a finite number, got nan; fill it in",
        ),
        (lambda graph: None, {"user_kind": "person"}, "user_kind="),
        (lambda graph: graph.clear(), {}, "got no nodes; say in user_kind="),
        (lambda graph: None, {"kind": "label"}, "'label' that says what it is"),
        (
            lambda graph: nx.set_edge_attributes(graph, "buys", "relation"),
            {},
            "no link of a relation, got 'buys'; name the relations that are",
        ),
    ],
)
def test_a_mistake_names_the_node_or_edge_and_the_fix(
    spoil: Callable[[nx.Graph], None], options: dict, told: str
) -> None:
    graph = shop()
    spoil(graph)
    with pytest.raises(UserError, match=told) as caught:
        from_networkx(graph, **options)
    assert "\n" not in str(caught.value)


def test_a_directed_link_says_its_head() -> None:
    follows = Relation(
        heads_of="user",
        tails_of="user",
        heads=np.array([2, 0, 1]),
        tails=np.array([0, 2, 0]),
        weights=np.ones(3),
        directed=True,
    )
    data = dataclasses.replace(from_networkx(shop()), relations={"follows": follows})
    graph = to_networkx(data)
    assert from_networkx(graph).content_hash() == data.content_hash()
    edge = next(e for e in graph.edges(data=True) if e[2].get("relation") == "follows")
    del edge[2]["head"]
    with pytest.raises(UserError, match="attribute 'head': expected the id of one of"):
        from_networkx(graph)


def test_what_is_written_suits_the_algorithms_of_networkx() -> None:
    graph = to_networkx(from_networkx(shop()))
    assert isinstance(graph, nx.MultiGraph)
    emma = ("item", "7")
    assert graph.nodes[emma]["title"] == "Emma"
    assert {one for one, said in graph.nodes(data="bipartite") if said == 0} == {
        ("user", "ann"),
        ("user", "bob"),
        ("user", "cid"),
    }
    assert graph.degree(emma, weight="weight") == 9
    assert nx.number_connected_components(graph) == 2


def test_without_networkx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = from_networkx(shop())
    monkeypatch.setitem(__import__("sys").modules, "networkx", None)
    with pytest.raises(UserError, match=re.escape("'llmgnn-jax[networkx]'")):
        networkx_import.networkx()
    with pytest.raises(UserError):
        to_networkx(data)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(datasets())
def test_there_and_back(data: Dataset) -> None:
    back = from_networkx(to_networkx(data))
    assert back.content_hash() == data.content_hash()
    assert (back.name, back.filters) == (data.name, data.filters)
    assert (back.published_test is None) == (data.published_test is None)
    if data.published_test is not None:
        held_out = [one.users[one.published_test] for one in (back, data)]
        assert len(held_out[0]) == len(held_out[1])


@pytest.mark.parametrize("name", ["ml-latest-small", "lastfm-hetrec2011"])
def test_real_data_there_and_back(
    shared_data: Callable[[str], Path], name: str
) -> None:
    data = catalog.load(shared_data(name))
    back = from_networkx(to_networkx(data))
    assert back.content_hash() == data.content_hash()


def test_features_may_be_called_as_arguments_of_networkx_are() -> None:
    data = from_networkx(shop())
    data = dataclasses.replace(
        data, item_numeric={"node_for_adding": np.array([1.0, 2.0])}
    )
    assert from_networkx(to_networkx(data)).content_hash() == data.content_hash()
