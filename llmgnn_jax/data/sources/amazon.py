"""Amazon review data of 2018, 5-core: NAME_5.json.gz and meta_NAME.json.gz.

Ni, Li and McAuley, "Justifying Recommendations using Distantly-Labeled Reviews and
Fine-Grained Aspects" (2019). A JSON object a line; the files may be uncompressed too
(NAME_5.json, meta_NAME.json).

The catalogue is what the reviews are about. meta_NAME lists far more: items that the
5-core left out for having too few reviews. They are not items that nobody met, so they
are left out here as well, and counted in the log. A reviewed item that meta_NAME lacks
stays, without title and text. Of several lines on one item the first is read.

Reviews are the texts of their interactions. Who wrote them goes by an id; names are not
read.
"""

import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.json_lines import kind_of, read_json_lines
from llmgnn_jax.data.sources.wording import sentences, without_markup
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)

_ENDINGS = (".json", ".json.gz")
# "$1,299.99"; a range of prices, as of "$10.00 - $25.00", is no price.
_PRICE = re.compile(r"\$?\s*(\d[\d,]*(?:\.\d+)?)")
# Pages that were cut up wrongly have a script as their title
# (https://nijianmo.github.io/amazon, "unformatted title").
_SCRIPT = "getTime"


def is_amazon(folder: Path) -> bool:
    """Whether a folder holds reviews in this layout."""
    return bool(_review_files(folder))


def read_amazon(folder: Path | str, *, name: str | None = None) -> Dataset:
    """Reads Amazon reviews with what the shop says of the items.

    `values` are stars, `timestamps` those of the reviews, `interaction_texts` summary
    and review. An item's text is its title, categories, brand and description, without
    HTML. `item_categorical` has category and brand, `item_numeric` price, in dollars,
    NaN where there is none or a range.

    Args:
        folder: Holds one NAME_5.json or NAME_5.json.gz, and its meta_NAME.
        name: The dataset's name; NAME if not given.

    Raises:
        UserError: For a file that is missing, not whole or malformed, a field that is
            missing or of a wrong type, or a timestamp that is negative.
    """
    folder = Path(folder)
    reviews, meta = _files(folder)
    user_index: dict[str, int] = {}
    item_index: dict[str, int] = {}
    users: list[int] = []
    items: list[int] = []
    values: list[float] = []
    timestamps: list[int] = []
    texts: list[str] = []
    for line, record in read_json_lines(reviews):
        review = _Record(reviews, line, record)
        users.append(user_index.setdefault(review.id("reviewerID"), len(user_index)))
        items.append(item_index.setdefault(review.id("asin"), len(item_index)))
        values.append(review.number("overall"))
        timestamps.append(review.seconds("unixReviewTime"))
        texts.append(sentences(review.prose("summary"), review.prose("reviewText")))

    size = len(item_index)
    titles, descriptions, prices = [""] * size, [""] * size, np.full(size, np.nan)
    categories: list[tuple[str, ...]] = [()] * size
    brands: list[tuple[str, ...]] = [()] * size
    described: set[str] = set()
    others: set[str] = set()
    again = 0
    for line, record in read_json_lines(meta):
        about = _Record(meta, line, record)
        asin = about.id("asin")
        if asin not in item_index:
            others.add(asin)
            continue
        if asin in described:
            again += 1
            continue
        described.add(asin)
        item = item_index[asin]
        title = about.prose("title")
        titles[item] = "" if _SCRIPT in title else title
        categories[item] = tuple(dict.fromkeys(about.proses("category")))
        brands[item] = tuple(filter(None, [about.prose("brand")]))
        prices[item] = about.dollars("price")
        descriptions[item] = sentences(
            titles[item],
            ", ".join(categories[item]),
            *brands[item],
            " ".join(about.proses("description")),
        )
    if others:
        logger.info("%s: %d items without a review left out", meta, len(others))
    if again:
        logger.info("%s: %d lines on items of earlier lines left out", meta, again)
    if missing := size - len(described):
        logger.warning(
            "%s lacks %d items of %s: they are kept, without title, text or features",
            meta,
            missing,
            reviews.name,
        )
    return Dataset(
        name=name or _stem(reviews),
        user_ids=tuple(user_index),
        item_ids=tuple(item_index),
        users=np.array(users, np.int64),
        items=np.array(items, np.int64),
        values=np.array(values),
        timestamps=np.array(timestamps, np.int64),
        item_titles=tuple(titles),
        item_texts=tuple(descriptions),
        interaction_texts=tuple(texts),
        item_categorical={"category": tuple(categories), "brand": tuple(brands)},
        item_numeric={"price": prices},
    )


class _Record:
    """One line of a file, with errors that name it."""

    def __init__(self, path: Path, line: int, fields: dict[str, Any]) -> None:
        self._path, self._line, self._fields = path, line, fields

    def id(self, field: str) -> str:
        value = self._fields.get(field)
        # JSON may hold half of a surrogate pair, which no file of UTF-8 may.
        if (
            not isinstance(value, str)
            or not value
            or value.encode("utf-8", "replace").decode("utf-8") != value
        ):
            raise self._error(field, expected="an id")
        return value

    def number(self, field: str) -> float:
        value = self._fields.get(field)
        # Whole numbers of JSON have no end.
        if isinstance(value, bool) or not (
            isinstance(value, int | float) and abs(value) < 1e38
        ):
            raise self._error(field, expected="a finite number")
        return float(value)

    def seconds(self, field: str) -> int:
        value = self._fields.get(field)
        if isinstance(value, bool) or not (
            isinstance(value, int) and 0 <= value <= 2**53
        ):
            raise self._error(field, expected="seconds since 1970, not negative")
        return value

    def prose(self, field: str) -> str:
        """A text without HTML; "" where there is none."""
        value = self._fields.get(field)
        if not isinstance(value, str | None):
            raise self._error(field, expected="a string")
        return without_markup(value or "")

    def proses(self, field: str) -> list[str]:
        """Those of a list of texts (or of a single one) that say something."""
        value = self._fields.get(field)
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, str | None) for part in parts):
            raise self._error(field, expected="a list of strings")
        return list(filter(None, (without_markup(part or "") for part in parts)))

    def dollars(self, field: str) -> float:
        """A price; NaN where there is none or a range."""
        found = _PRICE.fullmatch(self.prose(field))
        price = float(found[1].replace(",", "")) if found else math.nan
        if price > 1e38:
            raise self._error(field, expected="a price")
        return price

    def _error(self, field: str, *, expected: str) -> UserError:
        value = self._fields.get(field)
        got = kind_of(value)
        if field not in self._fields:
            got = "none"
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            got = repr(value)[:80]
        return UserError.field(
            f"{self._path.name}, line {self._line}, field {field}",
            expected=expected,
            got=got,
            fix="fill it in or drop the line",
        )


def _review_files(folder: Path) -> list[Path]:
    return sorted(path for ending in _ENDINGS for path in folder.glob(f"*_5{ending}"))


def _stem(reviews: Path) -> str:
    return reviews.name.removesuffix(".gz").removesuffix("_5.json")


def _files(folder: Path) -> tuple[Path, Path]:
    """The one file of reviews, and the one of what they are about."""
    found = _review_files(folder)
    if len(found) != 1:
        raise UserError.field(
            str(folder),
            expected="one file NAME_5.json or NAME_5.json.gz",
            got=_names(found),
        )
    wanted = [folder / f"meta_{_stem(found[0])}{ending}" for ending in _ENDINGS]
    there = [path for path in wanted if path.is_file()]
    if len(there) != 1:
        raise UserError.field(
            str(folder),
            expected=f"one of {wanted[0].name} and {wanted[1].name}",
            got=_names(there),
        )
    return found[0], there[0]


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths) or "none"
