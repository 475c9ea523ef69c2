"""What a path is about: the entities and relations that a sentence or picture names."""

from typing import NamedTuple

from llmgnn_jax.evidence.explanation import (
    INTERACTION,
    Entity,
    Evidence,
    EvidenceEdge,
    EvidencePath,
)


class PathParts(NamedTuple):
    """The parts of a path.

    Attributes:
        about: The item that it leads over, or the attribute; None where it leads over
            people, straight to the item, or over texts.
        from_user: Its edges at the user.
        between: Its edges that touch neither end.
        to_item: Its edges at the item, those from the user left out.
        relations: Names of its relations, interactions left out.
        amount: What it adds to the score.
    """

    about: Entity | None
    from_user: tuple[EvidenceEdge, ...]
    between: tuple[EvidenceEdge, ...]
    to_item: tuple[EvidenceEdge, ...]
    relations: tuple[str, ...]
    amount: float


def told(evidence: Evidence, path: EvidencePath) -> PathParts:
    """Takes a path apart."""
    edges = [evidence.edge(number) for number in path.edges]
    user, item = evidence.user, evidence.item
    from_user = tuple(edge for edge in edges if _touches(edge, user))
    to_item = tuple(
        edge for edge in edges if _touches(edge, item) and edge not in from_user
    )
    kind = {"liked item": "item", "link": "item", "attribute": "other"}.get(path.kind)
    # The edge at the user first: it is what the path is named by.
    ordered = [*from_user, *(edge for edge in edges if edge not in from_user)]
    ends = [end for edge in ordered for end in (edge.head, edge.tail)]
    about = [end for end in ends if end.kind == kind and not _same(end, item)]
    names = [name for edge in edges for name in edge.relation.split(" + ")]
    return PathParts(
        about=about[0] if about else None,
        from_user=from_user,
        between=tuple(
            edge for edge in edges if edge not in from_user and edge not in to_item
        ),
        to_item=to_item,
        relations=tuple(dict.fromkeys(name for name in names if name != INTERACTION)),
        amount=path.share * (abs(evidence.score) or 1.0),
    )


def _touches(edge: EvidenceEdge, entity: Entity) -> bool:
    return _same(edge.head, entity) or _same(edge.tail, entity)


def _same(one: Entity, other: Entity) -> bool:
    return (one.kind, one.slot) == (other.kind, other.slot)
