"""Files of word vectors: what is read, what is written, what is refused."""

import logging

import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text import word_files
from llmgnn_jax.text.word_file_writer import write_word_file
from llmgnn_jax.text.word_files import read_word_file
from llmgnn_jax.text.words import WordTokenizer, words_of

WORDS = ["the", "我", "café", ",", "</s>"]
VECTORS = np.array(
    [[1e-7, -0.5, 2], [1e20, 0.1, -3], [1, 0, 0.25], [-1, 4, 1], [0.3, 7, 8]],
    np.float32,
)
# What gensim 4.4's `save_word2vec_format` writes for them.
GENSIM_TEXT = (
    "5 3\nthe 1e-07 -0.5 2.0\n我 1e+20 0.1 -3.0\ncafé 1.0 0.0 0.25\n"
    ", -1.0 4.0 1.0\n</s> 0.3 7.0 8.0\n"
).encode()
GENSIM_BINARY = bytes.fromhex(
    "3520330a"
    "74686520 95bfd633 000000bf 00000040"
    "e6889120 ec78ad60 cdcccc3d 000040c0"
    "636166c3a920 0000803f 00000000 0000803e"
    "2c20 000080bf 00008040 0000803f"
    "3c2f733e20 9a99993e 0000e040 00000041"
)
# What word2vec's own program writes: a space or a line's end after each vector.
WORD2VEC_TEXT = GENSIM_TEXT.replace(b"\n", b" \n").replace(b"5 3 \n", b"5 3\n")
WORD2VEC_BINARY = b"5 3\n" + b"".join(
    word.encode() + b" " + vector.astype("<f4").tobytes() + b"\n"
    for word, vector in zip(WORDS, VECTORS, strict=True)
)
GLOVE = GENSIM_TEXT.partition(b"\n")[2]

FORMS = [
    ("v.txt", GENSIM_TEXT),
    ("v.bin", GENSIM_BINARY),
    ("v.txt", WORD2VEC_TEXT),
    ("v.bin", WORD2VEC_BINARY),
    ("v.txt", GLOVE),
    ("v.vec", GENSIM_TEXT.removesuffix(b"\n")),
    ("v.txt", GENSIM_TEXT.replace(b"\n", b"\r\n")),
]


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("name", "content"), FORMS)
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_each_form_gives_the_words_and_their_vectors(
    tmp_path, monkeypatch, name, content, piece
):
    monkeypatch.setattr(word_files, "_PIECE", piece)
    path = written(tmp_path, name, content)
    words, vectors = read_word_file(path)
    assert words == WORDS
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, VECTORS)
    words, vectors = read_word_file(path, limit=2)
    assert words == WORDS[:2]
    np.testing.assert_array_equal(vectors, VECTORS[:2])


def test_what_we_write_is_what_gensim_writes(tmp_path):
    for name, format, expected in (
        ("v.txt", "word2vec", GENSIM_TEXT),
        ("g.txt", "glove", GLOVE),
        ("v.bin", "binary", WORD2VEC_BINARY),
    ):
        path = tmp_path / name
        write_word_file(path, words=WORDS, vectors=VECTORS, format=format)
        assert path.read_bytes() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("g.txt", "v.bin", "v.txt")
    ]


@pytest.mark.parametrize(
    ("name", "format"), [("v.txt", "word2vec"), ("v.txt", "glove"), ("v.bin", "binary")]
)
def test_many_words_come_back_bit_for_bit(tmp_path, name, format):
    rng = np.random.default_rng(0)
    # Lines of very different length: the first tells little of how many there are.
    vectors = rng.normal(size=(3000, 7)).astype(np.float32)
    vectors[:5] = -1.2345678e-30
    vectors[2000:] = 1
    words = [f"w{n}" * (1 + n % 3) for n in range(3000)]
    path = tmp_path / name
    write_word_file(path, words=words, vectors=vectors, format=format)
    read = read_word_file(path)
    assert read.words == words
    np.testing.assert_array_equal(read.vectors, vectors)
    assert read.vectors.flags.c_contiguous


def test_a_word_of_glove_may_contain_a_space(tmp_path):
    path = written(tmp_path, "v.txt", b"a 1 2\n. . . 3 4\nat name@domain.com 5 6\n")
    words, vectors = read_word_file(path)
    assert words == ["a", ". . .", "at name@domain.com"]
    assert vectors.tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.txt", b"3 1\na 1\nb 2\na 3\n"),
        ("v.txt", b"a 1\nb 2\na 3\n"),
        (
            "v.bin",
            b"3 1\n"
            + b"".join(
                word + b" " + np.float32(n).tobytes()
                for n, word in enumerate([b"a", b"b", b"a"], 1)
            ),
        ),
    ],
)
def test_of_a_word_that_stands_twice_the_first_counts(tmp_path, caplog, name, content):
    path = written(tmp_path, name, content)
    with caplog.at_level(logging.WARNING):
        words, vectors = read_word_file(path)
    assert words == ["a", "b"]
    assert vectors.tolist() == [[1], [2]]
    [message] = [record.getMessage() for record in caplog.records]
    assert str(path) in message
    assert "1 words stand twice" in message
    assert "'a' (" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.txt", b"", "expected word vectors, got an empty file"),
        ("v.bin", b"", "expected word vectors, got an empty file"),
        ("v.txt", b"\n", "line 1: expected a word and its numbers, got an empty"),
        ("v.txt", b"a\nb\n", "line 1: expected a word and its numbers, got 'a'"),
        ("v.txt", b"2 3\n", "line 2: expected a word and its numbers, got ''"),
        ("v.txt", b"2 2\na 1 2\nb 3\n", "line 3: expected 2 numbers, got 1 in 'b 3'"),
        ("v.txt", b"a 1 2\nb 3 4 5\n", "line 2: expected 2 numbers, got 3 in 'b 3 4"),
        ("v.txt", b"a 1 2\nb x 4\n", "line 2: expected a word and 2 numbers, got 'b"),
        ("v.txt", b"a 1 2\nb nan 4\n", "line 2: expected finite numbers"),
        ("v.txt", b"a 1 2\nb 1e39 4\n", "line 2: expected finite numbers"),
        ("v.txt", b"a 1 2\n\xff 3 4\n", r"line 2: expected a word in UTF-8, got '\\"),
        ("v.txt", b"a 1 2\n 3 4\n", "line 2: expected a word"),
        ("v.txt", b"a 1 2\n\nb 3 4\n", "line 2: expected a word and its numbers"),
        ("v.txt", b"3 1\na 1\nbbbbbb 2\n", "line 4: expected the 3 words .* got 2"),
        ("v.txt", b"1 1\na 1\nb 2\n", "line 3: expected the 1 words .* got more"),
        ("v.txt", b"99999999999 300\na 1\n", "at most 0 words in 20 bytes, got 99999"),
        ("v.bin", b"99999999999 300\na 1\n", "at most 0 words in 20 bytes, got 99999"),
        ("v.bin", b"hello", "line 1: expected the numbers of words and of dimensions"),
        ("v.bin", b"0 3\n", "line 1: expected the numbers of words"),
        ("v.bin", GENSIM_BINARY[:-3], "word 5 of 5: expected a word and 3 float32"),
        ("v.bin", GENSIM_BINARY[:-20], "expected at most 4 words in|word 4 of 5"),
        ("v.bin", GENSIM_BINARY + b"x", "the end: expected 5 words, got more"),
        ("v.bin", GENSIM_BINARY.replace(b"the", b"\xffhe"), "word 1 .* in UTF-8"),
        ("v.bin", b"1 1\n\n \0\0\0\0", "word 1 of 1: expected a word, got none"),
        ("v.bin", b"1 1\na \0\0\xc0\x7f", "word 1 of 1: expected finite numbers"),
    ],
)
def test_files_that_are_none_are_one_line(tmp_path, name, content, message):
    path = written(tmp_path, name, content)
    with pytest.raises(UserError, match=message) as caught:
        read_word_file(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(path))


def test_lines_and_words_without_an_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(word_files, "_LONGEST", 100)
    monkeypatch.setattr(word_files, "_PIECE", 16)
    path = written(tmp_path, "v.txt", b"a " + b"1 " * 200)
    with pytest.raises(UserError, match="expected a line of word vectors, got a long"):
        read_word_file(path)
    path = written(tmp_path, "v.bin", b"20 1\n" + b"x" * 400)
    with pytest.raises(UserError, match="word 1 of 20: expected a word, got no end"):
        read_word_file(path)


def test_files_that_cannot_be_opened_and_limits(tmp_path):
    with pytest.raises(UserError, match=r"none\.txt: expected a file of word vectors"):
        read_word_file(tmp_path / "none.txt")
    with pytest.raises(UserError, match="limit: expected 1 or more words, got 0"):
        read_word_file(tmp_path / "none.txt", limit=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "gensim"}, "format: expected one of word2vec, glove, binary"),
        ({"format": "binary"}, r'path: expected a name in ".bin" for "binary" alone'),
        ({"words": ["a", "a b"]}, "words: expected words without spaces .* 'a b'"),
        ({"words": ["a", ""]}, "words: expected words without spaces"),
        ({"words": ["a", "a"]}, "words: expected different ones"),
        ({"words": ["a"]}, r"one for each of 1 words, got shape \(2, 2\)"),
        ({"vectors": np.full((2, 2), np.nan)}, "vectors: expected finite numbers"),
    ],
)
def test_what_cannot_be_written_is_one_line(tmp_path, changes, message):
    values = {"words": ["a", "b"], "vectors": np.zeros((2, 2)), **changes}
    with pytest.raises(UserError, match=message):
        write_word_file(tmp_path / "v.txt", **values)
    assert not list(tmp_path.iterdir())


def test_words_are_cut_and_lower_cased():
    assert words_of(["The HEIST,  with\tCafe\u0301s! 我喜x \ud800", ""]) == [
        ["the", "heist", ",", "with", "cafés", "!", "我", "喜", "x"],
        [],
    ]
    with pytest.raises(UserError, match="text 8: expected a str, got int"):
        words_of(["a", 3], first_row=7)


def test_the_tokenizer_numbers_the_words_of_a_vocabulary():
    tokenizer = WordTokenizer(["the", "café", "我", "Paris", "paris", "London", "x y"])
    assert tokenizer.vocab_size == 9
    assert tokenizer.pad_id == 0
    ids = tokenizer.encode(
        ["The café 我喜", "PARIS London", "", "[PAD] zz", "x y"], max_length=5
    )
    # An exact word before one with capitals; no special tokens.
    assert ids == [[2, 3, 4, 1], [6, 7], [], [1, 1, 1, 1], [1, 1]]
    assert tokenizer.encode(["the " * 50], max_length=3) == [[2, 2, 2]]
    assert WordTokenizer([]).encode(["a b"], max_length=4) == [[1, 1]]


def test_the_fingerprint_follows_the_vocabulary():
    base = WordTokenizer(["a", "b"]).fingerprint
    assert base == WordTokenizer(["a", "b"]).fingerprint
    assert base != WordTokenizer(["b", "a"]).fingerprint
