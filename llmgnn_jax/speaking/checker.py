"""`Checker`: whether a text says what the evidence says, and nothing else.

    checked = checker.check(text, account)
    checked.refusal        # "names 'Alien', which is no part of the evidence", or ""
    checked.text           # with [n] behind what edge n backs up

It knows nothing of who wrote the text. Names (the longest that the data know) and
numbers are marked (`reading`), what is left has to be sentences of a small grammar
(`phrasing`, `parsing`), and each claim that they make has to follow from a reason of
the account (`claims`). What is not understood is refused, so that nobody has to think
of all that may be false. Each of the reasons has to be told.
"""

import re
from collections import Counter
from dataclasses import dataclass

from llmgnn_jax.evidence.labels import Language
from llmgnn_jax.speaking.account import Account
from llmgnn_jax.speaking.claims import backed
from llmgnn_jax.speaking.marking import with_citations
from llmgnn_jax.speaking.names import Names
from llmgnn_jax.speaking.parsing import parsed
from llmgnn_jax.speaking.phrasing import GRAMMARS
from llmgnn_jax.speaking.reading import Reading, Refused, read

_REPEATED = 4
"""So many words in a row may stand in a text once, or twice."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What came of a text.

    Attributes:
        refusal: Why it is refused, "" if it is not.
        text: With citations; "" where it is refused.
        cited: The numbers that it cites, ascending.
    """

    refusal: str = ""
    text: str = ""
    cited: tuple[int, ...] = ()


class Checker:
    """Checks texts against evidence.

    Args:
        names: What the data call things.
    """

    def __init__(self, names: Names) -> None:
        self._names = names

    def check(
        self, text: str, account: Account, *, language: Language = "en"
    ) -> Checked:
        """Checks a text, and cites.

        Args:
            text: One or two sentences. Citations of its own are taken out.
            account: What may be said.
            language: That it should be in.
        """
        try:
            reading = read(text, account, self._names, language=language)
            _check_repetition(reading)
            clauses = parsed(reading, GRAMMARS[language])
            marked, cited = with_citations(
                reading, backed(clauses, reading, account), account
            )
        except Refused as refused:
            return Checked(refusal=str(refused))
        return Checked(text=marked, cited=cited)


def _check_repetition(reading: Reading) -> None:
    """Names may be repeated, a row of words and a sentence may not."""
    words = reading.skeleton.split()
    rows = Counter(
        tuple(words[at : at + _REPEATED]) for at in range(len(words) - _REPEATED + 1)
    )
    sentences = Counter(re.split(r"(?<=[.!])\s+|(?<=[。！])", reading.text))
    if max(rows.values(), default=0) > 2 or any(
        count > 1 for one, count in sentences.items() if one
    ):
        raise Refused("repeats itself")
