"""Some consecutive values of a column of a table file, as Python has them.

`ArrowColumn` (`arrow_column`) is the same of a pyarrow array; the two read alike.
"""

import datetime
import math
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal

import numpy as np

from llmgnn_jax.data.sources.fields import (
    comma_hint,
    holds_control,
    is_blank,
    number_of,
)
from llmgnn_jax.data.sources.json_lines import kind_of, without_halves
from llmgnn_jax.errors import UserError

NO_TIME = np.iinfo(np.int64).min
"""Stands for a missing time in whole numbers."""

TIMES = "a time: seconds, milliseconds ... since 1970 or ISO 8601 (2026-01-31 12:00)"

_WORDS = (
    *(str, int, float, Decimal),
    *(datetime.date, datetime.time, datetime.timedelta),
)

TimeKind = Literal["number", "date"]
"""What a time is written as: a number of some unit, or a date, which gives seconds."""


class Column:
    """Consecutive values of one column.

    Attributes:
        path: The file.
        name: Of the column.
        first_row: The number of the first value, from 1; a header is no row.
    """

    def __init__(
        self, path: Path, name: str, first_row: int, values: Sequence[object]
    ) -> None:
        self.path, self.name, self.first_row = path, name, first_row
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    @property
    def values(self) -> Sequence[object]:
        """One a row: text, numbers, booleans, lists, None."""
        return self._values

    def at(self, row: int) -> object:
        """The value in a row, from 0."""
        return self._values[row]

    def distinct(self) -> tuple[Sequence[object], np.ndarray]:
        """The different values as they are met, and (n,) int64: which each row has."""
        values = self.values
        seen: dict[object, int] = {}
        keys: Sequence[object] = values
        if not set(map(type, values)) <= {str, int, type(None)}:
            # True, 1 and 1.0 are one key; lists are none.
            keys = [(type(value), repr(value)) for value in values]
        codes = np.fromiter(
            (seen.setdefault(key, len(seen)) for key in keys), np.int64, len(keys)
        )
        first = np.unique(codes, return_index=True)[1]
        return [values[row] for row in first.tolist()], codes

    def numbers(self) -> np.ndarray:
        """(n,) float64; NaN where nothing or NaN stands.

        Raises:
            UserError: If a value is no number.
        """
        return np.fromiter(
            (self._number(row, value) for row, value in enumerate(self.values)),
            np.float64,
            len(self),
        )

    def times(self) -> tuple[np.ndarray, TimeKind]:
        """(n,) int64: numbers cut down to whole ones, or seconds of dates.

        `NO_TIME` where nothing stands.

        Raises:
            UserError: If a value is neither, or some are numbers and others dates.
        """
        times = np.full(len(self), NO_TIME)
        first: TimeKind | None = None
        for row, value in enumerate(self.values):
            if _is_missing(value):
                continue
            number = _whole(value)
            kind: TimeKind = "date" if number is None else "number"
            if number is None:
                number = _seconds_of_date(value)
            if number is None or abs(number) >= 2**63:
                raise self.error(row, value, expected=TIMES)
            if kind != (first or kind):
                raise self.other_kind(row, value, first)
            first = kind
            times[row] = number
        return times, first or "number"

    def other_kind(self, row: int, value: object, before: TimeKind | None) -> UserError:
        """The standard sentence for a date among numbers, or a number among dates."""
        return self.error(
            row,
            value,
            expected=f"a {before} as in the rows before",
            fix="write all times in one way",
        )

    def error(
        self, row: int, value: object, *, expected: str, fix: str = ""
    ) -> UserError:
        """The standard sentence for the value in a row of this column, from 0."""
        if isinstance(value, bytes):
            fix = "write the column as text: what is binary is not read"
        elif isinstance(value, str):
            fix = fix or comma_hint(value)
        return UserError.field(
            f"{self.path.name}, row {self.first_row + row}, column {self.name}",
            expected=expected,
            got=told(value),
            fix=fix,
        )

    def _number(self, row: int, value: object) -> float:
        if _is_missing(value):
            return math.nan
        try:
            if isinstance(value, str):
                return number_of(value)
            if not isinstance(value, bytes):  # Which `float` would read as text.
                # A whole number of JSON may be too long for a float.
                return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            pass
        raise self.error(row, value, expected="a number")


def told(value: object) -> str:
    """A value, for an error."""
    if value is None or isinstance(value, bool | dict | list):
        return kind_of(value)
    if isinstance(value, str | int | float):
        return repr(value)[:80]
    return f"{type(value).__name__} {value}"[:80]


def id_of(value: object) -> str | None:
    """The external id that a value is: text as it is, 7 and 7.0 as "7".

    Floats that are whole are numbers of a column with gaps, as pandas writes them;
    decimals are how some databases write whole numbers.

    Returns:
        None where nothing stands, or spaces alone.

    Raises:
        ValueError: If it can be no id; the message is what was expected.
    """
    if _is_missing(value):
        return None
    if isinstance(value, str):
        if is_blank(value):
            return None
        # Most are ASCII, where nothing can be half of a pair.
        if not value.isascii() and without_halves(value) != value:
            raise ValueError("an id without half of a surrogate pair")
        if holds_control(value):
            raise ValueError("an id without control characters")
        return value
    whole = isinstance(value, float) and value.is_integer() and abs(value) <= 2**53
    if isinstance(value, Decimal):
        whole = value.is_finite() and value == value.to_integral_value()
    if whole or (isinstance(value, int) and not isinstance(value, bool)):
        return str(int(value))  # type: ignore[call-overload]
    raise ValueError("an id: text or a whole number")


def word_of(value: object) -> str:
    """A single value as text: "" for nothing, "7" for 7 and 7.0, "true" for True.

    Raises:
        ValueError: If it is none: an object, bytes.
    """
    if _is_missing(value):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return str(int(value))
    if not isinstance(value, _WORDS):
        raise ValueError(type(value).__name__)
    return without_halves(str(value))


def _is_missing(value: object) -> bool:
    if isinstance(value, str):
        return not value
    return value is None or (isinstance(value, float) and math.isnan(value))


def _whole(value: object) -> int | None:
    """A number cut down to a whole one; None if it is none."""
    if isinstance(value, str):
        if "_" in value:  # Python's way of writing 1_000.
            return None
        try:
            value = int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if not isinstance(value, int) and not math.isfinite(value):
        return None
    return math.floor(value)


def _seconds_of_date(value: object) -> int | None:
    """Seconds since 1970 of a date, in UTC unless it says otherwise."""
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=datetime.UTC)
        return math.floor(value.timestamp())
    return None
