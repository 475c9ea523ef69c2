"""PyTorch Geometric's `Data` and `HeteroData`: read, and written.

A `Data` is a graph of labelled nodes: a `NodeSplit` if it has a `train_mask`, else a
`NodeDataset`. A `HeteroData` is a `Dataset`: one edge type of users and items holds the
interactions, all others are relations. An edge type whose mirror image is there too
("rev_" before its name, as `ToUndirected` makes it), or of one node type that holds
each link in both directions, is an undirected relation.

Reading takes tensors as they are and imports nothing; writing imports torch, an extra.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.data.relations import SIDES
from llmgnn_jax.data.sources.given import check_given
from llmgnn_jax.data.sources.pyg_edges import (
    EdgeType,
    edge_index,
    edge_numbers,
    relations_of,
    told,
)
from llmgnn_jax.data.sources.pyg_nodes import nodes_from_pyg
from llmgnn_jax.data.sources.pyg_writer import INTERACTION
from llmgnn_jax.data.sources.pyg_writer import to_pyg as to_pyg
from llmgnn_jax.data.sources.tensors import as_numpy
from llmgnn_jax.data.sources.wording import catalogue_texts
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.data.validation import Categories
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)

VALUES = ("rating", "edge_weight", "weight", "edge_attr", "edge_label")
"""Where the value of an interaction is looked for, in order."""
TIMES = ("time", "timestamp", "edge_time")
"""Likewise its time."""

# Above it a matrix of features says nothing a column: an embedding.
_MOST_COLUMNS = 64


def from_pyg(
    data: Any,
    *,
    name: str = "pyg",
    user: str = "user",
    item: str = "item",
    interaction: EdgeType | None = None,
    value: str | None = None,
    time: str | None = None,
) -> Dataset | NodeDataset | NodeSplit:
    """Reads a `HeteroData` as a `Dataset`, a `Data` as nodes with labels.

    Of a `HeteroData` node types may have `node_id` (external ids; row numbers without),
    users and items `text`, `categorical` and `numeric` (mappings of names to columns)
    and `x` (a numeric feature a column), items `title`; edge types `text`, and `test`.

    Args:
        data: What to read; all but `name` is for `HeteroData` alone.
        name: The dataset's name.
        user: The node type of users.
        item: The node type of items.
        interaction: The edge type that holds the interactions; if not given the only
            one of users with items, or the one that is called as `to_pyg` calls it.
        value: Its attribute with the ratings or weights; the first of `VALUES` that is
            there if not given, and 1 where there is none.
        time: Its attribute with seconds since 1970; the first of `TIMES`.

    Raises:
        UserError: If it is neither, there is no such node or edge type or attribute, or
            more than one that it could be, or a tensor has another shape than it
            should.
    """
    check_given(
        data,
        "data",
        kind="a Data or a HeteroData of PyTorch Geometric",
        having=("keys", "edge_attrs"),
    )
    if not hasattr(data, "edge_types"):
        return nodes_from_pyg(data, name=name)
    for side, kind in zip(SIDES, (user, item), strict=True):
        if not data.node_types:
            raise UserError.field(
                "data", expected=f"nodes of a type {kind!r}", got="an empty HeteroData"
            )
        if kind not in data.node_types:
            raise UserError.field(
                f"{side}={kind!r}",
                expected=f"one of the node types {', '.join(data.node_types)}",
                got=repr(kind),
                fix=did_you_mean(kind, data.node_types)
                or f"say in {side}=... which one is the {side}",
            )
    kinds = {user: "user", item: "item"}
    met = _interactions(data, (user, item), interaction)
    store = data[met]
    ends = edge_index(store, met)
    users, items = ends if met[0] == user else ends[::-1]
    about = {
        side: _features(data[kind], kind, _size(data, kind))
        for side, kind in zip(SIDES, (user, item), strict=True)
    }
    titles = _strings(data[item], "title", item, _size(data, item))
    titles = titles or ("",) * _size(data, item)
    values = edge_numbers(store, met, value, VALUES, len(users))
    times = edge_numbers(store, met, time, TIMES, len(users))
    for numbers, expected, fix in (
        (values, "a finite value", "fill it in or drop the edge"),
        (times, "a time in seconds since 1970", "use 0 where there is no time"),
    ):
        if numbers is not None and not np.isfinite(numbers).all():
            row = int((~np.isfinite(numbers)).argmax())
            raise UserError.field(
                f"data[{told(met)}], edge {row}",
                expected=expected,
                got=numbers[row],
                fix=fix,
            )
    return Dataset(
        name=name,
        user_ids=_ids(data, user),
        item_ids=_ids(data, item),
        users=users,
        items=items,
        values=np.ones(len(users)) if values is None else values,
        timestamps=np.zeros(len(users), np.int64)
        if times is None
        else times.astype(np.int64),
        item_titles=titles,
        item_texts=_strings(data[item], "text", item, len(titles))
        or catalogue_texts(titles, [*about["item"][0].values()]),
        user_texts=_strings(data[user], "text", user, _size(data, user)),
        interaction_texts=_strings(store, "text", told(met), len(users)),
        user_categorical=about["user"][0],
        item_categorical=about["item"][0],
        user_numeric=about["user"][1],
        item_numeric=about["item"][1],
        filters=tuple(getattr(data, "filters", ())),
        published_test=as_numpy(store["test"]) if "test" in store else None,
        entities={
            kind: _ids(data, kind) for kind in data.node_types if kind not in kinds
        },
        relations=relations_of(data, kinds, met),
    )


def _interactions(
    data: Any, sides: tuple[str, str], named: EdgeType | None
) -> EdgeType:
    """The edge type that holds the interactions."""
    between = [one for one in data.edge_types if {one[0], one[2]} == set(sides)]
    if named is not None:
        if tuple(named) in between:
            return named
        found = between
    else:
        found = [one for one in between if (one[0], one[2]) == sides] or between
        written = (sides[0], INTERACTION[1], sides[1])
        if len(found) == 1 or written in found:
            return written if written in found else found[0]
    raise UserError.field(
        "interaction",
        expected="one edge type of users with items"
        if named is None
        else f"an edge type of users with items, not {told(named)}",
        got=", ".join(map(told, found)) or "none",
        fix="name the one that is meant: interaction=('user', 'rates', 'item')",
    )


def _size(data: Any, kind: str) -> int:
    """How many nodes there are of a kind."""
    size = data[kind].num_nodes
    if size is None:
        raise UserError.field(
            f"data[{kind!r}]", expected="num_nodes, or x", got="neither"
        )
    return int(size)


def _ids(data: Any, kind: str) -> tuple[str, ...]:
    size, store = _size(data, kind), data[kind]
    if "node_id" not in store:
        return tuple(map(str, range(size)))
    given = store["node_id"]
    ids = given if isinstance(given, list | tuple) else as_numpy(given).tolist()
    _check_size(kind, "node_id", len(ids), size)
    return tuple(map(str, ids))


def _strings(store: Any, name: str, where: str, size: int) -> tuple[str, ...] | None:
    if name not in store:
        return None
    given = store[name]
    if not isinstance(given, list | tuple):
        raise UserError.field(
            f"data[{where!r}].{name}",
            expected="a list of strings",
            got=type(given).__name__,
            fix="call it otherwise: this name is read as text",
        )
    _check_size(where, name, len(given), size)
    return tuple(given)


def _features(
    store: Any, kind: str, size: int
) -> tuple[dict[str, Categories], dict[str, np.ndarray]]:
    """The categorical and the numeric features of a node type."""
    floats: dict[str, np.ndarray] = {}
    for name, column in _columns(store, "numeric", kind, size):
        floats[name] = as_numpy(column)
    if "x" in store:
        columns = as_numpy(store["x"])
        _check_size(kind, "x", len(columns), size)
        columns = columns.reshape(size, -1)
        if columns.shape[1] > _MOST_COLUMNS:
            logger.warning(
                "data[%r].x: not read: %d columns, more than %d, are no features that "
                "have names",
                kind,
                columns.shape[1],
                _MOST_COLUMNS,
            )
        else:
            floats |= {f"x_{at}": column for at, column in enumerate(columns.T)}
    categories = {
        name: tuple((one,) if isinstance(one, str) else tuple(one) for one in column)
        for name, column in _columns(store, "categorical", kind, size)
    }
    known = {"num_nodes", "node_id", "title", "text", "x", "numeric", "categorical"}
    if others := sorted(set(store.keys()) - known):
        logger.warning("data[%r]: not read: %s", kind, ", ".join(others))
    return categories, floats


def _columns(store: Any, name: str, kind: str, size: int) -> Iterator[tuple[str, Any]]:
    """The columns of an attribute that is a mapping."""
    given = store.get(name, {})
    if not isinstance(given, Mapping):
        raise UserError.field(
            f"data[{kind!r}].{name}",
            expected="a mapping of names to columns",
            got=type(given).__name__,
            fix="call it otherwise",
        )
    for field, column in given.items():
        _check_size(kind, f"{name}[{field!r}]", len(column), size)
        yield field, column


def _check_size(where: str, name: str, got: int, size: int) -> None:
    if got != size:
        raise UserError.field(
            f"data[{where!r}].{name}", expected=f"{size} rows", got=got
        )
