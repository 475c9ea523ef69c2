"""Forms of questions: patterns of words, matched from the first word to the last.

    forms = Forms(
        {"taste": "(which|what) [NOUN] does USER like"},
        parts={"NOUN": "films|books"},
        spaced=True,
    )
    forms.kinds_of("what films does USER like")    # {"taste"}

In a form, (a|b) is one of both, [a] is a or nothing, and words in capitals are parts,
or stand for a name of the data (USER, ITEM, VALUE, YEAR, DECADE) or how many are asked
for (NUMBER). A form is a line; one that begins with a space goes on with the line
before.
A question with a word that no form has a place for is so of no kind, however well the
rest of it fits.
"""

import itertools
import re
from collections.abc import Mapping

NAMES = ("USER", "ITEM", "VALUE", "YEAR", "DECADE", "NUMBER")
"""What stands for names and numbers in a form, and in the sentence that it is for."""

_SIGN = re.compile(r"[\[\]()|]|[^\s\[\]()|]+")
_AS_REGEX = {"[": "(?:", "]": ")?", "(": "(?:", ")": ")", "|": "|"}


class Forms:
    """The forms of a language.

    Args:
        forms: Kind of question -> its forms.
        parts: What forms have in common, by names in capitals.
        spaced: Whether spaces stand between words.
    """

    def __init__(
        self, forms: Mapping[str, str], *, parts: Mapping[str, str], spaced: bool
    ) -> None:
        self._parts, self._end = parts, " " if spaced else ""
        written = {kind: _lines(text) for kind, text in forms.items()}
        self._patterns = {
            kind: re.compile("|".join(map(self._regex, lines)))
            for kind, lines in written.items()
        }
        everything = [*parts.values(), *itertools.chain(*written.values())]
        self.words = frozenset(
            sign
            for text in everything
            for sign in _SIGN.findall(text)
            if sign not in _AS_REGEX and sign not in parts and sign not in NAMES
        )

    def kinds_of(self, sentence: str) -> set[str]:
        """The kinds of question that a sentence is of: more than one is unclear.

        Args:
            sentence: Words of small letters and names, one space between them, or none
                where the language has none.
        """
        ended = " ".join(sentence.split()) + " " if self._end else sentence
        return {kind for kind, one in self._patterns.items() if one.fullmatch(ended)}

    def _regex(self, form: str) -> str:
        return "".join(map(self._sign, _SIGN.findall(form)))

    def _sign(self, sign: str) -> str:
        if sign in _AS_REGEX:
            return _AS_REGEX[sign]
        if sign in self._parts:
            return f"(?:{self._regex(self._parts[sign])})"
        return re.escape(sign) + self._end


def _lines(text: str) -> tuple[str, ...]:
    return tuple(re.sub(r"\n\s+", " ", text.strip()).split("\n"))
