"""Nodes and edges of a NetworkX graph, sorted by what they are."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from llmgnn_jax.data.relations import SIDES, Relation
from llmgnn_jax.data.sources.attributes import Attributes, is_missing
from llmgnn_jax.data.sources.edge_numbers import numbers
from llmgnn_jax.data.sources.links import Key, added_up, in_order, names_of
from llmgnn_jax.errors import UserError

if TYPE_CHECKING:
    import networkx as nx

logger = logging.getLogger(__name__)

Declared = Mapping[str, Mapping[str, Any]]
"""Relation -> its "heads_of", "tails_of" and "directed", as the writer notes them."""


@dataclass(frozen=True, kw_only=True)
class Names:
    """What attributes are called; see `from_networkx`.

    Attributes:
        kinds: What is said of users and of items -> "user" and "item".
    """

    kind: str
    kinds: Mapping[Any, str]
    node_id: str
    relation: str
    weight: str
    interactions: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Nodes by their key in the graph, and by kind.

    Attributes:
        kind: Of each node.
        index: Of each node, among those of its kind.
        keys: Kind -> its nodes.
        ids: Kind -> their external ids.
        rows: Kind -> their attributes.
    """

    kind: dict[Hashable, str] = field(default_factory=dict)
    index: dict[Hashable, int] = field(default_factory=dict)
    keys: dict[str, list[Hashable]] = field(default_factory=dict)
    ids: dict[str, list[str]] = field(default_factory=dict)
    rows: dict[str, list[Attributes]] = field(default_factory=dict)

    def told(self, kind: str) -> Callable[[int], str]:
        """What a node of a kind is called in an error, by its index."""
        return lambda row: f"node {self.keys[kind][row]!r}"


@dataclass(frozen=True, kw_only=True)
class Edges:
    """Edges by their ends, the user or head first, and their attributes."""

    ends: list[tuple[Hashable, Hashable]] = field(default_factory=list)
    rows: list[Attributes] = field(default_factory=list)

    def told(self, row: int) -> str:
        """What an edge is called in an error."""
        return "edge ({!r}, {!r})".format(*self.ends[row])

    def indices(self, nodes: Nodes) -> tuple[np.ndarray, np.ndarray]:
        """(E,) int64 twice: both ends, each among those of its kind."""
        first, second = (
            np.array([nodes.index[ends[side]] for ends in self.ends], np.int64)
            for side in (0, 1)
        )
        return first, second


def read_nodes(graph: "nx.Graph", names: Names) -> Nodes:
    """All nodes.

    Raises:
        UserError: For a node without a kind, an id that repeats within a kind, or a
            graph without users or items.
    """
    nodes = Nodes()
    seen: dict[tuple[str, str], Hashable] = {}
    for node, attributes in graph.nodes(data=True):
        said = attributes.get(names.kind)
        if is_missing(said):
            raise UserError.field(
                f"node {node!r}",
                expected=f"an attribute {names.kind!r} that says what it is",
                got="none",
                fix="set it to 'user', 'item' or another kind, or name the attribute "
                "that you have in kind=...",
            )
        if not isinstance(said, str | int):
            raise UserError.field(
                f"node {node!r}, attribute {names.kind!r}",
                expected="a string or a whole number",
                got=repr(said),
            )
        kind = names.kinds.get(said, str(said))
        if kind in SIDES and said not in names.kinds:
            raise UserError.field(
                f"node {node!r}, attribute {names.kind!r}",
                expected=f"users and items to be {list(names.kinds)}",
                got=repr(said),
                fix="say what they are in user_kind=... and item_kind=...",
            )
        given = attributes.get(names.node_id)
        external = str(node if is_missing(given) else given)
        if (kind, external) in seen:
            raise UserError.field(
                f"node {node!r}",
                expected=f"each {kind} id once",
                got=f"{external!r}, as node {seen[kind, external]!r} has it",
                fix="merge the two or rename one",
            )
        seen[kind, external] = node
        nodes.kind[node] = kind
        keys = nodes.keys.setdefault(kind, [])
        nodes.index[node] = len(keys)
        keys.append(node)
        nodes.ids.setdefault(kind, []).append(external)
        nodes.rows.setdefault(kind, []).append(attributes)
    for side, said in zip(SIDES, names.kinds, strict=True):
        if side not in nodes.ids:
            raise UserError.field(
                "graph",
                expected=f"nodes whose attribute {names.kind!r} is {said!r}",
                got=f"nodes of {sorted(nodes.ids)}" if nodes.ids else "no nodes",
                fix=f"say in {side}_kind=... what a node of that side has there",
            )
    return nodes


def read_edges(
    graph: "nx.Graph",
    nodes: Nodes,
    names: Names,
    declared: Declared,
) -> tuple[Edges, dict[Key, Edges]]:
    """The interactions, and the links by name and kinds.

    Args:
        graph: Whose edges.
        nodes: Its nodes.
        names: Of attributes.
        declared: Relations whose kinds are known.
    """
    met, links = Edges(), dict[Key, Edges]()
    turned = 0
    for first, second, attributes in graph.edges(data=True):
        said = attributes.get(names.relation)
        kinds = nodes.kind[first], nodes.kind[second]
        if set(kinds) == set(SIDES) and (
            is_missing(said) or str(said) in names.interactions
        ):
            turned += kinds != SIDES
            met.ends.append((first, second) if kinds == SIDES else (second, first))
            met.rows.append(attributes)
            continue
        ends = first, second
        if is_missing(said):
            told = "-".join(kinds if in_order(kinds) else kinds[::-1])
        else:
            told = str(said)
        if told in declared:
            wanted = declared[told]["heads_of"], declared[told]["tails_of"]
        else:
            wanted = kinds if graph.is_directed() or in_order(kinds) else kinds[::-1]
        if kinds != wanted:
            kinds, ends = kinds[::-1], ends[::-1]
        group = links.setdefault((told, *kinds), Edges())
        group.ends.append(ends)
        group.rows.append(attributes)
    if graph.is_directed() and 0 < turned < len(met.ends):
        logger.warning(
            "graph: %d of %d interactions go from the item to the user: each counts, "
            "those too that an edge the other way repeats",
            turned,
            len(met.ends),
        )
    warn_of_unread(
        "attributes of links",
        (row for group in links.values() for row in group.rows),
        {names.relation, names.weight, "head"},
    )
    return met, links


def read_relations(
    graph: "nx.Graph",
    nodes: Nodes,
    names: Names,
    links: Mapping[Key, Edges],
    declared: Declared,
) -> dict[str, Relation]:
    """The relations, those that are declared and have no link too.

    Raises:
        UserError: For a weight that is no number above 0, or a directed link of a graph
            without directions that does not say which end is its head.
    """
    keys = dict.fromkeys(
        (told, one["heads_of"], one["tails_of"]) for told, one in declared.items()
    )
    called = names_of([*keys, *(key for key in links if key not in keys)])
    found = {}
    for key, told in called.items():
        edges = links.get(key, Edges())
        directed = graph.is_directed()
        if key in keys:
            directed = declared[key[0]]["directed"]
        heads, tails = edges.indices(nodes)
        if directed and key[1] == key[2] and not graph.is_directed():
            turned = _turned(nodes, edges, key[1])
            heads, tails = (
                np.where(turned, tails, heads),
                np.where(turned, heads, tails),
            )
        weights = numbers(edges.rows, names.weight, edges.told, default=1.0)
        if (weights <= 0).any():
            row = int((weights <= 0).argmax())
            raise UserError.field(
                f"{edges.told(row)}, attribute {names.weight!r}",
                expected="a number above 0",
                got=weights[row],
                fix="drop the edge, or name another attribute in weight=...",
            )
        found[told] = added_up(
            told,
            kinds=key[1:],
            heads=heads,
            tails=tails,
            weights=weights,
            directed=directed,
        )
    return found


def _turned(nodes: Nodes, edges: Edges, kind: str) -> np.ndarray:
    """(M,) bool: whether the head is what stands second, in a graph without order."""
    turned = []
    for row, (ends, attributes) in enumerate(zip(edges.ends, edges.rows, strict=True)):
        ids = [nodes.ids[kind][nodes.index[end]] for end in ends]
        if attributes.get("head") not in ids:
            raise UserError.field(
                f"{edges.told(row)}, attribute 'head'",
                expected=f"the id of one of its ends, {ids}: its relation is directed",
                got=repr(attributes.get("head")),
            )
        turned.append(attributes["head"] == ids[1])
    return np.array(turned, bool)


def warn_of_unread(
    what: str, rows: Iterable[Attributes], known: Collection[str | None]
) -> None:
    """Counts the attributes that are not read, by name, in a warning."""
    times = Counter(key for row in rows for key in row if key not in known)
    if times:
        told = ", ".join(f"{key} ({times[key]})" for key in sorted(times, key=str))
        logger.warning("graph: %s that are not read: %s", what, told)
