"""`Evidence`: which edges of the graph carry the score of an item for a user.

    score = sum of the cited edges + other edges + score without edges   (+ residual)

An edge here is undirected: an interaction, or a link of a relation. Its attribution is
what it adds to the score, below 0 where it speaks against the item.

No JAX: what draws, tells or checks an explanation needs no model.
"""

from dataclasses import dataclass
from typing import Literal

EntityKind = Literal["user", "item", "other"]
PathKind = Literal["liked item", "neighbour", "attribute", "friend", "link", "text"]

INTERACTION = "interaction"
"""`EvidenceEdge.relation` of an edge that is an interaction."""


@dataclass(frozen=True, kw_only=True)
class Entity:
    """A node of the graph.

    Attributes:
        kind: "user", "item", or "other" for what neither interacts nor is ranked.
        slot: Its number among those of its kind.
        id: Its external id; "" where it may not be told: other users', unless asked
            for, and that of an entity which only other users are linked to.
        name: Title or tag; "" where there is none, and for all users.
        relation_kind: What others are: "genre", "tag", ...; "user" of an item that is
            one of the people; "" for all other items and for users.
    """

    kind: EntityKind
    slot: int
    id: str
    name: str = ""
    relation_kind: str = ""

    @property
    def label(self) -> str:
        """The name, or else the id; "" where neither may be told."""
        return self.name or self.id

    @property
    def is_person(self) -> bool:
        """Whether it is a user, or an item that is one."""
        return "user" in (self.kind, self.relation_kind)


@dataclass(frozen=True, kw_only=True)
class EvidenceEdge:
    """A cited edge.

    Attributes:
        number: From 1, as it is cited: [1] has the largest attribution.
        head: One end: the user of an interaction, the head of a link.
        tail: The other end.
        relation: "interaction", or the name of a relation; joined by " + " where two
            nodes are linked in several ways, which is one edge.
        attribution: What it adds to the score.
        weight: The rating of an interaction (1 where there are none), or the weight of
            a link.
        index: Its number among the undirected edges of the graph, as
            `Explainer.score_without` takes it; -1 where there is no graph.
    """

    number: int
    head: Entity
    tail: Entity
    relation: str
    attribution: float
    weight: float = 1.0
    index: int = -1


@dataclass(frozen=True, kw_only=True)
class EvidencePath:
    """Cited edges that tell one reason together; each is part of one path at most.

    Attributes:
        edges: Their numbers, ascending; empty for "text".
        kind: "liked item": the user had an item that others had who had this one, too.
            "neighbour": others had this item whose histories are like the user's.
            "attribute": an entity (genre, tag) is linked to the item or its like.
            "friend": whom the user is linked to. "link": the item is linked to an
            item. "text": what texts say.
        share: Of |score|, what its edges (or the texts) add; below 0: against.
        people: How many other users had both items, had this item, or are the friends;
            0 where none are part of the path.
    """

    edges: tuple[int, ...]
    kind: PathKind
    share: float
    people: int = 0


@dataclass(frozen=True, kw_only=True)
class TextOverlap:
    """What texts add to the score.

    Where the user's text is that of the items of the history, it is part of the
    attributions of those interactions already. Where it is a profile, it is part of the
    score without edges.

    Attributes:
        score: What the text of the user adds to the score.
        words: Words that the texts of both have in common, those that are rarest in
            the catalogue first; they need not be why the vectors are alike.
        from_history: Whether the user's text is that of the items of the history.
    """

    score: float
    words: tuple[str, ...]
    from_history: bool


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Why an item has its score for a user.

    Attributes:
        user: Who was asked about.
        item: What was asked about.
        score: What the item is ranked by, in a run that predicts ratings the rating
            before it is clipped.
        score_without_edges: With every edge of the graph taken away.
        edges: Those that are cited, the largest attribution first; of a predicted
            rating the largest by its size, whether it speaks for or against.
        other_edges: The sum of the attributions of all others.
        others_at_item: The part of it that is of edges of the item.
        text: What texts add, None for a model that reads none.
        paths: The cited edges by what they tell, the largest share first; what texts
            add comes last, since it is a part of what stands before, see `TextOverlap`.
    """

    user: Entity
    item: Entity
    score: float
    score_without_edges: float
    edges: tuple[EvidenceEdge, ...]
    other_edges: float
    text: TextOverlap | None
    paths: tuple[EvidencePath, ...]
    others_at_item: float = 0.0

    @property
    def weighed(self) -> frozenset[str]:
        """The relations whose cited edges are told with their weights.

        Where all of them weigh 1 nothing was said; beside others 1 is a rating.
        """
        return frozenset(edge.relation for edge in self.edges if edge.weight != 1)

    @property
    def residual(self) -> float:
        """What is left of the score: the error of the attributions' sum."""
        cited = sum(edge.attribution for edge in self.edges)
        return self.score - (cited + self.other_edges + self.score_without_edges)

    def edge(self, number: int) -> EvidenceEdge:
        """The edge that is cited as [number]."""
        return self.edges[number - 1]
