"""Sizes that are computed beside those of a graph that is really cut."""

import itertools

import numpy as np
import pytest

from llmgnn_jax.graph.node_layout import NodeLayout, balanced_order
from llmgnn_jax.graph.plan import plan_edges
from llmgnn_jax.parallel.partition import share_out, table_in_shares
from llmgnn_jax.planning.cut import cut
from llmgnn_jax.planning.degrees import LAWS, Degrees

USERS, ITEMS, PAIRS = 3000, 4000, 60_000


def real_plan(law, shares):
    """A graph whose degrees follow the law, dealt as a run deals it."""
    rng = np.random.default_rng(0)
    sides = []
    for count, of in ((USERS, law.users), (ITEMS, law.items)):
        degrees = Degrees(count=count, edges=PAIRS, law=of).at(np.arange(count))
        sides.append(rng.choice(count, 2 * PAIRS, p=degrees / degrees.sum()))
    pairs = np.unique(np.stack(sides, 1), axis=0)
    pairs = pairs[rng.permutation(len(pairs))[:PAIRS]]
    layout = NodeLayout.holding(users=USERS, items=ITEMS, groups=shares)
    slots = []
    for ends, count, capacity in (
        (pairs[:, 0], USERS, layout.user_capacity),
        (pairs[:, 1], ITEMS, layout.item_capacity),
    ):
        order = balanced_order(
            np.bincount(ends, minlength=count), capacity=capacity, groups=shares
        )
        slot = np.empty(count, np.int64)
        slot[order] = np.arange(count)
        slots.append(slot[ends])
    users, items = layout.user_nodes(slots[0]), layout.item_nodes(slots[1])
    senders, receivers = np.concatenate([users, items]), np.concatenate([items, users])
    order = np.lexsort((senders, receivers))
    plan = plan_edges(
        senders[order],
        receivers[order],
        layout.num_nodes,
        weights=np.ones(len(order), np.float32),
    )
    return plan, layout, len(pairs)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("shares", [4, 16])
def test_beside_a_real_cut(name, shares):
    plan, layout, pairs = real_plan(LAWS[name], shares)
    found = cut(
        LAWS[name],
        users=USERS,
        items=ITEMS,
        interactions=pairs,
        nodes=layout.num_nodes // shares,
        shares=shares,
    )
    exchanged = share_out(plan, shares=shares, exchange="all_to_all")
    ring = share_out(plan, shares=shares, exchange="ring")
    table = table_in_shares(plan, shares=shares)
    # Hubs drawn twice for one pair count once: a few per cent fewer than the law says.
    for got, real in (
        (found.halo, exchanged.send.shape[2]),
        (found.near, exchanged.near.own.shape[1]),
        (found.far, exchanged.far.own.shape[1]),
        (found.block, ring.near.own.shape[2]),
        (found.edges, table.neighbours.size // shares),
    ):
        assert 0.93 <= got / real <= 1.2


def test_one_device_has_it_all():
    found = cut(
        LAWS["gowalla"], users=10, items=10, interactions=50, nodes=21, shares=1
    )
    assert (found.edges, found.near, found.pairs) == (100, 100, 50)


def test_more_devices_have_less_each():
    many = [
        cut(
            LAWS["gowalla"],
            users=421_500_000,
            items=578_500_000,
            interactions=10**10,
            nodes=10**9 // shares,
            shares=shares,
        )
        for shares in (64, 256, 1024)
    ]
    for few, more in itertools.pairwise(many):
        assert more.edges <= 1.15 * few.edges / 4
        assert more.block <= 1.15 * few.block / 16
        assert more.halo < few.halo < few.nodes
    # Rows that everyone asks of everyone: fewer than all, more than their share.
    assert all(one.halo_mean <= one.halo <= one.nodes for one in many)
    assert all(one.edges < 2**31 for one in many)
