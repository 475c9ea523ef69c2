"""What the entities of an explanation are called where people read it."""

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from llmgnn_jax.evidence.explanation import INTERACTION, Entity, Evidence, EvidenceEdge

Language: TypeAlias = Literal["en", "zh"]

_PERSON = {"en": "another user {number}", "zh": "另一位用户{number}"}
_USER = {"en": "user {id}", "zh": "用户{id}"}
_SOME_USER = {"en": "this user", "zh": "该用户"}
_TITLE = {"en": "{name}", "zh": "《{name}》"}
_INTERACTION = {"en": INTERACTION, "zh": "交互"}
_NAMELESS = {"en": "{kind} {number}", "zh": "{kind}{number}"}


def label_of(evidence: Evidence, entity: Entity, language: Language = "en") -> str:
    """The name of an entity; of those without one a number within the explanation."""
    if (entity.kind, entity.slot) == (evidence.user.kind, evidence.user.slot):
        if not evidence.user.id:
            return _SOME_USER[language]
        return _USER[language].format(id=plain(evidence.user.id))
    if entity.label:
        name = plain(entity.label)
        return _USER[language].format(id=name) if entity.is_person else name
    alike = [
        one
        for one in dict.fromkeys(_entities(evidence))
        if (one.kind, one.relation_kind) == (entity.kind, entity.relation_kind)
        and not one.label
    ]
    number = alike.index(entity) + 1
    if entity.kind == "user":
        return _PERSON[language].format(number=number)
    return _NAMELESS[language].format(kind=plain(entity.relation_kind), number=number)


def titled(evidence: Evidence, language: Language = "en") -> str:
    """The item that is explained, in marks where the language has some for titles."""
    name = label_of(evidence, evidence.item, language)
    return name if evidence.item.is_person else _TITLE[language].format(name=name)


def relations_of(edge: EvidenceEdge, language: Language = "en") -> str:
    """What an edge is called: the names of relations are those of the data."""
    names = edge.relation.split(" + ")
    return plain(
        " + ".join(_INTERACTION[language] if n == INTERACTION else n for n in names)
    )


def plain(text: str) -> str:
    """A name on one line, without what looks like a citation or steers a terminal."""
    text = text.translate({ord("["): "(", ord("]"): ")"})
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()


def _entities(evidence: Evidence) -> Iterator[Entity]:
    for edge in evidence.edges:
        yield from (edge.head, edge.tail)
