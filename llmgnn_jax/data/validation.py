"""The checks behind `Dataset`: each names the field, the row, what came and the fix."""

from collections.abc import Iterable, Sequence

import numpy as np

from llmgnn_jax.errors import UserError

Categories = tuple[tuple[str, ...], ...]


def read_only(array: np.ndarray) -> np.ndarray:
    """Returns the array itself, no longer writable."""
    array.flags.writeable = False
    return array


def checked_ids(name: str, ids: Iterable[str]) -> tuple[str, ...]:
    """External ids: strings, not empty, unique, at least one."""
    ids = tuple(ids)
    if not ids:
        raise UserError.field(name, expected="at least one id", got="none")
    _check_strings(name, ids)
    if "" in ids:
        row = ids.index("")
        raise UserError.field(f"{name}[{row}]", expected="an id", got="an empty string")
    if len(set(ids)) < len(ids):
        first: dict[str, int] = {}
        for row, value in enumerate(ids):
            if value in first:
                raise UserError.field(
                    f"{name}[{row}]",
                    expected="each id once",
                    got=f"{value!r} again (first in row {first[value]})",
                    fix="merge or rename the duplicates",
                )
            first[value] = row
    return ids


def checked_indices(
    name: str, indices: np.ndarray, num_rows: int, limit: int
) -> np.ndarray:
    """(E,) int32 copy of integers in [0, limit)."""
    array = np.asarray(indices)
    _check_shape(name, array, num_rows)
    if array.dtype.kind not in "iu":
        raise UserError.field(name, expected="integers", got=f"dtype {array.dtype}")
    wrong = (array < 0) | (array >= limit)
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError.field(
            f"{name}[{row}]", expected=f"an index in [0, {limit})", got=array[row]
        )
    return read_only(array.astype(np.int32))


def checked_flags(name: str, flags: np.ndarray, num_rows: int) -> np.ndarray:
    """(E,) bool copy."""
    array = np.asarray(flags)
    _check_shape(name, array, num_rows)
    if array.dtype.kind != "b":
        raise UserError.field(name, expected="booleans", got=f"dtype {array.dtype}")
    return read_only(array.copy())


def checked_floats(
    name: str, values: np.ndarray, num_rows: int, *, missing: bool = False
) -> np.ndarray:
    """(N,) float32 copy of finite numbers; NaN means "missing" only where allowed."""
    array = np.asarray(values)
    _check_shape(name, array, num_rows)
    if array.dtype.kind not in "fiub":
        raise UserError.field(name, expected="numbers", got=f"dtype {array.dtype}")
    # A value above the float32 range becomes inf here and is refused below.
    with np.errstate(over="ignore"):
        floats = array.astype(np.float32)
    wrong = np.isinf(floats) if missing else ~np.isfinite(floats)
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError.field(
            f"{name}[{row}]",
            expected="a finite number",
            got=array[row],
            fix="drop the row or fill the value in",
        )
    return read_only(floats)


def checked_timestamps(timestamps: np.ndarray, num_rows: int) -> np.ndarray:
    """(E,) int64 copy of whole seconds >= 0."""
    array = np.asarray(timestamps)
    _check_shape("timestamps", array, num_rows)
    if array.dtype.kind not in "iu":
        raise UserError.field(
            "timestamps", expected="whole seconds", got=f"dtype {array.dtype}"
        )
    # Compared in the array's own type: uint64 above 2**63 would wrap in int64.
    wrong = (array < 0) | (array > np.iinfo(np.int64).max)
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError.field(
            f"timestamps[{row}]",
            expected="seconds since 1970, not negative",
            got=array[row],
            fix="use 0 where there is no time",
        )
    return read_only(array.astype(np.int64))


def checked_texts(name: str, texts: Iterable[str], num_rows: int) -> tuple[str, ...]:
    """N strings; "" stands for "no text"."""
    texts = tuple(texts)
    _check_length(name, texts, num_rows)
    _check_strings(name, texts)
    return texts


def checked_categories(
    name: str, column: Iterable[Iterable[str]], num_rows: int
) -> Categories:
    """For each of N rows the tuple of its values; () where there is none."""
    rows = tuple(column)
    _check_length(name, rows, num_rows)
    for row, values in enumerate(rows):
        if isinstance(values, str):
            raise UserError.field(
                f"{name}[{row}]",
                expected="a tuple of strings",
                got=repr(values),
                fix=f"write ({values!r},)",
            )
    tuples = tuple(tuple(values) for values in rows)
    for row, values in enumerate(tuples):
        _check_strings(f"{name}[{row}]", values)
    return tuples


def _check_strings(name: str, values: Sequence[object]) -> None:
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise UserError.field(
                f"{name}[{row}]", expected="a string", got=f"{value!r}"
            )


def _check_length(name: str, values: Sequence[object], num_rows: int) -> None:
    if len(values) != num_rows:
        raise UserError.field(name, expected=f"{num_rows} rows", got=len(values))


def _check_shape(name: str, array: np.ndarray, num_rows: int) -> None:
    if array.shape != (num_rows,):
        raise UserError.field(name, expected=f"shape ({num_rows},)", got=array.shape)
