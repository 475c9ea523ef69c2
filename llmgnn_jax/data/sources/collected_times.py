"""Times of a table file, whatever they are written as, collected to seconds."""

from pathlib import Path

import numpy as np

from llmgnn_jax.data.sources.collected import Collected, joined
from llmgnn_jax.data.sources.column import NO_TIME, TIMES, Column, TimeKind
from llmgnn_jax.errors import UserError

# Above it (the year 5138 in seconds) a time is of the next finer unit.
_FINER_THAN = 10**11
# As seconds since 1970 all of them are within four minutes of its first hour.
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_UNITS = ("seconds", "milliseconds", "microseconds", "nanoseconds")


class Times(Collected[np.ndarray]):
    """(n,) int64 seconds since 1970, from whole numbers of any unit or from dates."""

    expected = "a time"

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path, name)
        self._times: list[np.ndarray] = []
        self._kind: TimeKind | None = None

    def _add(self, column: Column) -> None:
        times, kind = column.times()
        there = times != NO_TIME
        self._note(column, ~there)
        if there.any():
            if self._kind not in (None, kind):
                row = int(there.argmax())
                raise column.other_kind(row, column.values[row], self._kind)
            self._kind = kind
        wrong = there & (times < 0)
        if wrong.any():
            row = int(wrong.argmax())
            raise column.error(
                row,
                column.values[row],
                expected=TIMES + ", not before 1970",
                fix="use 0 or 1970-01-01 where there is no time",
            )
        self._times.append(times)

    def finish(self) -> np.ndarray:
        """As of `Collected`."""
        self._check_missing("use 0 where there is no time, or leave it out: time=")
        times = joined(self._times, np.int64)
        if self._kind == "date":
            self.kind = "dates"
            return times
        latest = int(times.max(initial=0))
        unit = next(
            (n for n in range(3) if latest < _FINER_THAN * 1000**n), len(_UNITS) - 1
        )
        self.kind = f"{_UNITS[unit]} since 1970"
        self._check_unit(times, unit)
        return times // 1000**unit

    def _check_unit(self, times: np.ndarray, unit: int) -> None:
        """Passes only if no number is of another unit than the greatest."""
        others = times[times > 0]
        if not len(others):
            return
        least, greatest = int(others.min()), int(others.max())
        if unit and least < _FINER_THAN * 1000 ** (unit - 1):
            raise UserError.field(
                f"{self.path.name}, row {1 + int((times == least).argmax())}, column "
                f"{self.name}",
                expected=f"{_UNITS[unit]}, as {greatest} is",
                got=least,
                fix="write all times in one unit",
            )
        if least >= 1900_01_01 and greatest <= 2099_12_31 and _are_days(others):
            raise UserError.field(
                f"{self.path.name}, column {self.name}",
                expected=TIMES,
                got=f"{least} to {greatest}, which look like days",
                fix="write them with dashes: 2026-01-31",
            )

        if least >= _FIRST_YEAR and greatest <= _LAST_YEAR:
            raise UserError.field(
                f"{self.path.name}, column {self.name}",
                expected=TIMES,
                got=f"{least} to {greatest}, which look like years",
                fix="write days, 2026-01-01, or leave the column out: time=",
            )


def _are_days(numbers: np.ndarray) -> bool:
    """Whether all numbers are days as in 20260131."""
    months, days = numbers // 100 % 100, numbers % 100
    return bool(((months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all())
