"""A record of a file of JSON lines, its fields checked, with errors that name them."""

import math
import re
import types
from pathlib import Path
from typing import Any

from llmgnn_jax.data.sources.fields import holds_control, is_blank
from llmgnn_jax.data.sources.json_lines import kind_of, without_halves
from llmgnn_jax.data.sources.wording import without_markup
from llmgnn_jax.errors import UserError

# "$1,299.99"; a range of prices, as of "$10.00 - $25.00", is no price.
_PRICE = re.compile(r"\$?\s*(\d[\d,]*(?:\.\d+)?)")


class Record:
    """One line of a file, with errors that name it."""

    def __init__(self, path: Path, line: int, fields: dict[str, Any]) -> None:
        self._path, self._line, self._fields = path, line, fields

    def id(self, field: str) -> str:
        """An external id."""
        value = self._fields.get(field)
        if not isinstance(value, str) or is_blank(value):
            raise self.error(field, expected="an id")
        # Most are ASCII, where nothing can be half of a pair.
        if not value.isascii() and without_halves(value) != value:
            raise self.error(field, expected="an id without half of a surrogate pair")
        if holds_control(value):
            raise self.error(field, expected="an id without control characters")
        return value

    def number(self, field: str) -> float:
        """A finite number."""
        value = self._fields.get(field)
        # Whole numbers of JSON have no end.
        if isinstance(value, bool) or not (
            isinstance(value, int | float) and abs(value) < 1e38
        ):
            raise self.error(field, expected="a finite number")
        return float(value)

    def holds(self, field: str, kind: type | types.UnionType) -> bool:
        """Whether a field is of a type; one that is not there is None."""
        return isinstance(self._fields.get(field), kind)

    def seconds(self, field: str) -> int:
        """Whole seconds since 1970."""
        return self._time(field, "seconds")

    def milliseconds(self, field: str) -> int:
        """Whole milliseconds since 1970."""
        return self._time(field, "milliseconds")

    def prose(self, field: str) -> str:
        """A text without HTML; "" where there is none."""
        value = self._fields.get(field)
        if not isinstance(value, str | None):
            raise self.error(field, expected="a string")
        return without_markup(value or "")

    def proses(self, field: str) -> list[str]:
        """Those of a list of texts (or of a single one) that say something."""
        value = self._fields.get(field)
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, str | None) for part in parts):
            raise self.error(field, expected="a list of strings")
        return list(filter(None, (without_markup(part or "") for part in parts)))

    def dollars(self, field: str) -> float:
        """A price such as "$1,299.99"; NaN where there is none or a range."""
        found = _PRICE.fullmatch(self.prose(field))
        price = float(found[1].replace(",", "")) if found else math.nan
        if price > 1e38:
            raise self.error(field, expected="a price")
        return price

    def _time(self, field: str, unit: str) -> int:
        value = self._fields.get(field)
        if isinstance(value, bool) or not (
            isinstance(value, int) and 0 <= value <= 2**53
        ):
            raise self.error(field, expected=f"{unit} since 1970, not negative")
        return value

    def error(self, field: str, *, expected: str) -> UserError:
        """The standard sentence for a field of this record."""
        value = self._fields.get(field)
        got = kind_of(value)
        if field not in self._fields:
            got = "none"
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            got = repr(value)[:80]
        return UserError.field(
            f"{self._path.name}, line {self._line}, field {field}",
            expected=expected,
            got=got,
            fix="fill it in or drop the line",
        )
