"""Why a query found nothing: what the database has in place of what was asked for."""

from collections.abc import Iterable

from llmgnn_jax.data.sources.neo4j.connection import Database
from llmgnn_jax.data.sources.neo4j.queries import links, quoted
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError

_SHOWN = 20
_LOOKED_AT = 100


def check_label(database: Database, label: str, *, what: str) -> None:
    """Passes if a node has the label.

    Raises:
        UserError: If none has; it says which labels there are.
    """
    found = database.all_rows(f"MATCH (n:{quoted(label)}) RETURN 1 AS one LIMIT 1")
    if not found:
        labels = _column(database, "CALL db.labels() YIELD label RETURN label AS name")
        raise UserError.field(
            what,
            expected=f"a label of {database.connection.place}: {_listed(labels)}",
            got=repr(label),
            fix=did_you_mean(label, labels),
        )


def no_links(
    database: Database, head: tuple[str, str], type_: tuple[str, str], tail: str
) -> UserError:
    """The error where no relationship leads from a label to another.

    Args:
        database: Where there is none.
        head: Label of the heads, and what messages call the table.
        type_: Of the relationships, and what messages call it.
        tail: Label of the tails.
    """
    types = _column(
        database,
        "CALL db.relationshipTypes() YIELD relationshipType "
        "RETURN relationshipType AS name",
    )
    if type_[0] not in types:
        return UserError.field(
            type_[1],
            expected=f"a type of {database.connection.place}: {_listed(types)}",
            got=repr(type_[0]),
            fix=did_you_mean(type_[0], types),
        )
    back = database.all_rows(
        f"MATCH {links(tail, type_[0], head[0])} RETURN 1 AS one LIMIT 1"
    )
    return UserError.field(
        head[1],
        expected=f"(:{head[0]})-[:{type_[0]}]->(:{tail})",
        got="none, but some the other way round" if back else "none",
        fix="exchange the two ends, or give cypher" if back else "see the labels",
    )


def no_property(
    database: Database, name: str, pattern: str, variable: str, *, what: str, of: str
) -> UserError:
    """The error where nodes or relationships lack a property.

    Args:
        database: Which one.
        name: Of the property.
        pattern: What was matched, quoted.
        variable: Which part of the pattern has it.
        what: What messages call the field of the mapping.
        of: What messages call those that lack it.
    """
    at = f"{variable}.{quoted(name)}"
    lacking = database.all_rows(
        f"MATCH {pattern} WHERE {at} IS NULL RETURN count({variable}) AS lacking"
    )[0][0]
    rows = database.all_rows(
        f"MATCH {pattern} RETURN keys({variable}) AS names LIMIT {_LOOKED_AT}"
    )
    names = sorted({one for (several,) in rows for one in several})
    return UserError.field(
        f"{what} {name!r}",
        expected=f"a property of every {of}",
        got=f"{lacking} without it",
        fix=did_you_mean(name, [one for one in names if one != name])
        or f"the first {len(rows)} have {_listed(names)}",
    )


def _column(database: Database, query: str) -> list[str]:
    return sorted(row[0] for row in database.all_rows(query))


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more
