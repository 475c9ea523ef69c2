"""Users and items: their degrees, their texts, and what else is known of them."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.describe.spread import Spread, degrees, gini

FEW = 5
"""Below so many different partners there is little to learn from."""

_TOP = 3
# Chinese, Japanese and Korean are written without spaces: a character is a word.
_CHARACTER = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]"
    "|[^\\s\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+"
)


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Texts of one kind; lengths are of those that are not empty.

    Attributes:
        count: How many there could be.
        filled: How many are not empty.
        different: How many different ones of these.
        characters: (median, longest).
        words: Likewise; a character without spaces around it, as of Chinese, is one.
    """

    count: int
    filled: int
    different: int
    characters: tuple[float, int]
    words: tuple[float, int]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A feature of users or items.

    Attributes:
        name: Of the field.
        kind: Of its values.
        filled: How many have a value.
        different: How many different values there are.
        range: The smallest, the median and the largest number.
        most: The most frequent values and how many have them; of items alone.
    """

    name: str
    kind: Literal["categorical", "numeric"]
    filled: int
    different: int
    range: tuple[float, float, float] | None
    most: tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True)
class Side:
    """Users or items.

    Attributes:
        count: How many.
        without: How many have no interaction.
        below: How many have fewer than `FEW` different partners, those without too.
        degrees: Different items of a user, different users of an item.
        gini: Of these.
        texts: Profile or catalogue texts; None where there are none.
        titles: Of items.
        features: By name.
    """

    count: int
    without: int
    below: int
    degrees: Spread
    gini: float
    texts: Texts | None
    titles: Texts | None
    features: tuple[Feature, ...]


def side(dataset: Dataset, name: Literal["user", "item"], pairs: Csr) -> Side:
    """What users or items are like.

    Args:
        dataset: Whose.
        name: Which.
        pairs: Users x items, each pair once.
    """
    count = len(dataset.ids[name])
    if name == "user":
        partners = pairs.counts()
    else:
        partners = np.bincount(pairs.indices, minlength=count)
    texts = getattr(dataset, f"{name}_texts")
    titles = dataset.item_titles if name == "item" else None
    return Side(
        count=count,
        without=int((partners == 0).sum()),
        below=int((partners < FEW).sum()),
        degrees=degrees(partners),
        gini=gini(partners),
        texts=None if texts is None else text_lengths(texts),
        titles=None if titles is None else text_lengths(titles),
        features=(
            *(
                _categorical(key, column, examples=name == "item")
                for key, column in getattr(dataset, f"{name}_categorical").items()
            ),
            *(
                _numeric(key, column)
                for key, column in getattr(dataset, f"{name}_numeric").items()
            ),
        ),
    )


def text_lengths(texts: Sequence[str]) -> Texts:
    """How long texts are, and how many are empty."""
    filled = [text for text in texts if text.strip()]
    lengths = [
        (
            len(text),
            len(text.split() if text.isascii() else _CHARACTER.findall(text)),
        )
        for text in filled
    ] or [(0, 0)]
    characters, words = np.array(lengths).T
    return Texts(
        count=len(texts),
        filled=len(filled),
        different=len(set(filled)),
        characters=(float(np.median(characters)), int(characters.max())),
        words=(float(np.median(words)), int(words.max())),
    )


def _categorical(
    name: str, column: Sequence[tuple[str, ...]], *, examples: bool
) -> Feature:
    times = Counter(value for values in column for value in set(values))
    ordered = sorted(times.items(), key=lambda pair: (-pair[1], pair[0]))
    return Feature(
        name=name,
        kind="categorical",
        filled=sum(1 for values in column if values),
        different=len(times),
        range=None,
        most=tuple(ordered[:_TOP]) if examples else (),
    )


def _numeric(name: str, column: np.ndarray) -> Feature:
    known = column[~np.isnan(column)].astype(np.float64)
    return Feature(
        name=name,
        kind="numeric",
        filled=len(known),
        different=len(np.unique(known)),
        range=(float(known.min()), float(np.median(known)), float(known.max()))
        if len(known)
        else None,
        most=(),
    )
