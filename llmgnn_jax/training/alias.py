"""Draws by weight in constant time, from tables that may lie in pieces.

Shapes: I slots, n of them in use.

Source: Walker, "An efficient method for generating discrete random variables with
general distributions" (1977); the tables are made as in Vose (1991).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.training.draws import row_keys


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["accept_I", "other_I", "log_share_I"],
    meta_fields=["size"],
)
@dataclass(frozen=True, kw_only=True)
class AliasTable:
    """A distribution over slots: a slot is drawn evenly, and kept or exchanged.

    Two rows of a table a draw, wherever they lie: a cumulative sum would be searched,
    and so would have to lie on every device whole.

    Attributes:
        accept_I: (I,) float32, how often a slot that was drawn is kept.
        other_I: (I,) int32, what stands in for it otherwise.
        log_share_I: (I,) float32, log of how likely each is in all; -inf for never.
        size: n.
    """

    accept_I: jax.Array
    other_I: jax.Array
    log_share_I: jax.Array
    size: int

    @classmethod
    def build(cls, weights: np.ndarray, *, slots: int) -> "AliasTable":
        """Of the first slots' weights; those after them are never drawn.

        Args:
            weights: (n,), not negative, one of them above 0.
            slots: I.
        """
        size = len(weights)
        shares = np.asarray(weights, np.float64) / np.sum(weights, dtype=np.float64)
        accept, other = np.ones(slots), np.arange(slots)
        left = (shares * size).tolist()
        small = [slot for slot, share in enumerate(left) if share < 1]
        large = [slot for slot, share in enumerate(left) if share >= 1]
        while small and large:
            less, more = small.pop(), large[-1]
            accept[less], other[less] = left[less], more
            left[more] -= 1 - left[less]
            if left[more] < 1:
                small.append(large.pop())
        # What rounding left over keeps itself, unless it is never to be drawn.
        never = [slot for slot in small if shares[slot] == 0]
        accept[never], other[never] = 0.0, int(np.argmax(shares))
        log_shares = np.full(slots, -np.inf)
        np.log(shares, where=shares > 0, out=log_shares[:size])
        return cls(
            accept_I=jnp.asarray(accept, jnp.float32),
            other_I=jnp.asarray(other, jnp.int32),
            log_share_I=jnp.asarray(log_shares, jnp.float32),
            size=size,
        )

    def draw(
        self,
        key: jax.Array,
        numbers: jax.Array,
        *,
        take: Callable[[jax.Array, jax.Array], jax.Array],
    ) -> jax.Array:
        """Slots drawn with replacement, one for each number; same shape, int32.

        Args:
            key: Which draws.
            numbers: int32, all that a draw depends on beside the key.
            take: Rows of a table by their numbers, see `Placement.take`.
        """
        keys = row_keys(key, numbers.reshape(-1))

        def one(key: jax.Array) -> tuple[jax.Array, jax.Array]:
            slot_key, share_key = jax.random.split(key)
            slot = jax.random.randint(slot_key, (), 0, self.size)
            return slot, jax.random.uniform(share_key)

        slots, shares = jax.vmap(one)(keys)
        kept = shares < take(self.accept_I, slots)
        return jnp.where(kept, slots, take(self.other_I, slots)).reshape(numbers.shape)
