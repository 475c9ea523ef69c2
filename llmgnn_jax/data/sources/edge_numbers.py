"""Values and times of edges, a mapping of attributes an edge."""

import datetime
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from llmgnn_jax.data.sources.attributes import Attributes, is_missing
from llmgnn_jax.errors import UserError

_MOST_SECONDS = np.iinfo(np.int64).max


def first(rows: Sequence[Attributes], candidates: Sequence[str]) -> str | None:
    """The first of the candidates that any edge has; None where there is none.

    NaN counts: an edge that has it lacks a value that others would have.
    """
    for name in candidates:
        if any(row.get(name) is not None for row in rows):
            return name
    return None


def numbers(
    rows: Sequence[Attributes],
    name: str | None,
    told: Callable[[int], str],
    *,
    default: float | None = None,
) -> np.ndarray:
    """(E,) float64: the value of each edge.

    Args:
        rows: The attributes of each edge.
        name: Which attribute; ones if None.
        told: What an edge is called in an error.
        default: Of an edge without the attribute; an error if not given, since no
            value is not the value 1.

    Raises:
        UserError: If a value is missing, or no finite number.
    """
    if name is None:
        return np.ones(len(rows))
    found = np.empty(len(rows))
    for row, attributes in enumerate(rows):
        value = attributes.get(name)
        if is_missing(value) and default is not None:
            value = default
        try:
            found[row] = float("nan" if isinstance(value, str) else value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            found[row] = np.nan
        if not np.isfinite(found[row]):
            raise UserError.field(
                f"{told(row)}, attribute {name!r}",
                expected="a finite number",
                got="none" if value is None else repr(value),
                fix="fill it in, drop the edge, or name another attribute",
            )
    return found


def seconds(
    rows: Sequence[Attributes], name: str | None, told: Callable[[int], str]
) -> np.ndarray:
    """(E,) int64: whole seconds since 1970; 0 where an edge has no time.

    Args:
        rows: The attributes of each edge.
        name: Which attribute; zeros if None.
        told: What an edge is called in an error.

    Raises:
        UserError: If a time is negative or neither a number nor a `datetime`, or no
            edge has the attribute.
    """
    if name is None:
        return np.zeros(len(rows), np.int64)
    if not any(name in row for row in rows):
        raise UserError.field(
            f"{told(0)}, attribute {name!r}", expected="a time", got="none"
        )
    found = np.zeros(len(rows), np.int64)
    for row, attributes in enumerate(rows):
        value = attributes.get(name)
        if is_missing(value):
            continue
        whole = _whole_seconds(value)
        if whole is None:
            raise UserError.field(
                f"{told(row)}, attribute {name!r}",
                expected="seconds since 1970, not negative, or a datetime",
                got=repr(value),
                fix="use 0 where there is no time",
            )
        found[row] = whole
    return found


def _whole_seconds(value: Any) -> int | None:
    """The time, cut down; None where it is none."""
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[s]").astype(np.int64)
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=datetime.UTC)
        value = value.timestamp()
    if isinstance(value, str):
        return None
    try:
        found = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if 0 <= found <= _MOST_SECONDS else None
