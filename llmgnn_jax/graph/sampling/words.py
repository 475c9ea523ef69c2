"""Random 32-bit words as a function of (key, row, stream, number), and draws from them.

Shapes: B rows, M words a row.

Threefry is written out here, on arrays of either NumPy or JAX, so that a sampler on the
host and a program on a device draw the same.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# A jax.Array on a device, an np.ndarray on the host; scalars are np.uint32.
Array = Any

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_HALF = np.uint32(16)
_LOW_HALF = np.uint32(0xFFFF)


def threefry_2x32(
    key: tuple[Array, Array], counter: tuple[Array, Array]
) -> tuple[Array, Array]:
    """The block cipher Threefry-2x32 with 20 rounds, as in `jax.random`.

    Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".

    Args:
        key: Two arrays of uint32.
        counter: Two arrays of uint32, of shapes that broadcast with the key's.

    Returns:
        Two arrays of uint32.
    """
    keys = (key[0], key[1], key[0] ^ key[1] ^ _PARITY)
    left, right = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            left = left + right
            right = _rotate_left(right, rotation) ^ left
        left = left + keys[(group + 1) % 3]
        right = right + keys[(group + 2) % 3] + np.uint32(group + 1)
    return left, right


def _rotate_left(words: Array, by: int) -> Array:
    return (words << np.uint32(by)) | (words >> np.uint32(32 - by))


def key_words(key: jax.Array) -> jax.Array:
    """(2,) uint32 of a key, whatever its implementation."""
    if jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key):
        words = jax.random.key_data(key)
    else:
        words = key
    if words.shape != (2,):
        words = jax.random.bits(key, (2,), np.uint32)
    return words


def row_words(
    words_2: Array,
    rows_B: Array,
    *,
    stream: int,
    count: int,
    xp: Any,
    first_B: Array | None = None,
) -> Array:
    """Random words of each global row; they do not depend on what other rows there are.

    Equal to `jax.random.bits(fold_in(fold_in(key, row), stream), (count,), uint32)` of
    a Threefry key.

    Args:
        words_2: (2,) uint32 of the key.
        rows_B: (B,) global row numbers.
        stream: Which stream of a row, so that its hops draw independently.
        count: M.
        xp: `numpy` or `jax.numpy`, that of the arrays.
        first_B: (B,) the number of the first word that each row wants; 0 if not given.

    Returns:
        (B, M) uint32.
    """
    zero_B = xp.zeros(rows_B.shape, xp.uint32)
    # [None] keeps NumPy from scalars, whose wrap-around it warns of.
    key = (words_2[0][None], words_2[1][None])
    key = threefry_2x32(key, (zero_B, rows_B.astype(xp.uint32)))
    key = threefry_2x32(key, (zero_B, zero_B + np.uint32(stream)))
    key = (key[0][:, None], key[1][:, None])
    firsts_B = zero_B if first_B is None else first_B.astype(xp.uint32)
    if xp is np:
        numbers_BM = firsts_B[:, None] + np.arange(count, dtype=np.uint32)[None, :]
        return _numbered_words(key, numbers_BM, np)
    # Halves, in a loop: what a loop writes is computed once. Fused into each of its
    # users, the cipher costs seconds of compilation and as much again at every step.
    half = -(-count // 2)
    numbers_BH = firsts_B[:, None] + jnp.arange(half, dtype=jnp.uint32)[None, :]

    def write(part: jax.Array, words_BM: jax.Array) -> jax.Array:
        first = part * half
        drawn_BH = _numbered_words(key, numbers_BH + first.astype(jnp.uint32), jnp)
        return jax.lax.dynamic_update_slice(words_BM, drawn_BH, (0, first))

    words_BM = jnp.zeros((rows_B.shape[0], 2 * half), jnp.uint32)
    return jax.lax.fori_loop(0, 2, write, words_BM)[:, :count]


def _numbered_words(key: tuple[Array, Array], numbers_BM: Array, xp: Any) -> Array:
    left_BM, right_BM = threefry_2x32(key, (xp.zeros_like(numbers_BM), numbers_BM))
    return left_BM ^ right_BM


def multiply_high(words: Array, counts: Array) -> Array:
    """floor(words * counts / 2**32): a draw from [0, counts), 0 where counts is 0.

    Each value has the probability 1 / counts to within 2**-32. The 64-bit product is
    put together from 16-bit halves: a device program has no 64-bit integers.

    Args:
        words: uint32, uniform.
        counts: uint32 of a shape that broadcasts.

    Returns:
        uint32.
    """
    high, low = words >> _HALF, words & _LOW_HALF
    count_high, count_low = counts >> _HALF, counts & _LOW_HALF
    middle = high * count_low + ((low * count_low) >> _HALF)
    carried = low * count_high + (middle & _LOW_HALF)
    return high * count_high + (middle >> _HALF) + (carried >> _HALF)
