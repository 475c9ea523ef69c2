"""Where a search looks: fields of a configuration, and what each of them may be."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.config import Config, field_type, flatten, typed_value
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.search_budget import SCALES, is_range

Space = Mapping[str, Sequence[Any]]
"""Field, as `flatten` names it -> its choices, or (low, high, "log" or "uniform").

A single choice is a setting: it comes with all trials. A range of whole numbers holds
both of its ends.
"""

# What a model is and how it is trained. Another split, metric or layout over devices
# would make values that cannot be compared.
_SECTIONS = ("graph", "text", "fusion", "train")
_OF_NODES = ("node.dropout", "node.text_layers")
_FIELDS = tuple(
    name
    for name in flatten(Config(recipe="any"))
    if name.startswith(tuple(f"{section}." for section in _SECTIONS))
    or name in _OF_NODES
)
_DIGITS = 4


def checked_space(space: Space) -> dict[str, tuple[Any, ...]]:
    """The same space, each value in its field's type, fields in alphabetical order.

    Raises:
        UserError: If there is nothing to choose, a field is unknown or no part of a
            model or its training, or what it may be is neither choices nor a range.
    """
    if not any(is_range(values) or len(values) > 1 for values in space.values()):
        raise UserError.field(
            "space", expected="a field with something to choose", got="none"
        )
    return {name: _checked(name, tuple(space[name])) for name in sorted(space)}


def draw(space: Space, *, seed: int, trial: int) -> dict[str, Any]:
    """The values of a trial, which depend on no other trial and no other field.

    A number from a range has four digits, so that it can be read and typed.
    """
    return {
        name: _drawn(name, values, seed=seed, trial=trial)
        for name, values in checked_space(space).items()
    }


def read_space(file: str | Path) -> Space:
    """A space from a TOML file: `num_layers = [1, 2]` below `[graph]`, and so on.

    Raises:
        UserError: If there is none, or it is no TOML; what it says is checked later.
    """
    path = named_path(file)
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError.field(
            str(file), expected="a TOML file", got=error.strerror or error
        ) from None
    except ValueError as error:
        raise UserError.field(str(file), expected="a TOML file", got=error) from None
    return _flat(tree)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            # A single value is a setting.
            found[prefix + name] = value if isinstance(value, list) else [value]
    return found


def _checked(name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    if name not in _FIELDS:
        raise UserError.field(
            f"space: {name}",
            expected="a field of " + ", ".join(_SECTIONS),
            got="another one",
            fix=did_you_mean(name, _FIELDS),
        )
    if not values:
        raise UserError.field(f"space: {name}", expected="choices", got="none")
    if not is_range(values):
        try:
            chosen = tuple(typed_value(name, value) for value in values)
        except UserError as error:
            raise UserError(f"space: {error}") from None
        if len(set(chosen)) < len(chosen):
            raise UserError.field(
                f"space: {name}", expected="different choices", got=list(values)
            )
        return chosen
    return _checked_range(name, values)


def _checked_range(name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    kind, (*ends, scale) = field_type(name), values
    whole = kind is int and all(type(end) is int for end in ends)
    number = kind is float and all(type(end) in (int, float) for end in ends)
    if not (whole or number):
        raise UserError.field(
            f"space: {name}",
            expected="choices, or a range of whole numbers"
            if kind is int
            else "choices, or a range of numbers"
            if kind is float
            else "choices",
            got=list(values),
        )
    low, high = map(kind, ends)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError.field(
            f"space: {name}", expected="a range from low to high", got=list(values)
        )
    if scale == SCALES[0] and low <= 0:
        raise UserError.field(
            f"space: {name}", expected="a range above 0 for log", got=list(values)
        )
    return low, high, scale


def _drawn(name: str, values: tuple[Any, ...], *, seed: int, trial: int) -> Any:
    share = np.random.default_rng([seed, trial, *name.encode()]).random()
    if not is_range(values):
        return values[int(share * len(values))]
    low, high, scale = values
    whole = isinstance(low, int)
    # Each whole number has a stretch of its own, the ends too.
    first, last = (low - 0.5, high + 0.5) if whole else (low, high)
    if scale == "log":
        drawn = math.exp(math.log(first) + share * math.log(last / first))
    else:
        drawn = first + share * (last - first)
    drawn = round(drawn) if whole else float(f"{drawn:.{_DIGITS}g}")
    return min(max(drawn, low), high)
