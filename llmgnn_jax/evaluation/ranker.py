"""`Ranker`: the same items ranked again and again, for one user or for many.

ranker = Ranker(item_vectors)
ranker.rank(user_vectors[user : user + 1], seen=seen_of_that_user, k=10)

Shapes: U users, I items, W >= I rows of the table on device, D width.
"""

import functools

import jax
import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.native import library
from llmgnn_jax.evaluation.ranking import (
    Rankings,
    checked_candidates,
    inner_products,
    item_table,
    rank,
)
from llmgnn_jax.evaluation.sketch import (
    LARGEST,
    SMALLEST,
    Sketch,
    best_items,
    sketch_of,
)

_FEW_USERS = 8
"""Up to so many, each by itself is faster than all by the products of a chunk."""

_SHORT = 128
"""Longest list of the kernel: it inserts, which takes k steps."""

_NO_MASK = np.zeros(0, np.bool_)
_NO_ITEMS = np.zeros(0, np.int32)


class Ranker:
    """Holds item vectors on the device and gives the lists of `rank_factors`.

    What a request brings, vectors of users and the pairs to mask, is all that goes to
    the device. On CPU, where native kernels can be had, up to eight users and lists of
    up to 128 are ranked one user at a time: a copy of the table in bytes tells which
    items can be among the best, and only those are scored in float32. Everything else
    is ranked by the program of `rank`. The lists are exact either way; scores may
    differ in the last bits where XLA adds up in another order.

    Programs are compiled once for each k, number of users above eight (rounded up to a
    power of two) and number of masked pairs (likewise), for all rankers of as many
    items.

    Memory: the table, 4 W D bytes, and (D + 8) I from the first list of a few users on.

    Args:
        item_vectors_ID: float32.
    """

    def __init__(self, item_vectors_ID: jax.Array | np.ndarray) -> None:
        self._num_items = item_vectors_ID.shape[0]
        self._table_WD = item_table(item_vectors_ID, k=1)

    def rank(
        self,
        user_vectors_UD: np.ndarray,
        *,
        seen: Csr | None,
        k: int,
        candidates: np.ndarray | None = None,
    ) -> Rankings:
        """The k best unseen items of each user; ties go to the lower item index.

        Args:
            user_vectors_UD: float32.
            seen: (U x I) pairs that are masked, or None.
            k: Length of each ranking; may exceed I (the rest is -1).
            candidates: (I,) bool, which items may be ranked; None for all of them.

        Returns:
            The rankings, on the host, of users 0 to U - 1.

        Raises:
            UserError: If a score is NaN or +inf.
            ValueError: If sizes do not fit together.
        """
        user_vectors_UD = np.asarray(user_vectors_UD, np.float32)
        num_users, width = len(user_vectors_UD), self._table_WD.shape[1]
        if user_vectors_UD.shape[1:] != (width,):
            raise ValueError(f"users: {user_vectors_UD.shape}, not (U, {width})")
        if (
            num_users <= _FEW_USERS
            and 1 <= k <= _SHORT
            and self._sketch is not None
            and _in_range(user_vectors_UD)
        ):
            return self._one_by_one(user_vectors_UD, seen, k, candidates)
        padded = max(_FEW_USERS, 1 << (num_users - 1).bit_length())
        padding = ((0, padded - num_users), (0, 0))
        return rank(
            inner_products,
            {"users": np.pad(user_vectors_UD, padding), "items": self._table_WD},
            num_users=num_users,
            num_items=self._num_items,
            seen=seen,
            k=k,
            candidates=candidates,
        )

    @functools.cached_property
    def _sketch(self) -> Sketch | None:
        """None where there are no kernels, or vectors that have no bounds."""
        if not library.available() or self._table_WD.dtype != np.float32:
            return None
        return sketch_of(np.asarray(self._table_WD)[: self._num_items])

    def _one_by_one(
        self,
        user_vectors_UD: np.ndarray,
        seen: Csr | None,
        k: int,
        candidates: np.ndarray | None,
    ) -> Rankings:
        num_users, num_items = len(user_vectors_UD), self._num_items
        if seen is not None and seen.num_rows != num_users:
            raise ValueError(f"seen has {seen.num_rows} rows for {num_users} users")
        if candidates is None:
            allowed = _NO_MASK
        else:
            allowed = checked_candidates(candidates, num_items)
        assert self._sketch is not None
        pending = [
            best_items(
                self._sketch,
                self._table_WD,
                user_D,
                _hidden(seen, row, num_items),
                allowed,
                num_items=num_items,
                k=k,
            )
            for row, user_D in enumerate(user_vectors_UD)
        ]
        items_Uk = np.empty((num_users, k), np.int32)
        scores_Uk = np.empty((num_users, k), np.float32)
        for row, (items, scores) in enumerate(pending):
            items_Uk[row], scores_Uk[row] = np.asarray(items), np.asarray(scores)
        users = np.arange(num_users, dtype=np.int32)
        return Rankings(users=users, items=items_Uk, scores=scores_Uk)


def _in_range(user_vectors_UD: np.ndarray) -> bool:
    """Whether the kernel's bounds hold for all users."""
    norms_U = np.linalg.norm(user_vectors_UD, axis=1)
    return bool((norms_U >= SMALLEST).all() and (norms_U <= LARGEST).all())


def _hidden(seen: Csr | None, row: int, num_items: int) -> np.ndarray:
    """(S,) int32 ascending, S a power of two from 128 on; what fills up is no item."""
    items = _NO_ITEMS if seen is None else seen.row(row)
    if len(items) and items[-1] >= num_items:
        raise ValueError(f"seen has item {items[-1]} of {num_items}")
    hidden = np.full(1 << max(7, (len(items) - 1).bit_length()), num_items, np.int32)
    hidden[: len(items)] = items
    return hidden
