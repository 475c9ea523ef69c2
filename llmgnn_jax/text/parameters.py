"""Parameters by their paths: names joined by dots, "layer_0.attention.query.kernel"."""

from collections.abc import Mapping
from typing import Any

import jax


def flat(params: Any) -> dict[str, Any]:
    """{"a": {"b": x}} to {"a.b": x}, in the order of the tree's leaves."""
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    return {path_of(keys): leaf for keys, leaf in leaves}


def nested(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": x} to {"a": {"b": x}}."""
    result: dict[str, Any] = {}
    for path, array in arrays.items():
        *modules, name = path.split(".")
        inside = result
        for module in modules:
            inside = inside.setdefault(module, {})
        inside[name] = array
    return result


def path_of(keys: tuple[Any, ...]) -> str:
    """The path of a leaf, from what `jax.tree_util` calls it."""
    return ".".join(key.key for key in keys)
