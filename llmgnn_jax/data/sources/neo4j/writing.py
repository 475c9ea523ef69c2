"""Puts a `Dataset` into a database, so that it can be read from there."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import SIDES
from llmgnn_jax.data.sources.neo4j.connection import (
    Connection,
    Database,
    opened,
    refusing,
)
from llmgnn_jax.data.sources.neo4j.mapping import (
    Interactions,
    Links,
    Neo4jSource,
    Nodes,
)
from llmgnn_jax.data.sources.neo4j.queries import links, quoted
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)

_KEPT = ("id", "title", "text")
_BATCH = 5_000

Row = dict[str, Any]


def write_dataset(
    dataset: Dataset,
    *,
    connection: Connection,
    user_label: str = "User",
    item_label: str = "Item",
    type: str = "RATED",
) -> Neo4jSource:
    """Writes users, items, entities, interactions and relations.

    Nodes have `id`, `title`, `text` and a property for each feature; interactions have
    `value`, `time` and `text`; what is the same for all or missing is left out. Ids are
    strings. Each label gets a constraint that its ids are unique. Entities of the kind
    genre get the label Genre, the relation made_by the type MADE_BY.

    Nodes that are there get the properties; interactions must not be there yet. Written
    in transactions of 5,000 rows: interrupted, it leaves those that are complete.

    Args:
        dataset: What is written.
        connection: Where to.
        user_label: Of the nodes for users.
        item_label: Likewise.
        type: Of the relationships for interactions.

    Returns:
        The mapping that reads the same dataset.

    Raises:
        UserError: If the server cannot be reached, refuses or goes away, relationships
            of that type are there already, or a feature is called id, title or text.
    """
    labels = {"user": user_label, "item": item_label}
    labels |= {kind: kind.title() for kind in dataset.entities}
    types = {name: name.upper() for name in dataset.relations}
    for name in (*labels.values(), type, *types.values()):
        quoted(name)
    tables = {side: _side_rows(dataset, side) for side in SIDES}
    tables |= {kind: [{"id": one} for one in dataset.entities[kind]]
               for kind in dataset.entities}  # fmt: skip
    with opened(connection) as database:
        ends = {"interactions": ("user", type, "item")}
        for name, relation in dataset.relations.items():
            ends[name] = (relation.heads_of, types[name], relation.tails_of)
        for head, one, tail in ends.values():
            _check_empty(database, labels[head], one, labels[tail])
        for kind, rows in tables.items():
            _constrain(database, labels[kind])
            # SET n += row: what the row does not name stays.
            _in_batches(
                database,
                f"UNWIND $rows AS row MERGE (n:{quoted(labels[kind])} {{id: row.id}}) "
                "SET n += row.properties",
                ({"id": row["id"], "properties": row} for row in rows),
            )
        for name, (head, one, tail) in ends.items():
            _in_batches(
                database,
                f"UNWIND $rows AS row MATCH (h:{quoted(labels[head])} {{id: row.h}}) "
                f"MATCH (t:{quoted(labels[tail])} {{id: row.t}}) "
                f"CREATE (h)-[r:{quoted(one)}]->(t) SET r += row.properties",
                _interaction_rows(dataset)
                if name == "interactions"
                else _link_rows(dataset, name),
            )
    return _mapping(dataset, connection, labels, {"": type, **types})


def _check_empty(database: Database, head: str, type_: str, tail: str) -> None:
    pattern = links(head, type_, tail)
    found = database.all_rows(f"MATCH {pattern} RETURN count(r) AS there")[0][0]
    if found:
        raise UserError.field(
            database.connection.place,
            expected=f"no (:{head})-[:{type_}]->(:{tail}) yet",
            got=found,
            fix=f"choose another type, or MATCH {pattern} DELETE r",
        )


def _constrain(database: Database, label: str) -> None:
    with (
        refusing(database.connection, "CREATE CONSTRAINT"),
        database.session(access="WRITE") as session,
    ):
        session.run(
            f"CREATE CONSTRAINT IF NOT EXISTS FOR (n:{quoted(label)}) "
            "REQUIRE n.id IS UNIQUE"
        ).consume()


def _in_batches(database: Database, query: str, rows: Iterator[Row]) -> None:
    written = 0
    with (
        refusing(database.connection, ""),
        database.session(access="WRITE") as session,
    ):
        batch: list[Row] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                session.execute_write(_run, query, batch)
                written, batch = written + len(batch), []
        if batch:
            session.execute_write(_run, query, batch)
    logger.debug("%d rows: %s", written + len(batch), query)


def _run(transaction: Any, query: str, rows: Sequence[Row]) -> None:
    transaction.run(query, rows=rows).consume()


def _side_rows(dataset: Dataset, side: str) -> list[Row]:
    ids: Sequence[str] = getattr(dataset, f"{side}_ids")
    rows: list[Row] = [{"id": one} for one in ids]
    for name in ("title", "text"):
        texts = getattr(dataset, f"{side}_{name}s", None)
        for row, text in zip(rows, texts or (), strict=False):
            if text:
                row[name] = text
    for name, values in getattr(dataset, f"{side}_categorical").items():
        _check_name(side, name)
        for row, several in zip(rows, values, strict=True):
            if several:
                row[name] = list(several)
    for name, numbers in getattr(dataset, f"{side}_numeric").items():
        _check_name(side, name)
        for row, one in zip(rows, numbers.tolist(), strict=True):
            if not math.isnan(one):
                row[name] = one
    return rows


def _check_name(side: str, name: str) -> None:
    if name in _KEPT:
        raise UserError.field(
            f"{side} field",
            expected=f"another name than {', '.join(_KEPT)}",
            got=repr(name),
            fix="rename it in the dataset",
        )


def _interaction_rows(dataset: Dataset) -> Iterator[Row]:
    texts = dataset.interaction_texts
    said = _said(dataset)
    for row, (user, item, value, time) in enumerate(
        zip(
            dataset.users.tolist(),
            dataset.items.tolist(),
            dataset.values.tolist(),
            dataset.timestamps.tolist(),
            strict=True,
        )
    ):
        all_of = {"value": value, "time": time, "text": texts[row] if texts else ""}
        yield {
            "h": dataset.user_ids[user],
            "t": dataset.item_ids[item],
            "properties": {name: all_of[name] for name in said},
        }


def _link_rows(dataset: Dataset, name: str) -> Iterator[Row]:
    relation = dataset.relations[name]
    heads, tails = dataset.ids[relation.heads_of], dataset.ids[relation.tails_of]
    for head, tail, weight in zip(
        relation.heads.tolist(),
        relation.tails.tolist(),
        relation.weights.tolist(),
        strict=True,
    ):
        yield {"h": heads[head], "t": tails[tail], "properties": {"weight": weight}}


def _said(dataset: Dataset) -> tuple[str, ...]:
    """Which properties the interactions have."""
    there = {
        "value": bool((dataset.values != 1).any()),
        "time": bool(dataset.timestamps.any()),
        "text": any(dataset.interaction_texts or ()),
    }
    return tuple(name for name, one in there.items() if one)


def _mapping(
    dataset: Dataset,
    connection: Connection,
    labels: Mapping[str, str],
    types: Mapping[str, str],
) -> Neo4jSource:
    said = _said(dataset)
    return Neo4jSource(
        name=dataset.name,
        connection=connection,
        interactions=Interactions(
            user_label=labels["user"],
            item_label=labels["item"],
            type=types[""],
            **{name: name for name in said},  # type: ignore[arg-type]
        ),
        users=_nodes(dataset, "user"),
        items=_nodes(dataset, "item"),
        relations={
            name: Links(
                heads_of=one.heads_of,
                tails_of=one.tails_of,
                type=types[name],
                head_label=labels[one.heads_of],
                tail_label=labels[one.tails_of],
                weight="weight",
                directed=one.directed,
            )
            for name, one in dataset.relations.items()
        },
    )


def _nodes(dataset: Dataset, side: str) -> Nodes:
    """Of the properties that any node has: others cannot be read."""
    titles = getattr(dataset, f"{side}_titles", None)
    texts = getattr(dataset, f"{side}_texts")
    categorical = getattr(dataset, f"{side}_categorical")
    numeric = getattr(dataset, f"{side}_numeric")
    return Nodes(
        title="title" if titles and any(titles) else None,
        text="text" if texts and any(texts) else (),  # type: ignore[arg-type]
        categorical=tuple(name for name, one in categorical.items() if any(one)),
        numeric=tuple(
            name for name, one in numeric.items() if not all(map(math.isnan, one))
        ),
    )
