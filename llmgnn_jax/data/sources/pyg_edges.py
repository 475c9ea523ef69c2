"""Edge types of a `HeteroData`, to the relations of a `Dataset`."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.sources.links import added_up, names_of, same_links
from llmgnn_jax.data.sources.tensors import as_numpy
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)

EdgeType = tuple[str, str, str]
"""Node type of the heads, name, node type of the tails."""

WEIGHTS = ("edge_weight", "weight", "edge_attr")
"""Where the weight of a link is looked for, in order."""

_MIRROR = "rev_"


def told(edge_type: EdgeType) -> str:
    """An edge type, as one would write it."""
    return "({}, {}, {})".format(*map(repr, edge_type))


def edge_index(store: Any, edge_type: EdgeType) -> np.ndarray:
    """(2, E) int64: heads and tails.

    Raises:
        UserError: If there are none, or of another shape.
    """
    if "edge_index" not in store:
        raise UserError.field(
            f"data[{told(edge_type)}]",
            expected="an edge_index",
            got=", ".join(store.keys()) or "nothing",
            fix="SparseTensor and adj_t are not read: keep edge_index",
        )
    ends = as_numpy(store["edge_index"])
    if ends.ndim != 2 or len(ends) != 2:
        raise UserError.field(
            f"data[{told(edge_type)}].edge_index",
            expected="shape (2, edges)",
            got=f"shape {ends.shape}",
        )
    return ends.astype(np.int64)


def edge_numbers(
    store: Any,
    edge_type: EdgeType,
    name: str | None,
    candidates: Sequence[str],
    size: int,
) -> np.ndarray | None:
    """(E,): one number an edge; None where there is no such attribute.

    Args:
        store: Of the edge type.
        edge_type: For errors.
        name: The attribute; the first candidate with a number an edge if not given.
        candidates: See there.
        size: E.

    Raises:
        UserError: If what is named is not there, or holds not a number an edge.
    """
    for one in (name,) if name is not None else candidates:
        if one not in store:
            continue
        found = as_numpy(store[one])
        if found.shape in ((size,), (size, 1)):
            return found.reshape(size)
        # After a split by links these are the labels of other edges.
        if name is None and one == "edge_label":
            continue
        raise UserError.field(
            f"data[{told(edge_type)}].{one}",
            expected=f"a number for each of {size} edges",
            got=f"shape {found.shape}",
            fix="keep one column of it",
        )
    if name is not None:
        raise UserError.field(
            f"data[{told(edge_type)}]",
            expected=f"the attribute {name!r}",
            got=", ".join(store.keys()),
        )
    return None


def relations_of(
    data: Any, kinds: Mapping[str, str], interaction: EdgeType
) -> dict[str, Relation]:
    """What all edge types but that of the interactions hold.

    Args:
        data: A `HeteroData`.
        kinds: Node type -> "user" or "item".
        interaction: The edge type that is no relation; its mirror image is none either.
    """
    stores = {one: data[one] for one in data.edge_types if one != interaction}
    mirrors = {
        (heads, name, tails): original
        for heads, name, tails in stores
        if name.startswith(_MIRROR)
        and (original := (tails, name.removeprefix(_MIRROR), heads)) in data.edge_types
        and "directed" not in stores[heads, name, tails]
        and _mirrored(data, (heads, name, tails), original)
    }
    left = [one for one in stores if one not in mirrors]
    keys = {
        one: (one[1], kinds.get(one[0], one[0]), kinds.get(one[2], one[2]))
        for one in left
    }
    called = names_of(keys.values())
    undirected = set(mirrors.values())
    found = {}
    for edge_type, key in keys.items():
        name = called[key]
        found[name] = _relation(
            stores[edge_type], edge_type, name, key[1:], edge_type in undirected
        )
    return found


def _relation(
    store: Any,
    edge_type: EdgeType,
    name: str,
    kinds: tuple[str, str],
    undirected: bool,
) -> Relation:
    heads, tails = edge_index(store, edge_type)
    weights = edge_numbers(store, edge_type, None, WEIGHTS, len(heads))
    weights = np.ones(len(heads)) if weights is None else weights
    wrong = ~(np.isfinite(weights) & (weights > 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError.field(
            f"data[{told(edge_type)}], edge {row}",
            expected="a weight that is a finite number above 0",
            got=weights[row],
            fix="drop the edge",
        )
    if kinds[0] == kinds[1]:
        both_ways = same_links((heads, tails, weights), (tails, heads, weights))
        undirected = both_ways
    if "directed" in store:
        undirected = not store["directed"]
    if undirected and kinds[0] == kinds[1] and both_ways:
        kept = heads <= tails
        heads, tails, weights = heads[kept], tails[kept], weights[kept]
    others = set(store.keys()) - {"edge_index", "directed", *WEIGHTS}
    if others:
        logger.warning(
            "data[%s]: not read: %s", told(edge_type), ", ".join(sorted(others))
        )
    return added_up(
        name,
        kinds=kinds,
        heads=heads,
        tails=tails,
        weights=weights,
        directed=not undirected,
    )


def _mirrored(data: Any, one: EdgeType, other: EdgeType) -> bool:
    """Whether one edge type holds the links of the other the other way."""
    found = []
    for edge_type in (one, other):
        ends = edge_index(data[edge_type], edge_type)
        weights = edge_numbers(data[edge_type], edge_type, None, WEIGHTS, len(ends[0]))
        found.append((*ends, np.ones(len(ends[0])) if weights is None else weights))
    (heads, tails, weights), links = found
    return same_links((tails, heads, weights), links)
