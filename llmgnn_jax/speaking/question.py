"""What a question asks: by a small grammar, without a language model.

    understand("Which science-fiction films would user 196 like and why?", ...)
    # kind "recommend", user "196", values (genre: Sci-Fi), why

Every word has to be one of the grammar's, a name of the data, or a user's id. Any other
is told as what is not known, so that no answer is taken for one to another question.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from llmgnn_jax.evidence.labels import Language
from llmgnn_jax.serving.mentions import plainly_written
from llmgnn_jax.speaking import grammar
from llmgnn_jax.speaking.names import ItemName, Names, ValueName

Kind: TypeAlias = Literal[
    "recommend", "why", "alike", "taste", "facts", "count", "popular", "unknown"
]

_CHINESE = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[^\W\d_\u3400-\u9fff][\w'’-]*|\d[\w.,-]*|[\u3400-\u9fff]+")
_QUOTED = re.compile(r"[\"“”]([^\"“”]+)[\"“”]|《([^》]+)》|「([^」]+)」")


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, understood.

    Attributes:
        text: As it was asked, on one line.
        language: Of the question, and so of its answer.
        kind: What is asked.
        user: The id of the user that is named, or None.
        items: The numbers of the items that are named, in their order.
        values: The genres, tags and others that are named, each once.
        why: Whether reasons are asked for.
        of_people: Whether people are counted.
        unknown_user: An id that is no user's; "" where there is none.
        other_user: The id of another user than the first; "" where one is named.
        unknown: What else is named and not known, in its order.
        several: Names that several items have, with their numbers.
    """

    text: str
    language: Language
    kind: Kind
    user: str | None = None
    items: tuple[int, ...] = ()
    values: tuple[ValueName, ...] = ()
    why: bool = False
    of_people: bool = False
    unknown_user: str = ""
    other_user: str = ""
    unknown: tuple[str, ...] = ()
    several: tuple[tuple[str, tuple[int, ...]], ...] = ()


def understand(
    text: str,
    *,
    names: Names,
    user_ids: Collection[str],
    item_numbers: dict[str, int],
    fields: Collection[str],
) -> Question:
    """Reads a question.

    Args:
        text: The question.
        names: What the data call things.
        user_ids: Ids of the users.
        item_numbers: Ids of the items, and their numbers.
        fields: Fields of items whose values may be asked for; others' are not.
    """
    line = plainly_written("".join(c if c.isprintable() else " " for c in text))
    language: Language = "zh" if _CHINESE.search(line) else "en"
    rest = list(line)
    user, unknown_user, other_user = _user(line, rest, user_ids)
    items: dict[int, None] = {}
    values: dict[str, ValueName] = {}
    several: list[tuple[str, tuple[int, ...]]] = []
    for span in names.find("".join(rest)):
        meant = sorted(one for one in span.of if isinstance(one, ValueName))
        of_items = [one for one in meant if one.field in fields]
        found = sorted(one.item for one in span.of if isinstance(one, ItemName))
        if of_items and not (found and _is_title(line, span.start, span.stop)):
            values.setdefault(of_items[0].value.lower(), of_items[0])
        elif len(found) == 1:
            items[found[0]] = None
        elif found:
            several.append((span.words, tuple(found)))
        else:
            continue
        _blank(rest, span.start, span.stop)
    for match in grammar.ITEM.finditer("".join(rest)):
        if match[1] in item_numbers:
            items[item_numbers[match[1]]] = None
            _blank(rest, *match.span(1))
    left = "".join(rest)
    unknown = _unknown(left, line)
    return Question(
        text=line,
        language=language,
        kind=_kind(left, user=user, items=tuple(items), values=values),
        user=user,
        items=tuple(items),
        values=tuple(values.values()),
        why=grammar.WHY.search(left) is not None,
        of_people=grammar.PEOPLE.search(left) is not None,
        unknown_user=unknown_user,
        other_user=other_user,
        unknown=unknown,
        several=tuple(several),
    )


def _user(
    line: str, rest: list[str], user_ids: Collection[str]
) -> tuple[str | None, str, str]:
    """The user that is named, an id that is nobody's, and that of another user."""
    user, unknown, other = None, "", ""
    for match in grammar.USER.finditer(line):
        said = match[1]
        # "user 196's", "user 196?"
        forms = (said, said.rstrip(".:-@"))
        known = next((one for one in forms if one in user_ids), None)
        if known is None and said.lower() in grammar.KNOWN_WORDS:
            continue
        if known is None:
            unknown = unknown or said
        elif user is not None and known != user:
            other = other or known
        else:
            user = known
        stop = match.start(1) + len(known or said)
        _blank(rest, match.start(1), stop)
        if possessive := re.match(r"['’]s\b", line[stop:]):
            _blank(rest, stop, stop + possessive.end())
    return user, unknown, other


def _kind(
    left: str, *, user: str | None, items: Sequence[int], values: Collection[str]
) -> Kind:
    def says(pattern: re.Pattern[str]) -> bool:
        return pattern.search(left) is not None

    if says(grammar.COUNT):
        # What is there, and who had what: not what would be, nor of what kinds it is.
        would = user is not None and (says(grammar.RECOMMEND) or says(grammar.CROWD))
        return "unknown" if would or says(grammar.KINDS) else "count"
    if user is not None and items:
        return "why"
    if user is not None:
        if says(grammar.RECOMMEND):
            return "recommend"
        return "taste" if says(grammar.TASTE) else "unknown"
    if items:
        if says(grammar.ALIKE):
            return "alike"
        return "facts" if says(grammar.FACTS) else "unknown"
    if values and (says(grammar.BEST) or says(grammar.RECOMMEND)):
        return "popular"
    return "unknown"


def _unknown(left: str, line: str) -> tuple[str, ...]:
    """What is neither a name nor a word of the grammar.

    Words with capitals beside it belong to it, whatever they are a name of: who asks
    for "Stra Wars" does not ask for wars.
    """
    found = [next(filter(None, match.groups())) for match in _QUOTED.finditer(left)]
    found = [one.strip() for one in found if one.strip()]
    left = _QUOTED.sub(" ", left)
    phrases: list[tuple[int, int]] = []
    for match in _WORD.finditer(left):
        word = match[0]
        if _CHINESE.match(word):
            known = _is_known_chinese(word)
        else:
            plain = re.sub(r"['’]s?$|\.+$", "", word.lower()).replace("’", "'")
            known = plain in grammar.KNOWN_WORDS
        if known and not (
            word[0].isupper() and phrases and _goes_on(left, phrases, match)
        ):
            continue
        if phrases and _goes_on(left, phrases, match):
            phrases[-1] = (phrases[-1][0], match.end())
        else:
            phrases.append(match.span())
    widened = dict.fromkeys(_widened(line, start, stop) for start, stop in phrases)
    return (*found, *widened)


def _widened(line: str, start: int, stop: int) -> str:
    if line[start].isupper():
        before = re.search(r"(?:(?<![.!?] )(?<!^)\b[A-Z][\w'’]* )+$", line[:start])
        after = re.match(r"(?:[ -][A-Z0-9][\w'’]*)+", line[stop:])
        start -= len(before[0]) if before else 0
        stop += after.end() if after else 0
    return line[start:stop].strip(" .,?!")


def _goes_on(left: str, phrases: list[tuple[int, int]], match: re.Match[str]) -> bool:
    """Whether a word belongs to the phrase before it: "Lord of the Rings"."""
    between = left[phrases[-1][1] : match.start()]
    small = re.fullmatch(r"[\s:,-]*(?:(?:of|the|and|a|an|in|to)\s+)*", between, re.I)
    first = left[phrases[-1][0]]
    both = first.isupper() and match[0][0].isupper()
    return small is not None and (both or not between.strip())


def _is_known_chinese(words: str) -> bool:
    for known in grammar.KNOWN_WORDS_ZH:
        words = words.replace(known, "")
    return not words


def _is_title(line: str, start: int, stop: int) -> bool:
    """Whether quotes stand around a name."""
    around = line[max(start - 1, 0) : start] + line[stop : stop + 1]
    return around in ('""', "“”", "《》")


def _blank(rest: list[str], start: int, stop: int) -> None:
    rest[start:stop] = " " * (stop - start)
