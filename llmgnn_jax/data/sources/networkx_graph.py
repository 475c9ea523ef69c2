"""NetworkX graphs of users, items and other things: read as a `Dataset`, and written.

Every node says what it is: by an attribute `kind` ("user", "item", anything else is an
entity), or by `bipartite` as NetworkX's own bipartite algorithms have it (0 a user, 1
an item). An edge of a user with an item is an interaction, unless it names a relation;
parallel edges are several interactions. Every other edge is a link of the relation
that its attribute `relation` names, or of one that is called by its kinds, such as
"user-user". Links of a directed graph are directed; which way an interaction goes does
not matter.

`nodes_from_networkx` in `networkx_nodes` reads graphs of labelled nodes.
"""

from collections.abc import Collection, Hashable
from typing import TYPE_CHECKING

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import SIDES
from llmgnn_jax.data.sources.attributes import features, texts
from llmgnn_jax.data.sources.edge_numbers import first, numbers, seconds
from llmgnn_jax.data.sources.given import several
from llmgnn_jax.data.sources.networkx_import import check_graph
from llmgnn_jax.data.sources.networkx_named import check_named
from llmgnn_jax.data.sources.networkx_parts import (
    Declared,
    Names,
    read_edges,
    read_nodes,
    read_relations,
    warn_of_unread,
)
from llmgnn_jax.data.sources.networkx_writer import NOTES
from llmgnn_jax.data.sources.networkx_writer import to_networkx as to_networkx
from llmgnn_jax.data.sources.wording import catalogue_texts
from llmgnn_jax.errors import UserError

if TYPE_CHECKING:
    import networkx as nx

VALUES = ("rating", "weight", "value")
"""Where the value of an interaction is looked for, in order."""
TIMES = ("timestamp", "time")
"""Likewise its time."""


def from_networkx(
    graph: "nx.Graph",
    *,
    name: str | None = None,
    kind: str | None = None,
    user_kind: Hashable = None,
    item_kind: Hashable = None,
    node_id: str = "id",
    title: str = "title",
    text: str = "text",
    value: str | None = None,
    time: str | None = None,
    test: str = "test",
    relation: str = "relation",
    weight: str = "weight",
    interactions: Collection[str] = (),
    categorical: Collection[str] = (),
    ignore: Collection[str] = (),
) -> Dataset:
    """Reads any of NetworkX's four kinds of graphs.

    What else is said of users and items becomes features (see `attributes`). Where no
    item has a text, its title and categories are its text.

    Args:
        graph: Nodes and edges with attributes.
        name: The dataset's name; that of the graph if not given.
        kind: The node attribute that says what a node is; "kind" if any node has it,
            else "bipartite".
        user_kind: What it is of users; "user", or 0 if `kind` is "bipartite".
        item_kind: What it is of items; "item", or 1.
        node_id: The node attribute with the external id; without it the node itself.
        title: The node attribute with an item's title.
        text: The attribute with the text of an item, a user or an interaction.
        value: The edge attribute with an interaction's rating or weight; the first of
            `VALUES` that any has if not given, and 1 where none has one.
        time: The edge attribute with its time: seconds since 1970, or a `datetime`
            (one without a zone is UTC); the first of `TIMES` if not given.
        test: The edge attribute by which those who published it hold it out.
        relation: The edge attribute that names the relation of a link.
        weight: The edge attribute with the weight of a link; 1 without it.
        interactions: Names of relations whose user-item edges are interactions.
        categorical: Node attributes that are categories though they are numbers.
        ignore: Node attributes that are not read.

    Raises:
        UserError: For what is no graph, an attribute or a relation that is named and
            not there, a node without a kind, an id that repeats, a value, time, weight
            or feature that is none, or a graph without interactions.
    """
    check_graph(graph)
    categorical, ignore = several(categorical), several(ignore)
    interactions = several(interactions)
    check_named(
        graph,
        {
            "node_id": (node_id,),
            "title": (title,),
            "text": (text,),
            "value": () if value is None else (value,),
            "time": () if time is None else (time,),
            "test": (test,),
            "relation": (relation,),
            "weight": (weight,),
            "categorical": categorical,
            "ignore": ignore,
        },
        relation=relation,
        interactions=interactions,
    )
    if kind is None:
        named = any("kind" in attributes for _, attributes in graph.nodes(data=True))
        kind = "kind" if named else "bipartite"
    defaults: tuple[Hashable, Hashable] = (0, 1) if kind == "bipartite" else SIDES
    names = Names(
        kind=kind,
        kinds={
            defaults[0] if user_kind is None else user_kind: SIDES[0],
            defaults[1] if item_kind is None else item_kind: SIDES[1],
        },
        node_id=node_id,
        relation=relation,
        weight=weight,
        interactions=frozenset(interactions),
    )
    notes = graph.graph.get(NOTES, {})
    declared: Declared = notes.get("relations", {})
    nodes = read_nodes(graph, names)
    met, links = read_edges(graph, nodes, names, declared)
    if not met.ends:
        found = ", ".join(sorted({repr(one) for one, _, _ in links})) or "no edges"
        raise UserError.field(
            "graph",
            expected="an edge of a user with an item that is no link of a relation",
            got=found,
            fix="name the relations that are interactions in interactions=(...)",
        )
    value, time = value or first(met.rows, VALUES), time or first(met.rows, TIMES)
    warn_of_unread("attributes of edges", met.rows, {text, test, relation, value, time})
    rows, told = nodes.rows, {side: nodes.told(side) for side in SIDES}
    skip = {kind, "bipartite", node_id, text, *ignore}
    others = [row for one in rows if one not in SIDES for row in rows[one]]
    warn_of_unread("attributes of entities", others, skip)
    user_categorical, user_numeric = features(
        rows["user"], told["user"], skip=skip, categorical=categorical
    )
    item_categorical, item_numeric = features(
        rows["item"], told["item"], skip={*skip, title}, categorical=categorical
    )
    titles = texts(rows["item"], title, told["item"]) or ("",) * len(rows["item"])
    users, items = met.indices(nodes)
    return Dataset(
        name=name or graph.graph.get("name") or "networkx",
        user_ids=tuple(nodes.ids["user"]),
        item_ids=tuple(nodes.ids["item"]),
        users=users,
        items=items,
        values=numbers(met.rows, value, met.told),
        timestamps=seconds(met.rows, time, met.told),
        item_titles=titles,
        item_texts=texts(rows["item"], text, told["item"])
        or catalogue_texts(titles, [*item_categorical.values()]),
        user_texts=texts(rows["user"], text, told["user"]),
        interaction_texts=texts(met.rows, text, met.told),
        user_categorical=user_categorical,
        item_categorical=item_categorical,
        user_numeric=user_numeric,
        item_numeric=item_numeric,
        filters=tuple(notes.get("filters", ())),
        published_test=np.array([bool(row.get(test)) for row in met.rows])
        if any(test in row for row in met.rows)
        else None,
        entities={
            kind: tuple(ids) for kind, ids in nodes.ids.items() if kind not in SIDES
        },
        relations=read_relations(graph, nodes, names, links, declared),
    )
