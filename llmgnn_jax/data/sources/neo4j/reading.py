"""From a mapping to a `Dataset`: every query is streamed, nothing is held twice."""

import logging
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import SIDES
from llmgnn_jax.data.sources.neo4j.columns import Ids, number, seconds, words
from llmgnn_jax.data.sources.neo4j.connection import Database, opened
from llmgnn_jax.data.sources.neo4j.diagnosis import (
    check_label,
    no_links,
    no_property,
)
from llmgnn_jax.data.sources.neo4j.links import read_relation
from llmgnn_jax.data.sources.neo4j.mapping import Interactions, Neo4jSource
from llmgnn_jax.data.sources.neo4j.nodes import Side, place_of, read_side
from llmgnn_jax.data.sources.neo4j.queries import links as pattern_of
from llmgnn_jax.data.sources.neo4j.queries import match_links
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)

_CYPHER = "[interactions] cypher"


def read_source(source: Neo4jSource) -> Dataset:
    """Reads a dataset from a database.

    The queries run one after another, each in a transaction that only reads: what is
    written in between may be seen by some of them.

    Raises:
        UserError: If the server cannot be reached, refuses or goes away, a label, type
            or property is not there, an id is missing, repeats or changes its type, or
            a value is of no use.
    """
    with opened(source.connection) as database:
        users = read_side(database, source, "user")
        items = read_side(database, source, "item")
        read = _read_interactions(database, source, users, items)
        _count_unlisted({"user": users, "item": items})
        ids = {"user": users.ids, "item": items.ids}
        entities: dict[str, Ids] = {}
        for links in source.relations.values():
            for kind in {links.heads_of, links.tails_of}.difference(SIDES):
                entities.setdefault(kind, Ids(f"{kind} ids"))
        relations = {
            name: read_relation(database, source, name, {**ids, **entities})
            for name in source.relations
        }
    size = len(read.users)
    (user_categorical, user_numeric) = users.features()
    (item_categorical, item_numeric) = items.features()
    return Dataset(
        name=source.name,
        user_ids=users.ids.names(),
        item_ids=items.ids.names(),
        users=np.asarray(read.users),
        items=np.asarray(read.items),
        values=np.asarray(read.values) if read.values else np.ones(size),
        timestamps=np.asarray(read.times) if read.times else np.zeros(size, np.int64),
        item_titles=items.padded(items.titles, ""),
        item_texts=items.padded(items.texts or [], ""),
        user_texts=None if users.texts is None else users.padded(users.texts, ""),
        interaction_texts=tuple(read.texts) if read.texts else None,
        user_categorical=user_categorical,
        user_numeric=user_numeric,
        item_categorical=item_categorical,
        item_numeric=item_numeric,
        entities={kind: one.names() for kind, one in entities.items()},
        relations=relations,
    )


@dataclass(kw_only=True)
class _Read:
    """Interactions; `values`, `times` and `texts` stay empty where there are none."""

    users: array = field(default_factory=lambda: array("q"))
    items: array = field(default_factory=lambda: array("q"))
    values: array = field(default_factory=lambda: array("d"))
    times: array = field(default_factory=lambda: array("q"))
    texts: list[str] = field(default_factory=list)


def _read_interactions(
    database: Database, source: Neo4jSource, users: Side, items: Side
) -> _Read:
    mapping, read = source.interactions, _Read()
    ends = (source.nodes_of("user"), source.nodes_of("item"))
    query = mapping.cypher or _query(mapping, ends)
    with database.rows(query, what=_CYPHER) as (keys, rows):
        user_at, item_at = (
            place_of(one, keys, _CYPHER) for one in ("user_id", "item_id")
        )
        value_at, time_at, text_at = (
            keys.index(one) if one in keys else None
            for one in ("value", "time", "text")
        )
        for row in rows:
            if row[user_at] is None or row[item_at] is None:
                column = "user_id" if row[user_at] is None else "item_id"
                raise _lacking(database, mapping, ends, column)
            read.users.append(users.ids.number(row[user_at]))
            read.items.append(items.ids.number(row[item_at]))
            if value_at is not None:
                if row[value_at] is None:
                    raise _lacking(database, mapping, ends, "value")
                read.values.append(number(row[value_at], _field(mapping, "value")))
            if time_at is not None:
                if row[time_at] is None:
                    raise _lacking(database, mapping, ends, "time")
                at = seconds(
                    row[time_at], _field(mapping, "time"), unit=mapping.time_unit
                )
                read.times.append(at)
            if text_at is not None:
                read.texts.append(words(row[text_at], _field(mapping, "text")))
    if not read.users:
        raise _nothing(database, mapping, ends)
    if text_at is not None and not any(read.texts):
        raise _lacking(database, mapping, ends, "text")
    return read


_Ends = tuple[tuple[str | None, str], tuple[str | None, str]]


def _query(mapping: Interactions, ends: _Ends) -> str:
    (user_label, user_id), (item_label, item_id) = ends
    assert user_label is not None  # Interactions refuses to be without.
    assert item_label is not None
    columns = ("value", "time", "text")
    properties = [(getattr(mapping, one), one) for one in columns]
    return match_links(
        (user_label, [(user_id, "user_id")]),
        mapping.type or "",
        (item_label, [(item_id, "item_id")]),
        [(property_, column) for property_, column in properties if property_],
    )


def _field(mapping: Interactions, column: str) -> str:
    """What messages call a column."""
    name = getattr(mapping, column)
    return f"{_CYPHER}, column {column}" if name is None else f"{mapping.type}.{name}"


def _lacking(
    database: Database, mapping: Interactions, ends: _Ends, column: str
) -> UserError:
    """The error for a null in a column."""
    if mapping.cypher is not None:
        return UserError.field(
            _CYPHER,
            expected=f"a {column} in each row" if column != "text" else "a text",
            got="null",
            fix="leave such rows out with WHERE ... IS NOT NULL, or use coalesce",
        )
    labels = [str(label) for label, _ in ends]
    names = {"user_id": (ends[0][1], "h"), "item_id": (ends[1][1], "t")}
    property_, variable = names.get(column, (getattr(mapping, column, None), "r"))
    of = {"h": labels[0], "t": labels[1], "r": mapping.type}[variable]
    return no_property(
        database,
        str(property_),
        pattern_of(labels[0], mapping.type or "", labels[1]),
        variable,
        what=f"interactions.{column}",
        of=str(of),
    )


def _nothing(database: Database, mapping: Interactions, ends: _Ends) -> UserError:
    """The error for a database without interactions."""
    if mapping.cypher is not None:
        return UserError.field(_CYPHER, expected="at least one row", got="none")
    labels = [str(label) for label, _ in ends]
    for side, label in zip(SIDES, labels, strict=True):
        check_label(database, label, what=f"interactions.{side}_label")
    return no_links(
        database,
        (labels[0], "interactions"),
        (str(mapping.type), "interactions.type"),
        labels[1],
    )


def _count_unlisted(sides: dict[str, Side]) -> None:
    for name, side in _listed(sides):
        more = len(side.ids) - (side.listed or 0)
        if more:
            logger.warning(
                "[%ss] lacks %d ids of the interactions: they are kept, without title, "
                "text or features",
                name,
                more,
            )


def _listed(sides: dict[str, Side]) -> Iterator[tuple[str, Side]]:
    return ((name, side) for name, side in sides.items() if side.listed is not None)
