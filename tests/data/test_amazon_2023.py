"""Amazon reviews of 2023, by hand-made files as their publishers describe them."""

import gzip
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmgnn_jax.data import catalog
from llmgnn_jax.data.splits import split_published
from llmgnn_jax.errors import UserError

Objects = list[dict[str, Any]]
Write = Callable[..., Path]


def review(user: str, item: str, **fields: Any) -> dict[str, Any]:
    return {
        "rating": 4.0,
        "title": "Fine!",
        "text": "",
        "images": [],
        "asin": item + "-red",
        "parent_asin": item,
        "user_id": user,
        "timestamp": 1588687728923,
        "helpful_vote": 0,
        "verified_purchase": True,
        **fields,
    }


REVIEWS = [
    review("A", "X", rating=5.0, title="Five Stars", text="Good &amp; fast.<br />Yes"),
    review("B", "X", timestamp=7000),
    review("A", "Y", rating=1),
    review("B", "Z"),
]
META = [
    {
        "main_category": "All Beauty",
        "title": "Howard <b>LC0008</b> Conditioner",
        "average_rating": 4.8,
        "rating_number": 10,
        "features": ["Shines", "Lasts long."],
        "description": ["<p>For wood.</p>", ""],
        "price": 12.5,
        "images": [{"large": "https://x"}],
        "videos": [],
        "store": "Howard",
        "categories": ["Home", "Care &amp; Polish", "Home"],
        "details": {"Brand": "Howard"},
        "parent_asin": "X",
        "bought_together": None,
    },
    {"parent_asin": "X", "title": "A second line on X", "price": 1.0},
    {"parent_asin": "W", "title": "Nobody's review is of this"},
    {
        "parent_asin": "Y",
        "title": "Lamp",
        "main_category": None,
        "store": None,
        "categories": [],
        "features": [],
        "description": [],
        "price": "from 14.99",
    },
]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """(reviews, what they are about, how the names end) -> a folder."""

    def of(
        reviews: Objects = REVIEWS, meta: Objects | None = META, end: str = ".jsonl.gz"
    ) -> Path:
        folder = tmp_path / "beauty"
        folder.mkdir(exist_ok=True)
        for name, objects in (("All_Beauty", reviews), ("meta_All_Beauty", meta)):
            if objects is not None:
                raw = "".join(json.dumps(one) + "\n" for one in objects).encode()
                packed = gzip.compress(raw) if end.endswith(".gz") else raw
                (folder / f"{name}{end}").write_bytes(packed)
        return folder

    return of


def test_what_is_read(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data = catalog.load(write())
    assert data.name == "All_Beauty"
    assert data.user_ids == ("A", "B")
    assert data.item_ids == ("X", "Y", "Z")
    assert data.users.tolist() == [0, 1, 0, 1]
    assert data.items.tolist() == [0, 0, 1, 2]
    assert data.values.tolist() == [5, 4, 1, 4]
    assert data.timestamps.tolist() == [1588687728, 7, 1588687728, 1588687728]
    assert data.interaction_texts is not None
    assert data.interaction_texts[:2] == ("Five Stars. Good & fast. Yes.", "Fine!")
    assert data.item_titles == ("Howard LC0008 Conditioner", "Lamp", "")
    assert data.item_texts == (
        "Howard LC0008 Conditioner. Home, Care & Polish. Howard. Shines. Lasts long. "
        "For wood.",
        "Lamp.",
        "",
    )
    assert data.item_categorical == {
        "main_category": (("All Beauty",), (), ()),
        "category": (("Home", "Care & Polish"), (), ()),
        "store": (("Howard",), (), ()),
    }
    price = data.item_numeric["price"]
    assert np.array_equal(price, [12.5, np.nan, np.nan], equal_nan=True)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "1 items without a review left out",
        "1 lines on items of earlier lines left out",
        "they are kept, without title, text or features",
    ]
    assert "lacks 1 items of All_Beauty.jsonl.gz" in caplog.text


def test_unpacked_files_say_the_same(write: Write) -> None:
    wanted = catalog.load(write())
    for path in write().iterdir():
        path.unlink()
    assert catalog.load(write(end=".jsonl")).content_hash() == wanted.content_hash()


def test_reviews_alone_are_a_table(write: Write) -> None:
    path = write(REVIEWS[2:], meta=None) / "All_Beauty.jsonl.gz"
    data = catalog.load(path, columns=("item=parent_asin",))
    assert data.item_ids == ("Y", "Z")
    assert data.timestamps.tolist() == [1588687728, 1588687728]
    with pytest.raises(UserError, match="expected one column that is the item, got 2"):
        catalog.load(path)


def test_ids_alone_are_a_table(tmp_path: Path) -> None:
    path = tmp_path / "All_Beauty.csv"
    path.write_text("user_id,parent_asin,rating,timestamp\nAG,B0,4.0,1588615855070\n")
    data = catalog.load(path)
    assert (data.user_ids, data.item_ids) == (("AG",), ("B0",))
    assert data.timestamps.tolist() == [1588615855]


HEADER = "user_id,parent_asin,rating,timestamp,history"
PARTS = {
    "train": ("A,X,5.0,1588615855070,", "B,Y,4.0,1588615855071,"),
    "valid": ("A,Y,3.0,1588615856070,X",),
    "test": ("A,Z,2.0,1588615857070,X Y", "B,X,1.0,1588615857071,Y"),
}


def write_parts(folder: Path, parts: dict[str, tuple[str, ...]] = PARTS) -> Path:
    folder.mkdir(exist_ok=True)
    for part, lines in parts.items():
        text = "".join(f"{line}\n" for line in (HEADER, *lines))
        (folder / f"Gift_Cards.{part}.csv").write_text(text)
    return folder


def test_parts(tmp_path: Path) -> None:
    data = catalog.load(write_parts(tmp_path / "gifts"))
    assert data.name == "Gift_Cards"
    assert (data.user_ids, data.item_ids) == (("A", "B"), ("X", "Y", "Z"))
    assert data.users.tolist() == [0, 1, 0, 0, 1]
    assert data.items.tolist() == [0, 1, 1, 2, 0]
    assert data.values.tolist() == [5, 4, 3, 2, 1]
    assert (data.timestamps - 1588615855).tolist() == [0, 0, 1, 2, 2]
    split = split_published(data, seed=0, valid_share=0.0)
    assert split.test.tolist() == [3, 4]
    assert split.train.tolist() == [0, 1, 2]


def test_faults_of_parts(tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "gifts", {**PARTS, "test": ("A,X,,1,",)})
    with pytest.raises(UserError, match=r"test\.csv, row 1, column rating: expected"):
        catalog.load(folder)
    (folder / "Gift_Cards.test.csv").write_text("user_id,asin\n1,2\n")
    with pytest.raises(
        UserError, match=r"expected one column of Gift_Cards\.test\.csv"
    ):
        catalog.load(folder)
    (folder / "Gift_Cards.test.csv").unlink()
    with pytest.raises(UserError, match=r"expected one file NAME\.test\.csv or"):
        catalog.load(folder)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"parent_asin": ""}, "line 5, field parent_asin: expected an id, got ''"),
        ({"user_id": None}, "line 5, field user_id: expected an id, got null"),
        ({"rating": "5"}, "line 5, field rating: expected a finite number, got '5'"),
        (
            {"timestamp": -1},
            "line 5, field timestamp: expected milliseconds since 1970, not negative",
        ),
        ({"text": 3}, "line 5, field text: expected a string, got 3"),
    ],
)
def test_faults_of_reviews(write: Write, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        catalog.load(write([*REVIEWS, review("A", "X", **fields)]))
    assert f"All_Beauty.jsonl.gz, {said}" in str(caught.value)


def test_faults_of_the_catalogue(write: Write) -> None:
    with pytest.raises(
        UserError, match="line 1, field price: expected a finite number"
    ):
        catalog.load(write(meta=[{"parent_asin": "X", "price": [1]}]))
    folder = write()
    (folder / "All_Beauty.jsonl.gz").unlink()
    wanted = "expected one of All_Beauty.jsonl.gz and All_Beauty.jsonl, got none"
    with pytest.raises(UserError, match=wanted):
        catalog.load(folder)
    (folder / "meta_Other.jsonl").touch()
    with pytest.raises(UserError, match="expected one file meta_NAME"):
        catalog.load(folder)
