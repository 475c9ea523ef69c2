"""A mapping as a TOML document:

name = "films"
[neo4j]
uri = "bolt://localhost:7687"
[interactions]
user_label = "User"
item_label = "Film"
type = "RATED"
value = "stars"
[items]
title = "name"
text = ["plot", "tagline"]
[relations.directed_by]
heads_of = "item"
tails_of = "director"
type = "DIRECTED_BY"
tail_label = "Person"
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from llmgnn_jax.data.sources.neo4j.connection import Connection
from llmgnn_jax.data.sources.neo4j.mapping import (
    Interactions,
    Links,
    Neo4jSource,
    Nodes,
)
from llmgnn_jax.data.sources.toml_file import read_toml
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError

T = TypeVar("T")

_SECTIONS = ("name", "neo4j", "interactions", "items", "users", "relations")


def load_source(path: Path | str) -> Neo4jSource:
    """The mapping that a TOML file holds.

    Raises:
        UserError: If it cannot be read, is no TOML, or as `source_of`.
    """
    path = Path(path).expanduser()
    return source_of(read_toml(path), folder=path.absolute().parent)


def source_of(document: Mapping[str, Any], *, folder: Path) -> Neo4jSource:
    """The mapping that a document holds.

    Args:
        document: As read.
        folder: Where it lies; its name is the dataset's where it names none.

    Raises:
        UserError: For a table or field that is unknown, missing or of another type.
    """
    _known("", document, _SECTIONS)
    name = document.get("name", folder.name or "neo4j")
    if not isinstance(name, str) or not name:
        raise UserError.field("name", expected="a name", got=repr(name))
    if "password" in _table(document, "neo4j"):
        raise UserError.field(
            "neo4j.password",
            expected="no password in a file",
            got="one",
            fix="remove it and export LLMGNN_NEO4J_PASSWORD, or the variable that "
            "neo4j.password_env names",
        )
    relations = document.get("relations", {})
    if not isinstance(relations, Mapping):
        raise _no_table("relations", relations)
    return Neo4jSource(
        name=name,
        connection=_built(Connection, document, "neo4j"),
        interactions=_built(Interactions, document, "interactions"),
        items=_built(Nodes, document, "items") if "items" in document else None,
        users=_built(Nodes, document, "users") if "users" in document else None,
        relations={
            one: _built(Links, relations, one, within="relations.") for one in relations
        },
    )


def _table(document: Mapping[str, Any], name: str, within: str = "") -> Any:
    table = document.get(name)
    if not isinstance(table, Mapping):
        raise _no_table(f"{within}{name}", table)
    return table


def _no_table(name: str, got: object) -> UserError:
    return UserError.field(
        f"[{name}]",
        expected="a table",
        got="none" if got is None else repr(got),
        fix="docs/neo4j.md has an example",
    )


def _known(where: str, table: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for key in table:
        if key not in names:
            raise UserError.field(
                f"{where}{key}",
                expected=f"one of {', '.join(names)}",
                got="an unknown field",
                fix=did_you_mean(key, names),
            )


def _built(
    kind: type[T], document: Mapping[str, Any], name: str, within: str = ""
) -> T:
    """A dataclass from the table of that name."""
    table, where = _table(document, name, within), f"{within}{name}."
    fields = dataclasses.fields(cast(Any, kind))
    _known(where, table, tuple(one.name for one in fields))
    types, values = get_type_hints(kind), {}
    for one in fields:
        if one.name in table:
            values[one.name] = _typed(
                where + one.name, table[one.name], types[one.name]
            )
        elif (
            one.default is dataclasses.MISSING
            and one.default_factory is dataclasses.MISSING
        ):
            raise UserError.field(where + one.name, expected="a string", got="none")
    return kind(**values)


def _typed(name: str, value: Any, wanted: Any) -> Any:
    if wanted is bool:
        if not isinstance(value, bool):
            raise UserError.field(name, expected="true or false", got=repr(value))
        return value
    if wanted == tuple[str, ...]:
        several = [value] if isinstance(value, str) else value
        if not isinstance(several, list) or not all(
            isinstance(one, str) for one in several
        ):
            raise UserError.field(name, expected="a name or several", got=repr(value))
        return tuple(several)
    if not isinstance(value, str):
        raise UserError.field(name, expected="a string", got=repr(value))
    return value
