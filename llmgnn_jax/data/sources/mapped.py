"""A dataset from several tables, by what a mapping says of their columns."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.collected import (
    Collected,
    Ids,
    Numbers,
    Words,
    categories_of,
    text_of,
)
from llmgnn_jax.data.sources.columns import check_columns
from llmgnn_jax.data.sources.interactions import collect, read_interactions
from llmgnn_jax.data.sources.mapped_links import Links, read_links
from llmgnn_jax.data.sources.table_file import TableFile
from llmgnn_jax.data.sources.wording import sentences
from llmgnn_jax.errors import UserError, excerpt

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The columns of the table of interactions."""

    file: Path
    user: str
    item: str
    value: str | None = None
    time: str | None = None
    text: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Side:
    """The columns of the table of users, or of items; a row for each."""

    file: Path
    id: str
    title: str | None = None
    text: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Entities:
    """The table that lists the entities of a kind; a row for each."""

    file: Path
    id: str


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """All that a mapping file says."""

    name: str
    interactions: Rows
    users: Side | None
    items: Side | None
    entities: Mapping[str, Entities]
    relations: Mapping[str, Links]


def read_mapped(mapped: Mapped) -> Dataset:
    """Reads the tables of a mapping.

    Users and items are those that their tables list, then those that are met in
    interactions alone, which are kept without text and features, and counted.

    Raises:
        UserError: For a table that is missing or malformed, a column that it lacks, an
            id that is missing or listed twice, or a value that cannot be read.
    """
    rows = mapped.interactions
    table = TableFile(rows.file)
    roles = {
        role: column
        for role in ("user", "item", "value", "time")
        if (column := getattr(rows, role)) is not None
    }
    texts = (("text", column) for column in rows.text)
    check_columns(table, "interactions", [*roles.items(), *texts])
    read = read_interactions(table, roles, texts=rows.text)
    kinds = ", ".join(f"{role}: {kind}" for role, kind in read.kinds.items())
    logger.info("%s: %s", table.path.name, kinds)
    users = _Listed(mapped.users, "users", read.user_ids, met_in=table.path)
    items = _Listed(mapped.items, "items", read.item_ids, met_in=table.path)
    index = {"user": users.index, "item": items.index}
    for kind, listed in mapped.entities.items():
        index[kind] = _listed_ids(TableFile(listed.file), f"entities.{kind}", listed.id)
    kept = frozenset(index)
    relations = {
        name: read_links(links, name=name, index=index, listed=kept)
        for name, links in mapped.relations.items()
    }
    return Dataset(
        name=mapped.name,
        user_ids=tuple(users.index),
        item_ids=tuple(items.index),
        users=users.places[read.users],
        items=items.places[read.items],
        values=read.values,
        timestamps=read.timestamps,
        item_titles=items.titles(),
        item_texts=items.texts(),
        user_texts=users.texts() if mapped.users and mapped.users.text else None,
        interaction_texts=read.texts,
        user_categorical=users.categorical(),
        item_categorical=items.categorical(),
        user_numeric=users.numeric(),
        item_numeric=items.numeric(),
        entities={kind: tuple(index[kind]) for kind in index if kind not in _SIDES},
        relations=relations,
    )


_SIDES = ("user", "item")


class _Listed:
    """Users or items: those of their table first, then those met in interactions.

    Attributes:
        index: External id -> number.
        places: For each id that was met, in that order, its number.
    """

    def __init__(
        self, side: Side | None, section: str, met: Sequence[str], *, met_in: Path
    ) -> None:
        self._side = side
        self.index: dict[str, int] = {}
        self._read: dict[str, Any] = {}
        if side is not None:
            table = TableFile(side.file)
            asked = _asked_of(side, table.path)
            # Keys of several columns have the column behind them.
            columns = [(key.split()[0], one.name) for key, one in asked.items()]
            check_columns(table, section, columns)
            self._read = collect(table, asked)
            self.index = _once(table.path, side.id, *self._read["id"])
        listed = len(self.index)
        self.places = np.array(
            [self.index.setdefault(one, len(self.index)) for one in met], np.int64
        )
        if side is not None and len(self.index) > listed:
            logger.warning(
                "%s lacks %d of the %d %s of %s: they are kept, without text or "
                "features",
                side.file.name,
                len(self.index) - listed,
                len(met),
                section,
                met_in.name,
            )

    def titles(self) -> tuple[str, ...]:
        return self._padded(self._read.get("title", []), "")

    def texts(self) -> tuple[str, ...]:
        """The sentences of the columns of texts; the titles where there are none."""
        columns = self._side.text if self._side else ()
        if not columns:
            return self.titles()
        parts = [self._read[f"text {column}"] for column in columns]
        return self._padded([sentences(*row) for row in zip(*parts, strict=True)], "")

    def categorical(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        columns = self._side.categorical if self._side else ()
        return {
            column: self._padded(self._read[f"categorical {column}"], ())
            for column in columns
        }

    def numeric(self) -> dict[str, np.ndarray]:
        columns = self._side.numeric if self._side else ()
        return {
            column: np.array(self._padded(self._read[f"numeric {column}"], np.nan))
            for column in columns
        }

    def _padded(self, values: Sequence[Any], filler: Any) -> tuple[Any, ...]:
        return (*values, *[filler] * (len(self.index) - len(values)))


def _asked_of(side: Side, path: Path) -> dict[str, Collected[Any]]:
    asked: dict[str, Collected[Any]] = {"id": Ids(path, side.id)}
    if side.title is not None:
        asked["title"] = Words(path, side.title, text_of)
    for column in side.text:
        asked[f"text {column}"] = Words(path, column, text_of)
    for column in side.categorical:
        asked[f"categorical {column}"] = Words(path, column, categories_of)
    for column in side.numeric:
        asked[f"numeric {column}"] = Numbers(path, column, may_be_missing=True)
    return asked


def _listed_ids(table: TableFile, section: str, column: str) -> dict[str, int]:
    """External id -> its row in a table that lists each once."""
    check_columns(table, section, [("id", column)])
    return _once(
        table.path, column, *collect(table, {"id": Ids(table.path, column)})["id"]
    )


def _once(path: Path, column: str, ids: list[str], codes: np.ndarray) -> dict[str, int]:
    """External id -> its row, each id having one.

    Raises:
        UserError: If one is listed again.
    """
    if len(ids) < len(codes):
        first = np.unique(codes, return_index=True)[1]
        again = np.ones(len(codes), bool)
        again[first] = False
        row = int(again.argmax())
        shown = excerpt(repr(ids[codes[row]]))
        raise UserError.field(
            f"{path.name}, row {row + 1}, column {column}",
            expected="each id once",
            got=f"{shown} again, one of {again.sum()} such rows",
            fix="merge the rows or drop all but one",
        )
    return {external_id: row for row, external_id in enumerate(ids)}
