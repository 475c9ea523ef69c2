"""Word vectors: the table as an encoder, from files and from texts."""

import dataclasses

import jax
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.cnn import CNNConfig
from llmgnn_jax.text.encoders.lstm import LSTMConfig
from llmgnn_jax.text.encoders.model import apply, declare, initialise
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.encoders.word_vectors import WordVectorsConfig
from llmgnn_jax.text.from_words import is_word_file, word_encoder
from llmgnn_jax.text.skip_gram import SkipGramConfig
from llmgnn_jax.text.word_file_writer import write_word_file

CONFIGS = [
    WordVectorsConfig(vocab_size=11, dim=6),
    LSTMConfig(vocab_size=11, dim=6, hidden_size=5, num_layers=2, directions=2),
    CNNConfig(vocab_size=11, dim=6, filters=3, widths=(2, 3), max_tokens=40),
]
WORDS = ["the", "heist", "robots", "我", "喜", "Paris"]


def vectors():
    return np.random.default_rng(0).normal(size=(len(WORDS), 5)).astype(np.float32)


def encoder_of(words, **options):
    return TextEncoder(
        model=words.model, tokenizer=words.tokenizer, weights=words.weights, **options
    )


def test_a_token_has_the_vector_of_its_word_and_a_row_its_gradient():
    model = initialise(CONFIGS[0], seed=0)
    table = np.asarray(model.params["words"])
    ids = np.array([[3, 3, 0], [10, 0, 0]], np.int32)
    rows = TokenRows(ids_BL=ids, mask_BL=np.array([[1, 1, 0], [1, 0, 0]], bool))
    np.testing.assert_array_equal(apply(model.graphdef, model.params, rows), table[ids])

    def loss(params):
        hidden = apply(model.graphdef, params, rows)
        return (hidden * rows.mask_BL[:, :, None]).sum()

    gradient = jax.grad(loss)(model.params)["words"]
    expected = np.zeros((11, 6))
    expected[3], expected[10] = 2, 1
    np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.family)
def test_configs_of_the_simple_encoders(config):
    assert type(config).from_values(config.to_values()) == config
    values = {**config.to_values(), "unknown": 1}
    if "widths" in values:
        values["widths"] = list(values["widths"])
    assert type(config).from_values(values) == config
    assert hash(type(config).from_values(values)) == hash(config)
    declared, model = declare(config), initialise(config, seed=0)
    assert jax.tree.map(lambda leaf: leaf.shape, declared.params) == jax.tree.map(
        lambda leaf: leaf.shape, model.params
    )
    ids = np.arange(8, dtype=np.int32).reshape(2, 4)
    rows = TokenRows(ids_BL=ids, mask_BL=np.ones((2, 4), bool))
    run = jax.jit(apply, static_argnums=0)
    hidden = np.asarray(run(model.graphdef, model.params, rows))
    assert hidden.shape == (2, 4, config.out_features)
    assert hidden.dtype == np.float32
    assert np.abs(hidden[0, 0] - hidden[1, 3]).max() > 1e-2
    again, other = initialise(config, seed=0), initialise(config, seed=1)
    for one, two, three in zip(
        *map(jax.tree.leaves, (model.params, again.params, other.params)), strict=True
    ):
        np.testing.assert_array_equal(one, two)
        assert (np.asarray(one) != three).any() or one.ndim == 1


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (CONFIGS[0], {"dim": 0}, "dim: expected a whole number from 1, got 0"),
        (CONFIGS[0], {"vocab_size": 2.5}, "vocab_size: expected a whole number"),
        (CONFIGS[0], {"model_type": "lstm"}, "model_type: expected 'word-vectors'"),
        (CONFIGS[0], {"dim": None}, "config: expected the keys dim, got none"),
        (CONFIGS[1], {"directions": 3}, "directions: expected 1 or 2, got 3"),
        (CONFIGS[1], {"hidden_size": None}, "expected the keys hidden_size"),
        (CONFIGS[2], {"widths": []}, "widths: expected one or more whole numbers"),
        (CONFIGS[2], {"widths": 3}, "widths: expected one or more whole numbers"),
        (CONFIGS[2], {"widths": [3, 0]}, "widths: expected one or more whole numbers"),
        (CONFIGS[2], {"filters": -1}, "filters: expected a whole number from 1"),
    ],
)
def test_configs_out_of_range_are_one_line(config, values, message):
    read = {**config.to_values(), **values}
    read = {name: value for name, value in read.items() if value is not None}
    with pytest.raises(UserError, match=message):
        type(config).from_values(read)


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.bin"])
def test_a_text_is_the_mean_of_its_words(tmp_path, name):
    path = tmp_path / name
    format = "binary" if name.endswith(".bin") else "word2vec"
    write_word_file(path, words=WORDS, vectors=vectors(), format=format)
    assert is_word_file(path)
    assert not is_word_file(tmp_path)
    encoder = encoder_of(word_encoder(path), max_length=5)
    mean = vectors()[[1, 2, 3]].mean(axis=0)
    got = encoder.encode(["Heist, robots? 我", "zz", "", "heist " * 9])
    np.testing.assert_allclose(got[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert not got[1:3].any(), "no known word, no direction"
    np.testing.assert_allclose(
        got[3], vectors()[1] / np.linalg.norm(vectors()[1]), atol=1e-6
    )
    paris = encoder.encode(["PARIS"])[0] @ vectors()[5] / np.linalg.norm(vectors()[5])
    assert paris == pytest.approx(1, abs=1e-6)


def test_the_same_vectors_have_the_same_identity_and_others_another(tmp_path):
    text, binary = tmp_path / "a.txt", tmp_path / "b.bin"
    changed = vectors()
    changed[2, 3] += 1e-6
    write_word_file(text, words=WORDS, vectors=vectors())
    write_word_file(binary, words=WORDS, vectors=vectors(), format="binary")
    base = encoder_of(word_encoder(text)).identity
    assert base == encoder_of(word_encoder(binary)).identity
    assert base != encoder_of(word_encoder(text, max_tokens=400)).identity
    write_word_file(text, words=WORDS, vectors=changed)
    assert base != encoder_of(word_encoder(text)).identity
    write_word_file(text, words=["a", *WORDS[1:]], vectors=vectors())
    assert base != encoder_of(word_encoder(text)).identity
    limited = word_encoder(binary, limit=2)
    assert limited.model.config == dataclasses.replace(
        limited.model.config, vocab_size=4, dim=5
    )


def test_learned_from_texts():
    rng = np.random.default_rng(0)
    themes = [[f"{name}{n}" for n in range(6)] for name in "ab"]
    texts = [" ".join(rng.choice(themes[n % 2], 8)) for n in range(300)]
    config = SkipGramConfig(dim=8, min_count=1, subsample=0, epochs=10)
    words = word_encoder(texts, skip_gram=config, seed=3)
    first, same, other = encoder_of(words).encode(["a0 a1", "a2 a3", "b2 b3"])
    assert first @ same > 0.9 > 0.5 > first @ other
    again = word_encoder(texts, skip_gram=config, seed=3)
    assert words.weights == again.weights
    assert words.weights != word_encoder(texts, skip_gram=config, seed=4).weights
