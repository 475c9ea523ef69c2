"""`Checker`: whether a sentence says what the evidence says, and nothing else.

    checked = checker.check(text, account)
    checked.refusal        # "names Alien, which is no part of the evidence", or ""
    checked.text           # with [n] behind what edge n backs up

It knows nothing of who wrote the sentence. What it looks for, in this order: what is no
sentence of its own, names (the longest that the data know), numbers, what stands in
quotes, words with capitals, wording, and who had what. Then each of the reasons has to
be told. What cannot be told from a word of the language is beyond it: an invented name
in lower case, in Chinese one that is not in quotes.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

from llmgnn_jax.evidence.labels import Language
from llmgnn_jax.serving.mentions import plainly_written, without_capitals
from llmgnn_jax.speaking.account import Account
from llmgnn_jax.speaking.names import ItemName, Names, Span, find_names
from llmgnn_jax.speaking.numbers import Number, numbers_in
from llmgnn_jax.speaking.wording import may_begin, refused_wording

_CITED = re.compile(r"\s*\[\d+\](?:,?\s*\[\d+\])*")
_MOST_WORDS = 70
_REPEATED = 4
"""So many words in a row may stand in a text once, or twice."""

# A name that may stand there is one of these, by its place among the names.
_FIRST_MARK = 0xE000
_MARK = "[\ue000-\uf8ff]"
_QUOTED = re.compile(
    r"[\"“”„«»]([^\"“”„«»]*)[\"“”„«»]|[《〈「『](.*?)[》〉」』]|(?<!\w)[‘']([^‘’']+)[’'](?!\w)"
)
_HARMLESS = re.compile(rf"(?:{_MARK}|[\s,.!?()0-9])*")
_CAPITAL = re.compile(r"[^\W\d_][\w'’.-]*")
_STARTS = re.compile(r"(?:^|[.!?。！？]\s*)[\"“”'‘(\s]*$")
_LIKED = (
    r"(?:like[sd]?|enjoy(?:s|ed)?|love[sd]?|prefer(?:s|red)?|appreciate[sd]?|fond of"
    r"|favou?rites?|喜欢|喜爱|热爱)"
)
_HAD = (
    r"(?:had|has|have|watched|saw|seen|bought|chose|picked|rated|read|played|liked"
    r"|enjoyed|loved|gave)"
)
_RECOMMENDED = re.compile(
    rf"(?:recommend\w*|suggest\w*|(?:would|will|might|may|could|should)(?: also| really"
    rf"| probably| likely| well)* {_LIKED}|good (?:choice|match|pick)|try|推荐"
    rf"|会喜欢)[\s\"“”'《]*(?:is |was )?({_MARK})",
    re.IGNORECASE,
)
_WITH_IT = re.compile(
    rf"(?:(?:together|along) with|both (?:that|it|this)? ?and|(?<!user )also {_HAD}"
    rf"|leads? to|linked to|comes? to)[\s\"“”'《]*({_MARK})",
    re.IGNORECASE,
)
_HAD_IT = re.compile(
    r"(?:^|[.;,:!?]\s*|\b(?:and|as|since|because|that|so|while|when)\s+)"
    r"(?:(?:this |the )?user(?: +\w+)??|they|he|she|you)"
    rf" *(?: have| has| also| already| really)* +{_HAD}[\s\"“”'《]*({_MARK})"
    rf"|(?:^|[。，；])(?:这位|该)?用户\w*?(?:也|还)?(?:有过|看过|喜欢)[“《]*({_MARK})",
    re.IGNORECASE,
)
_BOTH = re.compile(r"\b(?:both|it|each)\b|两者|都有过|它", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What came of a sentence.

    Attributes:
        refusal: Why it is refused, "" if it is not.
        text: With citations; "" where it is refused.
        cited: The numbers that it cites, ascending.
    """

    refusal: str = ""
    text: str = ""
    cited: tuple[int, ...] = ()


@dataclass
class _Sentence:
    """A text while it is looked at."""

    text: str
    masked: str
    spans: list[Span]
    numbers: list[Number] = field(default_factory=list)


class _Refused(Exception):
    """Says why."""


class Checker:
    """Checks sentences against evidence.

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
            return self._checked(text, account, language)
        except _Refused as refused:
            return Checked(refusal=str(refused))

    def _checked(self, text: str, account: Account, language: Language) -> Checked:
        sentence = self._read(text, account, language)
        _check_numbers(sentence, account)
        _check_quotes(sentence)
        _check_characters(sentence, language)
        if reason := refused_wording(sentence.masked, language):
            raise _Refused(reason)
        _check_roles(sentence, account)
        return _with_citations(sentence, account)

    def _read(self, raw: str, account: Account, language: Language) -> _Sentence:
        if any(unicodedata.category(one) in ("Cc", "Cf", "Co", "Cs") for one in raw):
            raise _Refused("control characters")
        text = _CITED.sub("", raw)
        if language == "zh":
            # Its punctuation is full width, and stays so.
            text = " ".join(unicodedata.normalize("NFC", text).split())
        else:
            text = plainly_written(text)
        if not text:
            raise _Refused("empty")
        if text[-1] not in ".!?。！？\"”'" or len(text.split()) > _MOST_WORDS:
            raise _Refused("unfinished")
        _check_repetition(text)
        spans = [
            span
            for span in find_names(text, account.names, self._names)
            if not _is_everyday(span, text)
        ]
        for span in spans:
            if not account.allows(span.of):
                raise _Refused(_no_part(span.words))
        masked: list[str] = []
        last = 0
        for place, span in enumerate(spans):
            mark = chr(_FIRST_MARK + place)
            # Each character keeps its place.
            masked += [
                text[last : span.start],
                mark,
                " " * (span.stop - span.start - 1),
            ]
            last = span.stop
        masked.append(text[last:])
        known = re.escape(account.evidence.user.id)
        hidden = re.sub(
            rf"(?<=\buser ){known}(?![A-Za-z0-9])|(?<=用户){known}(?![A-Za-z0-9])",
            lambda match: " " * len(match[0]),
            "".join(masked),
            flags=re.IGNORECASE,
        )
        sentence = _Sentence(text=text, masked=hidden, spans=spans)
        sentence.numbers = numbers_in(sentence.masked)
        return sentence


def _no_part(words: str) -> str:
    return f"names {words!r}, which is no part of the evidence"


def _is_everyday(span: Span, text: str) -> bool:
    """Whether a title is no more than how a sentence begins: "Big", "That"."""
    return (
        span.words.isalpha()
        and all(isinstance(one, ItemName) for one in span.of)
        and _STARTS.search(text[: span.start]) is not None
        and may_begin(span.words)
    )


def _check_repetition(text: str) -> None:
    words = re.findall(r"\w+", without_capitals(text))
    rows = Counter(
        tuple(words[at : at + _REPEATED]) for at in range(len(words) - _REPEATED + 1)
    )
    sentences = Counter(re.split(r"(?<=[.!?])\s+|(?<=[。！？])", text))
    if max(rows.values(), default=0) > 2 or any(
        count > 1 for one, count in sentences.items() if one
    ):
        raise _Refused("repeats itself")


def _check_numbers(sentence: _Sentence, account: Account) -> None:
    for number in sentence.numbers:
        if number.value is None or not account.allows_number(number.value, number.role):
            raise _Refused(
                f"tells {number.words!r}, which is no number of the evidence"
            )
        # "Alien (1995)": the year has to be that of the film.
        before = sentence.masked[: number.start].rstrip(" \"“”'(,")
        if number.role == "year" and before and _FIRST_MARK <= ord(before[-1]) < 0xF900:
            span = sentence.spans[ord(before[-1]) - _FIRST_MARK]
            if number.value not in account.years_of(span.of):
                raise _Refused(f"tells {number.words!r}, which is not its year")


def _check_quotes(sentence: _Sentence) -> None:
    for match in _QUOTED.finditer(sentence.masked):
        inside = next(one for one in match.groups() if one is not None)
        if not _HARMLESS.fullmatch(inside):
            words = sentence.text[match.start() : match.end()]
            raise _Refused(_no_part(words))


def _check_characters(sentence: _Sentence, language: Language) -> None:
    for match in _CAPITAL.finditer(sentence.masked):
        word = match[0]
        if _FIRST_MARK <= ord(word[0]) < 0xF900:
            continue
        latin = all("LATIN" in unicodedata.name(c, "") for c in word if c.isalpha())
        if language == "zh":
            refused = latin
        elif not latin:
            raise _Refused(f"another script: {word!r}")
        else:
            starts = _STARTS.search(sentence.masked[: match.start()]) is not None
            refused = word != word.lower() and not (starts and may_begin(word))
        if refused:
            raise _Refused(_no_part(word))


def _check_roles(sentence: _Sentence, account: Account) -> None:
    """That what is recommended is the item, and that the user had the others."""
    for pattern, expected, reason in (
        (_RECOMMENDED, True, "recommends another item"),
        (_WITH_IT, True, "goes with another item"),
        (_HAD_IT, False, "says that the user had the item"),
    ):
        for match in pattern.finditer(sentence.masked):
            mark = next(filter(None, match.groups()))
            span = sentence.spans[ord(mark) - _FIRST_MARK]
            items = {one for one in span.of if isinstance(one, ItemName)}
            if items and account.is_target(span.of) != expected:
                raise _Refused(reason)
    for match in re.finditer(rf"{_LIKED}[\s\"“”'《]*({_MARK})", sentence.masked, re.I):
        span = sentence.spans[ord(match[1]) - _FIRST_MARK]
        if account.was_rated_low(span.of):
            raise _Refused(f"says that {span.words!r} was liked")


def _with_citations(sentence: _Sentence, account: Account) -> Checked:
    """Citations behind the first words that tell of each reason.

    Raises:
        _Refused: If a reason is not told, or counts are told of others than theirs.
    """
    places: dict[int, list[int]] = {}
    order_of_names, order_of_counts = [], []
    for number, reason in enumerate(account.reasons):
        if reason.entity is not None:
            told = [
                span.stop for span in sentence.spans if account.tells(reason, span.of)
            ]
        else:
            told = [
                one.noun_stop
                for one in sentence.numbers
                if one.role == "people" and one.value == reason.people
            ]
        if not told:
            raise _Refused("leaves a reason out")
        stop = _behind(sentence, told[0])
        places.setdefault(stop, []).extend(reason.edges)
        order_of_names.append((told[0], number))
        order_of_counts += [
            (one.start, number)
            for one in sentence.numbers
            if one.role == "people" and one.value == reason.people
        ][:1]
    counted = [number for _, number in sorted(order_of_counts)]
    named = [number for _, number in sorted(order_of_names) if number in counted]
    if counted != named:
        raise _Refused("tells counts of others than theirs")
    if not account.reasons:
        raise _Refused("no reason to tell")
    # So many had one and the other: to say it of one alone is false.
    of_both = any(reason.entity and reason.people for reason in account.reasons)
    if (
        of_both
        and order_of_counts
        and not (
            any(account.is_target(span.of) for span in sentence.spans)
            or _BOTH.search(sentence.masked)
        )
    ):
        raise _Refused("tells a count of one that is of both")
    text, cited = sentence.text, set()
    for stop in sorted(places, reverse=True):
        edges = sorted(set(places[stop]))
        cited |= set(edges)
        marks = "".join(f"[{edge}]" for edge in edges)
        space = "" if text[stop - 1] in "》」人" else " "
        text = f"{text[:stop]}{space}{marks}{text[stop:]}"
    return Checked(text=text, cited=tuple(sorted(cited)))


def _behind(sentence: _Sentence, stop: int) -> int:
    """Behind a name with its year and quotes, or behind the noun of a count."""
    match = re.match(
        r"\s*\(\d{4}\)[\"”’》]?|['’]s\b|[\"”’》]?(?:\s*\(\d{4}\))?|'(?!\w)|",
        sentence.masked[stop:],
    )
    return stop + (match.end() if match else 0)
