"""`Relation`: links between users, items and other things, beside the interactions.

Friends of users, items that are bought together, tags and genres, triples of a
knowledge graph: a link says nothing of who interacted with what, so no split holds it
out. What users said of items (tags, reviews) is no relation but the text of an
interaction.

Host side only: NumPy, no JAX import.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from llmgnn_jax.data.hashing import ContentHasher
from llmgnn_jax.data.joining import join_links
from llmgnn_jax.data.validation import checked_floats, checked_indices, read_only
from llmgnn_jax.errors import UserError

SIDES = ("user", "item")
"""The kinds of nodes that interact; all others are entities."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Relation:
    """Links of one kind, each once, sorted by head, then tail.

    M links. The arrays are copied and set read-only.

    Attributes:
        heads_of: The kind of the heads: "user", "item" or one of `Dataset.entities`.
        tails_of: The kind of the tails, likewise.
        heads: (M,) int32 indices of that kind.
        tails: (M,) int32 likewise.
        weights: (M,) float32 above 0.
        directed: Whether a link says something of its tail alone: messages go from
            head to tail. Undirected links of one kind are kept with the smaller index
            as their head.

    Raises:
        UserError: For a wrong shape or type, a link of a node with itself, a link that
            repeats, or a weight that is not a finite number above 0.
    """

    heads_of: str
    tails_of: str
    heads: np.ndarray
    tails: np.ndarray
    weights: np.ndarray
    directed: bool = False

    def __post_init__(self) -> None:
        size, limit = len(self.heads), np.iinfo(np.int32).max
        heads = checked_indices("heads", self.heads, size, limit)
        tails = checked_indices("tails", self.tails, size, limit)
        weights = checked_floats("weights", self.weights, size)
        if (weights <= 0).any():
            row = int((weights <= 0).argmax())
            raise UserError.field(
                f"weights[{row}]", expected="a number above 0", got=weights[row]
            )
        if self.heads_of == self.tails_of:
            if (heads == tails).any():
                row = int((heads == tails).argmax())
                raise UserError.field(
                    f"link {row}",
                    expected="two different nodes",
                    got=f"{self.heads_of} {heads[row]} twice",
                    fix="drop the link",
                )
            if not self.directed:
                heads, tails = np.minimum(heads, tails), np.maximum(heads, tails)
        order = np.lexsort((tails, heads))
        heads, tails = heads[order], tails[order]
        again = (heads[1:] == heads[:-1]) & (tails[1:] == tails[:-1])
        if again.any():
            row = int(again.argmax())
            raise UserError.field(
                "links",
                expected="each link once",
                got=f"{self.heads_of} {heads[row]} with {self.tails_of} {tails[row]} "
                "again",
                fix="merge the two",
            )
        for name, array in (
            ("heads", heads),
            ("tails", tails),
            ("weights", weights[order]),
        ):
            object.__setattr__(self, name, read_only(array))

    @classmethod
    def merged(
        cls,
        *,
        heads_of: str,
        tails_of: str,
        heads: np.ndarray,
        tails: np.ndarray,
        directed: bool = False,
    ) -> "Relation":
        """Links of weight 1 from pairs that may repeat, in either order if undirected.

        Links of a node with itself are left out: they say nothing.
        """
        joined = join_links(
            heads, tails, one_kind=heads_of == tails_of, directed=directed
        )
        return cls(
            heads_of=heads_of,
            tails_of=tails_of,
            heads=joined.heads,
            tails=joined.tails,
            weights=joined.weights,
            directed=directed,
        )

    @property
    def num_links(self) -> int:
        """M, undirected links counted once."""
        return len(self.heads)

    @property
    def kinds(self) -> tuple[str, str]:
        """Of heads and of tails."""
        return self.heads_of, self.tails_of

    def renumbered(self, places: Mapping[str, np.ndarray]) -> "Relation":
        """The links between nodes that are kept, in other numbers.

        Args:
            places: Kind -> the new number of each node, -1 of one that is not kept; a
                kind that is missing stays as it is.
        """
        ends = []
        for kind, nodes in zip(self.kinds, (self.heads, self.tails), strict=True):
            ends.append(places[kind][nodes] if kind in places else nodes)
        kept = (ends[0] >= 0) & (ends[1] >= 0)
        return Relation(
            heads_of=self.heads_of,
            tails_of=self.tails_of,
            heads=ends[0][kept],
            tails=ends[1][kept],
            weights=self.weights[kept],
            directed=self.directed,
        )


def checked_relations(
    relations: Mapping[str, Relation], sizes: Mapping[str, int]
) -> dict[str, Relation]:
    """Relations by name, between nodes that there are.

    Args:
        relations: By name.
        sizes: How many nodes there are of each kind.

    Raises:
        UserError: If a kind is unknown or a node out of range.
    """
    for name, relation in relations.items():
        for end, kind in zip(("heads", "tails"), relation.kinds, strict=True):
            if kind not in sizes:
                raise UserError.field(
                    f"relations[{name!r}].{end}_of",
                    expected="one of " + ", ".join(sizes),
                    got=repr(kind),
                    fix="list the ids of that kind in entities",
                )
            checked_indices(
                f"relations[{name!r}].{end}",
                getattr(relation, end),
                relation.num_links,
                sizes[kind],
            )
    return dict(relations)


def feed_relations(
    hasher: ContentHasher,
    relations: Mapping[str, Relation],
    ids: Mapping[str, tuple[str, ...]],
) -> None:
    """Feeds relations to a hash by external ids, whatever the nodes' numbers.

    Args:
        hasher: What is fed.
        relations: By name.
        ids: Kind -> the external ids of its nodes.
    """
    for name, relation in sorted(relations.items()):
        ends = zip(relation.kinds, (relation.heads, relation.tails), strict=True)
        names = [[ids[kind][node] for node in nodes.tolist()] for kind, nodes in ends]
        links = list(zip(*names, relation.weights.tolist(), strict=True))
        if relation.heads_of == relation.tails_of and not relation.directed:
            links = [(*sorted((head, tail)), weight) for head, tail, weight in links]
        hasher.strings([name, *relation.kinds, relation.directed])
        hasher.strings([list(link) for link in sorted(links)])
