"""Words that two texts have in common, those that say most first."""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

_MOST_TEXTS = 20_000
"""How common a word is, is counted in so many texts of the catalogue at most."""

_COMMON = 0.1
"""A word in a larger share of the texts says nothing of one of them..."""

_FEW = 100
"""... unless they are fewer than that: then half of them."""

# Of the language of most catalogues; those of others are common in theirs.
_FUNCTION_WORDS = {
    *("a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "from", "has"),
    *("have", "he", "her", "his", "i", "in", "into", "is", "it", "its", "me", "my"),
    *("no", "not", "of", "on", "or", "our", "out", "she", "so", "that", "the", "their"),
    *("them", "they", "this", "to", "up", "us", "was", "we", "were", "what", "when"),
    *("who", "will", "with", "you", "your"),
}

_RUN = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+|[^\W\d_]+(?:['-]\w+)*")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")


def terms(text: str) -> set[str]:
    """Words of two letters or more in lower case; pairs of characters of Chinese.

    Where words are not set apart, two characters in a row are the shortest thing that
    is often a word.
    """
    found: set[str] = set()
    for run in _RUN.findall(text.lower()):
        if _IDEOGRAPHS.match(run):
            found.update(run[at : at + 2] for at in range(len(run) - 1))
        elif len(run) > 1 and run not in _FUNCTION_WORDS:
            found.add(run)
    return found


class Words:
    """How common words are in a catalogue.

    Args:
        texts: Of its items.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def in_common(
        self, text: str, others: Iterable[str], *, most: int = 6
    ) -> list[str]:
        """Words of a text that stand in one of the others, the rarest first.

        Args:
            text: Of an item.
            others: Texts of the user's.
            most: How many.
        """
        shared = terms(text) & set().union(*map(terms, others))
        counts, looked_at = self._counts
        most_often = (_COMMON if looked_at >= _FEW else 0.5) * looked_at
        telling = [word for word in shared if counts[word] <= most_often]
        return sorted(telling, key=lambda word: (counts[word], word))[:most]

    @functools.cached_property
    def _counts(self) -> tuple[Counter[str], int]:
        """Word -> in how many texts it stands, and in how many of these one looked."""
        texts = self._texts
        if len(texts) > _MOST_TEXTS:
            places = np.linspace(0, len(texts) - 1, _MOST_TEXTS).astype(int)
            texts = [texts[place] for place in places.tolist()]
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(terms(text))
        return counts, len(texts)
