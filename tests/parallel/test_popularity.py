"""How many different rows are asked for: counted, and what is expected beside it."""

import numpy as np
import pytest

from llmgnn_jax.graph.node_layout import NodeLayout
from llmgnn_jax.graph.plan import plan_edges
from llmgnn_jax.parallel.partition import table_in_shares
from llmgnn_jax.parallel.popularity import Popularity, classes_of
from llmgnn_jax.parallel.routes import Reach
from llmgnn_jax.planning.cut import popularity_of
from llmgnn_jax.planning.degrees import LAWS, Degrees


def test_classes_are_of_about_one_degree():
    degrees = np.array([0, 1, 2, 2, 3, 4, 5, 5, 1000, 1001, 1100, 0])
    # Four an octave: small degrees have a class each.
    expected = ((1, 1), (2, 4), (1, 3), (1, 4), (2, 10), (2, 2001), (1, 1100))
    assert classes_of(degrees) == expected
    values, counts = np.unique(degrees, return_counts=True)
    assert classes_of(values, counts) == expected
    assert classes_of(np.zeros(3)) == ()


def test_within_a_class_degrees_differ_by_a_quarter_at_most():
    degrees = np.arange(1, 5000)
    for count, edges in classes_of(degrees):
        own = degrees[:count]
        degrees = degrees[count:]
        assert edges == own.sum()
        assert own.max() < 1.25 * own.min()


def drawn(degrees, requests, rng):
    return rng.choice(len(degrees), requests, p=degrees / degrees.sum())


@pytest.mark.parametrize("fanouts", [(4,), (5, 3), (2, 2, 2)])
def test_as_many_as_are_drawn(fanouts):
    """Draws in proportion to degrees, sides in turn; the seeds all different."""
    rng = np.random.default_rng(0)
    users, items = (np.round(3 * rng.pareto(1.2, count) + 1) for count in (3000, 1000))
    popularity, seeds = Popularity.of(users, items), 200
    sizes = np.cumprod([seeds, *fanouts])
    found = []
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        other, same = sizes[1::2].sum(), sizes[2::2].sum()
        of_users = round(part * same + (1 - part) * other)
        draws = [
            np.mean([len(np.unique(drawn(side, int(q), rng))) for _ in range(20)])
            for side, q in ((users, of_users), (items, other + same - of_users))
        ]
        found.append(seeds + sum(draws))
    assert popularity.distinct(seeds, fanouts) == pytest.approx(max(found), rel=0.02)


def test_a_hub_is_one_row_however_often_it_is_drawn():
    """All draws on a side with one node of all edges are of that node."""
    popularity = Popularity.of(np.ones(1000), np.array([1000, 0, 0]))
    most = popularity.distinct(100, (10,))
    # Of users drawn under items: 1000 draws of 1000, 1 - 1/e of them.
    assert most == pytest.approx(100 + 1000 * (1 - 0.999**1000), rel=1e-9)
    assert Popularity.of(np.array([1000]), np.array([1000])).distinct(
        100, (10,)
    ) == pytest.approx(102, abs=1.0)


def test_it_is_that_of_the_graph_that_is_cut():
    layout = NodeLayout(user_capacity=4, item_capacity=4, groups=2)
    users, items = layout.user_nodes(np.arange(4)), layout.item_nodes(np.arange(4))
    pairs = [(users[0], items[0]), (users[0], items[1]), (users[1], items[0])]
    senders = np.array([*(u for u, _ in pairs), *(i for _, i in pairs)])
    receivers = np.array([*(i for _, i in pairs), *(u for u, _ in pairs)])
    order = np.lexsort((senders, receivers))
    spare = np.full(6, layout.num_nodes - 1)  # Edges that are padding count nowhere.
    plan = plan_edges(
        np.concatenate([senders[order], spare]),
        np.concatenate([receivers[order], spare]),
        layout.num_nodes,
        weights=np.ones(12, np.float32),
        num_edges=6,
    )
    table = table_in_shares(plan, shares=2, layout=layout)
    assert table.popularity == Popularity(
        users=((1, 1), (1, 2)), items=((1, 1), (1, 2))
    )
    assert table.distinct(1, (1,)) == table.popularity.distinct(1, (1,))
    assert table_in_shares(plan, shares=2).distinct(1, (1,)) is None


def test_a_law_stands_in_for_a_graph():
    law, pairs, counts = LAWS["gowalla"], 60_000, (3000, 4000)
    planned = popularity_of(law, users=3000, items=4000, interactions=pairs)
    sides = [
        Degrees(count=count, edges=pairs, law=of).at(np.arange(count))
        for count, of in zip(counts, (law.users, law.items), strict=True)
    ]
    found = Popularity.of(*(np.round(side) for side in sides))
    for seeds in (10, 1000):
        assert planned.distinct(seeds, (5, 5)) == pytest.approx(
            found.distinct(seeds, (5, 5)), rel=0.02
        )


def test_places_of_rows():
    reach = Reach(axes=("data",), shares=8, slack=2.0, row_slack=1.5)
    # Not known: a row each.
    assert reach.row_places(8000, size=10**6) == reach.places(8000) > 2000
    # Known: as many as are expected, 1.5 times, and what chance asks for.
    assert reach.row_places(8000, size=10**6, expected=800.0) == 150 + 48 + 8
    # Never more than there are requests, or rows.
    assert reach.row_places(8000, size=100, expected=800.0) == 100
    assert reach.row_places(8000, size=100) == 100
    assert reach.row_places(20, size=10**6, expected=800.0) == 20
