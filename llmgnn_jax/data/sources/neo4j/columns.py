"""What a dataset makes of a database's values: ids, words, categories, numbers, times.

Each function takes a value and what messages call it, and refuses all that it has no
use for.
"""

import math
from typing import Any

from llmgnn_jax.data.sources.wording import clean
from llmgnn_jax.errors import UserError

Id = str | int

_LATEST_S = 10**11
"""Seconds up to the year 5138; what is above is not in seconds."""


class Ids:
    """Numbers the ids of one kind of nodes, all of them integers or all strings.

    They keep the type that the database gave them: 1 and "1" are two nodes there, and
    would be one id here.

    Args:
        what: What messages call them.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._type: type | None = None
        self._index: dict[Id, int] = {}

    def __len__(self) -> int:
        return len(self._index)

    def number(self, value: Any) -> int:
        """The number of an id, a new one if it was not there.

        Raises:
            UserError: If it is neither an integer nor a string, or of another type than
                those before it.
        """
        if type(value) is not self._type:
            self._check(value)
        number = self._index.get(value)
        if number is None:
            if value == "":
                raise UserError.field(
                    self._what, expected="an id", got="an empty string"
                )
            number = self._index[value] = len(self._index)
        return number

    def add(self, value: Any) -> None:
        """Numbers an id that must be new.

        Raises:
            UserError: As `number`, and if it was there.
        """
        before = len(self)
        if self.number(value) < before:
            raise UserError.field(
                self._what,
                expected="each id once",
                got=f"{value!r} again",
                fix="merge the nodes, or choose a property that tells them apart",
            )

    def find(self, value: Any) -> int | None:
        """The number of an id; None where it is not there.

        Raises:
            UserError: As `number`.
        """
        if type(value) is not self._type:
            self._check(value, may_be_first=False)
        return self._index.get(value)

    def names(self) -> tuple[str, ...]:
        """The ids as a `Dataset` has them, in the order of their numbers."""
        return tuple(map(str, self._index))

    def _check(self, value: Any, *, may_be_first: bool = True) -> None:
        if type(value) not in (int, str):
            raise UserError.field(
                self._what,
                expected="an integer or a string",
                got="null" if value is None else repr(value),
            )
        if self._type is None and may_be_first:
            self._type = type(value)
        elif self._type is not None:
            first = next(iter(self._index), value)
            raise UserError.field(
                self._what,
                expected="all integers or all strings",
                got=f"{first!r} and {value!r}",
                fix="give them one type in the database",
            )


def words(value: Any, what: str) -> str:
    """A text, in one wording; "" for null. Lists are joined by commas."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(filter(None, (words(one, what) for one in value)))
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, (bool, int, float)) or hasattr(value, "iso_format"):
        return value.iso_format() if hasattr(value, "iso_format") else str(value)
    raise UserError.field(what, expected="a text", got=_kind(value))


def categories(value: Any, what: str) -> tuple[str, ...]:
    """A value or a list of them as categories, () for null."""
    several = value if isinstance(value, list) else [value]
    return tuple(filter(None, (words(one, what) for one in several)))


def number(value: Any, what: str, *, missing: bool = False) -> float:
    """A finite number; NaN for null where that is `missing`."""
    if value is None and missing:
        return math.nan
    if isinstance(value, (bool, int, float)) and math.isfinite(value):
        return float(value)
    raise UserError.field(
        what,
        expected="a finite number" + (" or null" if missing else ""),
        got=_kind(value),
        fix="" if missing else "fill it in, or leave those out with cypher",
    )


def seconds(value: Any, what: str, *, unit: str) -> int:
    """Whole seconds since 1970, of a number or a temporal value (UTC where it names
    no zone)."""
    if hasattr(value, "iso_format") and hasattr(value, "year"):
        return _of_calendar(value, what)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UserError.field(
            what,
            expected="a number or a temporal value",
            got=_kind(value),
            fix="fill it in, or return coalesce(..., 0) with cypher",
        )
    if not math.isfinite(value) or value < 0:
        raise UserError.field(what, expected="a time since 1970", got=repr(value))
    whole = int(value) // 1_000 if unit == "ms" else int(value)
    if whole > _LATEST_S:
        raise UserError.field(
            what,
            expected="seconds since 1970" if unit == "s" else "milliseconds since 1970",
            got=repr(value),
            fix='if it is in milliseconds, set interactions.time_unit = "ms"'
            if unit == "s"
            else "",
        )
    return whole


def _of_calendar(value: Any, what: str) -> int:
    """Of a `neo4j.time` Date or DateTime, which know years that Python does not."""
    import datetime

    try:
        native = value.to_native()
    except (ValueError, OverflowError):
        raise UserError.field(
            what, expected="a time since 1970", got=value.iso_format()
        ) from None
    if not isinstance(native, datetime.datetime):
        native = datetime.datetime.combine(native, datetime.time())
    if native.tzinfo is None:
        native = native.replace(tzinfo=datetime.UTC)
    whole = math.floor(native.timestamp())
    if whole < 0:
        raise UserError.field(
            what, expected="a time since 1970", got=value.iso_format()
        )
    return whole


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return (
        f"{value!r:.80}"
        if isinstance(value, (str, int, float))
        else (f"a {type(value).__name__}")
    )
