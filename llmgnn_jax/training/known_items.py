"""Which items a user is known to like: looked up on the device, never as negatives.

Shapes: B rows, I item slots, K candidates.
"""

import functools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.data.csr import Csr, csr_in_pieces
from llmgnn_jax.native.calls import call_kernel


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["indptr", "indices", "bits"],
    meta_fields=["longest", "num_items", "num_users", "native"],
)
@dataclass(frozen=True, kw_only=True)
class KnownItems:
    """The train part as a set of (user, item) pairs.

    In S pieces each has as many users, and its arrays are those of a set of its own:
    they stand one after another along the first axis.

    Attributes:
        indptr: (U + S,) int32.
        indices: (E,) int32, sorted within a user; pieces are filled up to one length.
        bits: (U, ceil(I / 32)) uint32 with one bit a pair, or None.
        longest: Most items of one user.
        num_items: I.
        num_users: U, of all pieces.
        native: Whether `among` is the C++ kernel's work.
    """

    indptr: jax.Array
    indices: jax.Array
    bits: jax.Array | None
    longest: int
    num_items: int
    num_users: int
    native: bool = False

    @classmethod
    def build(
        cls,
        pairs: Csr,
        *,
        num_items: int,
        dense: bool,
        num_users: int | None = None,
        shares: int = 1,
        native: bool = False,
    ) -> "KnownItems":
        """From users x items.

        Args:
            pairs: Users x items.
            num_items: I.
            dense: Whether `bits` are there: U I / 8 bytes, which make `rows` available
                and `contain` one look-up instead of a search.
            num_users: U, a multiple of S; those of `pairs` if not given.
            shares: S.
            native: Whether the kernels of `training.native` are there.
        """
        counts = pairs.counts()
        num_users = pairs.num_rows if num_users is None else num_users
        ends = np.full(num_users + 1, pairs.nnz, np.int64)
        ends[: pairs.num_rows + 1] = pairs.indptr
        indptr, indices = csr_in_pieces(ends, pairs.indices, pieces=shares)
        bits = None
        if dense:
            words = -(-num_items // 32)
            table = np.zeros((num_users, words), np.uint32)
            users = np.repeat(np.arange(pairs.num_rows), counts)
            bit = np.uint32(1) << (pairs.indices % 32).astype(np.uint32)
            np.bitwise_or.at(table, (users, pairs.indices // 32), bit)
            bits = jnp.asarray(table)
        return cls(
            indptr=jnp.asarray(indptr),
            indices=jnp.asarray(indices),
            bits=bits,
            longest=int(counts.max(initial=0)),
            num_items=num_items,
            num_users=num_users,
            native=native,
        )

    def contain(self, users_B: jax.Array, items_BK: jax.Array) -> jax.Array:
        """(B, K) bool, whether each pair is known.

        By one bit each where `bits` are there, else by a binary search of log2 steps.
        """
        if not self.longest:
            return jnp.zeros(items_BK.shape, bool)
        if self.bits is not None:
            words_BK = self.bits[users_B[:, None], items_BK // 32]
            shifts_BK = (items_BK % 32).astype(jnp.uint32)
            return (words_BK >> shifts_BK) & jnp.uint32(1) == 1
        low_BK = jnp.broadcast_to(self.indptr[users_B][:, None], items_BK.shape)
        end_BK = jnp.broadcast_to(self.indptr[users_B + 1][:, None], items_BK.shape)
        high_BK = end_BK
        for _ in range(math.ceil(math.log2(self.longest + 1))):
            middle_BK = (low_BK + high_BK) // 2
            searching = low_BK < high_BK
            right = searching & (self.indices[middle_BK] < items_BK)
            low_BK = jnp.where(right, middle_BK + 1, low_BK)
            high_BK = jnp.where(searching & ~right, middle_BK, high_BK)
        found_BK = self.indices[jnp.minimum(low_BK, len(self.indices) - 1)]
        return (low_BK < end_BK) & (found_BK == items_BK)

    def among(self, users_B: jax.Array, items_K: jax.Array) -> jax.Array:
        """(B, K) bool, which of the same K items each user is known to like.

        By the kernel in the order of B + K and of the users' items; else as `contain`.
        """
        shape = (len(users_B), len(items_K))
        if not self.native or not self.longest:
            return self.contain(users_B, jnp.broadcast_to(items_K[None, :], shape))
        return call_kernel(
            "llmgnn_known_among",
            jax.ShapeDtypeStruct(shape, jnp.bool_),
            self.indptr,
            self.indices,
            users_B,
            items_K,
        )

    def rows(self, users_B: jax.Array) -> jax.Array:
        """(B, I) bool, every item of each user.

        Raises:
            ValueError: If it was not built `dense`.
        """
        if self.bits is None:
            raise ValueError("KnownItems.rows: build(dense=True) makes them available")
        words_BW = self.bits[users_B]
        shifts = jnp.arange(32, dtype=jnp.uint32)
        bits_BW32 = (words_BW[:, :, None] >> shifts[None, None, :]) & jnp.uint32(1)
        return bits_BW32.reshape(len(users_B), -1)[:, : self.num_items] == 1
