"""Amazon reviews: what of reviews and items is read, HTML, faults, the real data."""

import gzip
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmgnn_jax.data import catalog
from llmgnn_jax.data.sources.amazon import read_amazon
from llmgnn_jax.data.sources.reviews import read_reviews
from llmgnn_jax.data.sources.wording import sentences, without_markup
from llmgnn_jax.errors import UserError

Objects = list[dict[str, Any]]
Write = Callable[..., Path]


def review(user: str, item: str, **fields: Any) -> dict[str, Any]:
    return {
        "overall": 4.0,
        "reviewerID": user,
        "asin": item,
        "unixReviewTime": 1529193600,
        **fields,
    }


REVIEWS = [
    review("A", "X", overall=5.0, reviewText="Good &amp; fast.", summary="Five Stars"),
    review("B", "X", summary="Fine!", unixReviewTime=7),
    review("A", "Y", overall=1, reviewText="Broke<br />at once", summary=None),
    review("B", "Z", reviewerName="Jane Doe"),
]
META = [
    {
        "asin": "X",
        "title": " Maggiano&#39;s <b>Gift</b> Card",
        "category": ["Gift Cards", "Food &amp; Drink", "Gift Cards"],
        "brand": "Maggiano's",
        "description": ["<p>Not <i>valid</i> online.</p>", "", "Never expires"],
        "price": "$1,025.50",
    },
    {"asin": "X", "title": "A second line on X", "price": "$1.00"},
    {"asin": "W", "title": "Nobody's review is of this"},
    {
        "asin": "Y",
        "title": "var aPageStart = (new Date()).getTime();",
        "description": "One text",
        "price": "$10.00 - $25.00",
        "brand": "",
    },
]


@pytest.fixture
def folder(tmp_path: Path) -> Write:
    def write(
        reviews: Objects | str = REVIEWS, meta: Objects | str = META, end: str = ".gz"
    ) -> Path:
        made = tmp_path / "cards"
        made.mkdir(exist_ok=True)
        for name, content in (("Cards_5", reviews), ("meta_Cards", meta)):
            if not isinstance(content, str):
                content = "".join(json.dumps(one) + "\n" for one in content)
            raw = content.encode()
            if end:
                raw = gzip.compress(raw)
            (made / f"{name}.json{end}").write_bytes(raw)
        return made

    return write


def test_what_is_read(folder: Write, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cards = catalog.load(folder())
    assert cards.name == "Cards"
    assert cards.user_ids == ("A", "B")
    assert cards.item_ids == ("X", "Y", "Z")
    assert cards.item_titles == ("Maggiano's Gift Card", "", "")
    assert cards.item_texts == (
        "Maggiano's Gift Card. Gift Cards, Food & Drink. Maggiano's. Not valid online. "
        "Never expires.",
        "One text.",
        "",
    )
    assert cards.item_categorical == {
        "category": (("Gift Cards", "Food & Drink"), (), ()),
        "brand": (("Maggiano's",), (), ()),
    }
    np.testing.assert_array_equal(cards.item_numeric["price"], [1025.5, np.nan, np.nan])
    np.testing.assert_array_equal(cards.users, [0, 1, 0, 1])
    np.testing.assert_array_equal(cards.items, [0, 0, 1, 2])
    np.testing.assert_array_equal(cards.values, [5, 4, 1, 4])
    assert cards.timestamps.tolist() == [1529193600, 7, 1529193600, 1529193600]
    assert cards.interaction_texts == (
        "Five Stars. Good & fast.",
        "Fine!",
        "Broke at once.",
        "",
    )
    assert [
        record.getMessage().partition("json.gz")[2] for record in caplog.records
    ] == [
        ": 1 items without a review left out",
        ": 1 lines on items of earlier lines left out",
        " lacks 1 items of Cards_5.json.gz: they are kept, without title, text or "
        "features",
    ]


def test_plain_files_and_another_order_of_lines(folder: Write, tmp_path: Path) -> None:
    wanted = read_amazon(folder()).content_hash()
    for path in (tmp_path / "cards").iterdir():
        path.unlink()
    # Of the two lines on X the first has to stay before the second.
    made = folder(REVIEWS[::-1], [META[3], *META[:3]], end="")
    assert catalog.load(made).content_hash() == wanted
    assert read_amazon(made, name="mine").name == "mine"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a < b and c > d, I <3 it", "a < b and c > d, I <3 it"),
        ("&lt;b&gt;bold&lt;/b&gt;&nbsp;text", "bold text"),
        ("<style>p {color: red}</style>a<!-- b -->c<script>\nx\n</script >", "a c"),
        ("half \ud83d a pair", "half ? a pair"),
        ("", ""),
    ],
)
def test_without_markup(text: str, wanted: str) -> None:
    assert without_markup(text) == wanted


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            review("A", "X", overall="5"),
            "Cards_5.json.gz, line 2, field overall: expected a finite number, got "
            "'5'; fill it in or drop the line",
        ),
        (
            review("A", "X", overall=10**400),
            "Cards_5.json.gz, line 2, field overall: expected a finite number, "
            "got 1000",
        ),
        (
            review("A", "X", overall=float("nan")),
            "Cards_5.json.gz, line 2, field overall: expected a finite number, "
            "got nan;",
        ),
        (
            review("A", "X", unixReviewTime=-1),
            "Cards_5.json.gz, line 2, field unixReviewTime: expected seconds since "
            "1970, not negative, got -1; fill",
        ),
        (
            review("A", ""),
            "Cards_5.json.gz, line 2, field asin: expected an id, got ''; fill",
        ),
        (
            review("A\ud83d", "X"),
            "Cards_5.json.gz, line 2, field reviewerID: expected an id "
            "without half of a surrogate pair, got 'A\\ud83d'",
        ),
        (
            {"asin": "X"},
            "Cards_5.json.gz, line 2, field reviewerID: expected an id, got none; fill",
        ),
        (
            review("A", "X", summary=["good"]),
            "Cards_5.json.gz, line 2, field summary: expected a string, got a "
            "list; fill",
        ),
        ([1], "Cards_5.json.gz, line 2: expected a JSON object, got a list"),
    ],
)
def test_malformed_reviews_are_named(folder: Write, line: Any, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read_amazon(folder(f"\n{json.dumps(line)}\n"))
    assert str(caught.value).startswith(said)


def test_malformed_files_are_named(folder: Write) -> None:
    for text, said in (
        ("", "Cards_5.json.gz: expected at least one object, got none"),
        (
            "{'asin': 'X'}\n",
            "Cards_5.json.gz, line 1: expected a JSON object, got no JSON (Expecting",
        ),
    ):
        with pytest.raises(UserError) as caught:
            read_amazon(folder(text))
        assert str(caught.value).startswith(said)
    said = (
        r"^meta_Cards\.json\.gz, line 1, field category: expected a list of strings, "
    )
    with pytest.raises(UserError, match=said + "got an object"):
        read_amazon(folder(meta=[{"asin": "X", "category": {}}]))
    made = folder()
    whole = (made / "Cards_5.json.gz").read_bytes()
    for raw in (whole[:-20], whole[:40] + b"\0" * 40, b"no gzip"):
        (made / "Cards_5.json.gz").write_bytes(raw)
        with pytest.raises(
            UserError, match=r"^Cards_5\.json\.gz: expected a whole file"
        ):
            read_amazon(made)
    (made / "Cards_5.json.gz").write_bytes(gzip.compress(b'{"asin": "\xff"}'))
    with pytest.raises(UserError, match=r"^Cards_5\.json\.gz, line 1: expected UTF-8"):
        read_amazon(made)


def test_which_files_are_meant(folder: Write) -> None:
    made = folder()
    (made / "meta_Cards.json.gz").unlink()
    said = r"one of meta_Cards\.json and meta_Cards\.json\.gz, got none"
    with pytest.raises(UserError, match=said):
        read_amazon(made)
    folder(end="")
    with pytest.raises(
        UserError, match=r"one file NAME_5.* got Cards_5\.json, Cards_5\.json\.gz"
    ):
        catalog.load(made)


def test_the_real_gift_cards(shared_data: Callable[[str], Path]) -> None:
    cards = catalog.load(shared_data("amazon-giftcards-5core"))
    assert cards.name == "Gift_Cards"
    assert (cards.num_users, cards.num_items) == (458, 148)
    assert cards.num_interactions == 2_972
    assert len({*zip(cards.users.tolist(), cards.items.tolist(), strict=True)}) == 2_965
    assert all(cards.item_titles)
    without = zip(
        cards.item_titles,
        cards.item_categorical["category"],
        cards.item_categorical["brand"],
        strict=True,
    )
    said_more = [
        text != sentences(title, ", ".join(categories), *brand)
        for text, (title, categories, brand) in zip(
            cards.item_texts, without, strict=True
        )
    ]
    assert sum(said_more) == 145  # a description
    assert cards.interaction_texts is not None
    assert cards.interaction_texts[0] == "Five Stars. Another great gift."
    assert "<" not in "".join(cards.item_texts)
    assert "&#39;" not in "".join(cards.item_texts)
    assert np.isnan(cards.item_numeric["price"]).sum() == 41
    assert sum(map(bool, cards.item_categorical["brand"])) == 119
    assert cards.content_hash(relations=False).startswith("68d72c8e07e7083d7beaf577")


def test_the_real_reviews(shared_data: Callable[[str], Path]) -> None:
    """2,966 have a summary and a text, as SOURCE.txt has it; six a summary alone."""
    path = shared_data("amazon-giftcards-5core") / "Gift_Cards_5.json.gz"

    def written(field: str) -> np.ndarray:
        reviews = read_reviews(
            path,
            user="reviewerID",
            item="asin",
            value="overall",
            seconds=lambda review: review.seconds("unixReviewTime"),
            texts=(field, field),
        )
        return np.array(list(map(bool, reviews.texts)))

    summary, text = written("summary"), written("reviewText")
    assert (summary & text).sum() == 2_966
    assert (summary & ~text).sum() == 6


def test_items_that_were_bought_too(folder: Write) -> None:
    first, *others = META
    linked = {**first, "also_buy": ["Y", "W", "Y"], "also_view": []}
    back = {"asin": "Y", "also_buy": ["X", "Z"]}
    cards = read_amazon(folder(meta=[linked, back, *others[:2]]))
    links = cards.relations["also_buy"]
    assert links.directed
    assert [
        (cards.item_ids[head], cards.item_ids[tail])
        for head, tail in zip(links.heads, links.tails, strict=True)
    ] == [("X", "Y"), ("Y", "X"), ("Y", "Z")]
    assert "also_view" not in cards.relations


def test_the_real_links(shared_data: Callable[[str], Path]) -> None:
    cards = catalog.load(shared_data("amazon-giftcards-5core"))
    pairs = {
        (int(head), int(tail))
        for links in cards.relations.values()
        for head, tail in zip(links.heads, links.tails, strict=True)
    }
    sizes = {name: links.num_links for name, links in cards.relations.items()}
    assert sizes == {"also_buy": 1_918, "also_view": 1_497}
    assert len(pairs) == 2_407
