"""Numbers that sentences tell, and what they are numbers of."""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["people", "year", "rating", "amount", "user", "number"]

_UNIT_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen "
    "fourteen fifteen sixteen seventeen eighteen nineteen"
)
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS, _TENS = _UNIT_WORDS.split(), _TEN_WORDS.split()
_WORDS = {word: number for number, word in enumerate(_UNITS)} | {
    word: 10 * number for number, word in enumerate(_TENS, start=2)
}
# Numbers that nothing counted.
_VAGUE = (
    "hundreds?|thousands?|millions?|billions?|dozens?|scores|couple|half|twice|thrice"
    "|percent|quarter|third|double|triple|decades?|century|centuries"
)
# Characters that are written without spaces are no part of a number before them.
_END = r"(?![^\W\u3400-\u9fff])"
_NUMBER = re.compile(
    rf"(?P<digits>\d+(?:,\d{{3}})*(?:\.\d+)?)(?P<suffix>st|nd|rd|th|s)?{_END}"
    rf"|\b(?P<tens>{'|'.join(_TENS)})(?:[- ](?P<ones>{'|'.join(_UNITS[1:10])}))?\b"
    rf"|\b(?P<word>{'|'.join(_UNITS)})\b|\b(?P<vague>{_VAGUE})\b"
    r"|(?P<zh>[〇零一二两三四五六七八九十百千万亿]{2,}|[二两三四五六七八九十百千万亿])"
    r"(?=[人个位名年部分星])|(?P<glued>[A-Za-z_]\w*?\d[A-Za-z0-9_]*|\d\w*)",
    re.IGNORECASE,
)
_PEOPLE = re.compile(
    r"^[\s-]*(?:(?!and\b|who\b|that\b)[a-z]+\s+){0,2}?(?:people|users?|viewers?|others"
    r"|persons?|fans?|customers?|readers?|listeners?|members?|friends?|players?"
    r"|visitors?|shoppers?|buyers?|individuals?)\b|^\s*(?:位|名|个)?(?:其他)?(?:人|用户|观众)",
    re.IGNORECASE,
)
_RATED = re.compile(
    r"^\s*(?:stars?|points?|out\b|/|of \d|分|星)|^-?star\b", re.IGNORECASE
)
_RATING_BEFORE = re.compile(
    r"(?:rat(?:ed|ing)|gave|given|giv(?:es|ing)|scor(?:ed|e))\b[^.;]{0,24}$"
    r"|(?:out of|of|/)\s*$|评分?\s*$|打了?\s*$",
    re.IGNORECASE,
)
_USER_BEFORE = re.compile(r"(?:\buser\s+|用户\s*)$", re.IGNORECASE)
_SIGN_BEFORE = re.compile(r"[(（]\s*[+−-]$")


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number in a text.

    Attributes:
        start: Where it begins.
        stop: Where it ends.
        noun_stop: Where what it is a number of ends, of people.
        value: None for what is no number that was counted: "hundreds", "1990s", "2nd".
        role: What it is a number of.
        words: As it stands there.
    """

    start: int
    stop: int
    noun_stop: int
    value: float | None
    role: Role
    words: str


def numbers_in(text: str) -> list[Number]:
    """The numbers that a text tells, in digits or in words.

    "one" counts as one only where it is one of people: "this one" is no number.
    """
    found = []
    for match in _NUMBER.finditer(text):
        after, before = text[match.end() :], text[: match.start()]
        value = _value(match)
        role: Role = "number"
        people = _PEOPLE.match(after)
        if _USER_BEFORE.search(before):
            role = "user"
        elif people:
            role = "people"
        elif match["digits"] and _SIGN_BEFORE.search(before):
            role = "amount"
        elif _RATED.match(after) or _RATING_BEFORE.search(before):
            role = "rating"
        elif match["digits"] and value is not None and 1800 <= value <= 2100:
            role = "year"
        if value == 1 and match["word"] and role != "people":
            continue
        found.append(
            Number(
                start=match.start(),
                stop=match.end(),
                noun_stop=match.end() + (people.end() if people else 0),
                value=value,
                role=role,
                words=match[0],
            )
        )
    return found


def _value(match: re.Match[str]) -> float | None:
    if match["digits"]:
        return None if match["suffix"] else float(match["digits"].replace(",", ""))
    if match["tens"]:
        ones = match["ones"]
        return _WORDS[match["tens"].lower()] + (_WORDS[ones.lower()] if ones else 0)
    if match["word"]:
        return _WORDS[match["word"].lower()]
    if match["zh"]:
        return _chinese(match["zh"])
    return None


_ZH = {character: number for number, character in enumerate("零一二三四五六七八九")} | {
    "〇": 0,
    "两": 2,
}
_ZH_UNITS = {"十": 10, "百": 100, "千": 1000}


def _chinese(words: str) -> float | None:
    """ "一百二十" is 120."""
    total, digit = 0, 0
    for character in words:
        if character in _ZH:
            digit = _ZH[character]
        elif character in _ZH_UNITS:
            total += (digit or 1) * _ZH_UNITS[character]
            digit = 0
        else:
            return None
    return float(total + digit)
