"""RecBole atomic files: NAME.inter, and what stands beside it: NAME.item, NAME.user,
NAME.kg with NAME.link (`recbole_triples`).

The format (https://recbole.io/docs/user_guide/data/atomic_files.html): tab-separated, a
header of `name:type` with the types token, token_seq, float and float_seq, sequences
separated by spaces. What a column is for is not part of the format, so this reader
goes by the names that the published datasets use:

    .inter  user_id, item_id; rating | value | weight | label; timestamp; every
            token_seq is text of the interaction
    .item   item_id; the title is title | name | *_title | *_name, and release_year or
            year is added to it; class | genre(s) | category | categories | tags are
            categories; every other token_seq is text
    .user   user_id; token_seq as in .item

Other token columns become categorical fields; float columns and `age` numeric ones.
float_seq columns are not read.

An interaction with a user or item that its file lacks is kept, with "" as title and
text: the interaction happened. (RecBole drops it by default.)
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.fields import number_or_nan
from llmgnn_jax.data.sources.files import stands_there
from llmgnn_jax.data.sources.recbole_header import header_columns
from llmgnn_jax.data.sources.recbole_triples import read_triples
from llmgnn_jax.data.sources.table import (
    LARGEST,
    Block,
    concatenated,
    read_blocks,
)
from llmgnn_jax.data.sources.wording import catalogue_text, clean, titled, year_of
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)
T = TypeVar("T")

_VALUE_COLUMNS = ("rating", "value", "weight", "label")
_YEAR_COLUMNS = ("release_year", "year")
_CATEGORY_COLUMNS = ("class", "genre", "genres", "category", "categories", "tags")
_RENAMED = {"class": "genre", "genres": "genre"}
# The published conversion of MovieLens-100K spells its one unknown title so.
_UNKNOWN = ("unknown", "unkonwn")


def read_recbole(folder: Path | str, *, name: str | None = None) -> Dataset:
    """Reads a folder of RecBole atomic files.

    Args:
        folder: Holds NAME.inter, and optionally NAME.item and NAME.user, and triples in
            NAME.kg and NAME.link.
        name: NAME; not needed where the folder holds one .inter file.

    Raises:
        UserError: For a missing file or column, a malformed header or line, a duplicate
            id in the .item or .user file, a value that is no number, a negative
            timestamp, or no interactions.
    """
    path = _interactions_file(Path(folder), name)
    users = _read_side(path.with_suffix(".user"), "user_id")
    items = _read_side(path.with_suffix(".item"), "item_id")
    columns = header_columns(path, required=("user_id", "item_id"))
    value_column = next((c for c in _VALUE_COLUMNS if c in columns), None)
    text_columns = [c for c, kind in columns.items() if kind == "token_seq"]
    parts: list[tuple[np.ndarray, ...]] = []
    texts: list[str] = []
    for block in read_blocks(path, tuple(columns), delimiter="\t", skip_lines=1):
        size = len(block.lines)
        parts.append(
            (
                users.number(block.ids("user_id")),
                items.number(block.ids("item_id")),
                block.numbers(value_column) if value_column else np.ones(size),
                block.seconds("timestamp")
                if "timestamp" in columns
                else np.zeros(size, np.int64),
            )
        )
        texts += _joined(block, text_columns)
    user_rows, item_rows, values, timestamps = concatenated(parts)
    for side in (users, items):
        if side.listed and len(side.index) > side.listed:
            logger.warning(
                "%s lacks %d ids of %s: they are kept, without title, text or features",
                side.path.name,
                len(side.index) - side.listed,
                path.name,
            )
    entities, relations = read_triples(path, items.index)
    return Dataset(
        name=path.stem,
        user_ids=tuple(users.index),
        item_ids=tuple(items.index),
        users=user_rows,
        items=item_rows,
        values=values,
        timestamps=timestamps,
        item_titles=items.padded(items.titles, ""),
        item_texts=items.padded(items.texts, ""),
        user_texts=users.padded(users.texts, "") if any(users.texts) else None,
        interaction_texts=tuple(texts) if text_columns else None,
        user_categorical=users.categorical_columns(),
        item_categorical=items.categorical_columns(),
        user_numeric=users.numeric_columns(),
        item_numeric=items.numeric_columns(),
        entities=entities,
        relations=relations,
    )


@dataclass(kw_only=True)
class _Side:
    """Users or items: the listed ones first, then those met in interactions."""

    path: Path
    index: dict[str, int] = field(default_factory=dict)
    listed: int = 0
    titles: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    categorical: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    numeric: dict[str, list[float]] = field(default_factory=dict)
    strange_ages: int = 0

    def number(self, ids: Iterable[str]) -> np.ndarray:
        """(n,) int64 indices of external ids, new ones added."""
        index = self.index
        return np.array([index.setdefault(i, len(index)) for i in ids], np.int64)

    def padded(self, rows: Sequence[T], missing: T) -> tuple[T, ...]:
        """The rows of the listed ones, then `missing` for the others."""
        return (*rows, *[missing] * (len(self.index) - len(rows)))

    def categorical_columns(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        return {key: self.padded(rows, ()) for key, rows in self.categorical.items()}

    def numeric_columns(self) -> dict[str, np.ndarray]:
        return {
            key: np.array(self.padded(rows, np.nan))
            for key, rows in self.numeric.items()
        }


def _read_side(path: Path, id_column: str) -> _Side:
    """Reads a .item or .user file; where there is none, nothing is listed."""
    side = _Side(path=path)
    if not stands_there(path):
        return side
    columns = header_columns(path, required=(id_column,))
    title_column = year_column = None
    if id_column == "item_id":
        title_column = next((c for c in columns if _is_title(c)), None)
        year_column = next((c for c in _YEAR_COLUMNS if c in columns), None)
    used = (id_column, title_column, year_column)
    features = {c: kind for c, kind in columns.items() if c not in used}
    prose_columns = [
        c
        for c, k in features.items()
        if k == "token_seq" and c not in _CATEGORY_COLUMNS
    ]
    for block in read_blocks(path, tuple(columns), delimiter="\t", skip_lines=1):
        for row, external_id in enumerate(block.ids(id_column)):
            if external_id in side.index:
                raise block.error(
                    row,
                    id_column,
                    expected="each id once",
                    fix="the id stands in an earlier line too: merge the two",
                )
            side.index[external_id] = len(side.index)
        titles = _titles(block, title_column, year_column)
        if year_column:
            _extend(side.numeric, "release_year", [year_of(title) for title in titles])
        categories = _add_features(side, block, features)
        side.titles += titles
        side.texts += [
            catalogue_text(*parts)
            for parts in zip(
                titles, categories, _joined(block, prose_columns), strict=True
            )
        ]
    side.listed = len(side.index)
    if side.strange_ages:
        logger.warning(
            "%s: %d ages are no number and count as unknown", path, side.strange_ages
        )
    return side


def _titles(block: Block, title: str | None, year: str | None) -> list[str]:
    """The title of each row, with its year; "" where it is unknown."""
    size = len(block.lines)
    titles = block.columns[title] if title else ("",) * size
    years = block.columns[year] if year else ("",) * size
    return [
        # A float column says 1995.0.
        titled(_known(t), _known(y).removesuffix(".0"))
        for t, y in zip(titles, years, strict=True)
    ]


def _add_features(
    side: _Side, block: Block, features: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Adds a block's features; returns the categories of each row, for its text."""
    categories: list[tuple[str, ...]] = [()] * len(block.lines)
    for column, kind in features.items():
        fields = block.columns[column]
        if column in _CATEGORY_COLUMNS and kind in ("token", "token_seq"):
            rows = [tuple(filter(None, map(_known, f.split(" ")))) for f in fields]
            if kind == "token":
                rows = [(_known(f),) if _known(f) else () for f in fields]
            renamed = _RENAMED.get(column, column)
            alone = sum(_RENAMED.get(c, c) == renamed for c in features) == 1
            _extend(side.categorical, renamed if alone else column, rows)
            categories = [a + b for a, b in zip(categories, rows, strict=True)]
        elif column == "age" and kind == "token":
            ages = np.array([number_or_nan(f) for f in fields])
            ages[~(np.abs(ages) <= LARGEST)] = np.nan
            side.strange_ages += int(np.isnan(ages).sum()) - fields.count("")
            _extend(side.numeric, column, ages.tolist())
        elif kind == "token":
            rows = [(clean(f),) if f.strip() else () for f in fields]
            _extend(side.categorical, column, rows)
        elif kind == "float":
            numbers = block.numbers(column, missing=True)
            _extend(side.numeric, column, numbers.tolist())
    return categories


def _extend(columns: dict[str, list[T]], key: str, rows: list[T]) -> None:
    columns.setdefault(key, []).extend(rows)


def _joined(block: Block, columns: Sequence[str]) -> list[str]:
    """The cleaned texts of several columns as one text a row."""
    if not columns:
        return [""] * len(block.lines)
    rows = zip(*(block.columns[column] for column in columns), strict=True)
    return [" ".join(filter(None, map(clean, row))) for row in rows]


def _known(value: str) -> str:
    """The cleaned value; "" where it says that it is unknown."""
    value = clean(value)
    return "" if value in _UNKNOWN else value


def _is_title(column: str) -> bool:
    return column in ("title", "name") or column.endswith(("_title", "_name"))


def _interactions_file(folder: Path, name: str | None) -> Path:
    """The one .inter file that is meant."""
    if not folder.is_dir():
        raise UserError.field(
            str(folder), expected="a folder of RecBole atomic files", got="no folder"
        )
    found = {path.stem: path for path in sorted(folder.glob("*.inter"))}
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name in found:
        return found[name]
    raise UserError.field(
        str(folder),
        expected="one .inter file" if name is None else f"a file {name}.inter",
        got=", ".join(path.name for path in found.values()) or "none",
        fix="give its name" if found else "see the RecBole docs on atomic files",
    )
