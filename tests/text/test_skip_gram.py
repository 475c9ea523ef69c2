"""Skip-gram: what is drawn, what a step does, what is learned."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.corpus import corpus_of
from llmgnn_jax.text.skip_gram import (
    SkipGramConfig,
    Tables,
    initial_tables,
    learn_word_vectors,
    update,
)
from llmgnn_jax.text.windows import (
    Windows,
    draw_windows,
    keep_words,
    kept_words,
    noise_of,
    on_device,
    steps_of,
)

BY = (-3, -2, -1, 1, 2, 3)
KEY = (jnp.uint32(5), jnp.uint32(6))
SMALL = SkipGramConfig(dim=16, min_count=1, subsample=0, epochs=15, window=3)


def planted(seed=0, *, number=400):
    """Texts of two themes, with words that belong to both; (texts, themes)."""
    rng = np.random.default_rng(seed)
    themes = [[f"{name}{n}" for n in range(8)] for name in ("film", "soup")]
    texts = []
    for row in range(number):
        words = [*rng.choice(themes[row % 2], 7), *rng.choice(["the", "a"], 3)]
        texts.append(" ".join(rng.permutation(words)))
    return texts, themes


def random_windows(seed, *, words=7, rows=6, around=4, negatives=3):
    rng = np.random.default_rng(seed)
    return Windows(
        words_B=rng.integers(0, words, rows).astype(np.int32),
        contexts_BW=rng.integers(0, words, (rows, around)).astype(np.int32),
        near_BW=rng.random((rows, around)) < 0.6,
        negatives_BK=rng.integers(0, words, (rows, negatives)).astype(np.int32),
    )


def random_tables(seed, *, words=7, dim=5):
    rng = np.random.default_rng(seed)
    return Tables(
        *(jnp.asarray(rng.normal(size=(words, dim)), jnp.float32) for _ in range(2)),
        *(jnp.asarray(rng.random(words), jnp.float32) for _ in range(2)),
    )


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def slow_update(tables, windows, learning_rate):
    """One pair and one negative at a time, in float64."""
    inputs, outputs, input_squares, output_squares = (
        np.asarray(table, np.float64) for table in tables
    )
    loss, pairs, touched_inputs, touched_outputs = 0.0, 0, [], []
    for word, contexts, near, negatives in zip(*map(np.asarray, windows), strict=True):
        v, d_v = inputs[word], np.zeros(inputs.shape[1])
        d_context = {}
        for place in np.flatnonzero(near):
            context = contexts[place]
            score = v @ outputs[context]
            loss -= np.log(sigmoid(score))
            pairs += 1
            d_v += (sigmoid(score) - 1) * outputs[context]
            d_context[place] = (sigmoid(score) - 1) * v
            for number, negative in enumerate(negatives):
                if negative == context:
                    continue
                score = v @ outputs[negative]
                loss -= np.log(sigmoid(-score))
                d_v += sigmoid(score) * outputs[negative]
                d_context.setdefault(("negative", number), np.zeros(len(v)))
                d_context["negative", number] += sigmoid(score) * v
        touched_inputs.append((word, d_v))
        for place, gradient in d_context.items():
            other = negatives[place[1]] if isinstance(place, tuple) else contexts[place]
            touched_outputs.append((other, gradient))
    for table, squares, touched in (
        (inputs, input_squares, touched_inputs),
        (outputs, output_squares, touched_outputs),
    ):
        for row, gradient in touched:
            squares[row] += (gradient**2).mean()
        for row, gradient in touched:
            table[row] -= learning_rate * gradient / np.sqrt(squares[row] + 1e-12)
    return (inputs, outputs, input_squares, output_squares), loss / max(pairs, 1)


@pytest.mark.parametrize("seed", range(3))
def test_a_step_is_that_of_a_slow_loop(seed):
    tables, windows = random_tables(seed), random_windows(seed)
    assert (windows.negatives_BK[:, :, None] == windows.contexts_BW[:, None]).any()
    got, loss = jax.jit(update)(tables, windows, 0.3)
    expected, slow_loss = slow_update(tables, windows, 0.3)
    assert loss == pytest.approx(slow_loss, rel=1e-5)
    for one, two, before in zip(got, expected, tables, strict=True):
        assert np.abs(two - before).max() > 0.05
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_a_step_touches_the_rows_of_its_words_alone():
    tables, windows = random_tables(3, words=40), random_windows(3, words=40)
    got, _ = jax.jit(update)(tables, windows, 0.3)
    near = np.unique(windows.contexts_BW[windows.near_BW])
    named = np.union1d(near, windows.negatives_BK)
    for before, after, rows in (
        (tables.inputs_VD, got.inputs_VD, windows.words_B),
        (tables.outputs_VD, got.outputs_VD, named),
    ):
        changed = np.flatnonzero((np.asarray(before) != after).any(axis=1))
        assert set(changed) <= set(rows)
        assert len(changed) > 3


def test_rows_beyond_the_end_change_nothing():
    tables, windows = random_tables(4), random_windows(4)
    none = windows._replace(near_BW=np.zeros_like(windows.near_BW))
    got, loss = update(tables, none, 0.3)
    for one, two in zip(got, tables, strict=True):
        np.testing.assert_array_equal(one, two)
    assert loss == 0


def test_words_are_counted_sorted_and_cut():
    corpus = corpus_of(["b a b", "", "c b a. zz", "a 我"], min_count=2)
    assert corpus.words == ["a", "b"]
    assert corpus.counts.tolist() == [3, 3]
    assert corpus.tokens_N.tolist() == [1, 0, 1, 1, 0, 0]
    assert corpus.texts_N.tolist() == [0, 0, 0, 2, 2, 3]


def test_probabilities_of_words_left_out():
    counts = np.array([980, 10, 9, 1])
    got = keep_words(counts, subsample=0.01) / 0xFFFFFFFF
    ratio = 0.01 / 0.98
    np.testing.assert_allclose(got, [ratio**0.5 + ratio, 1, 1, 1], atol=1e-9)
    assert (keep_words(counts, subsample=0) == 0xFFFFFFFF).all()


def test_noise_is_in_proportion_to_counts_to_the_three_quarters():
    counts = np.random.default_rng(0).integers(1, 10_000, 300)
    noise = noise_of(counts)
    accept = np.asarray(noise.accept_V) / 2.0**32
    implied = accept.copy()
    np.add.at(implied, np.asarray(noise.alias_V), 1 - accept)
    expected = counts**0.75 / (counts**0.75).sum()
    np.testing.assert_allclose(implied / 300, expected, atol=1e-8)


def corpus_on_device(*, subsample=0.0):
    texts, _ = planted()
    corpus = corpus_of(texts, min_count=1)
    return corpus, on_device(corpus, subsample=subsample)


def test_an_epoch_keeps_the_words_that_its_key_says():
    corpus, data = corpus_on_device(subsample=0.02)
    kept, other = kept_words(KEY, data), kept_words((KEY[1], KEY[0]), data)
    size = int(kept.size)
    assert 0.3 * len(corpus.tokens_N) < size < 0.9 * len(corpus.tokens_N)
    # In order, with their texts.
    texts = np.asarray(kept.texts_N)[:size]
    assert (np.diff(texts) >= 0).all()
    shares = np.bincount(np.asarray(kept.tokens_N)[:size]) / corpus.counts
    expected = np.asarray(data.keep_V) / 0xFFFFFFFF
    np.testing.assert_allclose(shares, expected, atol=0.1)
    assert expected[0] < 0.6
    assert int(other.size) != size or (other.tokens_N != kept.tokens_N).any()


@functools.partial(jax.jit, static_argnames="batch_size")
def drawn(data, kept, step, *, batch_size=32, key=KEY):
    return draw_windows(
        key, data.noise, kept, step, batch_size=batch_size, window=3, negatives=4
    )


def test_an_epoch_reads_each_word_once_with_its_own_neighbours():
    _, data = corpus_on_device(subsample=0.02)
    kept = kept_words(KEY, data)
    size = int(kept.size)
    tokens, texts = np.asarray(kept.tokens_N), np.asarray(kept.texts_N)
    steps = int(steps_of(kept.size, 32))
    reaches = []
    for step in range(steps):
        windows = jax.tree.map(np.asarray, drawn(data, kept, jnp.int32(step)))
        for row in range(32):
            place = row * steps + step
            near = windows.near_BW[row]
            if place >= size:
                assert not near.any()
                continue
            assert windows.words_B[row] == tokens[place]
            own = [
                at if 0 <= at < size and texts[at] == texts[place] else -1
                for by in BY
                for at in [place + by]
            ]
            # The width is drawn; what is within it is never left out.
            possible = [
                [abs(by) <= reach and at >= 0 for by, at in zip(BY, own, strict=True)]
                for reach in (1, 2, 3)
            ]
            assert near.tolist() in possible
            for is_near, at, word in zip(
                near, own, windows.contexts_BW[row], strict=True
            ):
                assert not is_near or word == tokens[at]
            if min(own) >= 0:
                reaches.append(near.sum() // 2)
    assert steps * 32 >= size > (steps - 1) * 32
    counts = np.bincount(reaches, minlength=4)[1:]
    np.testing.assert_allclose(counts / counts.sum(), 1 / 3, atol=0.1)


def test_draws_belong_to_key_step_and_row():
    _, data = corpus_on_device()
    kept = kept_words(KEY, data)
    step, next_step = jnp.int32(2), jnp.int32(3)
    base = drawn(data, kept, step).negatives_BK
    np.testing.assert_array_equal(base, drawn(data, kept, step).negatives_BK)
    # A row draws the same whatever other rows there are.
    few = drawn(data, kept, step, batch_size=8).negatives_BK
    np.testing.assert_array_equal(base[:8], few)
    for other in (
        drawn(data, kept, next_step),
        drawn(data, kept, step, key=KEY[::-1]),
    ):
        assert (np.asarray(base) == other.negatives_BK).mean() < 0.2


def test_words_that_occur_together_are_alike():
    texts, themes = planted()
    learned = learn_word_vectors(texts, config=SMALL, seed=0)
    assert learned.vectors.shape == (18, 16)
    assert set(learned.words[:2]) == {"the", "a"}
    unit = learned.vectors / np.linalg.norm(learned.vectors, axis=1, keepdims=True)
    rows = [[learned.words.index(word) for word in theme] for theme in themes]
    cosines = [[(unit[one] @ unit[two].T) for two in rows] for one in rows]
    others = cosines[0][1]
    for theme in range(2):
        same = cosines[theme][theme][~np.eye(8, dtype=bool)]
        assert same.min() > others.max() + 0.2
        assert same.mean() > 0.7


def test_a_run_repeats_bit_for_bit_and_another_seed_gives_another():
    texts, _ = planted(number=60)
    config = dataclasses.replace(SMALL, epochs=2, subsample=0.05)
    first = learn_word_vectors(texts, config=config, seed=1)
    again = learn_word_vectors(texts, config=config, seed=1)
    np.testing.assert_array_equal(first.vectors, again.vectors)
    other = learn_word_vectors(texts, config=config, seed=2)
    assert other.words == first.words
    assert np.abs(other.vectors - first.vectors).min(axis=1).max() > 1e-4


def test_first_vectors_are_word2vecs():
    tables = initial_tables(50, 10, seed=0)
    assert 0.04 < np.abs(tables.inputs_VD).max() <= 0.05
    assert not np.asarray(tables.outputs_VD).any()


def test_texts_of_one_word_leave_finite_vectors():
    learned = learn_word_vectors(["a", "a", "b"], config=SMALL, seed=0)
    assert learned.words == ["a", "b"]
    assert np.isfinite(learned.vectors).all()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "texts: expected words that occur 5 times or more"),
        (["", " "], "got 0 words in 2 texts"),
        (["a b c"], "got 3 words in 1 texts, none as often"),
        (["a", None], "text 1: expected a str, got NoneType"),
    ],
)
def test_texts_without_words_are_one_line(texts, message):
    with pytest.raises(UserError, match=message):
        learn_word_vectors(texts, seed=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dim": 0}, "dim: expected a whole number from 1"),
        ({"window": 1.5}, "window: expected a whole number from 1"),
        ({"learning_rate": 0}, "learning_rate: expected a number above 0"),
        ({"subsample": -1}, "subsample: expected a share from 0 to 1"),
    ],
)
def test_configs_out_of_range_are_one_line(values, message):
    with pytest.raises(UserError, match=message):
        SkipGramConfig(**values)
