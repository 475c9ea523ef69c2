"""Random draws keyed by (seed, step, global row).

Shapes: B rows of a batch, E train interactions, K negatives.

No draw depends on how rows are laid over devices or on how many steps one call runs,
so a resumed run repeats an uninterrupted one. Nothing here keeps state.
"""

import math

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.placement import Placement
from llmgnn_jax.training.known_items import KnownItems

_ROUNDS = 4


def row_keys(key: jax.Array, rows_B: jax.Array) -> jax.Array:
    """(B,) keys, one for each global row (or item) number."""
    return jax.vmap(lambda row: jax.random.fold_in(key, row))(rows_B)


def steps_per_epoch(num_examples: int, batch_size: int) -> int:
    """Steps in which each example is drawn at least once; the last batch wraps."""
    return -(-num_examples // batch_size)


def draw_examples(
    key: jax.Array, step: jax.Array, rows_B: jax.Array, *, num_examples: int, batch: int
) -> jax.Array:
    """The interactions of a step: epochs without replacement, each newly shuffled.

    Args:
        key: The root key.
        step: () int32, from 0.
        rows_B: (B,) int32 global rows of the batch in [0, batch).
        num_examples: E.
        batch: Rows of the whole batch, over all devices.

    Returns:
        (B,) int32 in [0, E).
    """
    per_epoch = steps_per_epoch(num_examples, batch)
    epoch_key = jax.random.fold_in(key, step // per_epoch)
    places_B = ((step % per_epoch) * batch + rows_B) % num_examples
    return permute(epoch_key, places_B, size=num_examples)


def permute(key: jax.Array, places: jax.Array, *, size: int) -> jax.Array:
    """A keyed pseudo-random permutation of [0, size), evaluated at any places.

    A Feistel network over the next even number of bits, walked along its cycles until
    it is back in range (Black and Rogaway 2002, "Ciphers with arbitrary finite
    domains"): a shuffle that needs no array of the size of the data and no state.

    Args:
        key: Which permutation.
        places: (B,) int32 in [0, size).
        size: Size of the domain, below 2**31.

    Returns:
        (B,) int32, different for different places.
    """
    half = max(1, math.ceil(math.log2(max(size, 2)) / 2))
    mask = jnp.uint32(2**half - 1)
    round_keys = jax.random.bits(key, (_ROUNDS,), jnp.uint32)

    def encrypt(values: jax.Array) -> jax.Array:
        left, right = values >> half, values & mask
        for number in range(_ROUNDS):
            left, right = right, left ^ (_mix(right ^ round_keys[number]) & mask)
        return (left << half) | right

    def walk(values: jax.Array) -> jax.Array:
        return jnp.where(values < size, values, encrypt(values))

    values = encrypt(places.astype(jnp.uint32))
    values = jax.lax.while_loop(lambda v: jnp.any(v >= size), walk, values)
    return values.astype(jnp.int32)


def _mix(values: jax.Array) -> jax.Array:
    """MurmurHash3's 32-bit finaliser."""
    values = (values ^ (values >> 16)) * jnp.uint32(0x85EBCA6B)
    values = (values ^ (values >> 13)) * jnp.uint32(0xC2B2AE35)
    return values ^ (values >> 16)


def draw_items(key: jax.Array, rows: jax.Array, *, num_items: int) -> jax.Array:
    """Items drawn uniformly with replacement, one for each row number; same shape."""
    keys = row_keys(key, rows.reshape(-1))
    drawn = jax.vmap(lambda k: jax.random.randint(k, (), 0, num_items))(keys)
    return drawn.reshape(rows.shape)


def draw_of_users(
    user_key: jax.Array,
    item_key: jax.Array,
    rows_B: jax.Array,
    *,
    active_users_A: jax.Array,
    known: KnownItems,
    num_active: int,
    placement: Placement,
) -> tuple[jax.Array, jax.Array]:
    """A user drawn uniformly for each row, and one of its items: LightGCN's sampler.

    Args:
        user_key: Of the users' draws.
        item_key: Of the items' draws.
        rows_B: (B,) int32 global rows.
        active_users_A: (A,) int32, users with at least one item, then any.
        known: Their items.
        num_active: How many there are.
        placement: Where these lie.

    Returns:
        (B,) int32 users and (B,) int32 items.
    """
    drawn_B = draw_items(user_key, rows_B, num_items=num_active)
    users_B = placement.take(active_users_A, drawn_B)
    items_B = placement.ask(
        _item_of_user,
        known,
        users_B,
        *(rows_B, jax.random.key_data(item_key)),
        rows=known.num_users,
    )
    return users_B, items_B


def _item_of_user(
    known: KnownItems, users_B: jax.Array, rows_B: jax.Array, key_data: jax.Array
) -> jax.Array:
    """(B,) one of the items of each user, drawn by its row."""
    start_B, end_B = known.indptr[users_B], known.indptr[users_B + 1]
    keys_B = row_keys(jax.random.wrap_key_data(key_data), rows_B)
    places_B = jax.vmap(lambda key, count: jax.random.randint(key, (), 0, count))(
        keys_B, end_B - start_B
    )
    return known.indices[start_B + places_B]


def keep_mask(key: jax.Array, rows_B: jax.Array, *, dropout: float) -> jax.Array:
    """(B,) bool, False with probability `dropout`, one draw for each row number."""
    keys = row_keys(key, rows_B)
    return jax.vmap(lambda k: jax.random.bernoulli(k, 1.0 - dropout))(keys)
