"""What nodes and edges are called: as a dataset has it, and as may be told."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.evidence.edges import UndirectedEdges
from llmgnn_jax.evidence.explanation import INTERACTION, Entity
from llmgnn_jax.graph.structure import linked_kinds

Ids: TypeAlias = Literal["none", "asked", "all"]
"""Of which users ids are told: of none, of the one that is asked about, of all."""


class Named:
    """Names of what is in a graph.

    Other users have no name. Neither has an entity that only other users are linked to:
    their household, say.

    Args:
        dataset: Whose names.
        train: Of its train part: what edges mean.
        edges: Of the graph.
        relations: Those that are in the graph.
        item_ids: Of all items, those that came later too.
        item_titles: Likewise.
    """

    def __init__(
        self,
        dataset: Dataset,
        train: TrainSplit,
        edges: UndirectedEdges,
        *,
        relations: Mapping[str, float],
        item_ids: Sequence[str],
        item_titles: Sequence[str],
    ) -> None:
        self._dataset, self._edges = dataset, edges
        self._item_ids, self._item_titles = item_ids, item_titles
        self._relations = {name: train.relations[name] for name in relations}
        self._history, self._values = _last_values(train)
        self._kinds = linked_kinds(train, relations)
        sizes = [train.num_entities[kind] for kind in self._kinds]
        self._firsts = np.cumsum([0, *sizes])[: len(sizes)]

    def item(self, slot: int) -> Entity:
        """An item."""
        return Entity(
            kind="item",
            slot=slot,
            id=self._item_ids[slot],
            name=self._item_titles[slot],
            relation_kind="user" if self._dataset.people != "none" else "",
        )

    def user(self, slot: int, *, told: bool) -> Entity:
        """A user; without `told` its id is kept back."""
        known = self._dataset.user_ids[slot] if told else ""
        return Entity(kind="user", slot=slot, id=known)

    def node(self, node: int, *, asked_user: int, asked_item: int, ids: Ids) -> Entity:
        """What a node is, as it may be told to whoever asked.

        Args:
            node: Its number.
            asked_user: The node of the user that is asked about.
            asked_item: The node of the item.
            ids: Which users are named.
        """
        kind, slot = self._edges.slot(node)
        if kind == "item" or node == asked_item:
            return self.item(slot)
        if kind == "user":
            asked = node == asked_user and ids == "asked"
            return self.user(slot, told=asked or ids == "all")
        assert kind == "other", "spare room has no edges"
        named, place = self._entity(slot)
        known = ids == "all" or self._is_public(node, asked_user)
        external = self._dataset.entities[named][place] if known else ""
        titles = self._dataset.entity_titles.get(named)
        title = titles[place] if known and titles is not None else ""
        return Entity(
            kind="other",
            slot=slot,
            id=external,
            name=title or external,
            relation_kind=named,
        )

    def _entity(self, slot: int) -> tuple[str, int]:
        """The kind of an entity, and its number there."""
        place = int(np.searchsorted(self._firsts, slot, side="right")) - 1
        return self._kinds[place], slot - int(self._firsts[place])

    def _is_public(self, node: int, asked_user: int) -> bool:
        """Whether an item is linked to it, or the user that is asked about."""
        _, others = self._edges.of(node)
        return asked_user in others or any(
            self._edges.slot(int(other)).kind == "item" for other in others
        )

    def edge(self, one: int, other: int) -> tuple[int, int, str, float]:
        """Head, tail, relation and weight of the edge between two nodes."""
        ends = {self._kind_and_place(node): node for node in (one, other)}
        found: list[tuple[int, int, str, float]] = []
        for head, tail in ((one, other), (other, one)):
            rating = self._interaction(head, tail)
            if rating is not None and not found:
                found.append((head, tail, INTERACTION, rating))
        for name, relation in self._relations.items():
            kinds = tuple(map(self._kind_here, relation.kinds))
            for first, last in itertools.permutations(ends):
                weight = None
                if (first[0], last[0]) == kinds:
                    weight = _weight(relation, first[1], last[1])
                if weight is not None:
                    found.append((ends[first], ends[last], name, weight))
                    break
        if not found:
            # What came after training is in the graph alone.
            head, tail = sorted(
                (one, other), key=lambda node: self._edges.slot(node).kind == "item"
            )
            return head, tail, INTERACTION, 1.0
        head, tail, _, value = found[0]
        return head, tail, " + ".join(name for *_, name, _ in found), value

    def has(self, user: int, item: int) -> bool:
        """Whether a user slot has an item slot in the train part."""
        return item in self._row(user)

    def _kind_and_place(self, node: int) -> tuple[str, int]:
        kind, slot = self._edges.slot(node)
        return self._entity(slot) if kind == "other" else (kind, slot)

    def _interaction(self, head: int, tail: int) -> float | None:
        """The value of the interaction of a user node with an item node."""
        (kind, user), (other, item) = self._edges.slot(head), self._edges.slot(tail)
        if kind != "user" or other != self._kind_here("item"):
            return None
        row = self._row(user)
        place = int(np.searchsorted(row, item))
        if place == len(row) or row[place] != item:
            return None
        return float(self._values[self._history.indptr[user] + place])

    def _row(self, user: int) -> np.ndarray:
        if user >= self._history.num_rows:
            return np.zeros(0, np.int64)
        return self._history.row(user)

    def _kind_here(self, kind: str) -> str:
        """Where people are the items, there are users alone."""
        return "user" if self._dataset.people != "none" and kind == "item" else kind


def _last_values(train: TrainSplit) -> tuple[Csr, np.ndarray]:
    """Users x items, and of each pair the value, the last one where it repeats."""
    pairs = train.csr()
    codes = train.users.astype(np.int64) * train.num_items + train.items
    users, items = pairs.pairs()
    values = np.ones(pairs.nnz, np.float32)
    order = np.argsort(train.timestamps, kind="stable")
    places = np.searchsorted(users.astype(np.int64) * train.num_items + items, codes)
    values[places[order]] = train.values[order]
    return pairs, values


def _weight(relation: Relation, head: int, tail: int) -> float | None:
    """The weight of a link by its ends; None where there is none."""
    first, last = np.searchsorted(relation.heads, [head, head + 1])
    place = first + int(np.searchsorted(relation.tails[first:last], tail))
    if place == last or relation.tails[place] != tail:
        return None
    return float(relation.weights[place])
