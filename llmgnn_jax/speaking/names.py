"""What the data call things: titles, attributes, and the forms that people write.

    names = Names(dataset)
    [span.words for span in names.find("You had the Godfather, a crime drama.")]
    # ["the Godfather", "crime", "drama"]

Of names that begin at one place the longest counts, and none ends inside a word.
Capitals do not matter, but for names that are one word: "Heat" is a film and "heat" is
not, while "drama" is a genre however it is written.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.serving.mentions import (
    cuts_a_word,
    plainly_written,
    without_capitals,
)
from llmgnn_jax.serving.titles import without_year
from llmgnn_jax.speaking.genres import VARIANTS, ZH_GENRES, inflected

_ARTICLES = "The|A|An|Les|Le|La|L'|Il|El|Los|Las|Das|Der|Die|Un|Une|I|Lo"
_MOVED = re.compile(rf"^(.*), ({_ARTICLES})$", re.IGNORECASE)
_LEADING = re.compile(rf"^({_ARTICLES}) (?=\S)", re.IGNORECASE)
_PARENTHESES = re.compile(r"\s*\(([^()]*)\)")
_YEAR = re.compile(r"\((\d{4})\)\s*$")
_NUMBER = re.compile(r"\d[^()]* \(\d{4}\)$")
_YEARS = range(1800, 2101)
# Values that stand for none.
_NO_VALUES = frozenset({"other", "others", "none", "unknown", "misc", "various", "n/a"})


class ItemName(NamedTuple):
    """The name of an item, by its number in the data."""

    item: int


class ValueName(NamedTuple):
    """The name of a genre, a tag, an occupation: a value of a field of the data."""

    field: str
    value: str


Named: TypeAlias = ItemName | ValueName


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a text that is a name.

    Attributes:
        start: Where it begins.
        stop: Where it ends.
        words: What stands there.
        of: All that is called so.
    """

    start: int
    stop: int
    words: str
    of: frozenset[Named]


class _Form(NamedTuple):
    written: str
    of: Named
    one_word: bool  # It is a word of the language as well: its capitals matter.


class Names:
    """All names in some data, or some of them.

    Args:
        titles: (item, title) of items.
        values: Fields and their values.
    """

    def __init__(
        self,
        titles: Iterable[tuple[int, str]],
        values: Iterable[ValueName] = (),
    ) -> None:
        self._forms: dict[str, list[_Form]] = {}
        self._numbered: dict[str, set[int]] = {}
        for item, title in titles:
            if (bare := without_year(title)).isdecimal():
                self._numbered.setdefault(bare, set()).add(item)
            for form in title_forms(title):
                self._add(form, ItemName(item), one_word=_is_one_word(form))
        for value in values:
            for form in value_forms(value.value):
                self._add(form, value, one_word=False)
        lengths: dict[str, set[int]] = {}
        for form in self._forms:
            lengths.setdefault(form[:2], set()).add(len(form))
        self._lengths = {
            start: sorted(found, reverse=True) for start, found in lengths.items()
        }

    @classmethod
    def of(cls, dataset: Dataset, *, titles: Sequence[str] | None = None) -> "Names":
        """Those of a data set.

        Args:
            dataset: The data.
            titles: Of all items, where some came later than the data.
        """
        titles = dataset.item_titles if titles is None else titles
        return cls(enumerate(titles), values_of(dataset))

    def _add(self, form: str, of: Named, *, one_word: bool) -> None:
        written = plainly_written(form)
        # A number is looked at as a number, but with its year; a letter says nothing.
        has_letters = any(map(str.isalpha, written))
        if len(written) < 2 or not (has_letters or _NUMBER.match(written)):
            return
        folded = without_capitals(written)
        self._forms.setdefault(folded, []).append(_Form(written, of, one_word))

    def numbered(self, number: str) -> set[int]:
        """The items that a number alone is the title of, but for the year."""
        return set(self._numbered.get(number, ()))

    def find(self, text: str) -> list[Span]:
        """The names in a text, the longest first at each place, none in another.

        Args:
            text: As `plainly_written` gives it, which places refer to.
        """
        folded = without_capitals(text)
        found, place = [], 0
        while place < len(text):
            span = self._at(place, text, folded)
            if span is None:
                place += 1
            else:
                found.append(span)
                place = span.stop
        return found

    def _at(self, place: int, text: str, folded: str) -> Span | None:
        lengths = self._lengths.get(folded[place : place + 2], ())
        if not lengths or cuts_a_word(text, place):
            return None
        for length in lengths:
            stop = place + length
            if stop > len(text) or cuts_a_word(text, stop):
                continue
            words = text[place:stop]
            meant = frozenset(
                form.of
                for form in self._forms.get(folded[place:stop], ())
                if not form.one_word or _last(form.written) == _last(words)
            )
            if meant:
                return Span(start=place, stop=stop, words=words, of=meant)
        return None


def title_forms(title: str) -> list[str]:
    """How a title is written: "Godfather, The (1972)" is "The Godfather" too."""
    year = _YEAR.search(title)
    bare = without_year(title)
    inside = [one for one in _PARENTHESES.findall(bare) if not one.isnumeric()]
    forms = [title]
    for name in (bare, _PARENTHESES.sub("", bare), *inside):
        name = name.strip()
        moved = _MOVED.match(name)
        spoken = f"{moved[2]} {moved[1]}" if moved else name
        spellings = {name, spoken, _LEADING.sub("", spoken), spoken.rstrip("!?. ")}
        for one in sorted(spellings):
            forms += [one, *([f"{one} ({year[1]})"] if year else [])]
    return list(dict.fromkeys(filter(None, forms)))


def value_forms(value: str) -> list[str]:
    """How a genre, a tag is written: in the plural, or as one of its known variants."""
    folded = without_capitals(plainly_written(value))
    spelt = {value, *VARIANTS.get(folded, ()), *ZH_GENRES.get(folded, ())}
    return sorted({form for one in spelt for form in inflected(one)})


def values_of(dataset: Dataset) -> list[ValueName]:
    """Values of the fields of items and users, and entities, that are words."""
    found: dict[ValueName, None] = {}
    for columns in (dataset.item_categorical, dataset.user_categorical):
        for field, column in columns.items():
            found |= dict.fromkeys(
                ValueName(field, value) for row in column for value in row
            )
    for kind, ids in dataset.entities.items():
        found |= dict.fromkeys(ValueName(kind, one) for one in ids)
    return [
        one
        for one in found
        if len(one.value) > 1
        and one.value.lower() not in _NO_VALUES
        and _has_letters(one.value)
    ]


def year_of(title: str) -> int | None:
    """The year that a title ends in."""
    found = _YEAR.search(title)
    year = int(found[1]) if found else None
    return year if year in _YEARS else None


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text)) and not any(map(str.isdigit, text))


def _is_one_word(form: str) -> bool:
    return _last(form).isalpha() and _LEADING.sub("", form) == _last(form)


def _last(form: str) -> str:
    return form.rpartition(" ")[2]


def find_names(text: str, *sources: Names) -> list[Span]:
    """The names of several lists, as `Names.find` has those of one.

    What one list calls so and another as well is called so by both.
    """
    found: list[Span] = []
    spans = sorted(
        (span for names in sources for span in names.find(text)),
        key=lambda span: (span.start, -span.stop),
    )
    for span in spans:
        if found and (span.start, span.stop) == (found[-1].start, found[-1].stop):
            found[-1] = Span(
                start=span.start,
                stop=span.stop,
                words=span.words,
                of=found[-1].of | span.of,
            )
        elif not found or span.start >= found[-1].stop:
            found.append(span)
    return found
