"""Reads users and items: ids, titles, texts and features, listed in a table or not."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from llmgnn_jax.data.sources.neo4j.columns import Ids, categories, number, words
from llmgnn_jax.data.sources.neo4j.connection import Database
from llmgnn_jax.data.sources.neo4j.diagnosis import check_label, no_property
from llmgnn_jax.data.sources.neo4j.mapping import Neo4jSource, Nodes
from llmgnn_jax.data.sources.neo4j.queries import match_nodes, quoted
from llmgnn_jax.data.sources.wording import catalogue_text, sentences
from llmgnn_jax.errors import UserError

T = TypeVar("T")


@dataclass(kw_only=True)
class Side:
    """Users or items: those that were listed first, then those met in interactions.

    Attributes:
        ids: Of all of them.
        listed: How many a table listed; None where there is no table.
        titles: Of those that were listed.
        texts: Likewise; None where nothing is said of them.
        categorical: Field -> likewise.
        numeric: Field -> likewise.
    """

    ids: Ids
    listed: int | None = None
    titles: list[str] = field(default_factory=list)
    texts: list[str] | None = None
    categorical: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    numeric: dict[str, array] = field(default_factory=dict)

    def padded(self, column: Sequence[T], missing: T) -> tuple[T, ...]:
        """The column, filled up for those that were not listed."""
        return (*column, *[missing] * (len(self.ids) - len(column)))

    def features(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The categorical and the numeric columns of all."""
        return (
            {name: self.padded(one, ()) for name, one in self.categorical.items()},
            {
                name: np.asarray(self.padded(one, np.nan))
                for name, one in self.numeric.items()
            },
        )


def read_side(database: Database, source: Neo4jSource, side: str) -> Side:
    """Reads the table of users or of items; an empty one where the mapping has none.

    Raises:
        UserError: For a label or property that no node has, a column that the query
            does not return, an id that is missing or repeats, or a value of no use.
    """
    nodes: Nodes | None = getattr(source, f"{side}s")
    label, id_ = source.nodes_of(side)
    if nodes is None or nodes.cypher is not None:
        ids = Ids(f"{side} ids")
    else:
        ids = Ids(f"{side} ids ({label}.{id_})")
    if nodes is None:
        return Side(ids=ids)
    if nodes.cypher is not None:
        return _from_query(database, nodes, Side(ids=ids), side)
    assert label is not None  # Neo4jSource refuses a table without.
    return _from_label(database, nodes, Side(ids=ids), (side, label, id_))


def _from_label(
    database: Database, nodes: Nodes, side: Side, of: tuple[str, str, str]
) -> Side:
    name, label, id_ = of
    fields = [("id", id_)]
    fields += [("title", nodes.title)] if nodes.title else []
    fields += [("text", one) for one in nodes.text]
    fields += [("categorical", one) for one in nodes.categorical]
    fields += [("numeric", one) for one in nodes.numeric]
    # Numbered: a property may serve twice, and a column may not.
    query = match_nodes(label, [(one, f"c{n}") for n, (_, one) in enumerate(fields)])
    pattern = f"(n:{quoted(label)})"

    def lacking(role: str, property_: str) -> UserError:
        what = "interactions." + f"{name}_id" if not nodes.id else f"{name}s.id"
        return no_property(
            database,
            property_,
            pattern,
            "n",
            what=what if role == "id" else f"{name}s.{role}",
            of=label,
        )

    with database.rows(query) as (_, rows):
        _fill(
            side,
            rows,
            [(role, one, n) for n, (role, one) in enumerate(fields)],
            lacking,
            name,
        )
    if not side.listed:
        what = f"{name}s.label" if nodes.label else f"interactions.{name}_label"
        check_label(database, label, what=what)
    return side


def _from_query(database: Database, nodes: Nodes, side: Side, name: str) -> Side:
    where = f"[{name}s] cypher"
    with database.rows(nodes.cypher or "", what=where) as (keys, rows):
        fields = [("id", "id")]
        fields += [(one, one) for one in ("title", "text") if one in keys]
        fields += [("categorical", one) for one in nodes.categorical]
        fields += [("numeric", one) for one in nodes.numeric]
        places = [(role, one, place_of(one, keys, where)) for role, one in fields]

        def lacking(role: str, column: str) -> UserError:
            return UserError.field(
                where,
                expected=f"a value in the column {column}"
                + (" of each row" if role == "id" else ""),
                got="null",
            )

        _fill(side, rows, places, lacking, name)
    if not side.listed:
        raise UserError.field(where, expected="at least one row", got="none")
    return side


def place_of(column: str, keys: Sequence[str], where: str) -> int:
    """Where a column stands in what a query returns.

    Raises:
        UserError: If it is not there.
    """
    if not keys:
        return 0  # Some servers name no columns where there are no rows.
    if column not in keys:
        raise UserError.field(
            where,
            expected=f"a column {column}",
            got=", ".join(keys) or "none",
            fix=f"RETURN ... AS {column}",
        )
    return list(keys).index(column)


def _fill(
    side: Side,
    rows: Iterable[tuple[Any, ...]],
    fields: Sequence[tuple[str, str, int]],
    lacking: Callable[[str, str], UserError],
    name: str,
) -> None:
    """Reads rows into a side.

    Args:
        side: Empty.
        rows: As they come.
        fields: (role, name, place in a row) of each that is read; the id is the first.
        lacking: (role, name) -> the error for an id that is null, or a field that is
            null in all rows.
        name: "user" or "item".
    """
    id_place = fields[0][2]
    of = {
        role: [(one, place) for kind, one, place in fields if kind == role]
        for role in ("title", "text", "categorical", "numeric")
    }
    side.categorical = {one: [] for one, _ in of["categorical"]}
    side.numeric = {one: array("d") for one, _ in of["numeric"]}
    said = bool(of["text"]) or name == "item"
    texts: list[str] | None = [] if said else None
    side.texts = texts
    unseen = {place: (role, one) for role, one, place in fields}
    for row in rows:
        for place in [place for place in unseen if row[place] is not None]:
            del unseen[place]
        if row[id_place] is None:
            raise lacking("id", fields[0][1])
        side.ids.add(row[id_place])
        where = f"{name} {row[id_place]!r}: "
        title = "".join(words(row[at], where + one) for one, at in of["title"])
        side.titles.append(title)
        grouped: list[str] = []
        for one, at in of["categorical"]:
            values = categories(row[at], where + one)
            side.categorical[one].append(values)
            grouped += values
        for one, at in of["numeric"]:
            side.numeric[one].append(number(row[at], where + one, missing=True))
        if texts is not None:
            parts = [words(row[at], where + one) for one, at in of["text"]]
            if not parts:
                texts.append(catalogue_text(title, grouped))
            else:
                texts.append(parts[0] if len(parts) == 1 else sentences(*parts))
    side.listed = len(side.ids)
    if side.listed and unseen:
        raise lacking(*next(iter(unseen.values())))
