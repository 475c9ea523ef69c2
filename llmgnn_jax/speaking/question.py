"""What a question asks: by a small grammar, without a language model.

    understand("Which science-fiction films would user 196 like and why?", ...)
    # kind "recommend", user "196", alternatives ((genre: Sci-Fi,),), why

Every word has to be one of the grammar's, a name of the data, or a user's id. Any other
is told as what is not known. And the whole sentence has to be of one of the forms of
one kind, else it is not understood: no answer is taken for one to another question.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, cast, get_args

from llmgnn_jax.evidence.labels import Language
from llmgnn_jax.serving.mentions import plainly_written
from llmgnn_jax.speaking import grammar, grammar_zh
from llmgnn_jax.speaking.how_many import with_number
from llmgnn_jax.speaking.mentioned import Mentioned, mentioned
from llmgnn_jax.speaking.names import Names, ValueName
from llmgnn_jax.speaking.unknown_words import unknown_words

Kind: TypeAlias = Literal[
    "recommend",
    "why",
    "had",
    "alike",
    "taste",
    "facts",
    "year",
    "is",
    "count",
    "popular",
    "unknown",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_CHINESE = re.compile(r"[\u3400-\u9fff]")


class Years(NamedTuple):
    """The years that are asked for, both ends among them; None: without an end."""

    first: int | None
    last: int | None


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, understood.

    Attributes:
        text: As it was asked, on one line.
        language: Of the question, and so of its answer.
        kind: What is asked.
        user: The id of the user that is named, or None.
        items: The numbers of the items that are named, in their order.
        alternatives: The genres, tags and others that are named: any of these, all of
            each.
        number: How many items are to be named, or None.
        years: The years that items are to be of, or None.
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
    alternatives: tuple[tuple[ValueName, ...], ...] = ()
    number: int | None = None
    years: Years | None = None
    why: bool = False
    of_people: bool = False
    unknown_user: str = ""
    other_user: str = ""
    unknown: tuple[str, ...] = ()
    several: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def values(self) -> tuple[ValueName, ...]:
        """All that are named, each once."""
        return tuple(dict.fromkeys(one for both in self.alternatives for one in both))


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
    found = mentioned(
        line,
        names=names,
        user_ids=user_ids,
        item_numbers=item_numbers,
        fields=fields,
        words=grammar.WORDS,
    )
    # A number is how many are asked for where a form has a place for it. Elsewhere it
    # may be of a name that is not known: "Ocean's 11".
    counted = with_number(line, found)
    kind, years = _kind(line, counted or found, language)
    if counted is not None:
        if kind == "unknown":
            kind, years = _kind(line, found, language)
        else:
            found = counted
    left = found.without(line)
    return Question(
        text=line,
        language=language,
        kind=kind,
        user=found.user,
        items=tuple(found.items),
        alternatives=found.alternatives,
        number=found.number,
        years=years,
        why=grammar.WHY.search(left.lower()) is not None,
        of_people=grammar.PEOPLE.search(left.lower()) is not None,
        unknown_user=found.unknown_user,
        other_user=found.other_user,
        unknown=unknown_words(left, line),
        several=tuple(found.several),
    )


def _sentence(written: str, language: Language) -> str:
    """Words alone: without points and politeness."""
    if language == "zh":
        return re.sub(r"[\W_]+", "", written)
    whole = re.sub(r"\b(what|which|who|how|why)['’]s\b", r"\1 is", written)
    whole = re.sub(r"['’]s?(?!\w)", "", whole)
    words = re.findall(r"[\w'’]+", whole.replace("-", " "))
    return " ".join(one for one in words if one != "please")


def _kind(line: str, found: Mentioned, language: Language) -> tuple[Kind, Years | None]:
    """What is asked, and of which years."""
    sentence = _sentence(found.sentence(line), language)
    forms = grammar_zh.FORMS if language == "zh" else grammar.FORMS
    kinds = forms.kinds_of(sentence)
    years, are_clear = _years(sentence, found.years)
    if len(kinds) != 1 or found.unclear or not are_clear:
        return "unknown", years
    [kind] = kinds
    return cast("Kind", kind), years


def _years(sentence: str, named: list[int]) -> tuple[Years | None, bool]:
    """The years that are meant, and whether that is clear."""
    places = re.findall("YEAR|DECADE", sentence)
    if not places:
        return None, True
    first, last = min(named), max(named)
    if len(places) > 1:
        # "1995 films before 1990" is of two things.
        ranges = (
            r"\b(?:between YEAR and|from YEAR (?:to|until)) YEAR\b|YEAR年?[到至]YEAR"
        )
        whole = len(places) == 2 and re.search(ranges, sentence) is not None
        return Years(first, last), whole
    if places == ["DECADE"]:
        return Years(first, first + 9), True
    if re.search(r"\bbefore YEAR\b|YEAR年?[以之]?前", sentence):
        return Years(None, last - 1), True
    if re.search(r"\buntil YEAR\b", sentence):
        return Years(None, last), True
    if re.search(r"\bafter YEAR\b|YEAR年?[以之]?后", sentence):
        return Years(first + 1, None), True
    if re.search(r"\bsince YEAR\b|\bYEAR on(?:wards)?\b|YEAR年?起", sentence):
        return Years(first, None), True
    return Years(first, last), True
