"""Pooling against values worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.text.pooling import POOLINGS, l2_normalise, pool

# Two tokens and padding; padding first; nothing but padding.
MASK = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0]], bool)
HIDDEN = np.arange(18, dtype=np.float32).reshape(3, 3, 2)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [[1, 2], [9, 10], [0, 0]]),
        ("cls", [[0, 1], [6, 7], [0, 0]]),
        ("last", [[2, 3], [10, 11], [0, 0]]),
    ],
)
def test_pool(pooling, expected):
    got = pool(jnp.asarray(HIDDEN), jnp.asarray(MASK), pooling=pooling)
    np.testing.assert_array_equal(got, np.array(expected, np.float32))


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_what_stands_at_padding_does_not_matter(pooling):
    spoilt = np.where(MASK[:, :, None], HIDDEN, np.nan)
    got = pool(jnp.asarray(spoilt), jnp.asarray(MASK), pooling=pooling)
    expected = pool(jnp.asarray(HIDDEN), jnp.asarray(MASK), pooling=pooling)
    np.testing.assert_array_equal(got, expected)


def test_unknown_pooling_names_the_known_ones():
    with pytest.raises(ValueError, match=", ".join(POOLINGS)):
        pool(jnp.asarray(HIDDEN), jnp.asarray(MASK), pooling="max")  # type: ignore[arg-type]


def test_l2_normalise_keeps_zeros_and_their_gradient_finite():
    vectors = jnp.array([[3.0, 4.0], [0.0, 0.0], [1e-3, 0.0]])
    np.testing.assert_allclose(
        l2_normalise(vectors), [[0.6, 0.8], [0, 0], [1, 0]], rtol=1e-6
    )
    gradient = jax.grad(lambda x: l2_normalise(x).sum())(vectors)
    assert np.isfinite(gradient).all()
