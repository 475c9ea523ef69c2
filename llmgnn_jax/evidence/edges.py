"""The edges of a graph without their direction, and which node is what.

Shapes: N nodes, E directed edge slots, M undirected edges.
"""

import functools
from typing import NamedTuple

import numpy as np

from llmgnn_jax.graph.structure import InteractionGraph


class Slot(NamedTuple):
    """What a node is: "user", "item", "other", or "" for room that nobody takes."""

    kind: str
    slot: int


class UndirectedEdges:
    """Both directions of an edge as one, by a number from 0 on.

    Edges of a node with itself are none: they are the node's own part of a layer.

    Args:
        graph: As built, or extended by newcomers, who hear and are not heard.

    Attributes:
        ends: (M, 2) int64, node numbers, the smaller one first.
        of_directed: (E,) int32, the number of each directed edge; -1 of what is no
            edge between two nodes.
    """

    def __init__(self, graph: InteractionGraph) -> None:
        self._layout, num_nodes = graph.layout, graph.num_nodes
        used = int(graph.plan.num_edges)
        senders = np.asarray(graph.graph.senders)[:used].astype(np.int64)
        receivers = np.asarray(graph.graph.receivers)[:used].astype(np.int64)
        real = senders != receivers
        low, high = np.minimum(senders, receivers), np.maximum(senders, receivers)
        codes, numbers = np.unique((low * num_nodes + high)[real], return_inverse=True)
        self._codes, self._num_nodes = codes, num_nodes
        self.ends = np.stack([codes // num_nodes, codes % num_nodes], axis=1)
        self.of_directed = np.full(graph.edge_capacity, -1, np.int32)
        self.of_directed[:used][real] = numbers
        by_node = self.ends.ravel()
        order = np.argsort(by_node, kind="stable")
        counts = np.bincount(by_node, minlength=num_nodes)
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._edges = order // 2
        self._others = self.ends[:, ::-1].ravel()[order]

    def __len__(self) -> int:
        """M."""
        return len(self._codes)

    def of(self, node: int) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of a node's edges, and the nodes at their other ends."""
        mine = slice(self._starts[node], self._starts[node + 1])
        return self._edges[mine], self._others[mine]

    def between(self, one: int, other: int) -> int:
        """The number of the edge between two nodes; -1 where there is none."""
        code = min(one, other) * self._num_nodes + max(one, other)
        place = int(np.searchsorted(self._codes, code))
        found = place < len(self._codes) and self._codes[place] == code
        return place if found else -1

    def summed(self, values_E: np.ndarray) -> np.ndarray:
        """(M,) float64, what the directed edges of each hold together."""
        real = self.of_directed >= 0
        return np.bincount(
            self.of_directed[real],
            weights=np.asarray(values_E, np.float64)[real],
            minlength=len(self),
        )

    def user_node(self, user: int) -> int:
        """The node of a user slot."""
        return int(self._layout.user_nodes(np.array(user)))

    def item_node(self, item: int) -> int:
        """The node of an item slot."""
        return int(self._layout.item_nodes(np.array(item)))

    def slot(self, node: int) -> Slot:
        """What a node is; where people are the items, a user."""
        kinds, slots = self._slots
        return Slot(("user", "other", "item", "")[kinds[node]], int(slots[node]))

    def users_of(self, node: int) -> np.ndarray:
        """The nodes of users that a node has an edge with, ascending."""
        _, others = self.of(node)
        return np.sort(others[self._slots[0][others] == 0])

    @functools.cached_property
    def _slots(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) the kind of each node: user, other, item, none; and its slot."""
        layout = self._layout
        kinds = np.full(self._num_nodes, 3, np.int8)
        slots = np.zeros(self._num_nodes, np.int64)
        parts = [
            (1, layout.other_nodes, layout.other_capacity),
            (2, layout.item_nodes, layout.item_slots),
            (0, layout.user_nodes, layout.user_capacity),
        ]
        for kind, nodes, capacity in parts:
            numbers = np.arange(capacity)
            kinds[nodes(numbers)], slots[nodes(numbers)] = kind, numbers
        return kinds, slots
