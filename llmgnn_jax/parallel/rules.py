"""From the path of an array to how it is spread over a mesh.

Tables of users and items, their optimizer state, all that is known of them and of the
edges that lead into them lie in rows over all devices. Of the text encoder, matrices
whose columns are independent (queries, keys, values, the first of a feed-forward layer)
are cut by column over `model`, and those that come after by row, as in Shoeybi et al.
2019, "Megatron-LM" (https://arxiv.org/abs/1909.08053). Fully sharded, all its matrices
are cut over `data` as well (`parallel.fsdp`). All else is on each device.
"""

import re
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from llmgnn_jax.parallel.mesh import AXES, DATA, MODEL

# Parameters that are trained, and those that are not.
_ENCODER = r"(text_encoder|encoder\.frozen)\b.*"

RULES: tuple[tuple[str, P], ...] = (
    (r"(node_embedding|user_bias|item_bias)$", P(AXES)),
    (r"(item_IT|user_UT|read_IK|item_IK|user_UK)$", P(AXES)),
    (r"(item_known_I|user_parts_U|from_history_U)$", P(AXES)),
    (r"\bplan\.((near|far)\.|send$|indptr$|neighbours$)", P(AXES)),
    (r"\b(degrees|connected)$", P(AXES)),
    (r"\bknown\.(indptr|indices|bits)$", P(AXES)),
    (r"\b(users_E|items_E|values_E|active_users_A|item_counts_I)$", P(AXES)),
    (r"\bpopularity\.(accept_I|other_I|log_share_I)$", P(AXES)),
    (r"\bencoder\.(ids_IL|counts_I)$", P(AXES)),
    (
        _ENCODER + r"\.(query|key|value|intermediate|gate|up)\.(kernel|lora_b)$",
        P(None, MODEL),
    ),
    (_ENCODER + r"\.(query|key|value|intermediate|gate|up)\.bias$", P(MODEL)),
    (_ENCODER + r"\.(output|down)\.(kernel|lora_a)$", P(MODEL)),
    (_ENCODER + r"\.words$", P(MODEL)),
)
"""Patterns found in paths such as `params.text_encoder.layer_0.attention.query.kernel`,
the first that is found counts."""


def spread_of(
    path: str, shape: tuple[int, ...], mesh: Mesh, *, fully_sharded: bool = False
) -> P:
    """How an array is spread; not along an axis that cannot be cut evenly.

    Args:
        path: Its name.
        shape: Its shape.
        mesh: The devices.
        fully_sharded: Whether the text encoder's matrices are cut over `data` too.
            Vectors, of which all together are less than a hundredth of it, are not: to
            gather each would take as long as a matrix.
    """
    spread = P()
    for pattern, spec in RULES:
        if re.search(pattern, path):
            spread = P(
                *(
                    axis if axis is None or _divides(axis, size, mesh) else None
                    for axis, size in zip(spec, shape, strict=False)
                )
            )
            break
    if fully_sharded and len(shape) > 1 and re.search(_ENCODER, path):
        return _over_data(spread, path, shape, mesh)
    return spread


def _over_data(spread: P, path: str, shape: tuple[int, ...], mesh: Mesh) -> P:
    """Cut over `data` too, along the first axis that can be.

    What is not cut over `model` is cut over both, and what is, along another axis or
    along the same. Tables of words by column, so that each device looks up a part of
    every word.
    """
    held = [*spread, *[None] * (len(shape) - len(spread))]
    order = list(range(len(shape)))
    if path.endswith("words"):
        order.reverse()
    choices = [
        (axis, DATA if held[axis] is None else (held[axis], DATA)) for axis in order
    ]
    if MODEL not in held:
        choices = [*((axis, AXES) for axis in order), *choices]
    for axis, names in choices:
        if _divides(names, shape[axis], mesh):
            held[axis] = names
            return P(*held)
    return spread


def shardings(tree: Any, mesh: Mesh, *, fully_sharded: bool = False) -> Any:
    """A tree of `NamedSharding`s like a tree of arrays, see `spread_of`."""

    def of(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        spread = spread_of(_name(path), leaf.shape, mesh, fully_sharded=fully_sharded)
        return NamedSharding(mesh, spread)

    return jax.tree_util.tree_map_with_path(of, tree)


def _divides(axis: str | tuple[str, ...], size: int, mesh: Mesh) -> bool:
    names = (axis,) if isinstance(axis, str) else axis
    return size % int(np.prod([mesh.shape[name] for name in names])) == 0


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
