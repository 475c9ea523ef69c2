"""A `Dataset` as a NetworkX graph, which `from_networkx` reads to an equal one."""

from typing import TYPE_CHECKING, Any

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import SIDES
from llmgnn_jax.data.sources.attributes import feature_attributes
from llmgnn_jax.data.sources.networkx_import import networkx

if TYPE_CHECKING:
    import networkx as nx

NOTES = "llmgnn"
"""The graph attribute with what no node or edge says: filters, kinds of relations."""

_RESERVED = {
    "user": ("id", "kind", "bipartite", "text"),
    "item": ("id", "kind", "bipartite", "text", "title"),
}


def to_networkx(dataset: Dataset) -> "nx.MultiGraph":
    """All of a dataset as a graph: `from_networkx` gives it back, with the same hash.

    A node is (kind, external id). Nodes have `kind`, `id`, users and items `bipartite`
    (0 and 1) and their features too, items `title` and `text`, users `text` if there
    are profiles. An interaction has `weight`, `timestamp` and, if there are any, `text`
    and `test`; a link has `relation`, `weight`, and, where it is a directed one of two
    nodes of a kind, `head`: the id of its head.

    Raises:
        UserError: If NetworkX is not installed.
    """
    graph = networkx().MultiGraph(name=dataset.name)
    graph.graph[NOTES] = {
        "filters": dataset.filters,
        "relations": {
            name: {
                "heads_of": relation.heads_of,
                "tails_of": relation.tails_of,
                "directed": relation.directed,
            }
            for name, relation in dataset.relations.items()
        },
    }
    for side in SIDES:
        _add_side(graph, dataset, side)
    for kind, ids in dataset.entities.items():
        graph.add_nodes_from(((kind, one), {"kind": kind, "id": one}) for one in ids)
    _add_interactions(graph, dataset)
    _add_links(graph, dataset)
    return graph


def _add_side(graph: "nx.MultiGraph", dataset: Dataset, side: str) -> None:
    columns: dict[str, Any] = dict(
        feature_attributes(dataset, side, reserved=_RESERVED[side])
    )
    ids = dataset.ids[side]
    for attribute, name in (("title", f"{side}_titles"), ("text", f"{side}_texts")):
        texts = getattr(dataset, name, None)
        if texts is not None:
            columns[attribute] = texts
    for number, one in enumerate(ids):
        attributes = {name: column[number] for name, column in columns.items()}
        attributes |= {"kind": side, "id": one, "bipartite": SIDES.index(side)}
        # Not as keywords: a feature may be called as an argument of NetworkX is.
        graph.add_nodes_from([((side, one), attributes)])


def _add_interactions(graph: "nx.MultiGraph", dataset: Dataset) -> None:
    columns: dict[str, Any] = {
        "weight": dataset.values.tolist(),
        "timestamp": dataset.timestamps.tolist(),
    }
    if dataset.interaction_texts is not None:
        columns["text"] = dataset.interaction_texts
    if dataset.published_test is not None:
        columns["test"] = dataset.published_test.tolist()
    rows = zip(*columns.values(), strict=True)
    for user, item, row in zip(
        dataset.users.tolist(), dataset.items.tolist(), rows, strict=True
    ):
        graph.add_edge(
            ("user", dataset.user_ids[user]),
            ("item", dataset.item_ids[item]),
            **dict(zip(columns, row, strict=True)),
        )


def _add_links(graph: "nx.MultiGraph", dataset: Dataset) -> None:
    for name, relation in dataset.relations.items():
        heads_of, tails_of = relation.kinds
        told = relation.directed and heads_of == tails_of
        for head, tail, weight in zip(
            relation.heads.tolist(),
            relation.tails.tolist(),
            relation.weights.tolist(),
            strict=True,
        ):
            head_id = dataset.ids[heads_of][head]
            graph.add_edge(
                (heads_of, head_id),
                (tails_of, dataset.ids[tails_of][tail]),
                relation=name,
                weight=weight,
                **({"head": head_id} if told else {}),
            )
