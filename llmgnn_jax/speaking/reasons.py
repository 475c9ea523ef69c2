"""What an explanation is going to say, before anyone says it.

The evidence alone decides which reasons are told, and so what is cited: words come
after. However an item is called, and whatever is written about it, the citations are
the same.
"""

from dataclasses import dataclass

from llmgnn_jax.evidence.explanation import (
    INTERACTION,
    Entity,
    Evidence,
    EvidencePath,
    PathKind,
)
from llmgnn_jax.evidence.told import told
from llmgnn_jax.speaking.quoting import shown


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One path of the evidence, as it is told.

    Attributes:
        kind: Of the path.
        entity: What has to be named: the item that the user had, the genre, the tag.
            None where others, who have no names, are the reason.
        people: How many others are part of it, 0 for none.
        rating: What the user gave the item; None where it is not known.
        edges: The numbers that are cited.
        amount: What it adds to the score.
    """

    kind: PathKind
    entity: Entity | None = None
    people: int = 0
    rating: float | None = None
    edges: tuple[int, ...] = ()
    amount: float = 0.0


def reasons_of(evidence: Evidence, *, most: int = 2) -> tuple[Reason, ...]:
    """The reasons that are told, those that add most to the score first.

    Args:
        evidence: Where they come from.
        most: How many.
    """
    found: list[Reason] = []
    for path in evidence.paths:
        reason = _reason(path, evidence) if path.share > 0 else None
        if reason is not None and reason.edges:
            found.append(reason)
    return tuple(found[:most])


def _reason(path: EvidencePath, evidence: Evidence) -> Reason | None:
    if path.kind == "text":
        return None
    parts = told(evidence, path)
    if parts.about is None and not path.people:
        return None
    if parts.about is not None and not shown(parts.about):
        return None
    had = [edge for edge in parts.from_user if edge.relation == INTERACTION]
    return Reason(
        kind=path.kind,
        entity=parts.about,
        people=path.people,
        rating=had[0].weight if had and parts.about is not None else None,
        edges=path.edges,
        amount=parts.amount,
    )
