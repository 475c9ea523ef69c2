"""Draws by weight: the tables hold the distribution exactly, and draws follow it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.training.alias import AliasTable

KEY = jax.random.key(0)


def rows_of(table: jax.Array, numbers: jax.Array) -> jax.Array:
    return table[numbers]


def shares_in(table: AliasTable) -> np.ndarray:
    """What a draw of even slots, kept or exchanged, comes to."""
    shares = np.zeros(len(table.accept_I))
    accept, other = np.asarray(table.accept_I, np.float64), np.asarray(table.other_I)
    for slot in range(table.size):
        shares[slot] += accept[slot] / table.size
        shares[other[slot]] += (1 - accept[slot]) / table.size
    return shares


@pytest.mark.parametrize(
    "weights",
    [
        np.asarray([1.0]),
        np.ones(7),
        np.asarray([0.0, 5.0, 0.0]),
        np.asarray([1, 2, 3, 4, 0, 10], float),
        np.random.default_rng(0).zipf(1.3, 500) ** 0.75,
        np.where(np.arange(300) % 3, np.random.default_rng(1).random(300), 0.0),
    ],
    ids=["one", "even", "all in one", "few", "steep", "many never"],
)
def test_tables_hold_the_weights(weights: np.ndarray) -> None:
    table = AliasTable.build(weights, slots=len(weights) + 3)
    expected = weights / weights.sum()
    found = shares_in(table)
    np.testing.assert_allclose(found[: len(weights)], expected, rtol=2e-4, atol=1e-7)
    # What is never to be drawn is not, to the last bit.
    assert not found[: len(weights)][weights == 0].any()
    assert not found[len(weights) :].any()
    log_shares = np.asarray(table.log_share_I)
    drawn = np.append(weights > 0, [False] * 3)
    np.testing.assert_allclose(np.exp(log_shares[drawn]), found[drawn], rtol=2e-4)
    assert (log_shares[~drawn] == -np.inf).all()


def test_draws_follow_the_weights() -> None:
    weights = np.asarray([8.0, 0.0, 1.0, 3.0, 4.0])
    table = AliasTable.build(weights, slots=8)
    numbers = jnp.arange(16_000, dtype=jnp.int32).reshape(1000, 16)
    draw = jax.jit(lambda key, numbers: table.draw(key, numbers, take=rows_of))
    found = np.asarray(draw(KEY, numbers))
    assert found.shape == numbers.shape
    assert found.dtype == np.int32
    counts = np.bincount(found.reshape(-1), minlength=8)
    expected = 1000 * weights
    assert not counts[1]
    assert not counts[5:].any()
    wanted = expected > 0
    deviations = (counts[:5] - expected)[wanted] ** 2 / expected[wanted]
    assert deviations.sum() < 16.3  # 3 degrees of freedom, p = 0.001
    # A draw depends on its number and the key alone.
    some = jnp.asarray([[17, 3], [15_999, 4]], jnp.int32)
    np.testing.assert_array_equal(draw(KEY, some), found.reshape(-1)[np.asarray(some)])
    other = np.asarray(draw(jax.random.fold_in(KEY, 1), numbers))
    # Two independent draws agree as often as the sum of squared shares.
    agree = ((weights / weights.sum()) ** 2).sum()
    assert (other == found).mean() == pytest.approx(agree, abs=0.03)
