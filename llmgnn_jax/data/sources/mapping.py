"""A mapping file: which columns of which tables are users, items, features and links.

    name = "shop"

    [interactions]
    file = "orders.parquet"           # paths are relative to this file
    user = "customer"
    item = "sku"
    value = "stars"                   # value, time and text may be left out
    time = "ordered_at"
    text = ["headline", "review"]     # one column or several

    [items]                           # may be left out, as may be [users]
    file = "catalogue.csv"
    id = "sku"
    title = "name"
    text = ["name", "description"]    # what is encoded; the title if left out
    categorical = ["brand", "tags"]
    numeric = ["price"]

    [users]
    file = "customers.csv"
    id = "customer"
    text = "about"
    categorical = ["country"]

    [entities.brand]                  # only to name what no link may go beyond
    file = "brands.csv"
    id = "brand"

    [relations.bought_together]
    file = "together.parquet"
    head = "sku"
    tail = "other_sku"
    heads_of = "item"                 # "user", "item" or a kind of entities
    tails_of = "item"
    weight = "times"                  # may be left out: 1
    directed = false

A document with a table [neo4j] is read by `sources.neo4j` instead.
"""

import dataclasses
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.mapped import (
    Entities,
    Mapped,
    Rows,
    Side,
    read_mapped,
)
from llmgnn_jax.data.sources.mapped_links import Links
from llmgnn_jax.data.sources.neo4j import read_neo4j
from llmgnn_jax.data.sources.table_file import TABLES, ending_of
from llmgnn_jax.data.sources.toml_file import read_toml
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError, excerpt

MAPPING = ".toml"
NEO4J = "neo4j"

_TAKEN = ("all", "interactions")
_ENDS = ("user", "item")
_KEYS = ("name", "interactions", "items", "users", "entities", "relations")
T = TypeVar("T")


def read_mapping(path: Path | str) -> Dataset:
    """Reads what a mapping file names.

    Args:
        path: A TOML file. Its name is that of the dataset where it does not say one.

    Raises:
        UserError: If it is missing, no TOML or says what is not known, and as
            `read_mapped`.
    """
    path = named_path(path)
    document = read_toml(path)
    if NEO4J in document:
        return read_neo4j(document, folder=path.parent)
    return read_mapped(mapped_of(document, folder=path.parent, source=path.name))


def mapped_of(document: Mapping[str, Any], *, folder: Path, source: str) -> Mapped:
    """What a document says, checked.

    Args:
        document: As TOML gives it.
        folder: Which paths are relative to.
        source: Of the document, for errors.

    Raises:
        UserError: For an unknown or missing key, a value of another type, or a kind
            of entities that looks like a slip of the pen.
    """
    _check_keys(document, _KEYS, source)
    name = document.get("name", Path(source).stem)
    if not isinstance(name, str) or not name:
        raise UserError.field(
            f"{source}: name", expected="text in quotes", got=excerpt(repr(name))
        )

    def one(cls: type[T], key: str) -> T:
        return _built(cls, document[key], f"{source}: {key}", folder)

    def several(cls: type[T], key: str) -> dict[str, T]:
        tables = document.get(key, {})
        where = f"{source}: {key}"
        if not isinstance(tables, dict):
            raise _no_table(where, tables)
        return {
            name: _built(cls, table, f"{where}.{name}", folder)
            for name, table in tables.items()
        }

    if "interactions" not in document:
        raise UserError.field(
            source,
            expected="a table [interactions]",
            got=excerpt(", ".join(document)) or "none",
        )
    entities, relations = several(Entities, "entities"), several(Links, "relations")
    for kind in set(_ENDS) & set(entities):
        raise UserError.field(
            f"{source}: entities.{kind}",
            expected="a kind that is neither user nor item",
            got=excerpt(repr(kind)),
            fix=f"list them in [{kind}s]",
        )
    known = (*_ENDS, *entities)
    for name_, links in relations.items():
        if name_ in _TAKEN:
            raise UserError.field(
                f"{source}: relations.{name_}",
                expected="another name",
                got="one that stands for all relations, or for the interactions",
            )
        for end in ("heads_of", "tails_of"):
            kind = getattr(links, end)
            if kind not in known and (near := did_you_mean(kind, known)):
                raise UserError.field(
                    f"{source}: relations.{name_}.{end}",
                    expected=f"one of {', '.join(known)}, or another kind of entities",
                    got=excerpt(repr(kind)),
                    fix=f"{near} Else list its ids in [entities.{kind}]",
                )
    return Mapped(
        name=name,
        interactions=one(Rows, "interactions"),
        users=one(Side, "users") if "users" in document else None,
        items=one(Side, "items") if "items" in document else None,
        entities=entities,
        relations=relations,
    )


def _built(cls: type[T], table: object, where: str, folder: Path) -> T:
    """A table of the document as the dataclass that it describes."""
    if not isinstance(table, dict):
        raise _no_table(where, table)
    fields = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    _check_keys(table, fields, where)
    values = {}
    for name, item in fields.items():
        if name in table:
            values[name] = _typed(item.type, table[name], f"{where}.{name}", folder)
        elif item.default is dataclasses.MISSING:
            raise UserError.field(
                where, expected=f"a key {name}", got=excerpt(", ".join(table)) or "none"
            )
    return cls(**values)


def _typed(kind: object, value: object, where: str, folder: Path) -> object:
    """A value of the document in the type of a field."""
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise UserError.field(where, expected="true or false", got=excerpt(repr(value)))
    if typing.get_origin(kind) is tuple:
        several = value if isinstance(value, list) else [value]
        if all(isinstance(one, str) and one for one in several):
            return tuple(several)
        raise UserError.field(
            where, expected="a column or a list of columns", got=excerpt(repr(value))
        )
    if not isinstance(value, str) or not value:
        raise UserError.field(
            where, expected="text in quotes", got=excerpt(repr(value))
        )
    return _file(value, where, folder) if kind is Path else value


def _file(value: str, where: str, folder: Path) -> Path:
    """The path of a table; what may be asked about and has an ending is one."""
    try:
        path = named_path(folder / named_path(value))
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    if ending_of(path) is None and not path.is_dir():
        raise UserError.field(
            where,
            expected=f"a file that ends in one of {', '.join(TABLES)}",
            got=excerpt(repr(value)),
        )
    return path


def _check_keys(table: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise UserError.field(
                f"{where}: {excerpt(key)}",
                expected=f"one of {', '.join(known)}",
                got="an unknown key",
                fix=did_you_mean(key, known),
            )


def _no_table(where: str, got: object) -> UserError:
    return UserError.field(where, expected="a table", got=excerpt(repr(got)))
