"""Losses against NumPy loops, and what their masks and corrections promise."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.training.losses import bpr, hardest, sampled_softmax


def scores(seed: int, rows: int = 5, negatives: int = 7) -> tuple[jax.Array, ...]:
    rng = np.random.default_rng(seed)
    keep = rng.random((rows, negatives)) < 0.6
    keep[2] = False
    return (
        jnp.asarray(rng.normal(size=rows), jnp.float32),
        jnp.asarray(rng.normal(size=(rows, negatives)), jnp.float32),
        jnp.asarray(keep),
    )


@pytest.mark.parametrize("seed", range(3))
def test_bpr_equals_a_loop(seed: int) -> None:
    positive, negative, keep = scores(seed)
    found = bpr(positive, negative, keep_BK=keep)
    for row in range(5):
        pairs = [
            math.log1p(math.exp(float(negative[row, k]) - float(positive[row])))
            for k in range(7)
            if bool(keep[row, k])
        ]
        expected = sum(pairs) / len(pairs) if pairs else 0.0
        assert float(found[row]) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_bpr_by_hand() -> None:
    keep = jnp.ones((1, 1), bool)
    even = bpr(jnp.zeros(1), jnp.zeros((1, 1)), keep_BK=keep)
    assert float(even[0]) == pytest.approx(math.log(2))
    # No overflow where the order is badly wrong or surely right.
    for difference, expected in ((-1e4, 1e4), (1e4, 0.0)):
        loss = bpr(jnp.full(1, difference), jnp.zeros((1, 1)), keep_BK=keep)
        assert float(loss[0]) == pytest.approx(expected)


def test_the_hardest_is_the_highest_that_is_kept() -> None:
    scores = jnp.asarray([[1.0, 3.0, 2.0], [5.0, 4.0, 4.0], [1.0, 2.0, 3.0]])
    keep = jnp.asarray([[True, True, True], [False, True, True], [False] * 3])
    kept = np.asarray(hardest(scores, keep_BK=keep))
    # Of equals the first; a row without any keeps none.
    expected = [[0, 1, 0], [0, 1, 0], [0, 0, 0]]
    np.testing.assert_array_equal(kept, np.asarray(expected, bool))
    positive = jnp.asarray([2.5, 0.0, 0.0])
    found = bpr(positive, scores, keep_BK=jnp.asarray(kept))
    by_hand = [math.log1p(math.exp(0.5)), math.log1p(math.exp(4.0)), 0.0]
    np.testing.assert_allclose(found, by_hand, rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_sampled_softmax_equals_a_loop(seed: int) -> None:
    positive, negative, keep = scores(seed)
    log_expected = np.random.default_rng(9).normal(size=7).astype(np.float32)
    found = sampled_softmax(
        positive, negative, keep_BK=keep, log_expected_K=jnp.asarray(log_expected)
    )
    for row in range(5):
        total = math.exp(float(positive[row]))
        for k in range(7):
            if bool(keep[row, k]):
                total += math.exp(float(negative[row, k]) - float(log_expected[k]))
        expected = math.log(total) - float(positive[row])
        assert float(found[row]) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_every_item_once_is_the_full_softmax() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32)
    positives = np.asarray([0, 8, 3, 3])
    found = sampled_softmax(
        jnp.asarray(logits[np.arange(4), positives]),
        jnp.asarray(logits),
        keep_BK=jnp.arange(9)[None, :] != jnp.asarray(positives)[:, None],
        log_expected_K=jnp.zeros(9),
    )
    expected = -jax.nn.log_softmax(jnp.asarray(logits))[np.arange(4), positives]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_uniform_negatives_estimate_the_full_softmax() -> None:
    rng = np.random.default_rng(1)
    num_items, num_negatives, draws = 30, 10, 20_000
    logits = rng.normal(size=num_items).astype(np.float32)
    positive = 4
    negatives = rng.integers(0, num_items, (draws, num_negatives))
    losses = sampled_softmax(
        jnp.full(draws, logits[positive]),
        jnp.asarray(logits[negatives]),
        keep_BK=jnp.asarray(negatives != positive),
        log_expected_K=jnp.full(num_negatives, math.log(num_negatives / num_items)),
    )
    # exp(loss) is 1 + sum over the drawn of exp(s_k - s+) / n_k: unbiased.
    estimates = np.exp(np.asarray(losses, np.float64))
    full = np.exp(logits.astype(np.float64) - logits[positive]).sum()
    assert estimates.mean() == pytest.approx(full, rel=0.01)
    assert estimates.std() / full > 0.1  # a draw alone is far off: 1 % is a test
    # The log of an estimate is low, by Jensen, and not by much.
    assert math.log(full) - 0.1 < np.asarray(losses).mean() < math.log(full)


def test_masked_negatives_have_no_gradient() -> None:
    positive, negative, keep = scores(0)
    log_expected = jnp.zeros(7)
    gradients = (
        jax.grad(lambda n: bpr(positive, n, keep_BK=keep).sum())(negative),
        jax.grad(
            lambda n: sampled_softmax(
                positive, n, keep_BK=keep, log_expected_K=log_expected
            ).sum()
        )(negative),
    )
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        np.testing.assert_array_equal(np.asarray(gradient) != 0, np.asarray(keep))
        assert (np.asarray(gradient)[np.asarray(keep)] > 0).all()


def test_a_row_without_negatives_costs_nothing() -> None:
    positive, negative, keep = scores(0)
    assert not keep[2].any()
    log_expected = jnp.zeros(7)

    def in_bpr(positive: jax.Array) -> jax.Array:
        return bpr(positive, negative, keep_BK=keep)

    def in_softmax(positive: jax.Array) -> jax.Array:
        return sampled_softmax(
            positive, negative, keep_BK=keep, log_expected_K=log_expected
        )

    for loss in (in_bpr, in_softmax):
        assert float(loss(positive)[2]) == pytest.approx(0, abs=1e-7)
        gradient = jax.grad(lambda p, loss=loss: loss(p).sum())(positive)
        assert float(gradient[2]) == pytest.approx(0, abs=1e-7)
        assert (np.asarray(gradient)[[0, 1, 3, 4]] < 0).all()
