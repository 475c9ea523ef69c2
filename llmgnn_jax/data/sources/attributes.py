"""Attributes of nodes, a mapping a node, to the columns of a `Dataset`, and back.

A number is a numeric feature; a string, or a list or set of strings, a categorical one.
None and NaN stand for "missing". An attribute whose name begins with "categorical:" or
"numeric:" is the feature that is called by what follows: so a feature may have the name
of an attribute that means something else, and digits may be categories.
"""

import math
import numbers
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.validation import Categories
from llmgnn_jax.errors import UserError

Attributes = Mapping[str, Any]

_CATEGORICAL, _NUMERIC = "categorical:", "numeric:"


def is_missing(value: Any) -> bool:
    """Whether an attribute says nothing: None, or NaN as pandas has it."""
    return value is None or (_is_number(value) and math.isnan(value))


def texts(
    rows: Sequence[Attributes], name: str, told: Callable[[int], str]
) -> tuple[str, ...] | None:
    """The strings of an attribute, "" where it is missing; None where nobody has it.

    Args:
        rows: The attributes of each node or edge.
        name: Of the attribute.
        told: What a row is called in an error.

    Raises:
        UserError: If a value is no string.
    """
    if not any(name in row for row in rows):
        return None
    found = [row.get(name) for row in rows]
    for row, value in enumerate(found):
        if not is_missing(value) and not isinstance(value, str):
            raise UserError.field(
                f"{told(row)}, attribute {name!r}",
                expected="a string",
                got=repr(value),
                fix="turn it into one, or name another attribute",
            )
    return tuple("" if is_missing(value) else str(value) for value in found)


def features(
    rows: Sequence[Attributes],
    told: Callable[[int], str],
    *,
    skip: Collection[str],
    categorical: Collection[str],
) -> tuple[dict[str, Categories], dict[str, np.ndarray]]:
    """The categorical and the numeric features of nodes of one kind.

    Args:
        rows: The attributes of each of N nodes.
        told: What a node is called in an error.
        skip: Attributes that are no features.
        categorical: Those that are categories whatever the type of their values.

    Raises:
        UserError: If values are neither numbers nor strings, or both.
    """
    categories: dict[str, Categories] = {}
    floats: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(key for row in rows for key in row):
        if name in skip:
            continue
        if not isinstance(name, str):
            raise UserError.field(
                f"attribute {name!r}", expected="a name", got=type(name).__name__
            )
        values = [row.get(name) for row in rows]
        present = [value for value in values if not is_missing(value)]
        field = name.removeprefix(_CATEGORICAL)
        as_words = field != name or name in categorical
        if not as_words:
            field = name.removeprefix(_NUMERIC)
        if not present and not as_words:
            # All of them NaN: a numeric feature that nobody has. All None: nothing.
            if all(value is None for value in values):
                continue
            as_numbers = True
        else:
            as_numbers = not as_words and all(map(_is_number, present))
        if field in (floats if as_numbers else categories):
            raise UserError.field(
                f"attribute {name!r}",
                expected="each feature once",
                got=f"{field!r} twice",
                fix="rename one of the two",
            )
        if as_numbers:
            floats[field] = np.array(
                [math.nan if value is None else float(value) for value in values]
            )
        else:
            categories[field] = tuple(
                _words(value, name, told, row, forced=as_words)
                for row, value in enumerate(values)
            )
    return categories, floats


def feature_attributes(
    dataset: Dataset, side: str, *, reserved: Collection[str]
) -> Iterable[tuple[str, Sequence[Any]]]:
    """Name and values of the attributes that `features` reads as a side's features.

    Args:
        dataset: Whose features.
        side: "user" or "item".
        reserved: Names that mean something else.
    """
    categories: Mapping[str, Categories] = getattr(dataset, f"{side}_categorical")
    floats: Mapping[str, np.ndarray] = getattr(dataset, f"{side}_numeric")
    taken = {*reserved, *(set(categories) & set(floats))}

    def attribute(field: str, prefix: str) -> str:
        clear = field not in taken and not field.startswith((_CATEGORICAL, _NUMERIC))
        return field if clear else prefix + field

    for field, column in categories.items():
        # With no value at all it would not be seen what it is.
        name = attribute(field, _CATEGORICAL)
        yield name, [list(values) for values in column]
    for field, numbers_ in floats.items():
        yield attribute(field, _NUMERIC), numbers_.tolist()


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real | np.bool_)


def _words(
    value: Any, name: str, told: Callable[[int], str], row: int, *, forced: bool
) -> tuple[str, ...]:
    if is_missing(value) or (isinstance(value, str) and not value):
        return ()
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    several = value if isinstance(value, list | tuple) else [value]
    if all(isinstance(one, str) for one in several):
        return tuple(several)
    if forced and all(isinstance(one, str) or _is_number(one) for one in several):
        return tuple(map(str, several))
    raise UserError.field(
        f"{told(row)}, attribute {name!r}",
        expected="a number at every node, or strings",
        got=f"{str(value)[:60]!r}",
        fix=f"name it in ignore, or in categorical if it is a label: ({name!r},)",
    )
