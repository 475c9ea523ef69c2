"""A table of vectors in bytes, and the best items of users by it, on the host.

Shapes: I items, D width, N panels of 64 items, G groups of 4 columns, U users, B rows
that are asked for.
"""

import functools
from dataclasses import dataclass

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.native import library
from llmgnn_jax.evaluation.native.host import address, call, threads

PANEL, GROUP = 64, 4
"""Items and columns that lie beside one another, as the kernels have them."""

WIDEST = 2**14
"""Sums of wider codes would leave 32 bits."""

_UNBOUNDED = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Sketch:
    """What tells which items can be among the best of a user.

    Items are ordered by the lengths of their vectors, longest first. A number is near
    scale * (code - 128) of its panel. For a user u, an item v and any numbers u' and v'
    near theirs, |u . v - u' . v'| <= |u - u'| reach + |u| error.

    Attributes:
        table: (I, D) float32, the vectors themselves.
        codes: (N, G, 64, 4) uint8.
        numbers: (64 N,) int32, which item lies there; -1 for none.
        scales: (N,) float32.
        reaches: (N,) float32, no v' is longer.
        errors: (N,) float32, no v' is further from its v; rounding of u . v included.
        lengths: (N,) float32, no vector of this panel or of later ones is longer.
    """

    table: np.ndarray
    codes: np.ndarray
    numbers: np.ndarray
    scales: np.ndarray
    reaches: np.ndarray
    errors: np.ndarray
    lengths: np.ndarray

    @functools.cached_property
    def addresses(self) -> tuple[int, ...]:
        """Of all arrays but the table, in this order: a kernel's arguments."""
        return tuple(
            address(array)
            for array in (
                *(self.codes, self.numbers, self.scales),
                *(self.reaches, self.errors, self.lengths),
            )
        )


def sketch_of(vectors_ID: np.ndarray) -> Sketch | None:
    """The sketch of a table in float32.

    Memory: (D + 4) bytes an item stay, and the table itself.

    Returns:
        None where there are no kernels, or where the bounds do not hold: a vector is
        not finite, of a length from 1e15 on, or of too many columns.
    """
    num_items, width = vectors_ID.shape
    if not (num_items and 1 <= width <= WIDEST) or vectors_ID.dtype != np.float32:
        return None
    if not library.available():
        return None
    table = np.ascontiguousarray(vectors_ID)
    panels, groups = -(-num_items // PANEL), -(-width // GROUP)
    sketch = Sketch(
        table=table,
        codes=np.empty((panels, groups, PANEL, GROUP), np.uint8),
        numbers=np.empty(panels * PANEL, np.int32),
        scales=np.empty(panels, np.float32),
        reaches=np.empty(panels, np.float32),
        errors=np.empty(panels, np.float32),
        lengths=np.empty(panels, np.float32),
    )
    status = call(
        "LlmgnnSketch",
        *(address(table), num_items, width, threads()),
        *sketch.addresses,
    )
    return None if status else sketch


def best_items(
    sketch: Sketch,
    users_UD: np.ndarray,
    rows_B: np.ndarray,
    *,
    hidden: Csr | None,
    allowed_I: np.ndarray | None,
    k: int,
    worth_it: bool = True,
) -> tuple[np.ndarray, np.ndarray] | None:
    """The k best items of each row, exactly; equal scores: lower item first.

    Args:
        sketch: Of the table.
        users_UD: float32.
        rows_B: int32 in [0, U).
        hidden: (U x I) pairs that are left out, or None.
        allowed_I: bool, which may be shown; None for all.
        k: From 1.
        worth_it: Whether to give up where so many items have to be scored that products
            of matrices would be faster: vectors that lie close to one another.

    Returns:
        (B, k) int32 items, -1 where there are no more, and (B, k) float32 scores, -inf
        there. None where it gave up, or where the bounds do not hold of a user: the
        vector is not finite, or of a length below 1e-15 (but 0) or from 1e15 on.
    """
    (num_items, width), num_rows = sketch.table.shape, len(rows_B)
    items = np.empty((num_rows, k), np.int32)
    scores = np.empty((num_rows, k), np.float32)
    ends, names = of_rows(hidden, len(users_UD))
    status = call(
        "LlmgnnBestItems",
        *(address(users_UD), address(rows_B), num_rows),
        *(address(ends), address(names)),
        None if allowed_I is None else address(allowed_I),
        *(address(sketch.table), num_items, width),
        *sketch.addresses,
        *(k, num_rows * (num_items // 8 + 32 * k) if worth_it else _UNBOUNDED),
        *(threads(), address(items), address(scores)),
    )
    return None if status else (items, scores)


def of_rows(hidden: Csr | None, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs as the kernels read them: where rows end, int64, and columns, int32."""
    if hidden is None:
        return np.zeros(num_rows + 1, np.int64), np.empty(0, np.int32)
    ends = np.ascontiguousarray(hidden.indptr, np.int64)
    names = np.ascontiguousarray(hidden.indices, np.int32)
    assert ends[-1] <= len(names)
    return ends, names
