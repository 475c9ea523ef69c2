"""Sentences with something false planted in them, for whoever claims to find it.

Titles and genres are those of the data; invented titles, people, years and counts are
put together here, and so are false verbs, roles, relations, dates and ordinals,
which are words of the language like any other. How the false thing is put into a
sentence is drawn too.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

_FIRST = "Marta Ilya Grace Tomas Yuki Bernard Aisha Pedro Ingrid Walter Noor Celine"
_LAST = "Holloway Petrov Nakamura Lindqvist Okafor Brandt Castellanos Whitfield Moreau"
_HEADS = "Crimson Silent Hollow Burning Distant Seventh Paper Velvet Frozen Midnight"
_TAILS = "Orchard Harbour Parade Covenant Staircase Meridian Garden Verdict Lantern"
_PLACES = "Vesna Albion Tarrow Quill Kestrel Montague"

# No name, no number and no capital tells these from what is true.
_WORDS = {
    "verb": "directed, owned, hated, produced, sold, lost, returned, hid, wrote, "
    "stole, borrowed, praised, rewrote, burned, forgot, copied, mocked, taught",
    "role": "friends, critics, actors, colleagues, neighbours, experts, children, "
    "teachers, relatives, strangers, directors, students, adults, doctors",
    "relation": "remake, sequel, parody, translation, rival, copy, prequel, cousin, "
    "sibling, chapter, summary, imitation",
    "date": "yesterday, last May, on a Monday, a year ago, in spring, at midnight, "
    "two weeks ago, in the nineties, long ago, since March, for two hours",
    "ordinal": "first, second, third, last, next, fifth, previous, tenth, final",
}

_ADDED = {
    "title": (
        ' It is also close to "{x}".',
        " Fans of {x} agree.",
        ' This user had "{x}" as well.',
        ", much like {x}.",
        ", and so did those who had {x}.",
    ),
    "genre": (
        " It is a {y} at heart.",
        ", which suits those who like {y}.",
        " Both are {y} films.",
        " This user often picks {y}.",
    ),
    "invented": (
        ' It is also close to "{x}".',
        " Those who had {x} had it too.",
        ", in the spirit of {x}.",
        " {x} is much the same.",
    ),
    "person": (
        ", as {x} would say.",
        " {x} is in both.",
        " It is with {x}.",
        " {x} had it as well.",
    ),
    "year": (
        " Both came out in {x}.",
        ", seen first in {x}.",
        " It has been here since {x}.",
    ),
    "count": (
        " {x} others had it as well.",
        ", and {x} people came back to it.",
        " {x} users had it twice over.",
        ", as {x} of them did.",
    ),
    "verb": (
        " This user {x} it too.",
        ", and those people {x} it.",
        " They {x} both.",
    ),
    "role": (
        " They are {x} of this user.",
        ", and most of them are {x}.",
        " The {x} of this user had it too.",
    ),
    "relation": (
        " One is a {x} of the other.",
        ", which is a {x} of it.",
        " It is the {x} of what this user had.",
    ),
    "date": (
        " This user had it {x}.",
        ", {x}.",
        " That was {x}.",
    ),
    "ordinal": (
        " It is the {x} of a series.",
        ", the {x} that this user had.",
        " This user was the {x} to have it.",
    ),
}
KINDS = tuple(_ADDED)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A sentence that is false.

    Attributes:
        text: The sentence.
        kind: What was planted: one of `KINDS`.
        words: The false thing, as it stands there.
        source: The number of the sentence that it was planted into.
    """

    text: str
    kind: str
    words: str
    source: int


def planted(
    sentences: Sequence[str],
    *,
    titles: Sequence[str],
    genres: Sequence[str],
    count: int,
    seed: int = 0,
) -> list[Planted]:
    """Plants something false into sentences that are true.

    Args:
        sentences: Without citations.
        titles: Of the catalogue.
        genres: Of the data.
        count: How many to make; kinds take turns.
        seed: Of all draws.
    """
    draw = random.Random(seed)
    made: list[Planted] = []
    while len(made) < count:
        kind = KINDS[len(made) % len(KINDS)]
        source = draw.randrange(len(sentences))
        sentence = sentences[source]
        words = _false(kind, sentence, titles, genres, draw)
        text = _put(sentence, kind, words, draw)
        made.append(Planted(text=text, kind=kind, words=words, source=source))
    return made


def _false(
    kind: str,
    sentence: str,
    titles: Sequence[str],
    genres: Sequence[str],
    draw: random.Random,
) -> str:
    """Something of a kind that the sentence does not say."""
    folded = sentence.lower()
    while True:
        if kind == "title":
            words = draw.choice(titles)
            if draw.random() < 0.5:
                words = re.sub(r"\s*\(\d{4}\)$", "", words)
            if draw.random() < 0.5:
                words = re.sub(r"^(.*), (The|A|An)\b", r"\2 \1", words)
        elif kind == "genre":
            words = draw.choice(genres)
            words = words.lower() if draw.random() < 0.5 else words
        elif kind == "invented":
            words = f"{draw.choice(_HEADS.split())} {draw.choice(_TAILS.split())}"
            form = draw.randrange(4)
            if form == 1:
                words = f"The {words}"
            elif form == 2:
                words = f"{words} of {draw.choice(_PLACES.split())}"
            elif form == 3:
                words = draw.choice(_PLACES.split())
        elif kind == "person":
            words = f"{draw.choice(_FIRST.split())} {draw.choice(_LAST.split())}"
            words = words.split()[1] if draw.random() < 0.25 else words
        elif kind == "year":
            words = str(draw.randint(1925, 2015))
        elif kind == "count":
            words = str(draw.randint(2, 900))
        else:
            words = draw.choice(_WORDS[kind].split(", "))
        bare = re.sub(r"\W+", " ", words.lower()).strip()
        if bare and bare not in re.sub(r"\W+", " ", folded):
            return words


def _put(sentence: str, kind: str, words: str, draw: random.Random) -> str:
    """The false thing instead of a true one of its kind, or beside what is said."""
    true = {
        "title": r'"[^"]+"',
        "invented": r'"[^"]+"',
        "year": r"\d{4}(?=\))",
        "count": r"\b\d+(?= (?:other )?people)",
        "verb": r"\b(?:had|leads to|liked)\b",
        "role": r"\b(?:people|others)\b",
    }.get(kind)
    places = list(re.finditer(true, sentence)) if true is not None else []
    if places and draw.random() < 0.5:
        place = draw.choice(places)
        quoted = f'"{words}"' if kind in ("title", "invented") else words
        return sentence[: place.start()] + quoted + sentence[place.end() :]
    form = draw.choice(_ADDED[kind])
    added = form.format(x=words, y=words)
    if added.startswith(","):
        return sentence.rstrip(".") + added
    return sentence + added
