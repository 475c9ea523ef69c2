"""Users against the same items by inner products: `Ranker`, and `rank_factors` once.

ranker = Ranker(item_vectors)
ranker.rank(user_vectors[user : user + 1], seen=seen_of_that_user, k=10)

Shapes: U users, B users that are ranked, I items, D width.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.native import library
from llmgnn_jax.evaluation.ranking import (
    Rankings,
    check_seen,
    checked_candidates,
    checked_users,
    inner_products,
    rank,
)
from llmgnn_jax.evaluation.sketch import Sketch, best_items, sketch_of
from llmgnn_jax.evaluation.top_k import BLOCK, uses_blocks

_FEW_USERS = 8
"""So few are ranked by the kernel even where it has to score most items."""

_ROUNDED = 2**14
"""Up to so many users of NumPy arrays, numbers are rounded up: requests differ."""

LONGEST_OF_KERNEL = 128
"""It inserts into a list, which takes k steps."""


class Ranker:
    """Holds item vectors and gives lists of the best, again and again.

    On CPU, where native kernels can be had, lists of up to 128 come from a copy of the
    table in bytes: it tells which items can be among the best, and only those are
    scored in float32 (`evaluation.sketch`). No scores of others are ever stored, so the
    number of users costs no memory. Everywhere else, and where vectors lie so close to
    one another that the bytes tell little, the lists come from the program of `rank`.
    They are exact either way; scores may differ in the last bits where XLA adds up in
    another order.

    The program is compiled once for each k, number of users (of NumPy arrays of up to
    16,384: rounded up to a power of two) and number of masked pairs (likewise), for all
    rankers of as many items.

    Memory: the table, 4 I D bytes, on the device from the first use of the program on,
    and (D + 4) I from the first use of the kernel on.

    Args:
        item_vectors_ID: float32; not to be changed as long as this is used.
    """

    def __init__(self, item_vectors_ID: jax.Array | np.ndarray) -> None:
        self._vectors_ID = item_vectors_ID

    def rank(
        self,
        user_vectors_UD: jax.Array | np.ndarray,
        *,
        seen: Csr | None,
        k: int,
        candidates: np.ndarray | None = None,
        users: np.ndarray | None = None,
        memory_limit_mb: float = 256,
        chunk_size: int | None = None,
    ) -> Rankings:
        """The k best unseen items of each user; ties go to the lower item index.

        Args:
            user_vectors_UD: float32.
            seen: (U x I) pairs that are masked, or None.
            k: Length of each ranking; may exceed I (the rest is -1).
            candidates: (I,) bool, which items may be ranked; None for all of them.
            users: (B,) users to rank, repeats allowed; None ranks all.
            memory_limit_mb: Of the program, see `rank`.
            chunk_size: Likewise; where it is given the program is what ranks.

        Returns:
            The rankings, on the host.

        Raises:
            UserError: If a score is NaN or +inf, or the cap is too small for the
                program.
            ValueError: If sizes do not fit together.
        """
        num_users, width = len(user_vectors_UD), self._vectors_ID.shape[1]
        if user_vectors_UD.shape[1:] != (width,):
            raise ValueError(f"users: {user_vectors_UD.shape}, not (U, {width})")
        if chunk_size is None and 1 <= k <= LONGEST_OF_KERNEL and library.available():
            found = self._by_kernel(user_vectors_UD, seen, k, candidates, users)
            if found is not None:
                return found
        if isinstance(user_vectors_UD, np.ndarray) and num_users <= _ROUNDED:
            padded = max(_FEW_USERS, 1 << (num_users - 1).bit_length())
            padding = ((0, padded - num_users), (0, 0))
            user_vectors_UD = np.pad(user_vectors_UD, padding)
        return rank(
            inner_products,
            {"users": jnp.asarray(user_vectors_UD), "items": self._table_WD},
            num_users=num_users,
            num_items=self._vectors_ID.shape[0],
            seen=seen,
            k=k,
            candidates=candidates,
            users=users,
            memory_limit_mb=memory_limit_mb,
            chunk_size=chunk_size,
        )

    @functools.cached_property
    def _table_WD(self) -> jax.Array:
        """On the device: rows of zeros make a long table one of whole blocks."""
        num_items = self._vectors_ID.shape[0]
        table = jnp.asarray(self._vectors_ID)
        if uses_blocks(num_items, 1) and num_items % BLOCK:
            table = jnp.pad(table, ((0, -num_items % BLOCK), (0, 0)))
        return table

    @property
    def shape(self) -> tuple[int, int]:
        """(I, D)."""
        num_items, width = self._vectors_ID.shape
        return num_items, width

    @functools.cached_property
    def sketch(self) -> Sketch | None:
        """What the kernel reads; None without one, or where its bounds do not hold."""
        return sketch_of(np.asarray(self._vectors_ID))

    def _by_kernel(
        self,
        user_vectors_UD: jax.Array | np.ndarray,
        seen: Csr | None,
        k: int,
        candidates: np.ndarray | None,
        users: np.ndarray | None,
    ) -> Rankings | None:
        """None where the kernel has no answer."""
        num_users, num_items = len(user_vectors_UD), self._vectors_ID.shape[0]
        asked = checked_users(users, num_users)
        if seen is not None:
            check_seen(seen, num_users, num_items)
        if candidates is not None:
            candidates = np.ascontiguousarray(checked_candidates(candidates, num_items))
        if self.sketch is None or user_vectors_UD.dtype != np.float32:
            return None
        found = best_items(
            self.sketch,
            np.ascontiguousarray(user_vectors_UD),
            asked,
            hidden=seen,
            allowed_I=candidates,
            k=k,
            worth_it=len(asked) > _FEW_USERS,
        )
        if found is None:
            return None
        items, scores = found
        return Rankings(users=asked, items=items, scores=scores)


def rank_factors(
    user_vectors_UD: jax.Array | np.ndarray,
    item_vectors_ID: jax.Array | np.ndarray,
    *,
    seen: Csr | None,
    k: int,
    candidates: np.ndarray | None = None,
    users: np.ndarray | None = None,
    memory_limit_mb: float = 256,
    chunk_size: int | None = None,
) -> Rankings:
    """`Ranker.rank` of items that are ranked once."""
    return Ranker(item_vectors_ID).rank(
        user_vectors_UD,
        seen=seen,
        k=k,
        candidates=candidates,
        users=users,
        memory_limit_mb=memory_limit_mb,
        chunk_size=chunk_size,
    )
