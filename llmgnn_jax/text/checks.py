"""What the shapes of encoders have in common: the same checks, the same words."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.activations import ACTIVATIONS


def check_sizes(config: Any, *, may_be_0: Collection[str] = ()) -> None:
    """Checks all fields of a dataclass that are declared as int.

    Raises:
        UserError: For the first that is no whole number from 1, or from 0 if named.
    """
    for field in dataclasses.fields(config):
        value, least = getattr(config, field.name), int(field.name not in may_be_0)
        if field.type is int and (type(value) is not int or value < least):
            raise UserError.field(
                field.name, expected=f"a whole number from {least}", got=repr(value)
            )


def check_activation(value: object) -> None:
    """Checks `hidden_act`.

    Raises:
        UserError: If it is no key of `ACTIVATIONS`.
    """
    if value not in ACTIVATIONS:
        raise UserError.field(
            "hidden_act",
            expected=f"one of {', '.join(ACTIVATIONS)}",
            got=repr(value),
        )


def check_epsilon(name: str, value: object) -> None:
    """Checks what is added to a norm's variance.

    Raises:
        UserError: If it is no float above 0.
    """
    if not isinstance(value, float) or value <= 0:
        raise UserError.field(name, expected="a number above 0", got=repr(value))


def known_fields(cls: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those values that are fields of a dataclass.

    Raises:
        UserError: If fields without a default are missing; names all of them.
    """
    fields = dataclasses.fields(cls)
    missing = [
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.name not in values
    ]
    if missing:
        raise UserError.field(
            "config", expected=f"the keys {', '.join(missing)}", got="none of them"
        )
    return {f.name: values[f.name] for f in fields if f.name in values}
