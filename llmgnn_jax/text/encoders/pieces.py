"""An encoder's parameters where they lie in pieces on several devices.

An encoder says where it needs which of them; who laid them over the devices says how
they get there. Elsewhere all are at hand, and nothing here does anything.

Shapes: D width, F width of an output, V vocabulary.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx


class Pieces(Protocol):
    """How parameters in pieces are used."""

    def whole(self, path: str, parameter: jax.Array) -> jax.Array:
        """A parameter in one piece; of its gradient each device gets its own piece."""
        ...

    def summed_in_pieces(self, path: str, parameter: jax.Array) -> jax.Array:
        """A parameter that is whole, of whose gradient each device gets a piece."""
        ...

    def rows(
        self, path: str, table_VD: jax.Array, ids: jax.Array, *, batch_axis: int
    ) -> jax.Array:
        """(*ids.shape, D): rows of a table, where those of the batch are computed."""
        ...


_pieces: Pieces | None = None


@contextlib.contextmanager
def lie_in(pieces: Pieces | None) -> Iterator[None]:
    """What is traced within has its parameters in pieces; None: all at hand."""
    global _pieces
    before, _pieces = _pieces, pieces
    try:
        yield
    finally:
        _pieces = before


def brought_together() -> bool:
    """Whether parameters are brought together where they are used."""
    return _pieces is not None


def whole(params: Any) -> Any:
    """A tree of parameters, each in one piece."""
    pieces = _pieces
    if pieces is None:
        return params

    def one(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        return pieces.whole(name.removesuffix(".value"), leaf)

    return jax.tree_util.tree_map_with_path(one, params)


def whole_layer(layer: nnx.Module) -> Any:
    """A module with its parameters in one piece."""
    if _pieces is None:
        return layer
    graphdef, params = nnx.split(layer, nnx.Param)
    return nnx.merge(graphdef, whole(params))


def outside_layers(params: dict[str, Any]) -> dict[str, Any]:
    """An encoder's parameters, all in one piece but those that it asks for later: of
    its layers, one after another, and of its words, row by row."""
    return {
        name: value
        if name.startswith("layer_") or name == "words"
        else outside_layers(value)
        if isinstance(value, dict)
        else whole({name: value})[name]
        for name, value in params.items()
    }


def joined(parameters: Sequence[jax.Array], path: str) -> jax.Array:
    """Matrices (D, F) side by side; their gradients are added up as one, too."""
    together = jnp.concatenate(parameters, axis=1)
    return together if _pieces is None else _pieces.summed_in_pieces(path, together)


def look_up(table_VD: jax.Array, ids: jax.Array, *, batch_axis: int = 0) -> jax.Array:
    """(*ids.shape, D): rows of the table of words.

    Args:
        table_VD: The parameter `words` of an encoder.
        ids: int32 row numbers.
        batch_axis: Which axis of `ids` is the batch's.
    """
    if _pieces is None:
        return table_VD[ids]
    return _pieces.rows("words", table_VD, ids, batch_axis=batch_axis)
