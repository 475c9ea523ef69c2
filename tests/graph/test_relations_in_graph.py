"""Links beside the interactions: against dense matrices, on any number of groups."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.chosen import lightgcn_of
from llmgnn_jax.graph.layers import RGCNLayer, lightgcn
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.node_layout import NodeLayout
from llmgnn_jax.graph.relational import build_relational
from llmgnn_jax.graph.structure import InteractionGraph, build


def _links(heads_of: str, tails_of: str, *pairs: tuple[int, int], **fields) -> Relation:
    ends = np.array(pairs, np.int64)
    given = {"weights": np.ones(len(pairs)), **fields}
    return Relation(
        heads_of=heads_of,
        tails_of=tails_of,
        heads=ends[:, 0],
        tails=ends[:, 1],
        **given,
    )


@pytest.fixture
def linked(small: TrainSplit) -> TrainSplit:
    """5 users, 6 items, 2 tags, 3 places; user 3 and item 4 have no interaction."""
    return dataclasses.replace(
        small,
        num_entities={"tag": 2, "unused": 4, "place": 3},
        relations={
            "friends": _links("user", "user", (0, 3), (1, 2)),
            "tagged": _links("item", "tag", (4, 1), (0, 0), weights=np.array([2.0, 1])),
            "lives": _links("user", "place", (3, 2), (0, 2)),
            "follows": _links("user", "user", (3, 0), (0, 4), directed=True),
        },
    )


NAMES = {"friends": 0.5, "tagged": 0.5, "lives": 2.0}


def _by_hand(train: TrainSplit, weights: dict[str, float]) -> np.ndarray:
    """D^-1/2 A D^-1/2 over users 0-4, tags 5-6, places 7-9, items 10-15, padding."""
    adjacency = np.zeros((17, 17))
    first = {"user": 0, "tag": 5, "place": 7, "item": 10}
    for user, item in set(zip(train.users, train.items, strict=True)):
        adjacency[user, 10 + item] += 1
    for name, weight in weights.items():
        relation = train.relations[name]
        for head, tail, own in zip(
            relation.heads, relation.tails, relation.weights, strict=True
        ):
            one = first[relation.heads_of] + head
            other = first[relation.tails_of] + tail
            adjacency[one, other] += weight * own
    adjacency += adjacency.T
    degrees = adjacency.sum(axis=1)
    scale = np.where(degrees > 0, np.maximum(degrees, 1e-9) ** -0.5, 0.0)
    return scale[:, None] * adjacency * scale


def test_links_are_edges_of_their_weight(linked: TrainSplit, dense_of) -> None:
    graph = build(linked, relations=NAMES)
    assert graph.layout.other_capacity == 5  # "unused" is linked by nothing
    np.testing.assert_allclose(dense_of(graph), _by_hand(linked, NAMES), atol=1e-6)
    users, items = graph.split_nodes(graph.connected)
    # Both had no interaction.
    assert bool(users[3])
    assert bool(items[4])


def test_two_nodes_linked_twice_have_one_edge_of_the_sum(
    linked: TrainSplit, dense_of
) -> None:
    names = {"friends": 1.0, "follows": 1.0}
    graph = build(linked, relations=names)
    assert int(graph.plan.num_edges) == 2 * (9 + 3)
    matrix = dense_of(graph)[np.ix_(range(5), range(5))]
    # A directed link is heard both ways: 0-3 are friends, and 3 follows 0.
    assert matrix[3, 0] == pytest.approx(2 / (2 * (2 + 2 + 1)) ** 0.5)
    np.testing.assert_array_equal(matrix, matrix.T)


def test_without_relations_nothing_changes(linked: TrainSplit, small) -> None:
    one, other = build(linked, spare_users=2), build(small, spare_users=2)
    for mine, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def _ranked(graph: InteractionGraph, backend: Backend) -> np.ndarray:
    """What two layers of LightGCN give users and items of any layout."""
    layout = graph.layout
    numbers = [jnp.arange(n, dtype=jnp.float32) for n in (5, 5, 6)]
    users, others, items = (
        jnp.pad(jnp.stack([jnp.sin(n), jnp.cos(n)], 1), ((0, size - len(n)), (0, 0)))
        for n, size in zip(
            numbers,
            (layout.user_capacity, layout.other_capacity, layout.item_capacity),
            strict=True,
        )
    )
    nodes = layout.join(users, items, others)
    neighbours = LocalNeighbourhood(plan=graph.plan, backend=backend)
    out = lightgcn(
        graph.graph._replace(nodes=nodes), num_layers=2, neighbours=neighbours
    ).nodes
    users, items = layout.split(out)
    return np.concatenate([users[:5], items[:6]])


@pytest.mark.parametrize("groups", [2, 4])
def test_groups_change_no_vector(linked: TrainSplit, groups: int) -> None:
    one = _ranked(build(linked, relations=NAMES), "segment")
    many = _ranked(build(linked, relations=NAMES, groups=groups), "segment")
    np.testing.assert_allclose(many, one, atol=1e-6)


def test_vectors_of_chosen_nodes_and_gradients_are_those_of_all(
    linked: TrainSplit, backend: Backend
) -> None:
    graph = build(linked, relations=NAMES, buckets=backend == "bucketed")
    nodes = jnp.asarray(np.random.default_rng(0).normal(size=(17, 4)), jnp.float32)
    chosen = jnp.array([3, 0, 14, 10, 14])
    target = jnp.asarray(np.random.default_rng(1).normal(size=(5, 4)), jnp.float32)

    def of_chosen(nodes):
        out, _ = lightgcn_of(nodes, chosen, graph.plan, num_layers=3, backend=backend)
        return jnp.vdot(out, target)

    def of_all(nodes):
        neighbours = LocalNeighbourhood(plan=graph.plan, backend=backend)
        out = lightgcn(
            graph.graph._replace(nodes=nodes), num_layers=3, neighbours=neighbours
        ).nodes
        return jnp.vdot(out[chosen], target)

    (one, gradient), (other, whole) = (
        jax.value_and_grad(function)(nodes) for function in (of_chosen, of_all)
    )
    np.testing.assert_allclose(one, other, rtol=1e-5)
    np.testing.assert_allclose(gradient, whole, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 3])
def test_people_are_one_set_of_nodes(small: TrainSplit, dense_of, groups: int) -> None:
    pairs = np.array([(0, 1), (1, 0), (1, 3), (3, 1), (0, 4), (4, 0)])
    people = dataclasses.replace(
        small,
        num_items=5,
        users=pairs[:, 0],
        items=pairs[:, 1],
        people=True,
        num_entities={"content": 3},
        relations={"likes": _links("user", "content", (0, 1), (2, 1))},
    )
    graph = build(people, relations={"likes": 1.0}, groups=groups)
    layout = graph.layout
    assert layout.num_nodes == 9
    nodes = layout.user_nodes(np.arange(5))
    np.testing.assert_array_equal(nodes, layout.item_nodes(np.arange(5)))
    matrix = dense_of(graph)[np.ix_(nodes, nodes)]
    # 0 has the friends 1 and 4 and likes something: degree 3; 1 has 2 friends.
    assert matrix[0, 1] == pytest.approx((3 * 2) ** -0.5)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert np.count_nonzero(matrix) == 6


def test_layout_of_three_kinds() -> None:
    for groups in (1, 2, 5):
        layout = NodeLayout.holding(users=7, items=9, others=4, groups=groups)
        nodes = [
            layout.user_nodes(np.arange(layout.user_capacity)),
            layout.other_nodes(np.arange(layout.other_capacity)),
            layout.item_nodes(np.arange(layout.item_capacity)),
        ]
        every = np.sort(np.concatenate(nodes))
        np.testing.assert_array_equal(every, np.arange(layout.num_nodes)[: len(every)])
        held = jnp.arange(layout.num_nodes)
        for part, numbers in zip(layout.split_all(held), nodes, strict=True):
            np.testing.assert_array_equal(part, numbers)
        sides = layout.split_all(held.astype(jnp.float32))
        again = layout.join(sides[0], sides[2], sides[1])
        size = len(every)
        np.testing.assert_array_equal(again[:size], held[:size])


def test_relations_apart(linked: TrainSplit) -> None:
    relational = build_relational(linked)
    assert relational.relations == (
        "interacted",
        "interacted (reverse)",
        "friends",
        "tagged",
        "tagged (reverse)",
        "lives",
        "lives (reverse)",
        "follows",
    )
    assert relational.first_node == {
        "user": 0,
        "item": 5,
        "tag": 11,
        "unused": 13,
        "place": 17,
    }
    used = int(relational.plan.num_edges)
    edges = {
        (int(sender), int(receiver), relational.relations[int(kind)])
        for sender, receiver, kind in zip(
            relational.graph.senders[:used],
            relational.graph.receivers[:used],
            relational.graph.edges["relation"][:used],
            strict=True,
        )
    }
    assert (3, 0, "follows") in edges
    assert (0, 3, "follows") not in edges
    assert {(0, 3, "friends"), (3, 0, "friends")} <= edges
    assert {(9, 12, "tagged"), (12, 9, "tagged (reverse)")} <= edges
    layer = RGCNLayer(2, 3, num_relations=8, normalisation="weight", rngs=nnx.Rngs(0))
    nodes = jnp.ones((relational.plan.incoming.num_nodes, 2))
    out = layer(
        relational.graph._replace(nodes=nodes),
        neighbours=LocalNeighbourhood(plan=relational.plan, backend="segment"),
    ).nodes
    # Weights sum to 1 a relation: all that hear the same relations agree.
    np.testing.assert_allclose(out[1], out[2], rtol=1e-5)
    only = build_relational(linked, ["friends"])
    assert only.relations[2:] == ("friends",)


def test_only_a_train_part_is_accepted(small: TrainSplit) -> None:
    with pytest.raises(TypeError, match="got Csr"):
        build_relational(small.csr())  # type: ignore[arg-type]
