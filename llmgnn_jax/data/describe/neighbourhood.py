"""A user of middling degree and what lies around: which nodes, and where to draw them.

The user is in the middle, its items on a ring around it, their other users on the next
one, entities on the last one; every node lies near to those that it is linked with.
Nothing is drawn by chance: the same content gives the same picture.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.data.dataset import Dataset

_MOST = {"item": 14, "user": 30, "entity": 14}
"""With the user in the middle 59 nodes."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of the picture.

    Attributes:
        kind: "user", "item" or a kind of entity.
        label: What is written beside it.
        x: In rings, from the middle.
        y: Likewise, downwards.
    """

    kind: str
    label: str
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Edge:
    """An edge of the picture between two nodes by their numbers.

    Attributes:
        ends: The numbers.
        relation: Its name; "" of an interaction.
        directed: Whether it leads from the first end to the second.
    """

    ends: tuple[int, int]
    relation: str
    directed: bool = False


@dataclass(frozen=True, kw_only=True)
class Neighbourhood:
    """The picture; node 0 is in the middle.

    Attributes:
        title: Over it.
        nodes: All of them.
        edges: Between them.
        left_out: Kind -> how many neighbours there was no room for.
    """

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    left_out: dict[str, int]


def neighbourhood(dataset: Dataset, *, show_ids: bool) -> Neighbourhood:
    """Chooses a user whose degree is the median, and lays out what is around.

    Args:
        dataset: Whose.
        show_ids: Whether users are called by their ids. Otherwise they are "user 1",
            "user 2" and so on; and so are entities that are linked to users, such as
            households.
    """
    by_user = Csr.from_pairs(dataset.users, dataset.items, dataset.num_users)
    by_item = Csr.from_pairs(dataset.items, dataset.users, dataset.num_items)
    left_out: dict[str, int] = {}
    middle = _middle(dataset, by_user)
    popular = by_item.counts()
    items = _evenly(
        sorted(
            by_user.row(middle).tolist(),
            key=lambda item: (popular[item], dataset.item_ids[item]),
        ),
        _MOST["item"],
    )
    left_out["item"] = len(by_user.row(middle)) - len(items)
    others, left_out["user"] = _others(dataset, middle, items, by_user, by_item)
    chosen = [("user", middle), *(("item", item) for item in items)]
    chosen += [("user", user) for user in others]
    entities, others_of_kind = _entities(dataset, chosen)
    chosen += entities
    left_out |= others_of_kind
    number = {node: at for at, node in enumerate(chosen)}
    edges = [
        Edge(ends=(number["user", user], number["item", item]), relation="")
        for user in (middle, *others)
        for item in by_user.row(user).tolist()
        if ("item", item) in number
    ]
    edges += _links(dataset, number)
    rings = [0] + [1] * len(items) + [2] * len(others) + [3] * len(entities)
    places = placed(rings, edges)
    labels = _labels(dataset, chosen, show_ids=show_ids)
    return Neighbourhood(
        title=f"{dataset.name}: {labels[0]}, who has as many items as the median user",
        nodes=tuple(
            Node(kind=kind, label=label, x=x, y=y)
            for (kind, _), label, (x, y) in zip(chosen, labels, places, strict=True)
        ),
        edges=tuple(edges),
        left_out={kind: count for kind, count in left_out.items() if count},
    )


def _middle(dataset: Dataset, by_user: Csr) -> int:
    """The user whose degree is nearest to the median; of several the first id."""
    counts = by_user.counts()
    median = np.median(counts[counts > 0])
    away = np.where(counts > 0, np.abs(counts - median), np.inf)
    nearest = np.flatnonzero(away == away.min()).tolist()
    return min(nearest, key=dataset.user_ids.__getitem__)


def _others(
    dataset: Dataset, middle: int, items: Sequence[int], by_user: Csr, by_item: Csr
) -> tuple[list[int], int]:
    """Other users of the items, and how many there was no room for.

    Each item in turn names one of its users, those with few items first: of these the
    picture shows most of what they have, and few lines cross.
    """
    counts = by_user.counts()
    queues = [
        sorted(
            set(by_item.row(item).tolist()) - {middle},
            key=lambda user: (counts[user], dataset.user_ids[user]),
        )
        for item in items
    ]
    in_turn = [
        queue[place]
        for place in range(max(map(len, queues)))
        for queue in queues
        if place < len(queue)
    ]
    different = list(dict.fromkeys(in_turn))
    return different[: _MOST["user"]], len(different[_MOST["user"] :])


def _evenly(ordered: Sequence[int], most: int) -> list[int]:
    if len(ordered) <= most:
        return list(ordered)
    places = np.linspace(0, len(ordered) - 1, most).round().astype(int)
    return [ordered[place] for place in places]


def _entities(
    dataset: Dataset, chosen: Sequence[tuple[str, int]]
) -> tuple[list[tuple[str, int]], dict[str, int]]:
    """The entities with most links to the chosen, and how many others of each kind."""
    times: dict[tuple[str, int], int] = {}
    for relation in dataset.relations.values():
        kinds = relation.kinds
        for near, far in ((0, 1), (1, 0)):
            if kinds[far] not in dataset.entities:
                continue
            ends = relation.heads, relation.tails
            ours = np.array([at for kind, at in chosen if kind == kinds[near]], int)
            for row in np.flatnonzero(np.isin(ends[near], ours)).tolist():
                node = (kinds[far], int(ends[far][row]))
                times[node] = times.get(node, 0) + 1
    ordered = sorted(
        times, key=lambda node: (-times[node], node[0], dataset.ids[node[0]][node[1]])
    )
    others = Counter(kind for kind, _ in ordered[_MOST["entity"] :])
    return ordered[: _MOST["entity"]], dict(others)


def _links(dataset: Dataset, number: Mapping[tuple[str, int], int]) -> list[Edge]:
    """The links between nodes that are there."""
    edges = []
    for name, relation in dataset.relations.items():
        inside = []
        for kind, nodes in zip(
            relation.kinds, (relation.heads, relation.tails), strict=True
        ):
            inside.append(np.isin(nodes, [at for one, at in number if one == kind]))
        for row in np.flatnonzero(inside[0] & inside[1]).tolist():
            ends = (
                number[relation.heads_of, int(relation.heads[row])],
                number[relation.tails_of, int(relation.tails[row])],
            )
            edges.append(Edge(ends=ends, relation=name, directed=relation.directed))
    return edges


def placed(rings: Sequence[int], edges: Sequence[Edge]) -> list[tuple[float, float]]:
    """Each ring in turn: ordered by the direction of its neighbours, spread evenly."""
    angles = dict.fromkeys(range(len(rings)), 0.0)
    neighbours: dict[int, list[int]] = {at: [] for at in range(len(rings))}
    for edge in edges:
        first, second = edge.ends
        neighbours[first].append(second)
        neighbours[second].append(first)
    for ring in range(1, max(rings) + 1):
        here = [at for at, one in enumerate(rings) if one == ring]
        towards = {}
        for at in here:
            inner = [one for one in neighbours[at] if 0 < rings[one] < ring]
            x = math.fsum(math.cos(angles[one]) for one in inner)
            y = math.fsum(math.sin(angles[one]) for one in inner)
            towards[at] = math.atan2(y, x) % (2 * math.pi) if inner else 0.0
        for place, at in enumerate(sorted(here, key=lambda at: (towards[at], at))):
            angles[at] = 2 * math.pi * (place + 0.5) / len(here)
    return [
        (round(ring * math.cos(angles[at]), 4), round(ring * math.sin(angles[at]), 4))
        for at, ring in enumerate(rings)
    ]


def _labels(
    dataset: Dataset, chosen: Sequence[tuple[str, int]], *, show_ids: bool
) -> list[str]:
    private = {"user"} | {
        kind
        for relation in dataset.relations.values()
        for kind in relation.kinds
        if "user" in relation.kinds and kind != "item"
    }
    times: dict[str, int] = {}
    labels = []
    for kind, at in chosen:
        external = dataset.ids[kind][at]
        times[kind] = times.get(kind, 0) + 1
        if kind in private and not show_ids:
            labels.append(f"{kind} {times[kind]}")
        elif kind == "item":
            labels.append(dataset.item_titles[at] or f"item {external}")
        else:
            labels.append(f"{kind} {external}" if kind == "user" else external)
    return labels
