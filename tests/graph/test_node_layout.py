"""Which node a user or an item is, and how groups are dealt."""

import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.graph.node_layout import NodeLayout, balanced_order


def test_one_group_is_users_then_items_then_padding():
    layout = NodeLayout.holding(users=5, items=7)
    assert (layout.num_nodes, layout.item_slots) == (13, 7)
    np.testing.assert_array_equal(layout.user_nodes(np.arange(5)), np.arange(5))
    np.testing.assert_array_equal(layout.item_nodes(np.arange(7)), 5 + np.arange(7))


@pytest.mark.parametrize("groups", [2, 4, 6, 8])
def test_groups_are_equal_pieces_of_both_sides(groups):
    layout = NodeLayout.holding(users=19, items=30, groups=groups)
    assert layout.user_capacity % groups == layout.item_capacity % groups == 0
    # The last item slot is the padding node, so one more than was asked for is there.
    assert layout.item_slots >= 30
    users = layout.user_nodes(np.arange(layout.user_capacity))
    items = layout.item_nodes(np.arange(layout.item_capacity))
    every = np.sort(np.concatenate([users, items]))
    np.testing.assert_array_equal(every, np.arange(layout.num_nodes))
    assert items[-1] == layout.num_nodes - 1
    size = layout.num_nodes // groups
    for nodes, capacity in (
        (users, layout.user_capacity),
        (items, layout.item_capacity),
    ):
        np.testing.assert_array_equal(
            nodes // size, np.arange(capacity) // (capacity // groups)
        )


@pytest.mark.parametrize("groups", [1, 4])
def test_split_and_join(groups):
    layout = NodeLayout.holding(users=8, items=11, groups=groups)
    rng = np.random.default_rng(0)
    users = jnp.asarray(rng.normal(size=(layout.user_capacity, 3)))
    items = jnp.asarray(rng.normal(size=(layout.item_capacity, 3)))
    nodes = layout.join(users, items)
    assert nodes.shape == (layout.num_nodes, 3)
    for side, numbers in (
        (users, layout.user_nodes(np.arange(layout.user_capacity))),
        (items, layout.item_nodes(np.arange(layout.item_capacity))),
    ):
        np.testing.assert_array_equal(nodes[numbers], side)
    for part, expected in zip(layout.split(nodes), (users, items), strict=True):
        np.testing.assert_array_equal(part, expected)
    flags = layout.split(nodes[:, 0] > 0)
    np.testing.assert_array_equal(flags[1], items[:, 0] > 0)


@pytest.mark.parametrize("groups", [4, 8, 12])
def test_any_number_of_devices_has_as_many_edges(groups):
    rng = np.random.default_rng(1)
    degrees = np.sort(np.floor(rng.pareto(1.2, 900) * 10 + 1).astype(int))
    degrees = np.minimum(degrees, degrees.sum() // (4 * groups))
    capacity = 960
    order = balanced_order(degrees, capacity=capacity, groups=groups)
    np.testing.assert_array_equal(np.sort(order), np.arange(900))
    held = np.zeros(capacity)
    held[:900] = degrees[order]
    for devices in (n for n in (2, 4, groups) if groups % n == 0):
        each = held.reshape(devices, -1).sum(axis=1)
        # Spare slots come last, so the last device has fewer nodes.
        assert each.max() < 1.25 * each.mean(), devices
    # As given, the most popular ones lie on one device.
    given = np.zeros(capacity)
    given[:900] = degrees
    assert given.reshape(groups, -1).sum(axis=1).max() > 1.5 * held.sum() / groups


def test_equal_degrees_keep_their_order_within_a_round():
    order = balanced_order(np.ones(8), capacity=8, groups=1)
    np.testing.assert_array_equal(order, np.arange(8))
