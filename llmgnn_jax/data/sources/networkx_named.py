"""Names in a NetworkX graph that a caller gives: each has to be there."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from llmgnn_jax.data.sources.given import check_there

if TYPE_CHECKING:
    import networkx as nx

# What need not be there, since it is looked for where nothing is said.
_USUAL = {
    "node_id": "id",
    "title": "title",
    "text": "text",
    "test": "test",
    "relation": "relation",
    "weight": "weight",
}
_OF_NODES = ("node_id", "title", "text", "categorical", "ignore")
_OF_EDGES = ("text", "value", "time", "test", "relation", "weight")


def check_named(
    graph: "nx.Graph",
    named: Mapping[str, Collection[str]],
    *,
    relation: str,
    interactions: Collection[str],
) -> None:
    """Passes only if attributes and relations that are named are there.

    Args:
        graph: Where.
        named: Argument -> the attributes that it names.
        relation: The edge attribute with the name of a relation.
        interactions: Relations, as `from_networkx` takes them.

    Raises:
        UserError: For the first one that no node, or no edge, has.
    """
    of_nodes = {key for _, held in graph.nodes(data=True) for key in held}
    edges = [held for _, _, held in graph.edges(data=True)]
    of_edges = {key for held in edges for key in held}
    for argument, names in named.items():
        there = (of_nodes if argument in _OF_NODES else set()) | (
            of_edges if argument in _OF_EDGES else set()
        )
        asked = [one for one in names if one != _USUAL.get(argument)]
        check_there(asked, there, argument)
    if interactions:
        said = {str(held[relation]) for held in edges if relation in held}
        check_there(interactions, said, "interactions")
