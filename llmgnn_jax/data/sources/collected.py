"""Whole columns, collected from the batches of a table file and checked at the end.

What is missing is counted over the whole file before it is refused.
"""

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from llmgnn_jax.data.sources.column import (
    Column,
    id_of,
    told,
    word_of,
)
from llmgnn_jax.data.sources.table import LARGEST
from llmgnn_jax.data.sources.wording import clean
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)
T = TypeVar("T")

# As pandas writes whole numbers of a column that once had gaps.
_FLOAT = re.compile(r"-?\d+\.0")


class Collected(ABC, Generic[T]):
    """One column of a file, batch after batch.

    Attributes:
        path: The file.
        name: Of the column.
        kind: What it holds, in words for the log; known at the end.
    """

    expected = "a value"

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name, self.kind = path, name, ""
        self._rows = 0
        self._missing: tuple[int, int, str] | None = None

    def add(self, column: Column) -> None:
        """The next rows.

        Raises:
            UserError: If one holds what cannot be read.
        """
        self._rows += len(column)
        self._add(column)

    @abstractmethod
    def finish(self) -> T:
        """All rows.

        Raises:
            UserError: If some hold nothing that have to, or they do not go together.
        """

    @abstractmethod
    def _add(self, column: Column) -> None: ...

    def _note(self, column: Column, missing: np.ndarray) -> None:
        """Counts (n,) bool, the rows that hold nothing."""
        count = int(np.count_nonzero(missing))
        if not count:
            return
        if self._missing is not None:
            first, before, got = self._missing
            self._missing = first, before + count, got
            return
        row = int(missing.argmax())
        value = column.at(row)
        got = "nothing" if value is None or value == "" else told(value)
        self._missing = column.first_row + row, count, got

    def _check_missing(self, fix: str) -> None:
        if self._missing is not None:
            first, count, got = self._missing
            if count > 1 and got == "nothing":
                got += f", here and in {count - 1} other rows"
            elif count > 1:
                got += f", and none in {count - 1} other rows"
            raise UserError.field(
                f"{self.path.name}, row {first}, column {self.name}",
                expected=self.expected,
                got=got,
                fix=fix,
            )


class Ids(Collected[tuple[list[str], np.ndarray]]):
    """External ids: the different ones as they are met, and (n,) int64 which is where.

    Text that is a whole number with ".0" in every row, as in CSV files that pandas
    wrote, loses it.
    """

    expected = "an id"

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path, name)
        self._index: dict[str, int] = {}
        # Of the whole numbers among them, since most batches of a table repeat others.
        self._of_whole: dict[int, int] = {}
        self._codes: list[np.ndarray] = []
        self._are_text = False

    def _add(self, column: Column) -> None:
        values, codes = column.distinct()
        numbers: list[int] = []
        for place, value in enumerate(values):
            number = None
            if type(value) is str:
                number = self._index.get(value)
            elif type(value) is int:
                number = self._of_whole.get(value)
            if number is None:
                try:
                    number = self._number_of(value)
                except ValueError as error:
                    row = int((codes == place).argmax())
                    raise column.error(row, value, expected=str(error)) from None
            numbers.append(number)
        codes = np.array(numbers, np.int32)[codes]
        self._note(column, codes < 0)
        self._codes.append(codes)

    def _number_of(self, value: object) -> int:
        """The number of a value's id, a new one if need be; -1 where nothing stands.

        Raises:
            ValueError: As `id_of`.
        """
        external_id = id_of(value)
        if external_id is None:
            return -1
        number = self._index.setdefault(external_id, len(self._index))
        if type(value) is int:
            self._of_whole[value] = number
        self._are_text |= isinstance(value, str)
        return number

    def finish(self) -> tuple[list[str], np.ndarray]:
        """As of `Collected`."""
        self._check_missing("fill it in or drop the rows")
        ids = list(self._index)
        if self._are_text and all(map(_FLOAT.fullmatch, ids)):
            ids = [external_id[:-2] for external_id in ids]
        spaced = sum(one != one.strip() for one in ids)
        if spaced:
            logger.warning(
                "%s: column %s: %d of %d ids have spaces around them, which are a part "
                "of the id",
                self.path.name,
                self.name,
                spaced,
                len(ids),
            )
        whole = all(one.removeprefix("-").isdecimal() for one in ids)
        self.kind = "whole numbers" if whole else "text"
        return ids, joined(self._codes, np.int32)


class Numbers(Collected[np.ndarray]):
    """(n,) float64; nothing is NaN where it may be missing, else it is refused."""

    expected = "a finite number"

    def __init__(self, path: Path, name: str, *, may_be_missing: bool = False) -> None:
        super().__init__(path, name)
        self._may_be_missing = may_be_missing
        self._numbers: list[np.ndarray] = []

    def _add(self, column: Column) -> None:
        numbers = column.numbers()
        wrong = np.abs(numbers) > LARGEST
        if wrong.any():
            row = int(wrong.argmax())
            raise column.error(row, float(numbers[row]), expected=self.expected)
        self._note(column, np.isnan(numbers))
        self._numbers.append(numbers)

    def finish(self) -> np.ndarray:
        """As of `Collected`."""
        if not self._may_be_missing:
            self._check_missing("fill it in or drop the rows")
        self.kind = "numbers"
        return joined(self._numbers, np.float64)


class Words(Collected[list[T]]):
    """What each row says, by a function of its value."""

    def __init__(self, path: Path, name: str, read: Callable[[object], T]) -> None:
        super().__init__(path, name)
        self._read = read
        self._words: list[T] = []
        self._empty = 0

    def _add(self, column: Column) -> None:
        for row, value in enumerate(column.values):
            try:
                self._words.append(self._read(value))
            except (ValueError, RecursionError):  # Lists in lists in lists.
                raise column.error(
                    row, value, expected="text, a number or a list of them"
                ) from None
            # No text is worth a word, no category is not.
            self._empty += value is None and self._words[-1] == ""

    def finish(self) -> list[T]:
        """As of `Collected`."""
        self.kind = "text"
        if self._empty:
            logger.warning(
                "%s: column %s: nothing in %d of %d rows",
                self.path.name,
                self.name,
                self._empty,
                self._rows,
            )
        return self._words


def text_of(value: object) -> str:
    """A value as text, cleaned; of a list all that it says, with spaces between.

    Raises:
        ValueError: As `word_of`.
    """
    if isinstance(value, list):
        return " ".join(filter(None, map(text_of, value)))
    return clean(word_of(value))


def categories_of(value: object) -> tuple[str, ...]:
    """The categories in a value: a list, or text with "|" between them; each once.

    Raises:
        ValueError: As `word_of`.
    """
    parts = value if isinstance(value, list) else word_of(value).split("|")
    return tuple(dict.fromkeys(filter(None, map(text_of, parts))))


def joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    """The batches of a column as one array; the list is emptied, to free them."""
    if not parts:
        return np.zeros(0, dtype)
    whole = np.concatenate(parts)
    parts.clear()
    return whole
