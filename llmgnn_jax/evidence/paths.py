"""Cited edges, put together to what can be told: paths from the user to the item."""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np

from llmgnn_jax.evidence.edges import UndirectedEdges
from llmgnn_jax.evidence.explanation import EvidencePath, PathKind


class Cited(NamedTuple):
    """An edge by its number in the explanation, with its ends as nodes."""

    number: int
    ends: tuple[int, int]
    attribution: float
    is_interaction: bool


class _Group(NamedTuple):
    """Edges with the same are of one path."""

    kind: PathKind
    about: Hashable


def paths_of(
    cited: Sequence[Cited],
    *,
    user: int,
    item: int,
    score: float,
    edges: UndirectedEdges,
    had_by: Callable[[int], np.ndarray],
) -> list[EvidencePath]:
    """Each edge in one path, the largest share first.

    Args:
        cited: The edges.
        user: The node of the user.
        item: The node of the item.
        score: What shares are of.
        edges: Of the graph.
        had_by: An item's node -> the nodes of the users who had it, ascending.
    """
    grouping = _Grouping(cited, user=user, item=item, edges=edges)
    groups: dict[_Group, list[Cited]] = {}
    for one in cited:
        groups.setdefault(grouping.of(one), []).append(one)
    scale = abs(score) or 1.0
    found = []
    for group, members in groups.items():
        people = grouping.people(group, had_by)
        share = sum(one.attribution for one in members) / scale
        numbers = tuple(sorted(one.number for one in members))
        found.append(
            EvidencePath(edges=numbers, kind=group.kind, share=share, people=people)
        )
    return sorted(found, key=lambda path: (-abs(path.share), path.edges))


class _Grouping:
    """Which path an edge is a part of."""

    def __init__(
        self, cited: Sequence[Cited], *, user: int, item: int, edges: UndirectedEdges
    ) -> None:
        self._user, self._item, self._edges = user, item, edges
        self._interactions = {
            frozenset(one.ends) for one in cited if one.is_interaction
        }
        self._all = {frozenset(one.ends) for one in cited}
        # What the user's own cited edges lead to, the largest first.
        self._own = [
            _other(one, user)
            for one in sorted(cited, key=lambda one: -abs(one.attribution))
            if user in one.ends
        ]

    def of(self, edge: Cited) -> _Group:
        """The group of a cited edge."""
        if self._user in edge.ends:
            return self._of_user(_other(edge, self._user))
        if self._item in edge.ends:
            return self._of_item(_other(edge, self._item))
        return self._between(*edge.ends)

    def people(self, group: _Group, had_by: Callable[[int], np.ndarray]) -> int:
        """How many other users are part of the path."""
        if group.kind == "neighbour":
            return len(np.setdiff1d(had_by(self._item), [self._user]))
        if group.kind == "friend":
            friends = self._edges.users_of(self._user)
            return len(np.intersect1d(friends, had_by(self._item)))
        if group.kind != "liked item" or group.about == self._item:
            return 0
        assert isinstance(group.about, int)
        both = np.intersect1d(had_by(group.about), had_by(self._item))
        return len(np.setdiff1d(both, [self._user]))

    def _of_user(self, other: int) -> _Group:
        kind = self._kind(other)
        if other == self._item:
            liked = frozenset((self._user, other)) in self._interactions
            return _Group("liked item" if liked else "link", other)
        if kind == "user":
            return _Group("friend", None)
        if kind == "other":
            return _Group("attribute", other)
        return self._over(other)

    def _of_item(self, other: int) -> _Group:
        kind = self._kind(other)
        if kind == "other":
            return _Group("attribute", other)
        if kind == "item":
            return _Group("link", other)
        if self._edges.between(self._user, other) >= 0:
            return _Group("friend", None)
        for own in self._own:
            if self._kind(own) == "item" and frozenset((own, other)) in self._all:
                return self._over(own)
        return _Group("neighbour", None)

    def _between(self, *ends: int) -> _Group:
        """Of an edge that touches neither."""
        kinds = [self._kind(end) for end in ends]
        if "other" in kinds:
            return _Group("attribute", ends[kinds.index("other")])
        for end, kind in zip(ends, kinds, strict=True):
            if kind == "item" and end in self._own:
                return self._over(end)
            if kind == "user" and self._edges.between(self._user, end) >= 0:
                return _Group("friend", None)
        if kinds == ["item", "item"]:
            return _Group("link", ends[0])
        return _Group("neighbour", None)

    def _over(self, item: int) -> _Group:
        """Of an item that the user had, or is linked with; or the item is."""
        liked = frozenset((self._user, item)) in self._interactions
        linked = frozenset((item, self._item)) in self._all
        return _Group("liked item" if liked and not linked else "link", item)

    def _kind(self, node: int) -> str:
        return self._edges.slot(node).kind


def _other(edge: Cited, node: int) -> int:
    one, other = edge.ends
    return other if one == node else one
