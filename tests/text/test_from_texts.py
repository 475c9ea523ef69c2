"""Encoders that learn their words from the texts they are to read."""

import json

import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.from_texts import FROM_TEXTS, encoder_from_texts
from llmgnn_jax.text.sources import load_text_encoder
from llmgnn_jax.text.tiny_bert import tiny_bert

HEISTS = ["a", "gang", "robs", "the", "bank", "vault", "of", "gold"]
SPACE = ["the", "crew", "flies", "a", "rocket", "to", "mars"]


def corpus(count=120):
    """Texts of two topics whose words never meet, but for 'the' and 'a'."""
    rng = np.random.default_rng(0)
    topics = (HEISTS, SPACE)
    return [" ".join(rng.permutation(topics[n % 2])[:6]) for n in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FROM_TEXTS)
def test_they_repeat_and_a_seed_changes_them(kind):
    texts = corpus()
    one, two = (encoder_from_texts(kind, texts, seed=3) for _ in range(2))
    assert one.identity == two.identity
    np.testing.assert_array_equal(one.encode(texts[:5]), two.encode(texts[:5]))
    other = encoder_from_texts(kind, texts, seed=4)
    assert other.identity != one.identity
    assert np.abs(other.encode(texts[:5]) - one.encode(texts[:5])).max() > 1e-3
    vectors = one.encode([*texts[:5], "", "nothing known here"])
    assert vectors.shape == (7, one.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors[:5], axis=1), 1, rtol=1e-5)
    # Words of the vocabulary alone make a text.
    assert np.isfinite(vectors).all()


def test_learned_words_tell_topics_apart():
    encoder = encoder_from_texts("words", corpus())
    asked = ["gang vault", "bank gold", "rocket mars", "crew flies"]
    cosines = encoder.encode(asked) @ encoder.encode(asked).T
    within = min(cosines[0, 1], cosines[2, 3])
    assert within > cosines[:2, 2:].max() + 0.1


@pytest.mark.parametrize(
    ("kind", "width"), [("words", 128), ("lstm", 256), ("cnn", 300)]
)
def test_their_shapes_and_options(kind, width):
    options = {"max_length": 600, "pooling": "last"}
    encoder = load_text_encoder(kind, texts=corpus(), seed=1, **options)
    assert encoder.dim == width
    assert (encoder.max_length, encoder.pooling) == (600, "last")
    long = " ".join(["gang"] * 700)
    cut = " ".join(["gang"] * 600)
    np.testing.assert_array_equal(encoder.encode([long]), encoder.encode([cut]))
    if kind == "words":
        with pytest.raises(UserError, match="dtype: expected float32 with the encoder"):
            load_text_encoder(kind, texts=corpus(), dtype="bfloat16")
        return
    half = load_text_encoder(kind, texts=corpus(), seed=1, dtype="bfloat16", **options)
    cosines = (half.encode(corpus()[:4]) * encoder.encode(corpus()[:4])).sum(axis=1)
    assert (cosines > 0.99).all()
    assert half.identity != encoder.identity


@pytest.mark.parametrize("kind", FROM_TEXTS)
def test_what_they_cannot_do_in_one_line(kind):
    with pytest.raises(UserError, match=r"encoder: expected one that has its weights"):
        load_text_encoder(kind)
    with pytest.raises(UserError, match=f"the encoder {kind}, learned from texts: "):
        load_text_encoder(kind, texts=["every word once", "no other twice"])
    with pytest.raises(UserError, match=r"max_length: expected 3 to 512"):
        encoder_from_texts(kind, corpus(), max_length=2)


@pytest.mark.parametrize("kind", FROM_TEXTS)
def test_saved_and_loaded_again(kind, tmp_path):
    texts = corpus()
    made = encoder_from_texts(kind, texts)
    made.save(tmp_path / "saved")
    again = TextEncoder.load(tmp_path / "saved")
    assert type(again.config) is type(made.config)
    np.testing.assert_array_equal(again.encode(texts), made.encode(texts))
    assert again.pad_id == made.pad_id
    config = json.loads((tmp_path / "saved" / "config.json").read_text("utf-8"))
    assert config["model_type"] == made.config.family


def test_a_trained_bert_is_saved_for_transformers(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    transformers = pytest.importorskip("transformers")
    made = tiny_bert({*HEISTS, *SPACE})
    texts = ["the gang flies to mars", "gold", ""]
    expected = made.encode(texts)  # Leaves truncation behind in the tokenizer.
    made.save(tmp_path)
    again = TextEncoder.load(tmp_path, max_length=64)
    np.testing.assert_array_equal(again.encode(texts), expected)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    model = transformers.AutoModel.from_pretrained(tmp_path).eval()
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    inputs = {key: inputs[key] for key in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        hidden = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"][:, :, None]
    pooled = (hidden * mask).sum(1) / mask.sum(1)
    theirs = torch.nn.functional.normalize(pooled).numpy()
    np.testing.assert_allclose(theirs, expected, atol=1e-5)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="file: expected a folder that can be written"):
        tiny_bert(["a"]).save(tmp_path / "file")
