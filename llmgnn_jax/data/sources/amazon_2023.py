"""Amazon review data of 2023: NAME.jsonl.gz and meta_NAME.jsonl.gz.

Hou et al., "Bridging Language and Items for Retrieval and Recommendation" (2024),
https://amazon-reviews-2023.github.io. A JSON object a line; the files may be unpacked
too (NAME.jsonl, meta_NAME.jsonl).

An item is a `parent_asin`: variants of a product (its colours, its sizes) have one, and
meta_NAME describes these alone. The catalogue is what the reviews are about; what else
meta_NAME lists is left out and counted in the log, as in the data of 2018 (`amazon`).
A reviewed item that meta_NAME lacks stays, without title and text. Of several lines on
one item the first is read.

The files without texts (NAME.csv: user_id, parent_asin, rating, timestamp) are tables,
see `table_source`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.record import Record
from llmgnn_jax.data.sources.reviews import read_reviews
from llmgnn_jax.data.sources.wording import sentences
from llmgnn_jax.errors import UserError

_ENDINGS = (".jsonl.gz", ".jsonl")
_META = "meta_"


def is_amazon_2023(folder: Path) -> bool:
    """Whether a folder holds what such reviews are about, by the name of the file."""
    return bool(_meta_files(folder))


def read_amazon_2023(folder: Path | str, *, name: str | None = None) -> Dataset:
    """Reads Amazon reviews with what the shop says of the items.

    `values` are stars, `timestamps` those of the reviews, whose milliseconds are cut
    off, `interaction_texts` title and text of the review. An item's text is its title,
    categories, store, features and description, without HTML. `item_categorical` has
    main_category, category and store, `item_numeric` price, in dollars, NaN where there
    is none or a range.

    Args:
        folder: Holds one meta_NAME.jsonl or meta_NAME.jsonl.gz, and its NAME.
        name: The dataset's name; NAME if not given.

    Raises:
        UserError: For a file that is missing, not whole or malformed, a field that is
            missing or of a wrong type, or a timestamp that is negative.
    """
    folder = Path(folder)
    reviews, meta = _files(folder)
    written = read_reviews(
        reviews,
        user="user_id",
        item="parent_asin",
        value="rating",
        seconds=lambda review: review.milliseconds("timestamp") // 1000,
        texts=("title", "text"),
    )
    described = {
        item: _item_of(about)
        for item, about in written.described(meta, item="parent_asin")
    }
    nothing = _Item()
    shown = [described.get(item, nothing) for item in range(len(written.item_index))]
    return Dataset(
        name=name or _stem(reviews),
        **written.interactions(),
        item_titles=tuple(item.title for item in shown),
        item_texts=tuple(item.text for item in shown),
        item_categorical={
            "main_category": tuple(item.main_category for item in shown),
            "category": tuple(item.categories for item in shown),
            "store": tuple(item.store for item in shown),
        },
        item_numeric={"price": np.array([item.price for item in shown])},
    )


@dataclass(frozen=True, kw_only=True)
class _Item:
    """What the shop says of an item."""

    title: str = ""
    text: str = ""
    main_category: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    store: tuple[str, ...] = ()
    price: float = field(default=math.nan)


def _item_of(record: Record) -> _Item:
    title = record.prose("title")
    categories = tuple(dict.fromkeys(record.proses("categories")))
    store = tuple(filter(None, [record.prose("store")]))
    return _Item(
        title=title,
        text=sentences(
            title,
            ", ".join(categories),
            *store,
            *record.proses("features"),
            " ".join(record.proses("description")),
        ),
        main_category=tuple(filter(None, [record.prose("main_category")])),
        categories=categories,
        store=store,
        price=_price(record),
    )


def _price(record: Record) -> float:
    """A number, or text such as "from 14.99", which is no price; most have none."""
    if record.holds("price", str | None):
        return record.dollars("price")
    return record.number("price")


def _meta_files(folder: Path) -> list[Path]:
    return sorted(
        path for ending in _ENDINGS for path in folder.glob(f"{_META}*{ending}")
    )


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _files(folder: Path) -> tuple[Path, Path]:
    """The one file of reviews, and the one of what they are about."""
    found = _meta_files(folder)
    if len(found) != 1:
        raise UserError.field(
            str(folder),
            expected="one file meta_NAME.jsonl or meta_NAME.jsonl.gz",
            got=_names(found),
        )
    wanted = [
        folder / f"{_stem(found[0]).removeprefix(_META)}{end}" for end in _ENDINGS
    ]
    there = [path for path in wanted if path.is_file()]
    if len(there) != 1:
        raise UserError.field(
            str(folder),
            expected=f"one of {wanted[0].name} and {wanted[1].name}",
            got=_names(there),
        )
    return there[0], found[0]


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths) or "none"
