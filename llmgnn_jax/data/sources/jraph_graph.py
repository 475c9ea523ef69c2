"""jraph's `GraphsTuple`: as labelled nodes, or as users and items.

Its fields are read as arrays; jraph itself is not imported. Padding as
`jraph.pad_with_graphs` makes it is recognised and left out: behind all others a graph
whose nodes and edges are all zeros and whose edges go from its first node to itself,
then graphs without nodes. What else there are of graphs are parts of one.
"""

import logging
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.node_dataset import UNLABELLED, NodeDataset
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.sources.given import check_given
from llmgnn_jax.data.sources.links import added_up, same_links
from llmgnn_jax.data.sources.node_edges import undirected
from llmgnn_jax.data.sources.tensors import as_numpy
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)

VALUES = ("value", "rating", "weight")
"""Where the value of an edge is looked for where edges are a mapping, in order."""


_WHOLE = ("senders", "receivers", "n_node", "n_edge")


@dataclass(frozen=True, kw_only=True)
class _Graph:
    """Without padding: N nodes, M edges."""

    nodes: Any
    edges: Any
    senders: np.ndarray
    receivers: np.ndarray
    num_nodes: int


def nodes_from_jraph(
    graph: Any,
    *,
    name: str = "jraph",
    features: str = "x",
    label: str = "y",
    labels: Any = None,
    class_names: Sequence[str] | None = None,
) -> NodeDataset:
    """Reads a graph whose nodes have features and labels.

    Edges are undirected; those of a node with itself are left out, counted in a
    warning.

    Args:
        graph: A `GraphsTuple`; its nodes are an array of features, or a mapping.
        name: The dataset's name.
        features: Where the features are in the mapping.
        label: Likewise the labels.
        labels: The labels of all nodes, with or without those of the padding, if they
            are not there; below 0 for none.
        class_names: The classes by their numbers; the numbers if not given.

    Raises:
        UserError: If features or labels are missing, or of another shape.
    """
    found = _without_padding(graph)
    vectors, known = found.nodes, as_numpy(labels) if labels is not None else None
    if isinstance(vectors, Mapping):
        if known is None and label in vectors:
            known = vectors[label]
        vectors = vectors.get(features)
    for field, array, fix in (
        ("nodes", vectors, "an array, or a mapping that holds one: features=..."),
        ("labels", known, "give them in labels=..., or name them in label=..."),
    ):
        if array is None:
            raise UserError.field(
                f"graph.{field}", expected="an array", got="none", fix=fix
            )
    assert vectors is not None
    assert known is not None
    if known.ndim != 1 or len(known) < found.num_nodes or known.dtype.kind not in "iuf":
        raise UserError.field(
            "labels",
            expected=f"the number of a class for each of {found.num_nodes} nodes",
            got=f"shape {known.shape} of {known.dtype}",
        )
    known = known[: found.num_nodes]
    known = np.where(known < 0, UNLABELLED, known)
    names = class_names or map(str, range(int(known.max(initial=0)) + 1))
    return NodeDataset(
        name=name,
        features=vectors.reshape(found.num_nodes, -1),
        labels=known,
        edges=undirected(np.stack([found.senders, found.receivers], axis=1)),
        class_names=tuple(names),
    )


def from_jraph(
    graph: Any,
    *,
    num_users: int,
    name: str = "jraph",
    value: str | None = None,
    user_ids: Sequence[str] | None = None,
    item_ids: Sequence[str] | None = None,
    item_titles: Sequence[str] | None = None,
    item_texts: Sequence[str] | None = None,
) -> Dataset:
    """Reads a graph whose first nodes are users and whose others are items.

    An edge of a user with an item is an interaction, in whichever direction; where the
    edges of both directions are the same, as message passing needs them, they are one
    interaction each. Edges of two users, or of two items, are the relations "user-user"
    and "item-item": undirected if both directions are there.

    Args:
        graph: A `GraphsTuple`; its edges are None, a number each, or a mapping.
        num_users: How many nodes are users.
        name: The dataset's name.
        value: Where the number of each edge is in the mapping; the first of `VALUES`.
        user_ids: External ids; "0", "1", ... if not given.
        item_ids: Likewise, from "0" on.
        item_titles: "" each if not given.
        item_texts: The titles if not given.

    Raises:
        UserError: If there are no users, no items or no interactions, or the edges hold
            anything but a number each.
    """
    found = _without_padding(graph)
    num_users = _number_of_users(num_users, found.num_nodes)
    weights = _numbers(found.edges, value, len(found.senders))
    ends = found.senders, found.receivers
    is_item = [nodes >= num_users for nodes in ends]
    forward, backward = ~is_item[0] & is_item[1], is_item[0] & ~is_item[1]
    there = ends[0][forward], ends[1][forward], weights[forward]
    back = ends[1][backward], ends[0][backward], weights[backward]
    if same_links(there, back):
        back = back[0][:0], back[1][:0], back[2][:0]
    users, items, values = (
        np.concatenate(columns) for columns in zip(there, back, strict=True)
    )
    num_items = found.num_nodes - num_users
    titles = tuple(item_titles or ("",) * num_items)
    return Dataset(
        name=name,
        user_ids=tuple(user_ids or map(str, range(num_users))),
        item_ids=tuple(item_ids or map(str, range(num_items))),
        users=users,
        items=items - num_users,
        values=values,
        timestamps=np.zeros(len(users), np.int64),
        item_titles=titles,
        item_texts=tuple(item_texts or titles),
        relations=dict(_relations(ends, weights, is_item, num_users)),
    )


def _number_of_users(given: object, num_nodes: int) -> int:
    """One of NumPy's types too."""
    try:
        number = operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if not 0 < number < num_nodes:
        raise UserError.field(
            "num_users",
            expected=f"a whole number above 0 and below that of the nodes, {num_nodes}",
            got=repr(given),
        )
    return number


def _relations(
    ends: tuple[np.ndarray, np.ndarray],
    weights: np.ndarray,
    is_item: Sequence[np.ndarray],
    num_users: int,
) -> Iterator[tuple[str, Relation]]:
    for kind, inside, first in (
        ("user", ~is_item[0] & ~is_item[1], 0),
        ("item", is_item[0] & is_item[1], num_users),
    ):
        if not inside.any():
            continue
        heads, tails = ends[0][inside] - first, ends[1][inside] - first
        held = weights[inside]
        both = same_links((heads, tails, held), (tails, heads, held))
        kept = heads <= tails if both else np.ones(len(heads), bool)
        name = f"{kind}-{kind}"
        yield (
            name,
            added_up(
                name,
                kinds=(kind, kind),
                heads=heads[kept],
                tails=tails[kept],
                weights=held[kept],
                directed=not both,
            ),
        )


def _numbers(edges: Any, name: str | None, size: int) -> np.ndarray:
    """(M,): what the edges hold; ones where they hold nothing."""
    if isinstance(edges, Mapping):
        names = [one for one in ((name,) if name else VALUES) if one in edges]
        if not names:
            raise UserError.field(
                "graph.edges",
                expected=f"one of {', '.join((name,) if name else VALUES)}",
                got=", ".join(map(str, edges)) or "nothing",
                fix="name the one that is meant: value=...",
            )
        edges = edges[names[0]]
    if edges is None:
        return np.ones(size)
    if edges.shape not in ((size,), (size, 1)):
        raise UserError.field(
            "graph.edges",
            expected=f"a number for each of {size} edges",
            got=f"shape {edges.shape}",
            fix="keep one column of it",
        )
    return np.asarray(edges.reshape(size))


def _without_padding(graph: Any) -> _Graph:
    """The nodes and edges that are no padding, their fields as NumPy arrays."""
    check_given(
        graph,
        "graph",
        kind="a GraphsTuple of jraph",
        having=("nodes", "edges", *_WHOLE),
    )
    nodes, edges = (_arrays(one) for one in (graph.nodes, graph.edges))
    senders, receivers, n_node, n_edge = (_whole(graph, field) for field in _WHOLE)
    for field, counts, size in (
        ("n_node", n_node, max((len(one) for one in _leaves(nodes)), default=None)),
        ("n_edge", n_edge, len(senders)),
    ):
        if size is not None and counts.sum() != size:
            raise UserError.field(
                f"graph.{field}", expected=f"a sum of {size}", got=counts.sum()
            )
    filled = np.flatnonzero((n_node > 0) | (n_edge > 0))
    num_nodes, num_edges = int(n_node.sum()), len(senders)
    if len(filled) > 1:
        last = filled[-1]
        first_node, first_edge = num_nodes - n_node[last], num_edges - n_edge[last]
        padding = (
            (senders[first_edge:] == first_node).all()
            and (receivers[first_edge:] == first_node).all()
            and not any(one[first_node:].any() for one in _leaves(nodes))
            and not any(one[first_edge:].any() for one in _leaves(edges))
        )
        if padding:
            num_nodes, num_edges = int(first_node), int(first_edge)
    return _Graph(
        nodes=_cut(nodes, num_nodes),
        edges=_cut(edges, num_edges),
        senders=senders[:num_edges],
        receivers=receivers[:num_edges],
        num_nodes=num_nodes,
    )


def _whole(graph: Any, field: str) -> np.ndarray:
    """(n,) int64: a field that holds whole numbers."""
    array = as_numpy(getattr(graph, field))
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise UserError.field(
            f"graph.{field}",
            expected="an array of whole numbers",
            got=f"shape {array.shape} of {array.dtype}",
        )
    return array.astype(np.int64)


def _arrays(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _arrays(one) for name, one in value.items()}
    return None if value is None else as_numpy(value)


def _leaves(value: Any) -> list[np.ndarray]:
    if isinstance(value, Mapping):
        return [leaf for one in value.values() for leaf in _leaves(one)]
    return [] if value is None else [value]


def _cut(value: Any, size: int) -> Any:
    if isinstance(value, Mapping):
        return {name: _cut(one, size) for name, one in value.items()}
    return None if value is None else value[:size]
