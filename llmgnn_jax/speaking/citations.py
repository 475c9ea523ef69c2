"""Citations of an answer, numbered through its parts."""

import re
from dataclasses import dataclass

from llmgnn_jax.evidence.explanation import Evidence, EvidenceEdge
from llmgnn_jax.evidence.labels import Language, label_of, relations_of

_CITED = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, kw_only=True)
class Citation:
    """What backs up a part of an answer.

    Attributes:
        number: From 1, as [number] in the text.
        says: What it is, in words.
        edge: The edge of the evidence; None for a fact of the data.
    """

    number: int
    says: str
    edge: EvidenceEdge | None = None


class Citations:
    """Gathers them: what is cited twice has one number."""

    def __init__(self) -> None:
        self._found: dict[str, Citation] = {}

    def fact(self, says: str) -> str:
        """Cites a fact of the data: "[3]"."""
        return f"[{self._numbered(says, None)}]"

    def renumbered(self, text: str, evidence: Evidence, language: Language) -> str:
        """A text about some evidence, its citations in the numbers of the answer."""

        def replaced(match: re.Match[str]) -> str:
            edge = evidence.edge(int(match[1]))
            ends = [label_of(evidence, end, language) for end in (edge.head, edge.tail)]
            says = f"{ends[0]} -- {relations_of(edge, language)} -- {ends[1]}"
            if edge.relation in evidence.weighed:
                says += f" ({edge.weight:g})"
            # Other users are numbered within each explanation.
            key = f"{evidence.item.slot}: {says}"
            return f"[{self._numbered(says, edge, key=key)}]"

        return _CITED.sub(replaced, text)

    def _numbered(self, says: str, edge: EvidenceEdge | None, *, key: str = "") -> int:
        made = Citation(number=len(self._found) + 1, says=says, edge=edge)
        return self._found.setdefault(key or says, made).number

    @property
    def all(self) -> tuple[Citation, ...]:
        """By their numbers."""
        return tuple(self._found.values())
