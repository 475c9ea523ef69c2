"""Numbers that sentences tell, in digits or in words.

Only what is one number beyond doubt is found. Ordinals, shares, ranges, "hundreds" and
"12k" stay what they are: words that nobody understands.
"""

import re
from dataclasses import dataclass

_UNIT_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen "
    "fourteen fifteen sixteen seventeen eighteen nineteen"
)
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS, _TENS = _UNIT_WORDS.split(), _TEN_WORDS.split()
_WORDS = {word: number for number, word in enumerate(_UNITS)} | {
    word: 10 * number for number, word in enumerate(_TENS, start=2)
}
_ZH_DIGITS = {digit: number for number, digit in enumerate("一二三四五六七八九", 1)} | {
    "两": 2
}
_ZH = "".join(
    rf"(?:零?(?P<{name}>[{''.join(_ZH_DIGITS)}]{more}){unit})?"
    for name, more, unit in (
        ("thousands", "", "千"),
        ("hundreds", "", "百"),
        ("dozens", "?", "十"),
        ("ones", "", ""),
    )
)
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.])(?P<digits>[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?)(?![A-Za-z0-9_])"
    # "this one" is no number.
    r"|\b(?P<one>one)(?= (?:other )?person\b)"
    rf"|\b(?P<tens>{'|'.join(_TENS)})(?:[- ](?P<unit>{'|'.join(_UNITS[1:10])}))?\b"
    rf"|\b(?P<word>{'|'.join(_UNITS[:1] + _UNITS[2:])})\b"
    r"|(?<![零一二两三四五六七八九十百千万亿])(?P<zh>[零一二两三四五六七八九十百千]+)"
    r"(?=[人个位名分星])",
    re.IGNORECASE,
)
_ZH_NUMBER = re.compile(_ZH)


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number in a text.

    Attributes:
        start: Where it begins.
        stop: Where it ends.
        value: What it is.
    """

    start: int
    stop: int
    value: float


def numbers_in(text: str) -> list[Number]:
    """The numbers that a text tells, in its order."""
    return [
        Number(start=match.start(), stop=match.end(), value=value)
        for match in _NUMBER.finditer(text)
        if (value := _value(match)) is not None
    ]


def _value(match: re.Match[str]) -> float | None:
    if match["digits"]:
        return float(match["digits"].replace(",", ""))
    if match["zh"]:
        return chinese_number(match["zh"])
    if match["tens"]:
        unit = match["unit"]
        return _WORDS[match["tens"].lower()] + (_WORDS[unit.lower()] if unit else 0)
    return _WORDS[match[0].lower()]


def chinese_number(words: str) -> float | None:
    """ "一百二十" is 120; None for "一二", which is no number."""
    match = _ZH_NUMBER.fullmatch(words)
    if match is None:
        return None
    if re.search(f"[千百][{''.join(_ZH_DIGITS)}]$", words):
        # "一百二" is 120 to whoever says it, and 102 is "一百零二".
        return None
    total = 0
    for name, unit in (("thousands", 1000), ("hundreds", 100), ("dozens", 10)):
        # "十" alone is one ten.
        if match[name] is not None:
            total += unit * _ZH_DIGITS.get(match[name], 1)
    return float(total + _ZH_DIGITS.get(match["ones"] or "", 0))
