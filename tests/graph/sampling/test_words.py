"""Random words: the published cipher, and the same on host and device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.graph.sampling.words import (
    key_words,
    multiply_high,
    row_words,
    threefry_2x32,
)


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        # The known answers of Random123, "threefry2x32 20".
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((2**32 - 1,) * 2, (2**32 - 1,) * 2, (0x1CB996FC, 0xBB002BE7)),
        (
            (0x13198A2E, 0x03707344),
            (0x243F6A88, 0x85A308D3),
            (0xC4923A9C, 0x483DF7A0),
        ),
    ],
)
def test_known_answers(
    key: tuple[int, int], counter: tuple[int, int], expected: tuple[int, int]
) -> None:
    for xp in (np, jnp):
        arrays = [xp.asarray([word], xp.uint32) for word in (*key, *counter)]
        left, right = threefry_2x32((arrays[0], arrays[1]), (arrays[2], arrays[3]))
        assert (int(left[0]), int(right[0])) == expected


def test_they_are_jaxs_own() -> None:
    key = jax.random.key(5)
    rows = [0, 3, 70_000]
    words = row_words(key_words(key), jnp.asarray(rows), stream=2, count=9, xp=jnp)
    for row, drawn in zip(rows, words, strict=True):
        own = jax.random.fold_in(jax.random.fold_in(key, row), 2)
        expected = jax.random.bits(own, (9,), jnp.uint32)
        np.testing.assert_array_equal(drawn, expected)


def test_host_and_device_agree() -> None:
    words = key_words(jax.random.key(11))
    rows = np.asarray([5, 2**31 - 1, 0])
    on_device = row_words(words, jnp.asarray(rows), stream=1, count=33, xp=jnp)
    on_host = row_words(np.asarray(words), rows, stream=1, count=33, xp=np)
    assert on_host.dtype == np.uint32
    np.testing.assert_array_equal(on_host, on_device)


def test_any_key_will_do() -> None:
    raw = key_words(jax.random.PRNGKey(4))
    np.testing.assert_array_equal(raw, key_words(jax.random.key(4)))
    one, other = (key_words(jax.random.key(seed, impl="rbg")) for seed in (0, 1))
    assert one.shape == (2,)
    assert one.tolist() != other.tolist()


@pytest.mark.parametrize("xp", [np, jnp])
def test_multiply_high_is_exact(xp: object) -> None:
    some = [0, 1, 2, 23, 2**16 - 1, 2**16, 2**16 + 1, 2**31, 2**32 - 2, 2**32 - 1]
    rng = np.random.default_rng(0)
    some += rng.integers(0, 2**32, 40).tolist()
    words, counts = (grid.ravel() for grid in np.meshgrid(some, some))
    out = multiply_high(
        *(xp.asarray(part.astype(np.uint32)) for part in (words, counts))  # type: ignore[attr-defined]
    )
    expected = [
        word * count >> 32
        for word, count in zip(words.tolist(), counts.tolist(), strict=True)
    ]
    assert out.tolist() == expected
