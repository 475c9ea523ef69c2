"""Where users and items stand among the nodes of a graph.

With one group: all users, all items, and jraph's padding node. With G groups the nodes
are dealt into G blocks of one size, each of U / G users and then I / G items, so that
any number of devices that divides G has as many users and items as any other in one
piece of the node vectors. The last item slot is then the padding node.

Shapes: U user slots, I item slots, N nodes, G groups.
"""

from dataclasses import dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Array = TypeVar("Array", jax.Array, np.ndarray)


@dataclass(frozen=True, kw_only=True)
class NodeLayout:
    """The order of the nodes: hashable, fixed for a graph.

    Attributes:
        user_capacity: U, a multiple of G.
        item_capacity: I, a multiple of G.
        groups: G.
    """

    user_capacity: int
    item_capacity: int
    groups: int = 1

    def __post_init__(self) -> None:
        assert self.user_capacity % self.groups == 0, "groups are of one size"
        assert self.item_capacity % self.groups == 0, "groups are of one size"

    @classmethod
    def holding(cls, *, users: int, items: int, groups: int = 1) -> "NodeLayout":
        """The smallest layout with room for so many users and items."""

        def up(count: int) -> int:
            return -(-count // groups) * groups

        padding = groups > 1
        return cls(
            user_capacity=up(users), item_capacity=up(items + padding), groups=groups
        )

    @property
    def num_nodes(self) -> int:
        """N, the padding node included."""
        return self.user_capacity + self.item_capacity + (self.groups == 1)

    @property
    def item_slots(self) -> int:
        """Item slots that an item may take: all but the padding node."""
        return self.item_capacity - (self.groups > 1)

    @property
    def _users(self) -> int:
        """Users of a group."""
        return self.user_capacity // self.groups

    @property
    def _items(self) -> int:
        return self.item_capacity // self.groups

    def user_nodes(self, users: Array) -> Array:
        """The nodes of user slots, of any shape."""
        if self.groups == 1:
            return users
        return users + users // self._users * self._items

    def item_nodes(self, items: Array) -> Array:
        """The nodes of item slots, of any shape."""
        if self.groups == 1:
            return self.user_capacity + items
        return items + (items // self._items + 1) * self._users

    def split(self, nodes_N: Array) -> tuple[Array, Array]:
        """What nodes hold, as (U, ...) and (I, ...)."""
        if self.groups == 1:
            users, items = self.user_capacity, self.item_capacity
            return nodes_N[:users], nodes_N[users : users + items]
        rest = nodes_N.shape[1:]
        blocks = nodes_N.reshape(self.groups, -1, *rest)
        return (
            blocks[:, : self._users].reshape(self.user_capacity, *rest),
            blocks[:, self._users :].reshape(self.item_capacity, *rest),
        )

    def join(self, users_U: jax.Array, items_I: jax.Array) -> jax.Array:
        """(N, ...) from what both sides hold; of one group the padding node is 0."""
        rest = users_U.shape[1:]
        if self.groups == 1:
            padding = jnp.zeros((1, *rest), users_U.dtype)
            return jnp.concatenate([users_U, items_I, padding])
        parts = [side.reshape(self.groups, -1, *rest) for side in (users_U, items_I)]
        return jnp.concatenate(parts, axis=1).reshape(self.num_nodes, *rest)


def balanced_order(degrees: np.ndarray, *, capacity: int, groups: int) -> np.ndarray:
    """Deals nodes of one side to groups, so that all have about as many edges.

    Slot s belongs to group s // (capacity / groups). Nodes come by falling degree and
    are dealt one to each group, back and forth, in an order of the groups (bits
    reversed) in which consecutive ones lie far apart: so halves, quarters, ... of the
    groups are balanced too, for any number of devices that divides them.

    Args:
        degrees: (n,) of the nodes.
        capacity: Slots in all, n at least; those beyond n stay free.
        groups: G, divides the capacity.

    Returns:
        (n,) int64, the node that takes each slot.
    """
    count, size = len(degrees), capacity // groups
    bits = max(1, (groups - 1).bit_length())
    turn = np.array([int(f"{group:0{bits}b}"[::-1], 2) for group in range(groups)])
    slots = np.arange(count)
    group, offset = slots // size, slots % size
    # Every other round goes backwards: who was first with a large one is last.
    forth = np.where(offset % 2 == 0, turn[group], -turn[group])
    dealt = np.lexsort((forth, offset))
    order = np.empty(count, np.int64)
    # Stable: equal degrees keep their order.
    order[dealt] = np.argsort(-np.asarray(degrees), kind="stable")
    return order
