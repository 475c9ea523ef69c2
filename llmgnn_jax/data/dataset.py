"""`Dataset`: users, items, their interactions and what is said of them, validated.

Host side only: NumPy in, NumPy out, no JAX import.

Two interactions of the same user with the same item are kept as two rows (a film that
was rated twice, a song that was played twice). `Csr` holds each pair once.
"""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from llmgnn_jax.data.csr import Csr as Csr
from llmgnn_jax.data.hashing import ContentHasher, string_ranks
from llmgnn_jax.data.ordering import lexsorted
from llmgnn_jax.data.people import check_people
from llmgnn_jax.data.relations import (
    SIDES,
    Relation,
    checked_relations,
    feed_relations,
)
from llmgnn_jax.data.validation import (
    Categories,
    checked_categories,
    checked_flags,
    checked_floats,
    checked_ids,
    checked_indices,
    checked_texts,
    checked_timestamps,
    read_only,
)
from llmgnn_jax.errors import UserError

People: TypeAlias = Literal["none", "followers", "friends"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Who interacted with what, and what is known of both sides.

    U users, I items, E interactions. Row number is index: `user_ids[u]` is the external
    id of user u. The arrays are copied and set read-only.

    Attributes:
        name: A label for people; no part of the content hash.
        user_ids: U external ids, unique, not empty.
        item_ids: I external ids, unique, not empty.
        users: (E,) int32, the user index of each interaction.
        items: (E,) int32, the item index of each interaction.
        values: (E,) float32, the rating or weight; 1.0 where there is none.
        timestamps: (E,) int64, seconds; 0 where there is none.
        item_titles: I titles for people, "" where unknown.
        item_texts: I catalogue texts, which are encoded, "" where there is none.
        user_texts: U profile texts, or None.
        interaction_texts: E texts that belong to the interaction (review, tag), or
            None. A split takes them along with their interaction.
        user_categorical: Field name -> for each user the tuple of its values.
        item_categorical: Field name -> for each item the tuple of its values.
        user_numeric: Field name -> (U,) float32, NaN where missing.
        item_numeric: Field name -> (I,) float32, NaN where missing.
        filters: What was filtered out before, in order; part of the fingerprint.
        published_test: (E,) bool, which interactions those who published the data hold
            out for test, or None where they hold out none. The rule "published" goes by
            it; the split hash covers it, the content hash does not.
        entities: Kind -> the external ids of what is neither user nor item and is
            linked to them: tags, genres, the things of a knowledge graph.
        entity_titles: Kind -> titles for people of those entities whose ids are none,
            "" where unknown; no part of the content hash.
        relations: Name -> links between users, items and entities.
        people: Whether users and items are the same people, in the same order, and an
            interaction is a link from one of them to another: "none" if not;
            "followers" where links have a direction; "friends" where each is there in
            both directions, with one value and one timestamp.

    Raises:
        UserError: For a wrong shape or type, an index out of range, a duplicate or
            empty id, a value that is not finite, a negative timestamp, a relation of
            an unknown kind of nodes, people who are linked with themselves or not as
            `people` has it, or when there are no interactions.
    """

    name: str
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    users: np.ndarray
    items: np.ndarray
    values: np.ndarray
    timestamps: np.ndarray
    item_titles: tuple[str, ...]
    item_texts: tuple[str, ...]
    user_texts: tuple[str, ...] | None = None
    interaction_texts: tuple[str, ...] | None = None
    user_categorical: Mapping[str, Categories] = field(default_factory=dict)
    item_categorical: Mapping[str, Categories] = field(default_factory=dict)
    user_numeric: Mapping[str, np.ndarray] = field(default_factory=dict)
    item_numeric: Mapping[str, np.ndarray] = field(default_factory=dict)
    filters: tuple[str, ...] = ()
    published_test: np.ndarray | None = None
    entities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    entity_titles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    relations: Mapping[str, Relation] = field(default_factory=dict)
    people: People = "none"

    def __post_init__(self) -> None:
        store = functools.partial(object.__setattr__, self)
        for side in ("user", "item"):
            store(
                f"{side}_ids", checked_ids(f"{side}_ids", getattr(self, f"{side}_ids"))
            )
        num_users, num_items = len(self.user_ids), len(self.item_ids)
        num_rows = len(self.users)
        if num_rows == 0:
            raise UserError.field(
                "users", expected="at least one interaction", got="none"
            )
        store("users", checked_indices("users", self.users, num_rows, num_users))
        store("items", checked_indices("items", self.items, num_rows, num_items))
        store("values", checked_floats("values", self.values, num_rows))
        store("timestamps", checked_timestamps(self.timestamps, num_rows))
        for name, size in (
            ("item_titles", num_items),
            ("item_texts", num_items),
            ("user_texts", num_users),
            ("interaction_texts", num_rows),
        ):
            texts = getattr(self, name)
            if texts is not None:
                store(name, checked_texts(name, texts, size))
        for side, size in (("user", num_users), ("item", num_items)):
            name = f"{side}_categorical"
            store(
                name,
                {
                    key: checked_categories(f"{name}[{key!r}]", column, size)
                    for key, column in getattr(self, name).items()
                },
            )
            name = f"{side}_numeric"
            store(
                name,
                {
                    key: checked_floats(f"{name}[{key!r}]", column, size, missing=True)
                    for key, column in getattr(self, name).items()
                },
            )
        store("filters", tuple(self.filters))
        if self.published_test is not None:
            flags = checked_flags("published_test", self.published_test, num_rows)
            store("published_test", flags)
        for kind in self.entities:
            if kind in SIDES:
                raise UserError.field(
                    f"entities[{kind!r}]",
                    expected="a kind that is neither user nor item",
                    got=repr(kind),
                )
        entities = {
            kind: checked_ids(f"entities[{kind!r}]", ids)
            for kind, ids in self.entities.items()
        }
        store("entities", entities)
        titles = {
            kind: checked_texts(f"entity_titles[{kind!r}]", titles, len(entities[kind]))
            for kind, titles in self.entity_titles.items()
        }
        store("entity_titles", titles)
        store("relations", checked_relations(self.relations, self.num_nodes))
        if self.people != "none":
            check_people(
                self.user_ids,
                self.item_ids,
                self.users,
                self.items,
                mutual=self.people == "friends",
            )

    @property
    def num_users(self) -> int:
        """Number of users U, those without interactions included."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """Number of items I, those without interactions included."""
        return len(self.item_ids)

    @property
    def num_interactions(self) -> int:
        """Number of interactions E, repeated pairs included."""
        return len(self.users)

    @property
    def num_nodes(self) -> dict[str, int]:
        """How many there are of each kind: users, items, and of each kind of entity."""
        return {kind: len(ids) for kind, ids in self.ids.items()}

    @property
    def ids(self) -> dict[str, tuple[str, ...]]:
        """The external ids of each kind."""
        return {"user": self.user_ids, "item": self.item_ids, **self.entities}

    @functools.cached_property
    def canonical_order(self) -> np.ndarray:
        """(E,) int64: the interactions by external ids, timestamp, value and text.

        The order depends on the content alone, neither on the order of the rows in a
        file nor on the numbering of users and items, so draws keyed by it repeat.
        """
        keys = [
            self.values,
            self.timestamps,
            string_ranks(self.item_ids)[self.items],
            string_ranks(self.user_ids)[self.users],
        ]
        if self.interaction_texts is not None:
            keys.insert(0, string_ranks(self.interaction_texts))
        return read_only(lexsorted(keys))

    def content_hash(self, *, relations: bool = True) -> str:
        """Sha256 (hex) of the content, equal however rows and ids are numbered.

        Covers ids, interactions, titles, texts and features; not `name`, `filters` and
        `published_test`.

        Args:
            relations: Whether entities and relations are covered too. What is asked of
                a model, and what is right, does not depend on them.
        """
        if not relations or not (self.relations or self.entities):
            return self._content_hash
        hasher = ContentHasher("dataset-relations-1").strings([self._content_hash])
        for kind, names in sorted(self.entities.items()):
            hasher.strings([kind, *sorted(names)])
        feed_relations(hasher, self.relations, self.ids)
        return hasher.hexdigest()

    @functools.cached_property
    def _content_hash(self) -> str:
        hasher = ContentHasher("dataset-1")
        for side, size in (("user", self.num_users), ("item", self.num_items)):
            ids = getattr(self, f"{side}_ids")
            order = sorted(range(size), key=ids.__getitem__)
            hasher.strings([ids[i] for i in order])
            for name in (f"{side}_titles", f"{side}_texts"):
                texts = getattr(self, name, None)
                hasher.strings(None if texts is None else [texts[i] for i in order])
            for key, column in sorted(getattr(self, f"{side}_categorical").items()):
                hasher.strings([key]).strings([list(column[i]) for i in order])
            for key, column in sorted(getattr(self, f"{side}_numeric").items()):
                hasher.strings([key]).numbers(column[np.asarray(order)])
        self.feed_rows(hasher, self.canonical_order)
        if self.interaction_texts is not None:
            hasher.strings([self.interaction_texts[i] for i in self.canonical_order])
        if self.people != "none":
            hasher.strings([self.people])
        return hasher.hexdigest()

    def feed_rows(self, hasher: ContentHasher, rows: np.ndarray) -> None:
        """Feeds the interactions `rows`, in that order, to a hash."""
        hasher.rows(
            ids=(self.user_ids, self.item_ids),
            users=self.users[rows],
            items=self.items[rows],
            timestamps=self.timestamps[rows],
            values=self.values[rows],
        )

    def taken(
        self, *, rows: np.ndarray, users: np.ndarray, items: np.ndarray
    ) -> "Dataset":
        """The given interactions, users and items alone, in the given order.

        Entities stay; of the relations those links whose ends are kept.

        Args:
            rows: (E',) interactions to keep.
            users: (U',) users to keep, each at most once; all those of `rows`.
            items: (I',) likewise; the users where these are people.

        Raises:
            ValueError: If an interaction is kept whose user or item is not.
        """
        kept = {"user": users, "item": items}
        changed: dict[str, Any] = {}
        places: dict[str, np.ndarray] = {}
        for side, order in kept.items():
            chosen = order.tolist()
            for name in (f"{side}_ids", f"{side}_titles", f"{side}_texts"):
                column = getattr(self, name, None)
                if column is not None:
                    changed[name] = tuple(column[i] for i in chosen)
            changed[f"{side}_categorical"] = {
                key: tuple(column[i] for i in chosen)
                for key, column in getattr(self, f"{side}_categorical").items()
            }
            changed[f"{side}_numeric"] = {
                key: column[order]
                for key, column in getattr(self, f"{side}_numeric").items()
            }
            place = np.full(len(getattr(self, f"{side}_ids")), -1)
            place[order] = np.arange(len(order))
            places[side] = place
            indices = place[getattr(self, f"{side}s")[rows]]
            if (indices < 0).any():
                raise ValueError(f"an interaction is kept whose {side} is not")
            changed[f"{side}s"] = indices
        for name in ("values", "timestamps", "published_test"):
            column = getattr(self, name)
            changed[name] = None if column is None else column[rows]
        if self.interaction_texts is not None:
            texts = self.interaction_texts
            changed["interaction_texts"] = tuple(texts[row] for row in rows.tolist())
        changed["relations"] = {
            name: relation.renumbered(places)
            for name, relation in self.relations.items()
        }
        return dataclasses.replace(self, **changed)
