"""Cited edges as paths, and names that may be told, in a graph of a few nodes."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.evidence.edges import UndirectedEdges
from llmgnn_jax.evidence.explanation import INTERACTION
from llmgnn_jax.evidence.naming import Named
from llmgnn_jax.evidence.paths import Cited, paths_of
from llmgnn_jax.graph.structure import InteractionGraph, build
from tests.evidence.worlds import World

# User 0 is asked about item 3. Users 1 and 2 had items 0 and 3, user 2 is a friend of
# user 0, user 1 lives with user 3; items 1 and 3 are sold together and of one genre.
HISTORY = ((0, 0), (0, 1), (1, 0), (1, 3), (2, 0), (2, 3), (2, 2), (3, 2))


def _relation(kinds: tuple[str, str], *links: tuple[int, int]) -> Relation:
    return Relation(
        heads_of=kinds[0],
        tails_of=kinds[1],
        heads=np.array([head for head, _ in links]),
        tails=np.array([tail for _, tail in links]),
        weights=np.full(len(links), 2.5, np.float32),
    )


@dataclasses.dataclass(frozen=True)
class Few:
    dataset: Dataset
    train: TrainSplit
    graph: InteractionGraph
    edges: UndirectedEdges
    named: Named

    def node(self, kind: str, slot: int) -> int:
        layout = self.graph.layout
        nodes = {
            "user": layout.user_nodes,
            "item": layout.item_nodes,
            "other": layout.other_nodes,
        }
        return int(nodes[kind](np.array(slot)))


@pytest.fixture(scope="module")
def few() -> Few:
    users, items = np.array(HISTORY).T
    relations = {
        "friends": _relation(("user", "user"), (0, 2)),
        "house": _relation(("user", "house"), (1, 0), (3, 0), (0, 1)),
        "genre": _relation(("item", "genre"), (1, 0), (3, 0)),
        "bundle": _relation(("item", "item"), (1, 3)),
        "wish": _relation(("user", "item"), (0, 2), (0, 1)),
    }
    dataset = Dataset(
        name="few",
        user_ids=("u0", "u1", "u2", "u3"),
        item_ids=("i0", "i1", "i2", "i3"),
        users=users,
        items=items,
        values=np.array([4, 5, 1, 2, 3, 4, 5, 1], np.float32),
        timestamps=np.zeros(len(users), np.int64),
        item_titles=("Alien", "Brazil", "", "Dune"),
        item_texts=("",) * 4,
        entities={"genre": ("space",), "house": ("Elm St 1", "Oak St 2")},
        relations=relations,
    )
    train = TrainSplit(
        num_users=4,
        num_items=4,
        users=dataset.users,
        items=dataset.items,
        values=dataset.values,
        timestamps=dataset.timestamps,
        item_texts=dataset.item_texts,
        user_texts=None,
        num_entities={"genre": 1, "house": 2},
        relations=relations,
    )
    weights = dict.fromkeys(relations, 1.0)
    graph = build(train, relations=weights, spare_users=1, spare_edges=4)
    edges = UndirectedEdges(graph)
    named = Named(
        dataset,
        train,
        edges,
        relations=weights,
        item_ids=dataset.item_ids,
        item_titles=dataset.item_titles,
    )
    return Few(dataset, train, graph, edges, named)


def test_edges_have_one_number_for_both_directions(few: Few) -> None:
    links = sum(one.num_links for one in few.train.relations.values())
    # User 0 and item 1: an interaction and a wish, one edge.
    assert len(few.edges) == len(HISTORY) + links - 1
    for edge, (one, other) in enumerate(few.edges.ends.tolist()):
        assert few.edges.between(one, other) == few.edges.between(other, one) == edge
    assert few.edges.between(few.node("user", 0), few.node("item", 3)) == -1
    numbers, counts = np.unique(few.edges.of_directed, return_counts=True)
    assert numbers.tolist() == list(range(-1, len(few.edges)))
    assert (counts[1:] == 2).all()
    assert few.edges.summed(np.ones(few.graph.edge_capacity)).tolist() == [2.0] * len(
        few.edges
    )
    for kind, slot in (("user", 3), ("item", 2), ("other", 1)):
        assert few.edges.slot(few.node(kind, slot)) == (kind, slot)
    users = few.edges.users_of(few.node("item", 0))
    assert users.tolist() == [few.node("user", user) for user in (0, 1, 2)]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("user", 0), ("item", 0), (0, INTERACTION, 4.0)),
        (("item", 0), ("user", 1), (1, INTERACTION, 1.0)),
        (("user", 0), ("item", 1), (0, f"{INTERACTION} + wish", 5.0)),
        (("item", 2), ("user", 0), (1, "wish", 2.5)),
        (("user", 2), ("user", 0), (1, "friends", 2.5)),
        (("item", 3), ("item", 1), (1, "bundle", 2.5)),
        (("other", 0), ("item", 3), (1, "genre", 2.5)),
        (("user", 3), ("other", 1), (0, "house", 2.5)),
    ],
)
def test_edges_are_called_by_what_they_are(
    few: Few,
    one: tuple[str, int],
    other: tuple[str, int],
    expected: tuple[int, str, float],
) -> None:
    nodes = few.node(*one), few.node(*other)
    head, tail, relation, weight = few.named.edge(*nodes)
    place, name, value = expected
    assert (head, tail) == (nodes[place], nodes[1 - place])
    assert (relation, weight) == (name, pytest.approx(value))


def test_nobody_else_is_named(few: Few) -> None:
    asked = {
        "asked_user": few.node("user", 0),
        "asked_item": few.node("item", 3),
    }

    def label(kind: str, slot: int, ids: str = "asked") -> str:
        node = few.node(kind, slot)
        return few.named.node(node, ids=ids, **asked).label  # type: ignore[arg-type]

    assert label("user", 0) == "u0"
    assert label("user", 0, "none") == ""
    assert label("user", 1) == label("user", 2) == ""
    assert label("user", 1, "all") == "u1"
    assert label("item", 3) == "Dune"
    assert label("item", 2) == "i2"
    # A genre is the items', one's own house is known to oneself, another's is not.
    assert label("other", 0) == "space"
    assert label("other", 2) == "Oak St 2"
    assert label("other", 1) == ""
    assert label("other", 1, "all") == "Elm St 1"


def test_entities_are_called_by_their_titles(few: Few) -> None:
    dataset = dataclasses.replace(
        few.dataset, entity_titles={"genre": ("Space opera",), "house": ("Home", "")}
    )
    named = Named(
        dataset,
        few.train,
        few.edges,
        relations=dict.fromkeys(few.train.relations, 1.0),
        item_ids=dataset.item_ids,
        item_titles=dataset.item_titles,
    )

    def told(slot: int) -> tuple[str, str]:
        found = named.node(
            few.node("other", slot),
            asked_user=few.node("user", 0),
            asked_item=few.node("item", 3),
            ids="asked",
        )
        return found.id, found.label

    assert told(0) == ("space", "Space opera")
    # Another's house has no title either.
    assert told(1) == ("", "")
    assert told(2) == ("Oak St 2", "Oak St 2")


def test_each_edge_is_part_of_one_path(few: Few) -> None:
    ends = [
        (("user", 0), ("item", 0)),  # 1 liked, both of the others had it
        (("user", 1), ("item", 3)),  # 2 with 4, by way of item 0
        (("user", 0), ("item", 1)),  # 3 linked to the item by 5
        (("user", 1), ("item", 0)),  # 4
        (("item", 1), ("item", 3)),  # 5
        (("user", 0), ("user", 2)),  # 6 a friend
        (("user", 2), ("item", 3)),  # 7 who had it
        (("item", 3), ("other", 0)),  # 8 the genre
        (("item", 1), ("other", 0)),  # 9
        (("user", 0), ("item", 2)),  # 10 a wish
        (("user", 3), ("item", 2)),  # 11 somebody with what is wished for by 10
        (("user", 3), ("other", 1)),  # 12 their house
    ]
    cited = []
    for number, (one, other) in enumerate(ends, start=1):
        nodes = few.node(*one), few.node(*other)
        relation = few.named.edge(*nodes)[2]
        amount = 1.0 / number
        cited.append(Cited(number, nodes, amount, relation.startswith(INTERACTION)))
    paths = paths_of(
        cited,
        user=few.node("user", 0),
        item=few.node("item", 3),
        score=-2.0,
        edges=few.edges,
        had_by=few.edges.users_of,
    )
    found = {(path.kind, path.edges): path for path in paths}
    assert set(found) == {
        ("liked item", (1, 2, 4)),
        ("link", (3, 5)),
        ("friend", (6, 7)),
        ("attribute", (8, 9)),
        ("link", (10, 11)),
        ("attribute", (12,)),
    }
    assert found["liked item", (1, 2, 4)].people == 2
    assert found["friend", (6, 7)].people == 1
    assert found["link", (3, 5)].people == 0
    shares = [path.share for path in paths]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(sum(1 / n for n in range(1, 13)) / 2)
    assert found["link", (3, 5)].share == pytest.approx((1 / 3 + 1 / 5) / 2)


def test_without_the_users_own_edges_others_are_neighbours(few: Few) -> None:
    nodes = few.node("user", 1), few.node("item", 3)
    (path,) = paths_of(
        [Cited(1, nodes, 0.5, True)],
        user=few.node("user", 3),
        item=few.node("item", 3),
        score=0.0,
        edges=few.edges,
        had_by=few.edges.users_of,
    )
    assert (path.kind, path.edges, path.people) == ("neighbour", (1,), 2)
    # Of a score of nothing shares are amounts.
    assert path.share == 0.5


def test_paths_of_a_model_hold_all_that_is_cited(world: Callable[..., World]) -> None:
    made = world(sides="graph", relations=dict.fromkeys(("genre", "friends"), 0.7))
    evidence = made.explainer.explain(0, 1, most_edges=30)
    numbers = sorted(number for path in evidence.paths for number in path.edges)
    assert numbers == [edge.number for edge in evidence.edges]
    total = sum(path.share for path in evidence.paths) * abs(evidence.score)
    assert total == pytest.approx(sum(edge.attribution for edge in evidence.edges))
