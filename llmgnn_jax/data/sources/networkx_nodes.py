"""NetworkX graphs of nodes with features and labels: read, and written."""

import logging
import numbers
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

from llmgnn_jax.data.node_dataset import UNLABELLED, NodeDataset
from llmgnn_jax.data.sources.attributes import is_missing
from llmgnn_jax.data.sources.networkx_import import check_graph, networkx
from llmgnn_jax.data.sources.networkx_writer import NOTES
from llmgnn_jax.data.sources.node_edges import undirected
from llmgnn_jax.errors import UserError

if TYPE_CHECKING:
    import networkx as nx


logger = logging.getLogger(__name__)


def nodes_from_networkx(
    graph: "nx.Graph",
    *,
    name: str | None = None,
    features: str | Sequence[str] = "x",
    label: str = "y",
    class_names: Sequence[str] | None = None,
) -> NodeDataset:
    """Reads a graph of labelled nodes; node number is place in `graph.nodes`.

    Edges are undirected: both directions of a `DiGraph` and parallel edges are one,
    and edges of a node with itself are left out, counted in a warning.

    Args:
        graph: Nodes with attributes.
        name: The dataset's name; that of the graph if not given.
        features: The node attribute with a vector, or the attributes with a number
            each, which make up one.
        label: The node attribute with the class, a string or a whole number; nodes
            without it have none.
        class_names: The classes in order; those that there are, sorted, if not given.

    Raises:
        UserError: For what is no graph, one without nodes or labels, a feature that is
            missing or of another length, or a label that is none of the class names.
    """
    check_graph(graph)
    rows = list(graph.nodes(data=True))
    if not rows:
        raise UserError.field("graph", expected="at least one node", got="none")
    said = [attributes.get(label) for _, attributes in rows]
    notes = graph.graph.get(NOTES, {})
    names = tuple(class_names or notes.get("class_names") or _classes(said, label))
    numbers_of = {told: number for number, told in enumerate(names)}
    labels = np.full(len(rows), UNLABELLED, np.int64)
    for number, value in enumerate(said):
        if is_missing(value):
            continue
        if str(value) not in numbers_of:
            raise UserError.field(
                f"node {rows[number][0]!r}, attribute {label!r}",
                expected=f"one of the classes {', '.join(names[:8])}",
                got=repr(value),
                fix="add it to class_names",
            )
        labels[number] = numbers_of[str(value)]
    index = {node: number for number, (node, _) in enumerate(rows)}
    ends = [(index[head], index[tail]) for head, tail in graph.edges()]
    unread = {key for _, _, attributes in graph.edges(data=True) for key in attributes}
    if unread:
        logger.warning(
            "graph: edge attributes that are not read: %s",
            ", ".join(sorted(map(str, unread))),
        )
    return NodeDataset(
        name=name or graph.graph.get("name") or "networkx",
        features=_features(rows, features),
        labels=labels,
        edges=undirected(np.array(ends, np.int64).reshape(-1, 2)),
        class_names=names,
    )


def nodes_to_networkx(dataset: NodeDataset) -> "nx.Graph":
    """The graph: `nodes_from_networkx` gives the dataset back, with the same hash.

    Nodes are numbers; `x` is a dense float32 vector, `y` the name of the class.

    Raises:
        UserError: If NetworkX is not installed.
    """
    graph = networkx().Graph(name=dataset.name)
    graph.graph[NOTES] = {"class_names": dataset.class_names}
    rows = dataset.features
    dense = rows.toarray() if scipy.sparse.issparse(rows) else np.array(rows)
    for node, label in enumerate(dataset.labels.tolist()):
        graph.add_node(node, x=dense[node])
        if label != UNLABELLED:
            graph.nodes[node]["y"] = dataset.class_names[label]
    graph.add_edges_from(dataset.edges.tolist())
    return graph


def _classes(said: Sequence[Any], label: str) -> list[str]:
    """The different labels: numbers in their order, strings in theirs."""
    found = {value for value in said if not is_missing(value)}
    if not found:
        raise UserError.field(
            f"attribute {label!r}",
            expected="the class of a node at least",
            got="none",
            fix="name the attribute that you have in label=...",
        )
    if all(isinstance(value, numbers.Integral) for value in found):
        return [str(value) for value in sorted(found)]
    return sorted({str(value) for value in found})


def _features(
    rows: Sequence[tuple[Hashable, dict[str, Any]]], names: str | Sequence[str]
) -> np.ndarray:
    """(N, F) float64."""
    found: list[np.ndarray] = []
    for node, attributes in rows:
        if isinstance(names, str):
            value = attributes.get(names)
        else:
            value = [attributes.get(name) for name in names]
        try:
            vector = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            vector = np.empty(())
        wanted = len(found[0]) if found else None
        if vector.ndim != 1 or wanted not in (None, len(vector)):
            told = "a vector of numbers" if wanted is None else f"{wanted} numbers"
            raise UserError.field(
                f"node {node!r}, attribute {names!r}",
                expected=told,
                got=f"{str(value)[:60]!r}",
                fix="give every node one, or name the attribute in features=...",
            )
        found.append(vector)
    return np.stack(found)
