"""Which items a sentence names: "我喜欢商品a1和a2" names a1 and a2.

    index = NameIndex(["a1", "a2"], ["商品a1", "商品a2"])
    [mention.id for mention in index.find("我喜欢商品a1和a2")]   # ["a1", "a2"]

A name is an id, or a title with its year or without. Of names that begin at one place
the longest counts, and a name never ends inside a word or a number: "a12" and "a1-b" do
not name a1. In scripts that put no spaces between words a name may begin and end
anywhere. Capitals do not matter, but for names that are one word: "Heat" is a film, and
"heat" is not. Names of one character, and numbers alone, are too often something else.

No grammar is read: "I do not like a1" names a1 too.
"""

import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llmgnn_jax.errors import UserError
from llmgnn_jax.serving.titles import without_year

_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR")
_JOINING = frozenset("-_'’‐")
_POSSESSIVE = re.compile(r"['’]s(?!\w)")
_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class Mention:
    """An item that a sentence names.

    Attributes:
        item: Its number.
        id: Its external id.
        title: For people, "" where unknown.
        words: What names it, as the sentence has it.
    """

    item: int
    id: str
    title: str
    words: str


class _Name(NamedTuple):
    item: int
    written: str
    is_id: bool
    as_written: bool  # Whether its capitals matter.


class NameIndex:
    """Items by the names that sentences may call them by.

    Args:
        ids: External ids.
        titles: Titles in the same order, "" where unknown.
    """

    def __init__(self, ids: Sequence[str], titles: Sequence[str]) -> None:
        self._ids, self._titles = ids, titles
        self._names: dict[str, list[_Name]] = {}
        for item, (id_, title) in enumerate(zip(ids, titles, strict=True)):
            self._add(item, id_, is_id=True)
            for form in dict.fromkeys((title, without_year(title))):
                self._add(item, form, is_id=False)
        # First two characters -> how long the names are that begin so, longest first.
        lengths: dict[str, set[int]] = {}
        for name in self._names:
            lengths.setdefault(name[:2], set()).add(len(name))
        self._lengths = {
            start: sorted(found, reverse=True) for start, found in lengths.items()
        }

    def _add(self, item: int, name: str, *, is_id: bool) -> None:
        written = plainly_written(name)
        if len(written) < 2 or written.isnumeric():
            return
        one = _Name(item, written, is_id, as_written=written.isalpha())
        self._names.setdefault(without_capitals(written), []).append(one)

    def find(self, sentence: str) -> list[Mention]:
        """The items that are named, each once, in the order of the sentence.

        Raises:
            UserError: If a name is that of several items; it lists them.
        """
        written = plainly_written(sentence)
        folded = without_capitals(written)
        found: dict[int, Mention] = {}
        place = 0
        while place < len(folded):
            mention = self._at(place, written, folded)
            if mention is not None:
                found.setdefault(mention.item, mention)
            place += 1 if mention is None else len(mention.words)
        return list(found.values())

    def _at(self, place: int, written: str, folded: str) -> Mention | None:
        """What is named by the longest name that begins at a place."""
        lengths = self._lengths.get(folded[place : place + 2], ())
        if not lengths or cuts_a_word(written, place):
            return None
        for length in lengths:
            stop = place + length
            names = self._names.get(folded[place:stop], ())
            if not names or stop > len(folded) or cuts_a_word(written, stop):
                continue
            words = written[place:stop]
            items = _meant(names, words)
            if len(items) > 1:
                raise self._ambiguous(words, items)
            if items:
                item = items[0]
                return Mention(
                    item=item,
                    id=self._ids[item],
                    title=self._titles[item],
                    words=words,
                )
        return None

    def _ambiguous(self, words: str, items: Sequence[int]) -> UserError:
        more = f", and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
        listed = "; ".join(
            f"{self._ids[i]} = {self._titles[i]}" for i in items[:_SHOWN]
        )
        return UserError.field(
            f"sentence: {words!r}",
            expected="the name of one item",
            got=f"that of {len(items)} ({listed}{more})",
            fix="write the whole title with its year, or the id",
        )


def _meant(names: Sequence[_Name], words: str) -> list[int]:
    """The items meant by words that are all these names but for capitals."""
    exact = [name for name in names if name.written == words]
    fitting = exact or [name for name in names if not name.as_written]
    by_id = [name for name in fitting if name.is_id]
    return list(dict.fromkeys(name.item for name in by_id or fitting))


def plainly_written(text: str) -> str:
    """With one space between words, without what does not tell characters apart:
    full width (ａ１), how an accent is composed."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def without_capitals(text: str) -> str:
    """Without capitals, each character in its place."""
    return "".join(c.casefold() if len(c.casefold()) == 1 else c for c in text)


def cuts_a_word(text: str, place: int) -> bool:
    """Whether text[:place] and text[place:] have a part of one word each."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    if _spelt(before) and after in _JOINING:
        joined = _spelt(text[place + 1 : place + 2])
        return joined and not _POSSESSIVE.match(text, place)
    if before in _JOINING and _spelt(after):
        return place > 1 and _spelt(text[place - 2])
    return _spelt(before) and _spelt(after)


@functools.lru_cache(maxsize=4096)
def _spelt(character: str) -> bool:
    """Whether it is part of words or numbers that have spaces around them."""
    if not character or unicodedata.category(character)[0] not in "LMN":
        return False
    return not unicodedata.name(character, "").startswith(_UNSPACED)
