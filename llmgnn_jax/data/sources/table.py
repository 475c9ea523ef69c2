"""Delimited text files in blocks, with errors that name file, line and column.

No quoting and no escapes, as in the files this package reads: a delimiter ends a field
wherever it stands.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from llmgnn_jax.data.sources.fields import (
    comma_hint,
    holds_control,
    is_blank,
    number_or_nan,
)
from llmgnn_jax.data.sources.files import (
    decode,
    open_file,
    return_hint,
    unreadable,
)
from llmgnn_jax.errors import UserError, excerpt

# Enough to spread the cost of NumPy calls; small enough to keep Python strings few.
_BLOCK_LINES = 65_536
LARGEST = float(np.finfo(np.float32).max)
"""A float32 holds no more."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Consecutive lines of a table.

    Attributes:
        path: The file.
        columns: Column name -> its fields, one a line.
        lines: The line number (from 1) of each row.
    """

    path: Path
    columns: dict[str, tuple[str, ...]]
    lines: Sequence[int]

    def error(self, row: int, column: str, *, expected: str, fix: str) -> UserError:
        """The standard sentence for one field of this block."""
        return UserError.field(
            f"{self.path.name}, line {self.lines[row]}, column {column}",
            expected=expected,
            got=excerpt(repr(self.columns[column][row])),
            fix=fix,
        )

    def numbers(self, column: str, *, missing: bool = False) -> np.ndarray:
        """(n,) float64: finite numbers; an empty field is NaN where `missing`.

        Raises:
            UserError: If a field is no number, NaN, or more than a float32 holds.
        """
        fields = self.columns[column]
        if missing and "" in fields:
            filled = tuple(value or "0" for value in fields)
            empty = np.array([value == "" for value in fields])
            numbers = replace(self, columns={column: filled}).numbers(column)
            return np.where(empty, np.nan, numbers)
        try:
            if "_" in "".join(fields):  # NumPy takes "1_000" too, as `float` does.
                raise ValueError
            numbers = np.array(fields, dtype=np.float64)
        except ValueError:
            numbers = np.array([number_or_nan(value) for value in fields])
        # Written so that NaN is wrong too.
        wrong = ~(np.abs(numbers) <= LARGEST)
        if wrong.any():
            row = int(wrong.argmax())
            raise self.error(
                row,
                column,
                expected="a finite number",
                fix=comma_hint(fields[row]) or "fill the value in or drop the line",
            )
        return numbers

    def seconds(self, column: str) -> np.ndarray:
        """(n,) int64: timestamps, cut down to whole seconds.

        Raises:
            UserError: If a field is no number or negative.
        """
        numbers = self.numbers(column)
        # Above 2**53 a float64 no longer counts seconds one by one.
        wrong = (numbers < 0) | (numbers > 2.0**53)
        if wrong.any():
            raise self.error(
                int(wrong.argmax()),
                column,
                expected="seconds since 1970, not negative",
                fix="use 0 where there is no time",
            )
        return numbers.astype(np.int64)

    def ids(self, column: str) -> tuple[str, ...]:
        """The fields, none of them blank or with a control character in it.

        `" 7"` and `"7"` are two ids all the same.

        Raises:
            UserError: If one is.
        """
        fields = self.columns[column]
        if "" in map(str.strip, fields):
            row = next(row for row, field in enumerate(fields) if is_blank(field))
            raise self.error(row, column, expected="an id", fix="drop the line")
        if holds_control("".join(fields)):
            row = next(row for row, field in enumerate(fields) if holds_control(field))
            raise self.error(
                row,
                column,
                expected="an id without control characters",
                fix="mend the id or drop the line",
            )
        return fields

    def add_ids(self, column: str, index: dict[str, int]) -> None:
        """Numbers the ids of a column in an index, each of them new.

        Raises:
            UserError: If one is empty, or in the index already.
        """
        for row, external_id in enumerate(self.ids(column)):
            if external_id in index:
                raise self.error(
                    row,
                    column,
                    expected="each id once",
                    fix="the id stands in an earlier line too: merge the two",
                )
            index[external_id] = len(index)

    def number(self, column: str, index: dict[str, int]) -> np.ndarray:
        """(n,) int64: the indices of the ids of a column, new ones added to the index.

        Raises:
            UserError: If one is empty.
        """
        ids = self.ids(column)
        return np.fromiter(
            (index.setdefault(i, len(index)) for i in ids), np.int64, len(ids)
        )

    def look_up(
        self, column: str, index: Mapping[str, int], *, listed_in: str
    ) -> np.ndarray:
        """(n,) int64: the indices of the ids of a column.

        Raises:
            UserError: If one is empty, or not in the index, which is that of the file
                `listed_in`.
        """
        ids = self.ids(column)
        try:
            return np.fromiter((index[i] for i in ids), np.int64, len(ids))
        except KeyError:
            row = next(row for row, i in enumerate(ids) if i not in index)
            raise self.error(
                row,
                column,
                expected=f"an id that {listed_in} lists",
                fix=f"add it to {listed_in} or drop the line",
            ) from None


def read_header(
    path: Path, *, delimiter: str, encodings: Sequence[str] = ("utf-8",)
) -> list[str]:
    """The fields of the first line.

    Raises:
        UserError: If the file is missing or empty, or the line is in none of the
            encodings.
    """
    try:
        with open_file(path) as file:
            first = file.readline()
    except OSError as error:
        raise unreadable(path, error) from error
    if not first.strip():
        raise UserError.field(
            path.name, expected="a header and at least one line", got="an empty file"
        )
    header = decode(first, path, first_line=1, encodings=encodings)
    return header.rstrip("\r\n").split(delimiter)


def read_blocks(
    path: Path,
    columns: Sequence[str],
    *,
    delimiter: str,
    skip_lines: int = 0,
    encodings: Sequence[str] = ("utf-8",),
) -> Iterator[Block]:
    """Yields the rows of a file in blocks; blank lines are passed over.

    Args:
        path: The file.
        columns: The name of each field of a line.
        delimiter: Between fields, "::" for example.
        skip_lines: Lines of header.
        encodings: Tried in order on each block.

    Raises:
        UserError: If the file is missing, has no rows, a line has another number of
            fields, or a byte is in none of the encodings.
    """
    empty = True
    try:
        with open_file(path) as file:
            next_line = 1
            while raw := list(itertools.islice(file, _BLOCK_LINES)):
                text = decode(
                    b"".join(raw), path, first_line=next_line, encodings=encodings
                )
                # Not splitlines(): a title may hold U+0085 or U+2028.
                contents = text.replace("\r\n", "\n").split("\n")
                skipped = max(0, skip_lines - (next_line - 1))
                block = _split(
                    path,
                    columns,
                    delimiter,
                    contents[skipped:],
                    range(next_line + skipped, next_line + len(contents)),
                )
                next_line += len(raw)
                if block.lines:
                    empty = False
                    yield block
    except OSError as error:
        raise unreadable(path, error) from error
    if empty:
        raise UserError.field(path.name, expected="at least one line", got="none")


def _split(
    path: Path,
    columns: Sequence[str],
    delimiter: str,
    contents: Sequence[str],
    lines: Sequence[int],
) -> Block:
    if contents and not contents[-1]:
        contents, lines = contents[:-1], lines[:-1]
    rows = [content.split(delimiter) for content in contents]
    if set(map(len, rows)) != {len(columns)}:
        # The slow way: find the blank lines, or the line at fault.
        # A line of delimiters alone is not blank: its fields are empty.
        kept = [i for i, content in enumerate(contents) if content.strip(" \r")]
        rows, lines = [rows[i] for i in kept], [lines[i] for i in kept]
        for line, row in zip(lines, rows, strict=True):
            if len(row) != len(columns):
                raise UserError.field(
                    f"{path.name}, line {line}",
                    expected=f"{len(columns)} fields ({excerpt(', '.join(columns))})",
                    got=len(row),
                    fix=return_hint(delimiter.join(row))
                    or f"fields end at {delimiter!r}",
                )
    fields: Iterable[tuple[str, ...]] = zip(*rows, strict=True)
    if not rows:
        fields = ((),) * len(columns)
    return Block(
        path=path, columns=dict(zip(columns, fields, strict=True)), lines=lines
    )


def concatenated(parts: Iterable[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """The columns of a file, from those of each of its blocks; one at least."""
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
