"""`Account`: what one explanation may say, and what it has to."""

import dataclasses
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from llmgnn_jax.evidence.explanation import Entity, Evidence
from llmgnn_jax.evidence.labels import plain
from llmgnn_jax.speaking.names import ItemName, Named, Names, ValueName, year_of
from llmgnn_jax.speaking.quoting import shown
from llmgnn_jax.speaking.reasons import Reason, reasons_of

_LIKED = 0.8
"""Of the highest rating: 4 of 5 stars."""
_MOST_STARS = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Account:
    """The reasons of an item, and the names and numbers that tell them.

    Attributes:
        evidence: Where they come from.
        reasons: Those that are told, each of them.
        names: What the item and the reasons' entities are called.
        asked: Genres, tags and others that the question named: they may be repeated.
        highest_rating: 5 where ratings are stars; None where there are none.
    """

    evidence: Evidence
    reasons: tuple[Reason, ...]
    names: Names
    asked: frozenset[str]
    highest_rating: float | None

    @classmethod
    def of(
        cls,
        evidence: Evidence,
        *,
        asked: Iterable[str] = (),
        highest_rating: float | None = None,
        most: int = 2,
    ) -> "Account":
        """The account of some evidence.

        Args:
            evidence: The evidence.
            asked: Values that the question named.
            highest_rating: See the class.
            most: Reasons at most.
        """
        reasons = reasons_of(evidence, most=most)
        entities = [one.entity for one in reasons if one.entity is not None]
        items = [evidence.item, *(one for one in entities if one.kind == "item")]
        titles = [(one.slot, title) for one in items for title in _spellings(one)]
        values = [
            ValueName(one.relation_kind, title)
            for one in entities
            if one.kind == "other"
            for title in _spellings(one)
        ]
        return cls(
            evidence=evidence,
            reasons=reasons,
            names=Names(titles, values),
            asked=frozenset(map(str.lower, asked)),
            highest_rating=highest_rating,
        )

    def alone(self, reason: Reason) -> "Account":
        """What a sentence about one of the reasons may say."""
        return dataclasses.replace(self, reasons=(reason,))

    def allows(self, names: Collection[Named]) -> bool:
        """Whether one of these may be named."""
        return (
            self.is_target(names)
            or self.was_asked(names)
            or any(self.tells(reason, names) for reason in self.reasons)
        )

    def was_asked(self, names: Collection[Named]) -> bool:
        """Whether one of these is a value that the question named."""
        return any(
            isinstance(one, ValueName) and one.value.lower() in self.asked
            for one in names
        )

    def tells(self, reason: Reason, names: Collection[Named]) -> bool:
        """Whether one of these is what a reason is about."""
        return reason.entity is not None and any(
            _is(reason.entity, name) for name in names
        )

    def is_target(self, names: Collection[Named]) -> bool:
        """Whether one of these is the item that is explained."""
        return any(_is(self.evidence.item, name) for name in names)

    @property
    def has_ratings(self) -> bool:
        """Whether interactions are stars; those that go higher are counts."""
        highest = self.highest_rating
        return highest is not None and 1 < highest <= _MOST_STARS

    def was_liked(self, reason: Reason) -> bool:
        """Whether the user rated what a reason is about by four fifths or more."""
        if not self.has_ratings or reason.rating is None:
            return False
        assert self.highest_rating is not None
        return reason.rating >= _LIKED * self.highest_rating

    def of_year(self, names: Collection[Named], year: float) -> frozenset[Named]:
        """Those of these that are items which may be named and are of a year."""
        return frozenset(
            name
            for name in names
            if any(
                _is(entity, name) and year_of(entity.name) == year
                for entity in self._items()
            )
        )

    def are_several(self, names: Collection[Named]) -> bool:
        """Whether these are what more than one thing that may be named is called."""
        others = [one.entity for one in self.reasons if one.entity is not None]
        meant = {
            (one.kind, one.slot) if one.kind == "item" else one.label.lower()
            for one in (self.evidence.item, *others)
            if any(_is(one, name) for name in names)
        }
        return len(meant) > 1

    def titles(self, names: Collection[Named]) -> list[str]:
        """How the data write what may be named, of the items among these."""
        return [
            title
            for entity in self._items()
            if any(_is(entity, name) for name in names)
            for title in _spellings(entity)
        ]

    def _items(self) -> list[Entity]:
        named = [one.entity for one in self.reasons if one.entity is not None]
        return [self.evidence.item, *(one for one in named if one.kind == "item")]


def _spellings(entity: Entity) -> list[str]:
    """A name as the data have it, as templates do and as prompts do."""
    name = entity.label
    return list(dict.fromkeys((name, plain(name), shown(entity))))


def _is(entity: Entity, name: Named) -> bool:
    if isinstance(name, ItemName):
        return entity.kind == "item" and entity.slot == name.item
    return entity.kind == "other" and entity.label.lower() == name.value.lower()
