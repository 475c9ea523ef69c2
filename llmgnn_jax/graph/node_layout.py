"""Where users, items and what else there is stand among the nodes of a graph.

With one group: all users, all others (entities that neither interact nor are ranked),
all items, and jraph's padding node. With G groups the nodes are dealt into G blocks of
one size, each of U / G users, O / G others and I / G items, so that any number of
devices that divides G has as many of each as any other in one piece of the node
vectors. The last item slot is then the padding node.

Where people are recommended to people, users and items are the same nodes.

Shapes: U user slots, O slots of others, I item slots, N nodes, G groups.
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
        other_capacity: O, a multiple of G.
        people: Whether item i is user i, the same node; I is U then.
    """

    user_capacity: int
    item_capacity: int
    groups: int = 1
    other_capacity: int = 0
    people: bool = False

    def __post_init__(self) -> None:
        for capacity in (self.user_capacity, self.item_capacity, self.other_capacity):
            assert capacity % self.groups == 0, "groups are of one size"
        if self.people:
            assert self.user_capacity == self.item_capacity, "they are the same"

    @classmethod
    def holding(
        cls,
        *,
        users: int,
        items: int,
        others: int = 0,
        groups: int = 1,
        people: bool = False,
    ) -> "NodeLayout":
        """The smallest layout with room for so many of each; `people` are users."""

        def up(count: int) -> int:
            return -(-count // groups) * groups

        padding = groups > 1
        items = up((users if people else items) + padding)
        return cls(
            user_capacity=items if people else up(users),
            item_capacity=items,
            other_capacity=up(others),
            groups=groups,
            people=people,
        )

    @property
    def num_nodes(self) -> int:
        """N, the padding node included."""
        users = 0 if self.people else self.user_capacity
        return users + self.other_capacity + self.item_capacity + (self.groups == 1)

    @property
    def item_slots(self) -> int:
        """Item slots that an item may take: all but the padding node."""
        return self.item_capacity - (self.groups > 1)

    @property
    def _sizes(self) -> tuple[int, int, int]:
        """Users (none where they are the items), others and items of a group."""
        users = 0 if self.people else self.user_capacity
        sizes = (users, self.other_capacity, self.item_capacity)
        return tuple(size // self.groups for size in sizes)  # type: ignore[return-value]

    def _nodes(self, slots: Array, part: int) -> Array:
        """The nodes of slots of users (0), others (1) or items (2)."""
        sizes = self._sizes
        first = sum(sizes[:part])
        if self.groups == 1:
            return slots + first if first else slots
        return slots + slots // sizes[part] * (sum(sizes) - sizes[part]) + first

    def user_nodes(self, users: Array) -> Array:
        """The nodes of user slots, of any shape."""
        return self._nodes(users, 2 if self.people else 0)

    def other_nodes(self, others: Array) -> Array:
        """The nodes of slots of others, of any shape."""
        return self._nodes(others, 1)

    def item_nodes(self, items: Array) -> Array:
        """The nodes of item slots, of any shape."""
        return self._nodes(items, 2)

    def split(self, nodes_N: Array) -> tuple[Array, Array]:
        """What nodes hold, as (U, ...) and (I, ...)."""
        users, _, items = self.split_all(nodes_N)
        return users, items

    def split_all(self, nodes_N: Array) -> tuple[Array, Array, Array]:
        """What nodes hold, as (U, ...), (O, ...) and (I, ...)."""
        sizes, rest = self._sizes, nodes_N.shape[1:]
        ends = np.cumsum(sizes).tolist()
        places = [slice(end - own, end) for own, end in zip(sizes, ends, strict=True)]
        if self.groups == 1:
            users, others, items = (nodes_N[place] for place in places)
        else:
            blocks = nodes_N.reshape(self.groups, -1, *rest)
            users, others, items = (
                blocks[:, place].reshape(own * self.groups, *rest)
                for own, place in zip(sizes, places, strict=True)
            )
        return (items if self.people else users), others, items

    def join(
        self,
        users_U: jax.Array,
        items_I: jax.Array,
        others_O: jax.Array | None = None,
    ) -> jax.Array:
        """(N, ...) from what each holds; of one group the padding node is 0.

        Others are 0 if not given. Where people are users and items, what the users hold
        stands.
        """
        rest, kind = users_U.shape[1:], users_U.dtype
        if others_O is None:
            others_O = jnp.zeros((self.other_capacity, *rest), kind)
        sides = [others_O, users_U] if self.people else [users_U, others_O, items_I]
        if self.groups == 1:
            return jnp.concatenate([*sides, jnp.zeros((1, *rest), kind)])
        parts = [side.reshape(self.groups, -1, *rest) for side in sides]
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
