"""Texts as one array of word numbers.

Shapes: N words of all texts, V vocabulary.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.words import words_of

# Texts that are cut at once: their words stand in memory as strings for a moment.
_TEXTS = 4096


class Corpus(NamedTuple):
    """A vocabulary, and the texts without what is not in it.

    Attributes:
        words: V words, the frequent first, equally frequent ones by their letters.
        counts: (V,) int64, how often each occurs.
        tokens_N: (N,) int32 words of all texts, one text after the other.
        texts_N: (N,) int32, which text each belongs to.
    """

    words: list[str]
    counts: np.ndarray
    tokens_N: np.ndarray
    texts_N: np.ndarray


def corpus_of(texts: Sequence[str], *, min_count: int) -> Corpus:
    """Counts the words of texts, see `words.words_of`.

    Args:
        texts: Any strings.
        min_count: How often a word must occur to be in the vocabulary.

    Raises:
        UserError: If one of them is no str or no word is frequent enough.
    """
    numbers: dict[str, int] = {}
    found, lengths = array("i"), array("q")
    for start in range(0, len(texts), _TEXTS):
        for words in words_of(texts[start : start + _TEXTS], first_row=start):
            lengths.append(len(words))
            found.extend(numbers.setdefault(word, len(numbers)) for word in words)
    tokens = np.frombuffer(found, np.int32) if found else np.zeros(0, np.int32)
    rows = np.repeat(np.arange(len(texts), dtype=np.int32), np.asarray(lengths))
    counts = np.bincount(tokens, minlength=len(numbers))
    names = list(numbers)
    order = sorted(
        np.flatnonzero(counts >= min_count).tolist(),
        key=lambda number: (-counts[number], names[number]),
    )
    if not order:
        raise UserError.field(
            "texts",
            expected=f"words that occur {min_count} times or more (min_count)",
            got=f"{len(tokens)} words in {len(texts)} texts, none as often",
        )
    renamed = np.full(len(names), -1, np.int32)
    renamed[order] = np.arange(len(order), dtype=np.int32)
    tokens = renamed[tokens]
    return Corpus(
        [names[number] for number in order],
        counts[order],
        tokens[tokens >= 0],
        rows[tokens >= 0],
    )
