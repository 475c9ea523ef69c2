"""Texts to words: lower-cased, cut at white space and punctuation.

A Chinese character is a word, and so is a punctuation mark.
"""

from collections.abc import Iterable, Sequence

import tokenizers

from llmgnn_jax.text.interface import whole_characters
from llmgnn_jax.text.tokens import FastTokenizer

PAD_ID = 0
UNKNOWN_ID = 1
FIRST_ID = 2
"""Of the first word of a vocabulary."""


def words_of(texts: Sequence[str], *, first_row: int = 0) -> list[list[str]]:
    """The words of each text.

    Args:
        texts: Any strings.
        first_row: Number of the first of them, for errors.

    Returns:
        Strings in order; half a surrogate pair, which is no character, is left out.

    Raises:
        UserError: If one of them is no str.
    """
    normaliser, cutter = _normaliser(), _cutter()
    return [
        [
            word
            for word, _ in cutter.pre_tokenize_str(
                normaliser.normalize_str(whole_characters(text, row))
            )
        ]
        for row, text in enumerate(texts, first_row)
    ]


class WordTokenizer(FastTokenizer):
    """Words to their numbers in a vocabulary, without special tokens.

    Ids: 0 is padding, 1 is what the vocabulary lacks, and word n is n + 2. A word of a
    vocabulary with capitals is found where none is the same without them.

    Args:
        words: The vocabulary, the frequent words first.
    """

    def __init__(self, words: Iterable[str]) -> None:
        normaliser = _normaliser()
        ids = {"[PAD]": PAD_ID, "[UNK]": UNKNOWN_ID}
        capitals: dict[str, int] = {}
        number = UNKNOWN_ID
        for number, word in enumerate(words, FIRST_ID):
            plain = normaliser.normalize_str(word).strip()
            found = ids if plain == word else capitals
            found.setdefault(plain, number)
        for plain, place in capitals.items():
            ids.setdefault(plain, place)
        backend = tokenizers.Tokenizer(
            tokenizers.models.WordLevel(ids, unk_token="[UNK]")
        )
        backend.normalizer = normaliser
        backend.pre_tokenizer = _cutter()
        super().__init__(backend)
        # Ids of words that are never found count too: the table has their rows.
        self.vocab_size = number + 1


def _normaliser() -> tokenizers.normalizers.Normalizer:
    # With their accents: word vectors of most languages are of words that have them.
    return tokenizers.normalizers.Sequence(
        [
            tokenizers.normalizers.NFC(),
            tokenizers.normalizers.BertNormalizer(strip_accents=False),
        ]
    )


def _cutter() -> tokenizers.pre_tokenizers.PreTokenizer:
    return tokenizers.pre_tokenizers.BertPreTokenizer()
