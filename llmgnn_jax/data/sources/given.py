"""What a caller hands over: that it is what a reader takes, and has what is named."""

from collections.abc import Collection, Iterable
from typing import Any

from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError, excerpt


def check_given(value: Any, name: str, *, kind: str, having: Collection[str]) -> None:
    """Passes only if a value looks like what is read, by what it has.

    Args:
        value: What was given.
        name: The argument.
        kind: What it should be, in words.
        having: Attributes that all such values have, and others have not.

    Raises:
        UserError: If it lacks one of them, or is a class.
    """
    is_class = isinstance(value, type)
    if is_class or not all(hasattr(value, one) for one in having):
        raise UserError.field(
            name,
            expected=kind,
            got=f"the class {value.__name__}"
            if is_class
            else f"a value of type {type(value).__name__}",
            fix="call it for a graph" if is_class else "",
        )


def several(names: Collection[str]) -> tuple[str, ...]:
    """Names, where one alone may be given as a string."""
    return (names,) if isinstance(names, str) else tuple(names)


def check_there(names: Iterable[str], there: Collection[str], argument: str) -> None:
    """Passes only if all that an argument names is there.

    Raises:
        UserError: For the first name that is not.
    """
    for name in names:
        if name not in there:
            raise UserError.field(
                argument,
                expected=f"one of {excerpt(', '.join(sorted(map(str, there))))}"
                if there
                else "nothing, since there are none",
                got=repr(name),
                fix=did_you_mean(str(name), [one for one in there if type(one) is str]),
            )
