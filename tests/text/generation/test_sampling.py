"""How tokens are drawn: which are left out, and how often each comes."""

import jax
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.generation.sampling import SamplingOptions, choose, narrowed

DRAWS = 20_000


def logits_of(seed: int, *, rows: int = 4, vocabulary: int = 50) -> np.ndarray:
    random = np.random.default_rng(seed)
    return 2 * random.normal(size=(rows, vocabulary)).astype(np.float32)


def slowly(row: np.ndarray, options: SamplingOptions) -> np.ndarray:
    """Probabilities by sorting, as the papers tell it."""
    scores = np.float64(row) / options.temperature
    order = np.argsort(-scores, kind="stable")
    kept = order[: options.top_k] if options.top_k else order
    weights = np.exp(scores - scores.max())
    weights[np.setdiff1d(order, kept)] = 0
    weights /= weights.sum()
    if options.top_p < 1:
        together = np.cumsum(weights[order])
        last = int(np.searchsorted(together, options.top_p))
        weights[order[last + 1 :]] = 0
    return weights / weights.sum()


CHOICES = [
    SamplingOptions(temperature=1.0),
    SamplingOptions(temperature=0.6),
    SamplingOptions(temperature=1.7, top_k=5),
    SamplingOptions(temperature=1.0, top_p=0.8),
    SamplingOptions(temperature=1.3, top_k=20, top_p=0.5),
    SamplingOptions(temperature=1.0, top_k=1),
    SamplingOptions(temperature=1.0, top_p=1e-6),
    SamplingOptions(temperature=1.0, top_k=500, top_p=0.999),
]


@pytest.mark.parametrize("options", CHOICES)
def test_what_is_left_out_is_what_sorting_leaves_out(options: SamplingOptions) -> None:
    logits = logits_of(0, rows=20)
    found = np.asarray(jax.nn.softmax(narrowed(logits, options), axis=-1))
    for row, probabilities in zip(logits, found, strict=True):
        np.testing.assert_allclose(probabilities, slowly(row, options), atol=1e-5)


@pytest.mark.parametrize("options", CHOICES)
def test_tokens_come_as_often_as_they_should(options: SamplingOptions) -> None:
    (row,) = logits_of(1, rows=1, vocabulary=12)
    keys = jax.random.split(jax.random.key(0), DRAWS)
    drawn, gained = jax.jit(choose, static_argnames="options")(
        np.tile(row, (DRAWS, 1)), options=options, keys_B=keys
    )
    counts, expected = np.bincount(drawn, minlength=12), slowly(row, options)
    assert not counts[expected == 0].any()
    # Each count is within five of its standard deviations.
    spread = np.sqrt(DRAWS * expected * (1 - expected)) + 1e-9
    assert (np.abs(counts - DRAWS * expected) <= 5 * spread + 1e-6).all()
    likely = np.float64(row) - np.log(np.exp(np.float64(row)).sum())
    np.testing.assert_allclose(gained, likely[np.asarray(drawn)], atol=1e-5)


def test_tokens_that_are_as_likely_are_kept_together() -> None:
    logits = np.array([[2.0, 1.0, 1.0, 0.0]], np.float32)
    kept = narrowed(logits, SamplingOptions(temperature=1.0, top_k=2))
    assert np.isfinite(kept[0]).tolist() == [True, True, True, False]
    kept = narrowed(logits, SamplingOptions(temperature=1.0, top_p=0.7))
    assert np.isfinite(kept[0]).tolist() == [True, True, True, False]


def test_greedy_takes_the_first_of_the_likeliest() -> None:
    logits = np.array([[0.0, 3.0, 3.0], [1.0, 0.0, -1.0]], np.float32)
    keys = jax.random.split(jax.random.key(0), 2)
    ids, gained = choose(logits, options=SamplingOptions(), keys_B=keys)
    assert ids.tolist() == [1, 0]
    np.testing.assert_allclose(gained[0], -np.log(2 + np.exp(-3.0)), rtol=1e-6)


@pytest.mark.parametrize("vocabulary", [1, 15, 16, 17, 49_152, 50_001])
def test_the_likeliest_of_any_vocabulary(vocabulary: int) -> None:
    logits = logits_of(2, rows=5, vocabulary=vocabulary) * 4
    # Twice the same: the first of them is taken.
    logits[1, -1] = logits[1].max()
    logits[2] -= 1e4
    keys = jax.random.split(jax.random.key(0), 5)
    ids, gained = choose(logits, options=SamplingOptions(), keys_B=keys)
    assert ids.tolist() == logits.argmax(axis=-1).tolist()
    exact = np.float64(logits)
    shifted = exact - exact.max(axis=-1, keepdims=True)
    wanted = -np.log(np.exp(shifted).sum(axis=-1))
    # A float32 of 1e4 has no digits below 1e-3.
    np.testing.assert_allclose(gained, wanted, atol=2e-3, rtol=1e-5)
    np.testing.assert_allclose(np.delete(gained, 2), np.delete(wanted, 2), atol=2e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 1e-38}, "temperature: expected 0, or a number"),
        (
            {"temperature": -1.0},
            "temperature: expected 0, or a number from 1e-06 on, got -1.0",
        ),
        ({"temperature": float("nan")}, "temperature: expected 0, or a number"),
        ({"top_k": -2}, "top_k: expected a number of tokens"),
        ({"top_k": 2.5}, "top_k: expected a number of tokens"),
        ({"top_p": 0.0}, "top_p: expected a probability above 0"),
        ({"top_p": 1.5}, "top_p: expected a probability above 0"),
    ],
)
def test_what_is_out_of_range_is_refused(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        SamplingOptions(**change)
