"""What a question names: a user, items, genres and years, and where they stand."""

import itertools
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from llmgnn_jax.speaking import grammar
from llmgnn_jax.speaking.names import ItemName, Names, Span, ValueName

NAMED = "\0"
"""Stands where a name was: what is before it and what is behind are two phrases."""

_YEAR = re.compile(r"(?<![\w.-])(?:1[89]|20)\d\d(?![\w-]|\.\d)", re.ASCII)
# "The 90s" are those of the last century; the 20s may be of two.
_DECADE = re.compile(
    r"(?<![\w.-])(?:(?:1[89]|20)\d0|(?:20世纪)?[3-9]0)(?:['’]?s\b|(?=年代))", re.ASCII
)
_BY_ID = re.compile("item|product|物品|商品", re.IGNORECASE)
_NOUNS = (
    "a an the film films movie movies item items product products 片 的 电影 影片 作品"
)
# "The film Fargo" is Fargo.
_CALLED = re.compile(
    r"(?:(?:\bthe )?\b(?:film|movie|item|product|book|song) [\"“]?|(?:电影|影片)《)$",
    re.IGNORECASE,
)
_ITS_YEAR = re.compile(r"[\"”》]? ?\(?(\d{4})\)?(?![\w-])", re.ASCII)
_ARTICLES = ("a", "an", "the")
_QUOTES = ('"', "“", "《")
_NO_CONJUNCTION = frozenset(_NOUNS.split())


class Place(NamedTuple):
    """Where a name stands in a question.

    Attributes:
        start: Where it begins.
        stop: Where it ends.
        stands_for: Of `forms.NAMES`.
    """

    start: int
    stop: int
    stands_for: str


@dataclass(kw_only=True)
class Mentioned:
    """What is named.

    Attributes:
        user: The id of the user, or None.
        unknown_user: An id that is no user's; "" where there is none.
        other_user: The id of another user than the first; "" where one is named.
        items: Numbers of items, in their order.
        several: Names that several items have, with their numbers.
        alternatives: Genres, tags and others: any of these, all of each.
        unclear: Whether they are joined by both "and" and "or".
        number: How many items are to be named, or None.
        years: In their order; a decade as its first year.
        places: Where all of it stands.
    """

    user: str | None = None
    unknown_user: str = ""
    other_user: str = ""
    items: dict[int, None] = field(default_factory=dict)
    several: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    alternatives: tuple[tuple[ValueName, ...], ...] = ()
    unclear: bool = False
    number: int | None = None
    years: list[int] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)

    def name(self, words: str, items: list[int]) -> None:
        """Words name an item, or one of several."""
        if len(items) == 1:
            self.items[items[0]] = None
        else:
            self.several.append((words, tuple(items)))

    def without(self, line: str) -> str:
        """The question with `NAMED` where something is named."""
        rest = list(line)
        for start, stop, _ in self.places:
            rest[start:stop] = NAMED * (stop - start)
        return "".join(rest)

    def sentence(self, line: str) -> str:
        """The question in small letters, with what names stand for."""
        made, end = [], 0
        for start, stop, stands_for in sorted(self.places):
            made += [line[end:start].lower(), f" {stands_for} "]
            end = stop
        return "".join([*made, line[end:].lower()])


def mentioned(
    line: str,
    *,
    names: Names,
    user_ids: Collection[str],
    item_numbers: Mapping[str, int],
    fields: Collection[str],
    words: Collection[str],
) -> Mentioned:
    """Finds what a question names.

    Args:
        line: The question, as `plainly_written` gives it.
        names: What the data call things.
        user_ids: Ids of the users.
        item_numbers: Ids of the items, and their numbers.
        fields: Fields of items whose values may be asked for; others' are not.
        words: Words of the language, which are no unknown user's id.
    """
    found = Mentioned()
    _find_users(line, found, user_ids, words)
    values: list[tuple[Place, ValueName]] = []
    for span in names.find(found.without(line)):
        meant = sorted(one for one in span.of if isinstance(one, ValueName))
        of_items = [one for one in meant if one.field in fields]
        called = sorted(one.item for one in span.of if isinstance(one, ItemName))
        if of_items and not (called and _is_title(line, span.start, span.stop)):
            place = Place(span.start, span.stop, "VALUE")
            values.append((place, of_items[0]))
        elif called and not (span.words.lower() in words and _begins(line, span.start)):
            span, called = _with_year(line, span, called, names)
            called = sorted({*called, *_behind_words(span, names, words)})
            place = _with_noun(line, span)
            found.name(span.words, called)
        else:
            continue
        found.places.append(place)
    for match in grammar.ITEM.finditer(found.without(line)):
        said = match[1] if match[1] in item_numbers else match[1].rstrip(".:-")
        # "Film 187" may be the one that is called 187; "item 187" has it for an id.
        meant_by = set() if _BY_ID.match(match[0]) else names.numbered(said)
        if said in item_numbers:
            meant_by |= {item_numbers[said]}
        if meant_by:
            stop = match.start(1) + len(said)
            found.name(line[match.start() : stop], sorted(meant_by))
            found.places.append(Place(match.start(), stop, "ITEM"))
    for pattern, stands_for in ((_DECADE, "DECADE"), (_YEAR, "YEAR")):
        for match in pattern.finditer(found.without(line)):
            year = int(re.sub(r"20世纪|\D", "", match[0]))
            found.years.append(year if year > 99 else 1900 + year)
            found.places.append(Place(*match.span(), stands_for))
    found.alternatives, found.unclear = _joined(line, values)
    return found


def _find_users(
    line: str, found: Mentioned, user_ids: Collection[str], words: Collection[str]
) -> None:
    for match in grammar.USER.finditer(line):
        said = match[1]
        # "user 196's", "user 196?"
        forms = (said, said.rstrip(".:-@"))
        known = next((one for one in forms if one in user_ids), None)
        if known is None and said.lower() in words:
            continue
        if known is None:
            found.unknown_user = found.unknown_user or said
        elif found.user is not None and known != found.user:
            found.other_user = found.other_user or known
        else:
            found.user = known
        stop = match.start(1) + len(known or said)
        if possessive := re.match(r"[\"'”]?['’]s\b|[\"'”]", line[stop:]):
            stop += possessive.end()
        found.places.append(Place(match.start(), stop, "USER"))


def _joined(
    line: str, values: list[tuple[Place, ValueName]]
) -> tuple[tuple[tuple[ValueName, ...], ...], bool]:
    """Any of these, all of each; and whether "and" stands beside "or"."""
    between = [
        line[before.stop : after.start].lower()
        for (before, _), (after, _) in itertools.pairwise(values)
    ]
    any_of = [grammar.OR.search(words) is not None for words in between]
    all_of = [
        not either and bool(set(re.findall(r"[^\W\d]+", words)) - _NO_CONJUNCTION)
        for words, either in zip(between, any_of, strict=True)
    ]
    alternatives: list[dict[str, ValueName]] = [{}] if values else []
    for number, (_, value) in enumerate(values):
        # "Dramas, comedies or thrillers".
        listed = any(any_of) and number > 0 and set(between[number - 1]) & {",", "、"}
        if listed or (number > 0 and any_of[number - 1]):
            alternatives.append({})
        alternatives[-1].setdefault(value.value.lower(), value)
    found = tuple(tuple(one.values()) for one in alternatives)
    return found, any(any_of) and any(all_of)


def _with_year(
    line: str, span: Span, called: list[int], names: Names
) -> tuple[Span, list[int]]:
    """A name with its year behind the quotes, or without parentheses."""
    year = _ITS_YEAR.match(line, span.stop)
    if year is None:
        return span, called
    [*_, whole] = names.find(f"{span.words} ({year[1]})") or [span]
    of = sorted(one.item for one in whole.of if isinstance(one, ItemName))
    if whole.words == span.words or not of:
        return span, called
    start = span.start - (line[span.start - 1 : span.start] in _QUOTES)
    stop = year.end()
    return Span(start=start, stop=stop, words=line[start:stop], of=whole.of), of


def _behind_words(span: Span, names: Names, words: Collection[str]) -> set[int]:
    """Items that are named behind small words of the language: "like Fargo".

    Whoever calls an item so would answer every question of what is like Fargo.
    """
    for end in (match.end() for match in re.finditer(" ", span.words)):
        before = span.words[:end].split()
        if not before[0].islower() or not {one.lower() for one in before} <= {*words}:
            break
        if before[-1] in _ARTICLES:
            continue
        for one in names.find(span.words[end:]):
            if (one.start, one.stop) == (0, len(span.words) - end):
                return {each.item for each in one.of if isinstance(each, ItemName)}
    return set()


def _with_noun(line: str, span: Span) -> Place:
    """Where an item stands, with what says that it is one."""
    noun = _CALLED.search(line[: span.start])
    if noun is None:
        return Place(span.start, span.stop, "ITEM")
    after = line[span.stop : span.stop + 1]
    is_quoted = noun[0][-1] in '"“《' and after in ('"', "”", "》")
    return Place(noun.start(), span.stop + is_quoted, "ITEM")


def _begins(line: str, start: int) -> bool:
    """Whether a sentence begins there, with a capital of any word."""
    return line[:start].rstrip()[-1:] in ("", ".", "?", "!")


def _is_title(line: str, start: int, stop: int) -> bool:
    """Whether quotes stand around a name."""
    around = line[max(start - 1, 0) : start] + line[stop : stop + 1]
    return around in ('""', "“”", "《》")
