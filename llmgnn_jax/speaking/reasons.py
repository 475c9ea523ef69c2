"""What an explanation is going to say, before anyone says it.

The evidence alone decides which reasons are told, and so what is cited: words come
after. However an item is called, and whatever is written about it, the citations are
the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from llmgnn_jax.evidence.explanation import (
    INTERACTION,
    Entity,
    Evidence,
    EvidenceEdge,
    EvidencePath,
    PathKind,
)


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One path of the evidence, as it is told.

    Attributes:
        kind: Of the path.
        entity: What has to be named: the item that the user had, the genre, the tag.
            None where others, who have no names, or texts are the reason.
        people: How many others are part of it, 0 for none.
        rating: What the user gave the item; None where it is not known.
        words: What texts have in common, for "text".
        edges: The numbers that are cited.
        share: Of the score.
    """

    kind: PathKind
    entity: Entity | None = None
    people: int = 0
    rating: float | None = None
    words: tuple[str, ...] = ()
    edges: tuple[int, ...] = ()
    share: float = 0.0


def reasons_of(evidence: Evidence, *, most: int = 2) -> tuple[Reason, ...]:
    """The reasons that are told, those that add most to the score first.

    Args:
        evidence: Where they come from.
        most: How many.
    """
    told: list[Reason] = []
    for path in evidence.paths:
        reason = _reason(path, evidence) if path.share > 0 else None
        if reason is not None and reason.edges:
            told.append(reason)
    return tuple(told[:most])


def told_alone(evidence: Evidence, reasons: Iterable[Reason]) -> tuple[EvidencePath, ...]:
    """The paths of some reasons."""
    numbers = {reason.edges for reason in reasons}
    return tuple(path for path in evidence.paths if path.edges in numbers)


def _reason(path: EvidencePath, evidence: Evidence) -> Reason | None:
    edges = [evidence.edge(number) for number in path.edges]
    entity, rating = None, None
    if path.kind in ("liked item", "link", "attribute"):
        entity = _named(edges, evidence)
        if entity is None:
            return None
        rating = _rating(edges, entity, evidence)
    elif path.kind == "text":
        return None
    if entity is None and not path.people:
        return None
    return Reason(
        kind=path.kind,
        entity=entity,
        people=path.people,
        rating=rating,
        edges=path.edges,
        share=path.share,
    )


def _named(edges: list[EvidenceEdge], evidence: Evidence) -> Entity | None:
    """What a path leads over: of its ends with a name, the one of most edges."""
    counts: dict[tuple[str, str, int], int] = {}
    entities: dict[tuple[str, str, int], Entity] = {}
    for edge in edges:
        for end in (edge.head, edge.tail):
            key = (end.kind, end.relation_kind, end.slot)
            if end.kind == "user" or end == evidence.item or not end.label.strip():
                continue
            entities[key] = end
            counts[key] = counts.get(key, 0) + 1
    if not counts:
        return None
    return entities[max(counts, key=lambda key: (counts[key], key[0] == "other"))]


def _rating(
    edges: list[EvidenceEdge], entity: Entity, evidence: Evidence
) -> float | None:
    for edge in edges:
        if edge.relation == INTERACTION and {edge.head, edge.tail} == {
            evidence.user,
            entity,
        }:
            return edge.weight
    return None
