"""Pieces of words: lossless, and of nothing that one person alone wrote."""

import json
from pathlib import Path

import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.generation.small.pieces import PieceTokenizer, learn_pieces

SECRET = "Xylophongasse"
SAID = ["The gift card is a great gift.", "A great card, great gift!"]


def learned() -> PieceTokenizer:
    # One person writes a word ten times: that makes it nobody else's.
    texts = [SAID[writer % 2] for writer in range(10)] + [f"I live in {SECRET}."] * 10
    return learn_pieces(texts, [*range(10), *[77] * 10], vocab_size=400)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "The gift card is a great gift.",
        "ÄÖ 礼品卡 🎁\n\ttab  two spaces",
        f"I live in {SECRET}",
        "<|endoftext|> [PAD] <s>",
    ],
)
def test_every_text_comes_back(text: str) -> None:
    pieces = learned()
    (ids,) = pieces.encode([text], max_length=1000)
    assert pieces.decode(ids) == text
    assert pieces.end_id not in ids
    assert max(ids, default=0) < pieces.vocab_size


def test_common_words_are_one_piece() -> None:
    pieces = learned()
    (ids,) = pieces.encode([" gift card"], max_length=1000)
    assert len(ids) == 2


def test_rare_words_are_nowhere_in_the_file(tmp_path: Path) -> None:
    pieces = learned()
    pieces.save(tmp_path)
    vocabulary = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))["model"]
    words = [word.lstrip("Ġ") for word in vocabulary["vocab"]]
    common = " ".join(SAID)
    assert [word for word in words if len(word) > 1 and word not in common] == []
    # Were it let in, it would be there.
    loose = learn_pieces([f"I live in {SECRET}."] * 10, [77] * 10, min_writers=1)
    loose.save(tmp_path)
    assert SECRET in (tmp_path / "tokenizer.json").read_text("utf-8")


def test_saved_and_read(tmp_path: Path) -> None:
    pieces = learned()
    pieces.save(tmp_path)
    again = PieceTokenizer.load(tmp_path)
    assert (again.vocab_size, again.end_id) == (pieces.vocab_size, pieces.end_id)
    texts = ["The great unknown", "gift"]
    assert again.encode(texts, max_length=99) == pieces.encode(texts, max_length=99)


def test_two_learn_the_same() -> None:
    assert learned().fingerprint == learned().fingerprint


def test_too_few_writers() -> None:
    with pytest.raises(UserError, match="5 users"):
        learn_pieces(["great gift"] * 10, [1] * 10)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pieces"):
        PieceTokenizer.load(tmp_path)
