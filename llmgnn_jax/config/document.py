"""A configuration changed by field, flat, and as the JSON of a run's `config.json`."""

import dataclasses
import functools
import json
import types
import typing
from typing import Any, Literal

from llmgnn_jax.config.run import Config
from llmgnn_jax.errors import UserError

# What a field said before it became a choice: run folders of then are read.
_FORMERLY: dict[str, dict[Any, Any]] = {
    "text.remat": {False: "none", True: "layers"},
}


def replace(config: Config, **changes: Any) -> Config:
    """A copy with dotted or plain fields changed: `replace(c, **{"train.steps": 2})`.

    Raises:
        UserError: For an unknown field.
    """
    changed: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        section, dot, leaf = name.rpartition(".")
        owner = getattr(config, section, None) if dot else config
        known = dataclasses.is_dataclass(owner) and dataclasses.fields(owner)
        if leaf not in {item.name for item in known or ()}:
            raise UserError.field(
                name, expected="a field of the configuration", got="an unknown one"
            )
        (sections.setdefault(section, {}) if dot else changed)[leaf] = value
    for section, values in sections.items():
        changed[section] = dataclasses.replace(getattr(config, section), **values)
    # At once: two changes may be valid together alone.
    return dataclasses.replace(config, **changed)


def flatten(config: Config) -> dict[str, Any]:
    """Dotted field name -> value, in order of declaration."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, node: Any) -> None:
        for item in dataclasses.fields(node):
            value = getattr(node, item.name)
            name = f"{prefix}{item.name}"
            if dataclasses.is_dataclass(value):
                walk(f"{name}.", value)
            else:
                flat[name] = value

    walk("", config)
    return flat


def to_json(config: Config) -> str:
    """The content of a run's `config.json`."""
    return json.dumps(dataclasses.asdict(config), indent=2, ensure_ascii=False) + "\n"


def from_json(text: str, *, origin: str = "config.json") -> Config:
    """Reads what `to_json` wrote, and what it wrote before a field became a choice.

    Raises:
        UserError: For broken JSON, an unknown or missing field, or a wrong type.
    """
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise UserError(f"{origin}: not valid JSON ({error})") from None
    return _build(Config, _as_now(tree), origin)


def _as_now(tree: Any) -> Any:
    """The same document, with former values as they are said now."""
    for name, renamed in _FORMERLY.items():
        section, _, leaf = name.partition(".")
        values = tree.get(section) if isinstance(tree, dict) else None
        # Not `in`: 0 and 1 are equal to False and True, and never were values.
        if isinstance(values, dict) and isinstance(old := values.get(leaf), bool):
            values[leaf] = renamed[old]
    return tree


def typed_value(name: str, value: Any) -> Any:
    """A value for the field `name`, as `flatten` names it, in the field's own type.

    Raises:
        UserError: If there is no such field, or its type is another.
    """
    # As JSON and TOML have it.
    value = list(value) if isinstance(value, tuple) else value
    return _checked(field_type(name), value, name)


@functools.cache
def field_type(name: str) -> Any:
    """The declared type of a field, as `flatten` names it.

    Raises:
        UserError: If there is none of that name.
    """
    hint: Any = Config
    for part in name.split("."):
        known = typing.get_type_hints(hint) if dataclasses.is_dataclass(hint) else {}
        hint = known.get(part)
    if hint is None or dataclasses.is_dataclass(hint):
        raise UserError.field(
            name, expected="a field of the configuration", got="an unknown one"
        )
    return hint


def _build(cls: type, tree: Any, where: str) -> Any:
    if not isinstance(tree, dict):
        raise UserError.field(where, expected="an object", got=type(tree).__name__)
    hints = typing.get_type_hints(cls)
    known = {item.name for item in dataclasses.fields(cls)}
    if unknown := sorted(set(tree) - known):
        raise UserError.field(
            f"{where}: {unknown[0]}",
            expected="a known field",
            got="an unknown one",
            fix="was the run made by another version?",
        )
    values = {}
    for item in dataclasses.fields(cls):
        if item.name not in tree:
            continue
        hint, value = hints[item.name], tree[item.name]
        if dataclasses.is_dataclass(hint):
            values[item.name] = _build(hint, value, f"{where}: {item.name}")  # type: ignore[arg-type]
        else:
            values[item.name] = _checked(hint, value, f"{where}: {item.name}")
    try:
        return cls(**values)
    except TypeError as error:
        raise UserError(f"{where}: {error}") from None


_IN_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    bool: "true or false",
    tuple: "a list",
}
"""Type of a field -> what JSON and TOML call its values."""


def _checked(hint: Any, value: Any, where: str) -> Any:
    """A JSON value as the declared type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        hint = next(a for a in arguments if a is not type(None))
        return _checked(hint, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_checked(arguments[0], entry, where) for entry in value)
    if origin is Literal and value in arguments:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    if origin is Literal:
        expected = " | ".join(map(str, arguments))
    else:
        expected = _IN_WORDS.get(origin or hint, str(hint))
    raise UserError.field(where, expected=expected, got=repr(value))
