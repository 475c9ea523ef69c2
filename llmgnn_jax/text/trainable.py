"""Which of an encoder's parameters are trained: one mask, by their paths."""

import re
from typing import Any, Literal, TypeAlias

import jax

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.lora import ADAPTER_LEAVES
from llmgnn_jax.text.parameters import flat, path_of
from llmgnn_jax.text.readout import READOUT

TextMode: TypeAlias = Literal["frozen", "lora", "full"]


def trainable(params: Any, *, mode: TextMode, freeze: tuple[str, ...] = ()) -> Any:
    """Whether each parameter is trained.

    Args:
        params: A nested dict of arrays or shapes.
        mode: "frozen" trains nothing, "lora" the adapters and what a readout learns,
            "full" everything.
        freeze: Regular expressions: a parameter whose path one of them is found in is
            not trained, whatever the mode.

    Returns:
        A tree of bools like `params`.

    Raises:
        UserError: If a pattern is none or is found in no path.
    """
    names, frozen = list(flat(params)), set()
    for pattern in freeze:
        try:
            found = [name for name in names if re.search(pattern, name)]
        except re.error as error:
            raise UserError.field(
                "freeze", expected="regular expressions", got=f"{pattern!r} ({error})"
            ) from error
        if not found:
            raise UserError.field(
                "freeze",
                expected=f"patterns found in names such as {names[0]}",
                got=repr(pattern),
            )
        frozen.update(found)

    def chosen(path: tuple[Any, ...], _: Any) -> bool:
        added = path[-1].key in ADAPTER_LEAVES or path[0].key == READOUT
        of_mode = mode == "full" or (mode == "lora" and added)
        return of_mode and path_of(path) not in frozen

    return jax.tree_util.tree_map_with_path(chosen, params)


def partition(params: Any, mask: Any) -> tuple[Any, Any]:
    """Splits parameters by a mask.

    Returns:
        Those for which it is True, and the others; without empty dicts.
    """
    yes: dict[str, Any] = {}
    no: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, dict):
            ours, others = partition(value, mask[name])
            if ours:
                yes[name] = ours
            if others:
                no[name] = others
        else:
            (yes if mask[name] else no)[name] = value
    return yes, no


def combine(one: Any, other: Any) -> Any:
    """Puts together what `partition` took apart."""
    result = dict(one)
    for name, value in other.items():
        both = name in result
        result[name] = combine(result[name], value) if both else value
    return result
