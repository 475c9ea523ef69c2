"""An explanation as a JSON document, and as lines for a terminal."""

import unicodedata
from typing import Any, TypeAlias

from llmgnn_jax.evidence.explanation import Entity, Evidence, EvidenceEdge
from llmgnn_jax.evidence.labels import Language, label_of, relations_of
from llmgnn_jax.evidence.template import cites, signed

_SUMS: dict[Language, tuple[str, str, str]] = {
    "en": ("all other edges", "without any edge", "score"),
    "zh": ("其余的边", "没有边时", "得分"),
}

Row: TypeAlias = tuple[str, str, str, str, str]
"""Number, amount, head, relation, tail."""


def document(evidence: Evidence) -> dict[str, Any]:
    """JSON types alone. Slots stay out: they would name those who are not named."""

    def entity(one: Entity) -> dict[str, Any]:
        return {
            "kind": one.relation_kind or one.kind,
            "id": one.id or None,
            "title": one.name,
            "label": label_of(evidence, one),
        }

    text = evidence.text
    return {
        "user": entity(evidence.user),
        "item": entity(evidence.item),
        "score": evidence.score,
        "score_without_edges": evidence.score_without_edges,
        "other_edges": evidence.other_edges,
        "others_at_item": evidence.others_at_item,
        "residual": evidence.residual,
        "edges": [
            {
                "number": edge.number,
                "head": entity(edge.head),
                "tail": entity(edge.tail),
                "relation": edge.relation,
                "attribution": edge.attribution,
                "weight": edge.weight,
            }
            for edge in evidence.edges
        ],
        "paths": [
            {
                "kind": path.kind,
                "edges": list(path.edges),
                "share": path.share,
                "people": path.people,
            }
            for path in evidence.paths
        ],
        "text": text
        and {
            "score": text.score,
            "words": list(text.words),
            "from_history": text.from_history,
            # Where it is counted already: parts add up without it.
            "part_of": "edges" if text.from_history else "score_without_edges",
        },
    }


def listing(evidence: Evidence, *, language: Language = "en") -> str:
    """The edges in a table, and what they sum to."""
    rows = sum_rows(evidence, language)
    widths = [max(_width(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                row[1].rjust(widths[1]),
                *(
                    cell + " " * (width - _width(cell))
                    for cell, width in zip(row[2:], widths[2:], strict=True)
                ),
            ]
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def sum_rows(evidence: Evidence, language: Language = "en") -> list[Row]:
    """The cited edges, what is not cited, and last the score that they sum to."""
    rows = [_edge_row(evidence, edge, language) for edge in evidence.edges]
    sums = (evidence.other_edges, evidence.score_without_edges, evidence.score)
    for amount, name in zip(sums, _SUMS[language], strict=True):
        rows.append(("", signed(amount), name, "", ""))
    return rows


def _edge_row(evidence: Evidence, edge: EvidenceEdge, language: Language) -> Row:
    weight = f" ({edge.weight:g})" if edge.relation in evidence.weighed else ""
    return (
        cites((edge.number,)),
        signed(edge.attribution),
        label_of(evidence, edge.head, language),
        relations_of(edge, language) + weight,
        label_of(evidence, edge.tail, language),
    )


def _width(text: str) -> int:
    """Columns of a terminal: characters of Chinese take two."""
    return sum(1 + (unicodedata.east_asian_width(one) in "WF") for one in text)
