"""Amazon review data of 2018, 5-core: NAME_5.json.gz and meta_NAME.json.gz.

Ni, Li and McAuley, "Justifying Recommendations using Distantly-Labeled Reviews and
Fine-Grained Aspects" (2019). A JSON object a line; the files may be uncompressed too
(NAME_5.json, meta_NAME.json).

The catalogue is what the reviews are about. meta_NAME lists far more: items that the
5-core left out for having too few reviews. They are not items that nobody met, so they
are left out here as well, and counted in the log. A reviewed item that meta_NAME lacks
stays, without title and text. Of several lines on one item the first is read.

What else was bought or looked at, of the items that are reviewed, are the relations
also_buy and also_view, from the item whose page names the other.

Reviews are the texts of their interactions. Who wrote them goes by an id; names are not
read.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.sources.reviews import read_reviews
from llmgnn_jax.data.sources.wording import sentences
from llmgnn_jax.errors import UserError

_LINKS = ("also_buy", "also_view")
_ENDINGS = (".json", ".json.gz")
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
    written = read_reviews(
        reviews,
        user="reviewerID",
        item="asin",
        value="overall",
        seconds=lambda review: review.seconds("unixReviewTime"),
        texts=("summary", "reviewText"),
    )
    item_index = written.item_index
    size = len(item_index)
    titles, descriptions, prices = [""] * size, [""] * size, np.full(size, np.nan)
    categories: list[tuple[str, ...]] = [()] * size
    brands: list[tuple[str, ...]] = [()] * size
    links: dict[str, list[tuple[int, int]]] = {name: [] for name in _LINKS}
    for item, about in written.described(meta, item="asin"):
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
        for kind, found in links.items():
            others_named = filter(item_index.__contains__, about.proses(kind))
            found += ((item, item_index[other]) for other in others_named)
    return Dataset(
        name=name or _stem(reviews),
        **written.interactions(),
        item_titles=tuple(titles),
        item_texts=tuple(descriptions),
        item_categorical={"category": tuple(categories), "brand": tuple(brands)},
        item_numeric={"price": prices},
        relations={
            kind: _linked(np.array(found, np.int64))
            for kind, found in links.items()
            if found
        },
    )


def _linked(pairs: np.ndarray) -> Relation:
    return Relation.merged(
        heads_of="item",
        tails_of="item",
        heads=pairs[:, 0],
        tails=pairs[:, 1],
        directed=True,
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
