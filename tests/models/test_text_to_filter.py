"""From texts to what a filter says: against the formula by hand."""

import numpy as np
import pytest

from llmgnn_jax.models.text_to_filter import TextToFilter


def drawn(count: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def test_equals_kernel_ridge_regression_by_hand() -> None:
    texts, vectors, asked = drawn(9, 4, 0), drawn(9, 3, 1), drawn(2, 4, 2)
    found = TextToFilter.fit(texts, vectors, l2=0.7, sharpness=1.5)(asked)
    center = texts.astype(np.float64).mean(axis=0)

    def kernel(left: np.ndarray, right: np.ndarray) -> float:
        left, right = left - center, right - center
        cosine = left @ right / (np.linalg.norm(left) * np.linalg.norm(right))
        return np.exp(1.5 * (cosine - 1))

    matrix = np.array([[kernel(a, b) for b in texts] for a in texts])
    mean = vectors.astype(np.float64).mean(axis=0)
    weights = np.linalg.solve(matrix + 0.7 * np.eye(9), vectors - mean)
    for row, text in zip(found, asked, strict=True):
        near = np.array([kernel(text, other) for other in texts])
        np.testing.assert_allclose(row, mean + near @ weights, rtol=2e-5, atol=1e-6)
    assert found.dtype == np.float32


def test_what_was_learned_from_is_met_again_the_better_the_smaller_l2() -> None:
    texts, vectors = drawn(20, 8, 0), drawn(20, 3, 1)
    errors = [
        np.abs(TextToFilter.fit(texts, vectors, l2=l2, sharpness=2.0)(texts) - vectors)
        for l2 in (1e-6, 1e-2, 1.0, 1e6)
    ]
    assert errors[0].max() < 1e-3
    assert np.all(np.diff([error.mean() for error in errors]) > 0)
    # With no trust in texts at all, each is what items are in the mean.
    mean = vectors.mean(axis=0)
    found = TextToFilter.fit(texts, vectors, l2=1e9, sharpness=2.0)(texts)
    np.testing.assert_allclose(found, np.tile(mean, (20, 1)), atol=1e-4)


def test_near_texts_say_the_same_and_far_ones_little() -> None:
    rng = np.random.default_rng(0)
    themes = np.eye(6, dtype=np.float32)[rng.integers(6, size=120)]
    texts = themes + 0.1 * rng.normal(size=(120, 6)).astype(np.float32)
    vectors = themes @ drawn(6, 5, 1)
    learned = TextToFilter.fit(texts[:100], vectors[:100], l2=0.1, sharpness=4.0)
    errors = np.linalg.norm(learned(texts[100:]) - vectors[100:], axis=1)
    sizes = np.linalg.norm(vectors[100:] - vectors[:100].mean(axis=0), axis=1)
    assert (errors < 0.25 * sizes).mean() > 0.9


@pytest.mark.parametrize("same", [True, False])
def test_texts_that_do_not_differ_do_not_divide_by_zero(same: bool) -> None:
    texts = np.ones((4, 3), np.float32) if same else drawn(1, 3, 0).repeat(4, axis=0)
    vectors = drawn(4, 2, 1)
    found = TextToFilter.fit(texts, vectors, l2=1.0, sharpness=2.0)(texts)
    np.testing.assert_allclose(found, np.tile(vectors.mean(0), (4, 1)), atol=1e-5)
