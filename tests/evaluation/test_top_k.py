"""Exact top-k of wide rows, against a full sort."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.evaluation.top_k import BLOCK, top_k, uses_blocks


def by_sorting(scores: np.ndarray, k: int) -> np.ndarray:
    """(B, k) columns by descending score, then ascending column."""
    columns = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    return np.stack(
        [
            np.lexsort((c, -row))[:k]
            for row, c in zip(scores + 0.0, columns, strict=True)
        ]
    )


@pytest.mark.parametrize("levels", [2, 40, 10_000_000])
@pytest.mark.parametrize(
    ("width", "k"), [(700, 9), (8_192, 20), (8_333, 1), (9_001, 35)]
)
def test_equals_a_full_sort_ties_included(width: int, k: int, levels: int) -> None:
    rng = np.random.default_rng(width + levels)
    scores = rng.integers(-levels, levels, (6, width)).astype(np.float32) / 8
    scores[1, rng.random(width) < 0.9] = -np.inf
    scores[2] = -np.inf
    scores[3] = rng.choice([-0.0, 0.0], width)
    scores[4, scores[4] > 0] = -0.0
    values, columns = jax.jit(top_k, static_argnums=1)(jnp.asarray(scores), k)
    expected = by_sorting(scores, k)
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, axis=1))


def test_both_ways_are_exercised_above() -> None:
    assert not uses_blocks(700, 9)
    assert uses_blocks(8_192, 20)
    assert 8_192 % BLOCK == 0
    assert uses_blocks(9_001, 35)
    assert 9_001 % BLOCK


@pytest.mark.parametrize("width", [100, 9_000])
def test_nan_is_never_lost(width: int) -> None:
    scores = np.zeros((4, width), np.float32)
    scores[1, width - 3] = np.nan
    scores[2] = np.nan
    scores[3, 5], scores[3, 6] = np.nan, -np.inf
    values, columns = jax.jit(top_k, static_argnums=1)(jnp.asarray(scores), 3)
    np.testing.assert_array_equal(np.isnan(values[:, 0]), [False, True, True, True])
    np.testing.assert_array_equal(columns[0], [0, 1, 2])
