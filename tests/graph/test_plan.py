"""The plan of a graph's edges: both ends by loops, buffers shared, what it refuses."""

import jax
import numpy as np
import pytest

from llmgnn_jax.graph.plan import EdgePlan, Rows, plan_edges, sorted_graph

# Asymmetric, with a duplicate and a self edge; node 4 is alone.
SENDERS, RECEIVERS = (3, 0, 2, 2, 1, 3, 3), (0, 1, 1, 1, 3, 3, 5)
WEIGHTS = (0.5, 1.5, -2.0, 3.0, 0.25, -1.0, 4.0)


def made(*, buckets: bool = False) -> EdgePlan:
    return plan_edges(
        np.asarray(SENDERS),
        np.asarray(RECEIVERS),
        6,
        weights=np.asarray(WEIGHTS),
        buckets=buckets,
    )


def check_rows(rows: Rows, own: tuple[int, ...], others: tuple[int, ...]) -> None:
    """Against the list of edges: those of each node, once each."""
    numbers = range(len(own)) if rows.edges is None else np.asarray(rows.edges).tolist()
    assert sorted(numbers) == list(range(len(own)))
    assert np.asarray(rows.own).tolist() == [own[e] for e in numbers]
    assert np.asarray(rows.others).tolist() == [others[e] for e in numbers]
    assert np.asarray(rows.weights).tolist() == [WEIGHTS[e] for e in numbers]
    indptr = np.asarray(rows.indptr).tolist()
    for node in range(rows.num_nodes):
        inside = np.asarray(rows.own)[indptr[node] : indptr[node + 1]]
        assert inside.tolist() == [node] * own.count(node)
    values = np.arange(10.0, 10 + len(own))
    expected = [values[e] for e in numbers]
    assert np.asarray(rows.in_this_order(values)).tolist() == expected


def test_both_ends_of_a_directed_graph() -> None:
    plan = made()
    check_rows(plan.incoming, RECEIVERS, SENDERS)
    check_rows(plan.outgoing, SENDERS, RECEIVERS)
    assert plan.incoming.edges is None
    assert plan.outgoing.edges is not None
    assert int(plan.num_edges) == 7
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves(plan)}
    assert kinds == {"int32", "float32"}


@pytest.mark.parametrize("buckets", [False, True])
def test_an_undirected_graph_shares_its_buffers(buckets: bool) -> None:
    ends = np.asarray([(0, 1), (1, 2), (2, 2), (0, 3), (0, 3)])
    both = np.concatenate([ends, ends[:, ::-1]])
    weights = np.tile([1.0, 2.0, 3.0, 4.0, 4.0], 2)
    _, plan = sorted_graph(
        both[:, 0], both[:, 1], 5, edges={"weight": weights}, buckets=buckets
    )
    for name in ("indptr", "own", "others", "weights"):
        assert getattr(plan.incoming, name) is getattr(plan.outgoing, name)
    assert (plan.incoming.buckets is None) == (not buckets)
    # Where an edge weighs otherwise than the one back, only the ends are the same.
    _, lopsided = sorted_graph(
        both[:, 0],
        both[:, 1],
        5,
        edges={"weight": np.arange(10.0)},
        buckets=buckets,
    )
    assert lopsided.incoming.weights is not lopsided.outgoing.weights
    # And nothing is shared where the edges themselves have a direction.
    directed = made(buckets=buckets)
    assert directed.incoming.others is not directed.outgoing.others


def test_those_who_send_may_be_others() -> None:
    plan = plan_edges(
        np.asarray([6, 0, 3]), np.asarray([0, 0, 1]), 2, num_senders=7, buckets=True
    )
    assert (plan.incoming.num_nodes, plan.outgoing.num_nodes) == (2, 7)
    assert np.diff(plan.outgoing.indptr).tolist() == [1, 0, 0, 1, 0, 0, 1]
    with pytest.raises(ValueError, match=r"senders must lie in \[0, 7\)"):
        plan_edges(np.asarray([7]), np.asarray([0]), 2, num_senders=7)
    with pytest.raises(ValueError, match=r"receivers must lie in \[0, 2\)"):
        plan_edges(np.asarray([0]), np.asarray([2]), 2, num_senders=7)


@pytest.mark.parametrize(
    ("senders", "receivers", "message"),
    [
        ([0, 1], [1, 0], "sorted by receiver"),
        ([0, 3], [0, 1], r"senders must lie in \[0, 3\)"),
        ([-1, 1], [0, 1], r"senders must lie in \[0, 3\)"),
        ([0, 1], [0, 3], r"receivers must lie in \[0, 3\)"),
        # Would be node 1 in 32 bits.
        ([0, 2**32 + 1], [0, 1], r"senders must lie in \[0, 3\)"),
    ],
)
def test_edges_that_do_not_hold_together(
    senders: list[int], receivers: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plan_edges(np.asarray(senders), np.asarray(receivers), 3)


def test_any_list_of_edges_is_sorted_and_what_they_hold_along() -> None:
    rng = np.random.default_rng(0)
    senders, receivers = rng.integers(0, 9, (2, 60))
    held = {
        "weight": rng.normal(size=60).astype(np.float32),
        "relation": rng.integers(0, 3, 60).astype(np.int32),
        "features": rng.normal(size=(60, 2)).astype(np.float32),
    }
    graph, plan = sorted_graph(senders, receivers, 9, edges=held)
    assert graph.nodes is None
    assert graph.n_node.tolist() == [9]
    assert graph.n_edge.tolist() == [60]
    ranks = np.asarray(graph.receivers) * 9 + np.asarray(graph.senders)
    assert (np.diff(ranks) >= 0).all()
    assert graph.senders is plan.incoming.others
    assert graph.receivers is plan.incoming.own
    np.testing.assert_array_equal(plan.incoming.weights, graph.edges["weight"])

    def lines(senders: np.ndarray, receivers: np.ndarray, held: dict) -> list[tuple]:
        columns = (held[name].reshape(60, -1).tolist() for name in sorted(held))
        return sorted(zip(senders.tolist(), receivers.tolist(), *columns, strict=True))

    after = {name: np.asarray(value) for name, value in graph.edges.items()}
    ends = np.asarray(graph.senders), np.asarray(graph.receivers)
    assert lines(*ends, after) == lines(senders, receivers, held)
    bare, plan = sorted_graph(senders, receivers, 9)
    assert bare.edges == {}
    assert plan.incoming.weights is None
