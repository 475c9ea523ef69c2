"""`UserLists`: users who ask one at a time, while vectors stay as they are.

lists = UserLists(Ranker(item_vectors), user_vectors, seen=seen)
lists.best(user, k=10)

Shapes: U users, I items, D width, k length of a list.
"""

import ctypes
import functools
from typing import Any

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.native.host import NO_MEMORY, address, call, kernel, threads
from llmgnn_jax.evaluation.ranker import LONGEST_OF_KERNEL, Ranker
from llmgnn_jax.evaluation.ranking import check_seen, checked_candidates
from llmgnn_jax.evaluation.sketch import Sketch, of_rows


class UserLists:
    """The lists of users whose vectors, and what they are not shown, do not change.

    They are those of `Ranker.rank`, bit for bit where its kernel gives them. What it
    checks and hands over at each call is checked and held here once: of a small
    catalogue a call takes less than that. Several threads may ask at once.

    Args:
        ranker: Of the items.
        user_vectors_UD: float32; not to be changed as long as this is used.
        seen: (U x I) pairs that are masked, or None; likewise.
        candidates: (I,) bool, which items may be ranked, or None for all; likewise.

    Raises:
        ValueError: If sizes do not fit together.
    """

    def __init__(
        self,
        ranker: Ranker,
        user_vectors_UD: np.ndarray,
        *,
        seen: Csr | None,
        candidates: np.ndarray | None = None,
    ) -> None:
        num_items, width = ranker.shape
        if user_vectors_UD.shape[1:] != (width,):
            raise ValueError(f"users: {user_vectors_UD.shape}, not (U, {width})")
        if seen is not None:
            check_seen(seen, len(user_vectors_UD), num_items)
        if candidates is not None:
            candidates = np.ascontiguousarray(checked_candidates(candidates, num_items))
        self._ranker, self._users_UD = ranker, user_vectors_UD
        self._seen, self._candidates = seen, candidates

    def best(self, user: int, *, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best unseen items of a user; ties go to the lower item index.

        Args:
            user: In [0, U).
            k: Length of the list; may exceed I.

        Returns:
            (k,) int32 items, -1 where there are no more, and (k,) float32 scores, -inf
            there.

        Raises:
            UserError: If a score is NaN or +inf.
            IndexError: If there is no such user.
        """
        if not 0 <= user < len(self._users_UD):
            raise IndexError(f"user {user} of {len(self._users_UD)}")
        query = self._query
        if query is not None and 1 <= k <= LONGEST_OF_KERNEL:
            found = query.best(user, k)
            if found is not None:
                return found
        one = np.array([user])
        rankings = self._ranker.rank(
            self._users_UD[one],
            seen=None if self._seen is None else self._seen.take(one),
            k=k,
            candidates=self._candidates,
        )
        return rankings.items[0], rankings.scores[0]

    @functools.cached_property
    def _query(self) -> "_Query | None":
        """None where there is no kernel, or it has no answers for these vectors."""
        sketch = self._ranker.sketch
        if sketch is None or self._users_UD.dtype != np.float32:
            return None
        return _Query(sketch, self._users_UD, self._seen, self._candidates)


class _Query:
    """What a kernel is told at each call, in its own form."""

    def __init__(
        self,
        sketch: Sketch,
        users_UD: np.ndarray,
        seen: Csr | None,
        candidates: np.ndarray | None,
    ) -> None:
        users_UD = np.ascontiguousarray(users_UD)
        ends, names = of_rows(seen, len(users_UD))
        # The kernel's form holds addresses alone.
        self._held = (sketch, users_UD, ends, names, candidates)
        self._form = ctypes.create_string_buffer(call("LlmgnnQueryBytes"))
        call(
            "LlmgnnQuery",
            *(address(users_UD), address(ends), address(names)),
            None if candidates is None else address(candidates),
            *(address(sketch.table), *sketch.table.shape),
            *sketch.addresses,
            ctypes.addressof(self._form),
        )
        self._kernel, self._threads = kernel("LlmgnnBestOfUser"), threads()

    def best(self, user: int, k: int) -> tuple[np.ndarray, np.ndarray] | None:
        """None where the bounds do not hold of a user, see `sketch.best_items`."""
        # k items, then k scores. NumPy's own arrays tell their addresses slowly.
        memory = _words(2 * k)()
        status = self._kernel(self._form, user, k, self._threads, memory)
        if status == NO_MEMORY:
            raise MemoryError("LlmgnnBestOfUser had no memory")
        if status:
            return None
        items = np.frombuffer(memory, np.int32, k)
        return items, np.frombuffer(memory, np.float32, k, 4 * k)


@functools.cache
def _words(count: int) -> Any:
    return ctypes.c_int32 * count
