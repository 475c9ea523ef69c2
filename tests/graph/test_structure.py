"""The graph of a train part: against dense matrices, and what it refuses."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest
import scipy.sparse

from llmgnn_jax.data.dataset import Csr
from llmgnn_jax.data.splits import TrainSplit, split_random
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.structure import (
    InteractionGraph,
    SupportEdges,
    build,
    extend,
)

Dense = Callable[[InteractionGraph], np.ndarray]
Normalised = Callable[..., tuple[np.ndarray, np.ndarray]]


def support(*pairs: tuple[int, int]) -> SupportEdges:
    users, items = np.asarray(pairs, np.int64).reshape(-1, 2).T
    return SupportEdges(users=users, items=items)


def leaves(graph: InteractionGraph) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(graph)]


# build


def test_only_a_train_part_is_accepted(small: TrainSplit) -> None:
    split = split_random(synthetic(), seed=0)
    others: list[Any] = [split, split.dataset, split.train_csr(), small.csr()]
    for other in others:
        with pytest.raises(TypeError, match=f"got {type(other).__name__}"):
            build(other)
    build(split.training())


@pytest.mark.parametrize("self_loops", [False, True])
def test_weights_and_degrees_by_hand(
    small: TrainSplit, dense_of: Dense, self_loops: bool
) -> None:
    graph = build(small, self_loops=self_loops, spare_users=1, spare_items=1)
    matrix, own = dense_of(graph), float(self_loops)
    # User 0 likes two items (one of them twice), item 0 is liked by three users.
    assert matrix[0, 6 + 0] == pytest.approx(((2 + own) * (3 + own)) ** -0.5)
    assert matrix[6 + 0, 0] == pytest.approx(((2 + own) * (3 + own)) ** -0.5)
    assert matrix[0, 0] == pytest.approx(own / 3)
    assert matrix[3, 3] == own  # a user without items has itself alone
    np.testing.assert_array_equal(
        graph.degrees[:6], np.asarray([2, 2, 1, 0, 4, -own]) + own
    )


@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_dense_normalised_matrix(
    train_split: Callable[..., TrainSplit],
    dense_of: Dense,
    normalised: Normalised,
    self_loops: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    num_users, num_items = rng.integers(1, 30, 2).tolist()
    size = int(rng.integers(1, 150))
    train = train_split(
        rng.integers(0, num_users, size),
        rng.integers(0, num_items, size),
        num_users,
        num_items,
    )
    spare_users, spare_items, spare_edges = rng.integers(0, 9, 3).tolist()
    graph = build(
        train,
        self_loops=self_loops,
        spare_users=spare_users,
        spare_items=spare_items,
        spare_edges=spare_edges,
    )
    expected, degrees = normalised(
        train,
        user_capacity=num_users + spare_users,
        item_capacity=num_items + spare_items,
        self_loops=self_loops,
    )
    np.testing.assert_allclose(dense_of(graph), expected, rtol=1e-6, atol=0)
    np.testing.assert_array_equal(graph.degrees, degrees)
    off_diagonal = expected - np.diag(np.diag(expected))
    np.testing.assert_array_equal(graph.connected, off_diagonal.any(axis=1))
    assert graph.edge_capacity == (expected > 0).sum() + max(spare_edges, 1)
    assert (int(graph.num_users), int(graph.num_items)) == (num_users, num_items)


def test_padding_is_jraphs_and_spare_slots_are_alone(small: TrainSplit) -> None:
    graph = build(small, self_loops=True, spare_users=2, spare_items=3, spare_edges=7)
    last = graph.num_nodes - 1
    inner = graph.graph._replace(nodes=jnp.zeros((last + 1, 1)))
    assert last == 5 + 2 + 6 + 3
    is_node = np.asarray(jraph.get_node_padding_mask(inner))
    is_edge = np.asarray(jraph.get_edge_padding_mask(inner))
    np.testing.assert_array_equal(is_node, np.arange(last + 1) < last)
    assert is_edge.sum() == 2 * 9 + 5 + 6
    assert (~is_edge).sum() == 7
    senders, receivers = np.asarray(inner.senders), np.asarray(inner.receivers)
    assert (senders[~is_edge] == last).all()
    assert (receivers[~is_edge] == last).all()
    weights = np.asarray(inner.edges["weight"])
    assert (weights[~is_edge] == 0).all()
    assert (weights[is_edge] > 0).all()
    in_use = {0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12}
    assert set(senders[is_edge].tolist()) == in_use
    assert set(receivers[is_edge].tolist()) == in_use
    spare = [n for n in range(last + 1) if n not in in_use]
    assert not np.asarray(graph.degrees)[spare].any()
    assert not np.asarray(graph.connected)[spare].any()


def test_edges_are_sorted_and_the_plan_is_both_csr_forms(small: TrainSplit) -> None:
    graph = build(small, spare_users=1, spare_items=2, spare_edges=5)
    senders, receivers = (
        np.asarray(graph.graph.senders),
        np.asarray(graph.graph.receivers),
    )
    weights = np.asarray(graph.graph.edges["weight"])
    ranks = receivers.astype(np.int64) * graph.num_nodes + senders
    assert (np.diff(ranks) >= 0).all()
    incoming, outgoing = graph.plan.incoming, graph.plan.outgoing
    by_sender = np.asarray(outgoing.edges)
    for node in range(graph.num_nodes):
        into = slice(incoming.indptr[node], incoming.indptr[node + 1])
        np.testing.assert_array_equal(
            np.arange(graph.edge_capacity)[into], np.flatnonzero(receivers == node)
        )
        out = slice(outgoing.indptr[node], outgoing.indptr[node + 1])
        assert (senders[by_sender[out]] == node).all()
    assert sorted(by_sender.tolist()) == list(range(graph.edge_capacity))
    np.testing.assert_array_equal(outgoing.others, receivers[by_sender])
    np.testing.assert_array_equal(outgoing.weights, weights[by_sender])
    assert int(graph.plan.num_edges) == 2 * 9
    shape = (graph.num_nodes, graph.num_nodes)
    matrix = scipy.sparse.csr_matrix((weights, senders, incoming.indptr), shape)
    transposed = scipy.sparse.csr_matrix(
        tuple(map(np.asarray, (outgoing.weights, outgoing.others, outgoing.indptr))),
        shape,
    )
    np.testing.assert_array_equal(transposed.toarray(), matrix.toarray().T)


def test_both_directions_are_the_same_arrays_until_newcomers_come(
    small: TrainSplit,
) -> None:
    graph = build(small, spare_users=1, spare_items=1, spare_edges=4)
    for name in ("indptr", "own", "others", "weights"):
        ends = graph.plan.incoming, graph.plan.outgoing
        assert getattr(ends[0], name) is getattr(ends[1], name)
    assert graph.graph.senders is graph.plan.incoming.others
    assert graph.graph.edges["weight"] is graph.plan.incoming.weights
    # A newcomer hears, and is not heard.
    plan = extend(graph, support((5, 0))).plan
    assert plan.incoming.others is not plan.outgoing.others


def test_buckets_are_laid_out_when_asked_for(small: TrainSplit) -> None:
    assert build(small).plan.incoming.buckets is None
    graph = build(small, spare_users=1, spare_edges=4, buckets=True)
    for rows in (graph.plan.incoming, graph.plan.outgoing):
        assert rows.buckets is not None
        slots = sum(int(block.counts.sum()) for block in rows.buckets.blocks)
        assert slots == graph.edge_capacity
    assert extend(graph, support((5, 0))).plan.incoming.buckets is None


def test_node_vectors_lie_where_their_slots_are(small: TrainSplit) -> None:
    graph = build(small, spare_users=1, spare_items=2)
    users, items = jnp.ones((6, 3)), 2 * jnp.ones((8, 3))
    nodes = graph.join_nodes(users, items)
    assert nodes.shape == (graph.num_nodes, 3)
    assert not nodes[-1].any()
    for part, expected in zip(graph.split_nodes(nodes), (users, items), strict=True):
        np.testing.assert_array_equal(part, expected)


# extend


def extended_reference(
    before: np.ndarray, graph: InteractionGraph, pairs: list[tuple[int, int]]
) -> np.ndarray:
    """Newcomers' rows by loops over their sets of neighbours."""
    trained = {*range(int(graph.num_users))} | {
        graph.user_capacity + i for i in range(int(graph.num_items))
    }
    neighbours: dict[int, set[int]] = {}
    for user, item in pairs:
        node = graph.user_capacity + item
        if user not in trained:
            neighbours.setdefault(user, set()).add(node)
        if node not in trained:
            neighbours.setdefault(node, set()).add(user)
    if graph.self_loops:
        for node in neighbours:
            neighbours[node].add(node)
    matrix = before.copy()
    for node, others in neighbours.items():
        for other in others:
            degree = (
                len(neighbours[other])
                if other in neighbours
                else max(float(graph.degrees[other]), 1.0)
            )
            matrix[node, other] = (len(others) * degree) ** -0.5
    return matrix


@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize(
    "pairs",
    [
        [(5, 0), (5, 2), (5, 0)],  # a user, one item twice
        [(5, 0), (6, 1), (6, 0)],  # two users
        [(0, 6), (4, 6)],  # an item
        [(5, 6), (5, 0), (1, 6), (6, 7), (6, 4)],  # new ones with new ones
    ],
)
def test_extended_equals_a_dense_reference(
    small: TrainSplit,
    dense_of: Dense,
    pairs: list[tuple[int, int]],
    self_loops: bool,
) -> None:
    graph = build(
        small, self_loops=self_loops, spare_users=2, spare_items=2, spare_edges=16
    )
    before = dense_of(graph)
    extended = extend(graph, support(*pairs))
    expected = extended_reference(before, graph, pairs)
    np.testing.assert_allclose(dense_of(extended), expected, rtol=1e-6, atol=0)
    # What was trained hears nothing new, to the last bit.
    trained = [*range(5), *(7 + i for i in range(6))]
    np.testing.assert_array_equal(dense_of(extended)[trained], before[trained])
    np.testing.assert_array_equal(
        extended.degrees, np.where(expected.any(1), (expected > 0).sum(1), 0)
    )
    assert int(extended.num_users) == max(5, *(user + 1 for user, _ in pairs))
    assert int(extended.num_items) == max(6, *(item + 1 for _, item in pairs))
    off_diagonal = expected - np.diag(np.diag(expected))
    np.testing.assert_array_equal(extended.connected, off_diagonal.any(axis=1))


def test_one_compiled_program_serves_both(small: TrainSplit) -> None:
    graph = build(small, spare_users=2, spare_items=1, spare_edges=8)
    extended = extend(graph, support((5, 0), (6, 6)))
    assert jax.tree.structure(graph) == jax.tree.structure(extended)
    for before, after in zip(leaves(graph), leaves(extended), strict=True):
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
    traces = []

    @jax.jit
    def total(graph: InteractionGraph) -> jax.Array:
        traces.append(graph.num_nodes)
        return graph.graph.edges["weight"].sum() + graph.num_users

    assert float(total(graph)) != float(total(extended))
    assert len(traces) == 1


def test_extended_twice_is_extended_at_once(small: TrainSplit) -> None:
    graph = build(small, spare_users=2, spare_items=1, spare_edges=9)
    first, second = [(5, 0), (5, 3)], [(6, 3), (6, 4), (0, 6)]
    twice = extend(extend(graph, support(*first)), support(*second))
    once = extend(graph, support(*first, *second))
    for left, right in zip(leaves(twice), leaves(once), strict=True):
        np.testing.assert_array_equal(left, right)
    # A newcomer of the first time is known at the second.
    with pytest.raises(UserError, match="user slot 5 with item slot 1, both trained"):
        extend(extend(graph, support(*first)), support((5, 1)))


def test_no_support_changes_nothing(small: TrainSplit) -> None:
    graph = build(small, self_loops=True, spare_users=1, spare_edges=1)
    for left, right in zip(
        leaves(graph), leaves(extend(graph, support())), strict=True
    ):
        np.testing.assert_array_equal(left, right)


def test_capacity_is_used_up_and_then_refused(small: TrainSplit) -> None:
    graph = build(small, spare_users=1, spare_items=1, spare_edges=4)
    full = extend(graph, support((5, 0), (5, 1), (5, 2)))
    assert int(full.graph.n_edge[1]) == 1
    for pairs, message in (
        ([(5, 0), (5, 1), (5, 2), (5, 3)], "at most 3 more edges, got 4.*spare-edges"),
        ([(6, 0)], r"support.users: expected slots in \[0, 6\).*--graph.spare-users"),
        ([(0, 7)], r"support.items: expected slots in \[0, 7\).*--graph.spare-items"),
        ([(-1, 6)], "support.users: .*got -1 to -1"),
        ([(5, 0), (2, 3)], "user slot 2 with item slot 3, both trained"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            extend(graph, support(*pairs))
        assert "\n" not in str(caught.value)


def test_a_self_loop_takes_a_spare_edge(small: TrainSplit) -> None:
    graph = build(small, self_loops=True, spare_users=1, spare_edges=3)
    extend(graph, support((5, 0)))
    with pytest.raises(UserError, match="at most 2 more edges, got 3"):
        extend(graph, support((5, 0), (5, 1)))


def test_held_out_positives_are_no_support(small: TrainSplit) -> None:
    graph = build(small, spare_users=1, spare_edges=4)
    split = split_random(synthetic(), seed=0)
    others: list[Any] = [
        split,
        split.held_out("test"),
        Csr.from_pairs(np.array([5]), np.array([0]), 6),
        small,
        (np.array([5]), np.array([0])),
    ]
    for other in others:
        with pytest.raises(TypeError, match=f"got {type(other).__name__}"):
            extend(graph, other)
