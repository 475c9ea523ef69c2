"""`TextEncoder`: what it gives, what it depends on, what it refuses."""

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text import kernels
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.model import initialise
from llmgnn_jax.text.pretrained import save_encoder
from llmgnn_jax.text.tiny_bert import tiny_bert

WORDS = [*"abcdefghij", "heist", "robots", "我", "喜", "欢"]


def random_texts(seed, *, number=60, longest=22):
    rng = np.random.default_rng(seed)
    return [
        " ".join(rng.choice(WORDS, rng.integers(0, longest + 1))) for _ in range(number)
    ]


@pytest.fixture(scope="module")
def encoder():
    return tiny_bert(WORDS, batch_tokens=128)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint in Hugging Face's layout."""
    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=300,
    )
    save_encoder(folder, params=initialise(config, seed=1).params, config=config)
    return folder


def test_vectors_are_of_unit_length_and_follow_the_text(encoder):
    texts = random_texts(0)
    vectors = encoder.encode(texts)
    assert vectors.shape == (60, encoder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    one, other, same = encoder.encode(["heist a", "robots b", "Heist  a"])
    assert np.abs(one - other).max() > 1e-2
    np.testing.assert_array_equal(one, same)


def test_a_vector_does_not_depend_on_what_else_is_encoded(encoder):
    texts = random_texts(1)
    together = encoder.encode(texts)
    order = np.random.default_rng(0).permutation(len(texts))
    np.testing.assert_array_equal(
        encoder.encode([texts[row] for row in order]), together[order]
    )
    for row in range(0, len(texts), 7):
        np.testing.assert_array_equal(encoder.encode([texts[row]])[0], together[row])


def test_shapes_are_compiled_once(encoder):
    encoder.encode(random_texts(2, number=200))
    before = encoder.num_compilations
    assert before <= 5
    with jax.no_tracing():
        encoder.encode(random_texts(3, number=200))
    assert encoder.num_compilations == before


def test_empty_input_empty_text_long_text_and_half_a_surrogate_pair(encoder):
    assert encoder.encode([]).shape == (0, encoder.dim)
    long = "heist " * 200_000
    vectors = encoder.encode(["", long, "heist \ud800"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    cut = encoder.encode(["heist " * (encoder.max_length - 2)])
    np.testing.assert_array_equal(vectors[1], cut[0])


def test_progress_counts_texts(encoder):
    seen = []
    encoder.encode(random_texts(4), seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 60
    assert len(seen) > 1
    assert (
        sum(batch.tokens for batch in encoder.encode_batches(["a b", "heist"])) == 4 + 3
    )


@pytest.mark.parametrize("pooling", ["cls", "last"])
def test_poolings_differ(encoder, pooling):
    other = tiny_bert(WORDS, batch_tokens=128, pooling=pooling)
    texts = ["a b c heist"]
    assert np.abs(other.encode(texts) - encoder.encode(texts)).max() > 1e-2
    assert other.identity != encoder.identity


def test_identity_covers_what_decides_the_vectors(folder, tmp_path):
    load = TextEncoder.load
    base = load(folder).identity
    assert base == load(str(folder), batch_tokens=77).identity
    others = [
        load(folder, pooling="cls").identity,
        load(folder, max_length=128).identity,
        load(folder, dtype="bfloat16").identity,
    ]
    for name, old, new in (
        ("vocab.txt", b"heist", b"theft"),
        ("config.json", b'"gelu"', b'"relu"'),
        ("model.safetensors", None, None),
    ):
        copy = tmp_path / name
        copy.mkdir()
        for path in folder.iterdir():
            data = path.read_bytes()
            if path.name == name:
                data = data.replace(old, new) if old else data[:-1] + b"\x01"
            (copy / path.name).write_bytes(data)
        others.append(load(copy).identity)
    assert len({base, *others}) == 7


def test_identity_covers_what_computes_the_vectors(encoder, monkeypatch):
    found = {encoder.identity}
    monkeypatch.setattr(jax, "default_backend", lambda: "another")
    found.add(encoder.identity)
    usable = kernels.usable()
    monkeypatch.setattr(kernels, "usable", lambda: not usable)
    found.add(encoder.identity)
    monkeypatch.undo()
    assert len(found) == 3
    assert encoder.identity in found


def test_other_parameters_have_vectors_and_an_identity_of_their_own(encoder):
    texts = random_texts(8)
    vectors, identity = encoder.encode(texts), encoder.identity
    compiled = encoder.num_compilations
    params = jax.tree.map(lambda leaf: 1.5 * leaf, encoder.model.params)
    other = encoder.with_params(params)
    assert np.abs(other.encode(texts) - vectors).max() > 1e-2
    assert other.num_compilations == compiled
    assert other.identity != identity
    assert other.identity == encoder.with_params(params).identity
    # The first one is as it was.
    np.testing.assert_array_equal(encoder.encode(texts), vectors)
    assert encoder.identity == identity


def test_identity_is_the_same_in_another_process(folder):
    program = (
        "import sys; from llmgnn_jax.text.encode import TextEncoder as T;"
        "e = T.load(sys.argv[1]); e.encode(['a heist']);"
        "assert not {'torch', 'transformers'} & sys.modules.keys(), 'imports too much';"
        "print(e.identity)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == TextEncoder.load(folder).identity


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"pooling": "max"},
            "pooling: expected one of mean, cls, last, attention, got",
        ),
        ({"head": "linear"}, "head: expected one of dense, convolutional, got"),
        ({"dtype": "float16"}, "dtype: expected one of float32, bfloat16"),
        ({"max_length": 301}, "max_length: expected 3 to 300.* got 301"),
        ({"max_length": 2}, "max_length: expected 3 to 300"),
        ({"max_length": 12.5}, "max_length: expected 3 to 300.* got 12.5"),
        ({"batch_tokens": 64.0}, "batch_tokens: expected 1 or more, got 64.0"),
        ({"batch_tokens": True}, "batch_tokens: expected 1 or more, got True"),
        ({"batch_tokens": 0}, "batch_tokens: expected 1 or more, got 0"),
    ],
)
def test_options_out_of_range_are_one_line(folder, options, message):
    with pytest.raises(UserError, match=message):
        TextEncoder.load(folder, **options)


def test_sources_that_are_none(tmp_path):
    with pytest.raises(UserError, match=r"config\.json: expected"):
        TextEncoder.load(tmp_path)
    with pytest.raises(UserError, match="minilm-l6"):
        TextEncoder.load("minilm-l7")


def test_tokenizer_of_another_encoder_is_refused(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "vocab.txt").open("a") as file:
        file.write("one\nmore\n")
    with pytest.raises(UserError, match=r"tokenizer: expected ids below .* 19, got"):
        TextEncoder.load(tmp_path)


def test_texts_that_are_none_are_one_line(encoder):
    with pytest.raises(UserError, match="texts: expected a list of texts"):
        encoder.encode("heist")
    with pytest.raises(UserError, match="text 1: expected a str, got NoneType"):
        encoder.encode(["heist", None])


def test_weights_that_give_nan_are_not_passed_on(folder, tmp_path):
    model = initialise(TextEncoder.load(folder).config, seed=1)
    model.params["layer_0"]["feed_forward"]["output"]["bias"] *= np.nan
    save_encoder(tmp_path, params=model.params, config=model.config)
    (tmp_path / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
    with pytest.raises(FloatingPointError, match="not finite"):
        TextEncoder.load(Path(tmp_path)).encode(["a"])


def test_a_text_alone_has_the_bits_that_it_has_in_a_batch() -> None:
    """At a width where programs of another shape would sum in another order."""
    encoder = tiny_bert(WORDS, dim=384)
    texts = random_texts(1)
    together = encoder.encode(texts)
    for row in (0, 7, 31):
        np.testing.assert_array_equal(encoder.encode([texts[row]])[0], together[row])
    np.testing.assert_array_equal(encoder.encode(texts[:5]), together[:5])
