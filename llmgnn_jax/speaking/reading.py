"""`Reading`: a text with marks in the place of its names and numbers.

    'This user had "Fargo (1996)", and 12 people ...'
    'this user had N, and # people ...'

is its skeleton, where N and # are one private character each. What is left beside the
marks are words, which a grammar has to know.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from llmgnn_jax.evidence.labels import Language, plain
from llmgnn_jax.serving.mentions import plainly_written, without_capitals
from llmgnn_jax.speaking.account import Account
from llmgnn_jax.speaking.names import ItemName, Names, Span, find_names
from llmgnn_jax.speaking.numbers import Number, numbers_in

NAME, NUMBER = "[\ue000-\uefff]", "[\uf000-\uf8ff]"
"""A mark: the name, the number of its place among the names, the numbers."""

_FIRST_NAME, _FIRST_NUMBER = 0xE000, 0xF000
_MOST_CHARACTERS = 2000
_CITED = re.compile(r"\s*\[\d+\](?:,?\s*\[\d+\])*")
_OPEN, _CLOSE = "[\"“”„«'‘《〈「『]", "[\"“”»'’》〉」』]"
_QUOTED = re.compile(rf"{_OPEN}(\s*{NAME}\s*[,.;]?\s*){_CLOSE}")
_YEAR = re.compile(rf"({NAME}\s*{_CLOSE}?\s*)\(({NUMBER})\s*\)")
_STARTS = re.compile(r"(?:^|[.!]\s*)$")
# Chinese punctuation, in the place of which stands what a grammar is written with.
_PUNCTUATION = str.maketrans("，；：。！（）", ",;:.!()")
# One-word titles that are no more than how a sentence begins.
_EVERYDAY = frozenset(
    {"as", "because", "both", "by", "from", "it", "of", "since", "this"}
)


class Refused(Exception):
    """A text that may not stand, and why."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A text as it is read.

    Attributes:
        text: What is read, without citations of its own.
        skeleton: Its words in small letters, with marks for names and numbers.
        places: Of each character of the skeleton its place in the text.
        spans: The names, by their marks.
        numbers: The numbers, by their marks.
    """

    text: str
    skeleton: str
    places: tuple[int, ...]
    spans: tuple[Span, ...]
    numbers: tuple[Number, ...]

    def name(self, mark: str) -> Span:
        """The name that a mark stands for."""
        return self.spans[ord(mark) - _FIRST_NAME]

    def value(self, mark: str) -> float:
        """The number that a mark stands for."""
        return self.numbers[ord(mark) - _FIRST_NUMBER].value

    def stop(self, end: int) -> int:
        """Where a part of the skeleton that ends at `end` ends in the text."""
        last = self.skeleton[end - 1]
        if re.fullmatch(NAME, last):
            return self.name(last).stop
        if re.fullmatch(NUMBER, last):
            return self.numbers[ord(last) - _FIRST_NUMBER].stop
        return self.places[end - 1] + 1


def read(raw: str, account: Account, names: Names, *, language: Language) -> Reading:
    """Reads a text.

    Args:
        raw: The text.
        account: What may be named.
        names: What the data call things.
        language: Of the text: Chinese has no spaces between words.

    Raises:
        Refused: If it is no text, or names what is no part of the account.
    """
    if any(unicodedata.category(one) in ("Cc", "Cf", "Co", "Cs") for one in raw):
        raise Refused("has control characters")
    text = _CITED.sub("", raw)
    if language == "zh":
        # Its punctuation is full width, and stays so.
        text = " ".join(unicodedata.normalize("NFC", text).split())
    else:
        text = plainly_written(text)
    if not text:
        raise Refused("is empty")
    if len(text) > _MOST_CHARACTERS:
        raise Refused("is too long")
    spans = tuple(
        span
        for span in find_names(text, account.names, names)
        if not _is_everyday(span, text)
    )
    for span in spans:
        if not account.allows(span.of):
            raise Refused(f"names {span.words!r}, which is no part of the evidence")
    text = _as_written(text, spans, account)
    masked = _masked(text, [(one.start, one.stop) for one in spans], _FIRST_NAME)
    known = re.escape(account.evidence.user.id)
    masked = re.sub(
        rf"(?<=\buser ){known}(?![A-Za-z0-9])|(?<=用户){known}(?![A-Za-z0-9])",
        lambda match: " " * len(match[0]),
        masked,
        flags=re.IGNORECASE,
    )
    numbers = tuple(numbers_in(masked))
    masked = _masked(masked, [(one.start, one.stop) for one in numbers], _FIRST_NUMBER)
    reading = Reading(text=text, skeleton="", places=(), spans=spans, numbers=numbers)
    masked, spans = _without_years(masked.translate(_PUNCTUATION), reading, account)
    for span in spans:
        if account.are_several(span.of):
            raise Refused(f"is unclear in what is meant: {span.words!r}")
    masked = _without_kinds(masked, reading)
    masked = _QUOTED.sub(lambda match: f" {match[1]} ", masked)
    skeleton, places = _tightened(without_capitals(masked), language)
    return Reading(
        text=text, skeleton=skeleton, places=places, spans=spans, numbers=numbers
    )


def _is_everyday(span: Span, text: str) -> bool:
    return (
        without_capitals(span.words) in _EVERYDAY
        and all(isinstance(one, ItemName) for one in span.of)
        and _STARTS.search(text[: span.start]) is not None
    )


def _as_written(text: str, spans: Sequence[Span], account: Account) -> str:
    """Titles in quotes with the capitals that they have."""
    for span in spans:
        if not re.match(_OPEN, text[max(span.start - 1, 0) :]):
            continue
        for title in account.titles(span.of):
            at = without_capitals(title).find(without_capitals(span.words))
            if at >= 0:
                written = title[at : at + len(span.words)]
                text = text[: span.start] + written + text[span.stop :]
                break
    return text


def _masked(text: str, parts: list[tuple[int, int]], first: int) -> str:
    """With a mark for each part, and each other character in its place."""
    masked, last = [], 0
    for number, (start, stop) in enumerate(parts):
        masked += [text[last:start], chr(first + number), " " * (stop - start - 1)]
        last = stop
    return "".join([*masked, text[last:]])


def _without_years(
    masked: str, reading: Reading, account: Account
) -> tuple[str, tuple[Span, ...]]:
    """Years behind titles have to be theirs, and say which of several is meant."""
    spans = list(reading.spans)

    def checked(match: re.Match[str]) -> str:
        number, year = ord(match[1][0]) - _FIRST_NAME, reading.value(match[2])
        of = account.of_year(spans[number].of, year)
        if not of:
            raise Refused(f"tells '{year:g}', which is not its year")
        spans[number] = dataclasses.replace(spans[number], of=of)
        return match[1] + " " * (len(match[0]) - len(match[1]))

    return _YEAR.sub(checked, masked), tuple(spans)


def _without_kinds(masked: str, reading: Reading) -> str:
    """ "genre Drama" says no more than "Drama"."""
    for number, span in enumerate(reading.spans):
        for one in span.of:
            if not isinstance(one, ItemName):
                masked = re.sub(
                    rf"(?<![A-Za-z0-9]){re.escape(plain(one.field))}"
                    rf"(?=\s*{_OPEN}?{chr(_FIRST_NAME + number)})",
                    lambda match: " " * len(match[0]),
                    masked,
                    flags=re.IGNORECASE,
                )
    return masked


def _tightened(masked: str, language: Language) -> tuple[str, tuple[int, ...]]:
    """With one space between words, none before a comma; in Chinese without any."""
    kept: list[tuple[str, int]] = []
    for place, character in enumerate(masked):
        if not character.isspace():
            if character in ",.;:!)" and kept and kept[-1][0] == " ":
                kept.pop()
            kept.append((character, place))
        elif language == "en" and kept and kept[-1][0] != " ":
            kept.append((" ", place))
    if kept and kept[-1][0] == " ":
        kept.pop()
    return "".join(one for one, _ in kept), tuple(place for _, place in kept)
