"""`ArrowColumn`: values of a pyarrow array, without a Python object for each.

What is asked of every row of a large table (ids, numbers, times) is answered by Arrow's
kernels; the rest, and all that they refuse, by `Column`.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax.data.sources.column import NO_TIME, Column, TimeKind
from llmgnn_jax.errors import UserError, in_a_line

# Of Arrow's timestamps in a second.
_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class ArrowColumn(Column):
    """Consecutive values of one column, as a pyarrow array."""

    def __init__(self, path: Path, name: str, first_row: int, array: Any) -> None:
        super().__init__(path, name, first_row, ())
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    @functools.cached_property
    def values(self) -> Sequence[object]:
        """As of `Column`."""
        return self._as_python(self._array)

    def at(self, row: int) -> object:
        """As of `Column`."""
        return self._as_python(self._array.slice(row, 1))[0]

    def distinct(self) -> tuple[Sequence[object], np.ndarray]:
        """As of `Column`."""
        import pyarrow as pa

        try:
            coded = self._array.dictionary_encode()
        except pa.ArrowException:  # Lists and the like.
            return super().distinct()
        values = [*self._as_python(coded.dictionary), None]
        # Categories of pandas have bytes for indices, which may not hold one more.
        codes = coded.indices.cast(pa.int64()).fill_null(len(values) - 1)
        return values, codes.to_numpy(zero_copy_only=False)

    def numbers(self) -> np.ndarray:
        """As of `Column`."""
        import pyarrow as pa

        array = self._plain()
        if _is_binary(array.type):
            return super().numbers()
        try:
            floats = array.cast(pa.float64())
        except pa.ArrowException:
            return super().numbers()
        numbers: np.ndarray = floats.to_numpy(zero_copy_only=False)
        return numbers

    def times(self) -> tuple[np.ndarray, TimeKind]:
        """As of `Column`."""
        import pyarrow as pa

        array = self._plain()
        kind: TimeKind = "number"
        if (
            pa.types.is_boolean(array.type)
            or pa.types.is_time(array.type)
            or pa.types.is_duration(array.type)
            or _is_binary(array.type)
        ):
            return super().times()
        try:
            if pa.types.is_date(array.type):
                array = array.cast(pa.timestamp("ms"))
            whole = array.cast(pa.int64()).fill_null(NO_TIME)
        except pa.ArrowException:  # Text, fractions.
            return super().times()
        times: np.ndarray = whole.to_numpy(zero_copy_only=False)
        if pa.types.is_timestamp(array.type):
            kind, ticks = "date", _TICKS[array.type.unit]
            times = np.where(times == NO_TIME, NO_TIME, times // ticks)
        return times, kind

    def _plain(self) -> Any:
        """The array, its dictionary undone if it has one."""
        array = self._array
        return array.dictionary_decode() if hasattr(array, "dictionary") else array

    def _as_python(self, array: Any) -> Sequence[object]:
        import pyarrow as pa

        where = f"{self.path.name}, column {self.name}"
        if pa.types.is_timestamp(array.type) and array.type.unit == "ns":
            # Python's times know no nanoseconds.
            array = array.cast(pa.timestamp("us", array.type.tz), safe=False)
        try:
            values: list[object] = array.to_pylist()
        except UnicodeDecodeError as error:
            raise UserError.field(
                where,
                expected="UTF-8 text",
                got=f"the byte 0x{error.object[error.start]:02x}",
            ) from error
        except (ValueError, OverflowError, LookupError) as error:
            # Times of a year, of a fraction or in a zone that Python does not know.
            raise UserError.field(
                where,
                expected=f"values of {array.type} that Python knows",
                got=in_a_line(error),
                fix="write the column as text",
            ) from error
        return values


def _is_binary(type_: Any) -> bool:
    """Whether a column is of bytes, which Arrow would read as digits."""
    return "binary" in str(type_)
