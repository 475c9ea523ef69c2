"""Mapping files: tables of users, items and links; what is counted, what is refused."""

import codecs
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources import mapping
from llmgnn_jax.data.sources.mapping import read_mapping
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError

SHOP = """
name = "shop"

[interactions]
file = "orders.csv"
user = "customer"
item = "sku"
value = "stars"
time = "ordered_at"
text = ["headline", "review"]

[items]
file = "catalogue.csv"
id = "sku"
title = "name"
text = ["name", "about"]
categorical = ["brand", "tags"]
numeric = ["price"]

[users]
file = "customers.jsonl"
id = "customer"
text = "about"
categorical = ["countries"]
numeric = ["age"]

[entities.brand]
file = "brands.csv"
id = "brand"

[relations.bought_together]
file = "together.csv"
head = "sku"
tail = "other"
heads_of = "item"
tails_of = "item"
weight = "times"

[relations.made_by]
file = "catalogue.csv"
head = "sku"
tail = "brand"
heads_of = "item"
tails_of = "brand"
directed = true

[relations.likes]
file = "likes.csv"
head = "customer"
tail = "topic"
heads_of = "user"
tails_of = "topic"
"""
FILES = {
    "orders.csv": "customer,sku,stars,ordered_at,headline,review\n"
    "ann,1,5,2020-01-01,Great,It works\nbob,2,1,2020-01-02,,Broke!\n"
    "ann,9,3,2020-01-03,,\ncat,1,4,2020-01-04,,\n",
    "catalogue.csv": "sku,name,about,brand,tags,price\n"
    "1,Lamp,Bright,Acme,light|home|light,9.5\n2,Chair,,Oak,,\n"
    "3,Table,Of oak.,Oak,,80\n",
    "customers.jsonl": '{"customer": "ann", "about": "Reads.", "age": 30, '
    '"countries": ["DE", "FR"]}\n{"customer": "bob", "countries": "US"}\n'
    '{"customer": "dan"}\n',
    "brands.csv": "brand\nOak\nAcme\nNobody\n",
    "together.csv": "sku,other,times\n1,2,3\n2,1,7\n1,1,2\n3,1,1\n1,77,1\n88,99,1\n",
    "likes.csv": "customer,topic\nann,art\nzoe,art\nbob,music\nann,art\n",
}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """(document, changed files) -> the path of a mapping with its files beside it."""

    def of(document: str = SHOP, **files: str) -> Path:
        folder = tmp_path / "shop"
        folder.mkdir(exist_ok=True)
        for name, content in FILES.items():
            content = files.get(name.partition(".")[0], content)
            (folder / name).write_text(content, "utf-8")
        (folder / "shop.toml").write_text(document, "utf-8")
        return folder / "shop.toml"

    return of


def links_of(data: Dataset, name: str) -> list[tuple[str, str, float]]:
    relation = data.relations[name]
    heads, tails = (data.ids[kind] for kind in relation.kinds)
    return [
        (heads[head], tails[tail], weight)
        for head, tail, weight in zip(
            relation.heads, relation.tails, relation.weights.tolist(), strict=True
        )
    ]


def test_what_is_read(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    shop = catalog.load(write())
    assert shop.name == "shop"
    assert shop.user_ids == ("ann", "bob", "dan", "cat")
    assert shop.item_ids == ("1", "2", "3", "9")
    assert shop.users.tolist() == [0, 1, 0, 3]
    assert shop.items.tolist() == [0, 1, 3, 0]
    assert shop.values.tolist() == [5, 1, 3, 4]
    assert np.diff(shop.timestamps).tolist() == [86400] * 3
    assert shop.interaction_texts == ("Great. It works.", "Broke!", "", "")
    assert shop.item_titles == ("Lamp", "Chair", "Table", "")
    assert shop.item_texts == ("Lamp. Bright.", "Chair.", "Table. Of oak.", "")
    assert shop.user_texts == ("Reads.", "", "", "")
    assert shop.item_categorical == {
        "brand": (("Acme",), ("Oak",), ("Oak",), ()),
        "tags": (("light", "home"), (), (), ()),
    }
    assert shop.user_categorical == {"countries": (("DE", "FR"), ("US",), (), ())}
    assert np.array_equal(
        shop.item_numeric["price"], [9.5, np.nan, 80, np.nan], equal_nan=True
    )
    assert shop.user_numeric["age"][0] == 30
    assert shop.entities == {
        "brand": ("Oak", "Acme", "Nobody"),
        "topic": ("art", "music"),
    }
    assert links_of(shop, "bought_together") == [("1", "2", 7.0), ("1", "3", 1.0)]
    assert links_of(shop, "made_by") == [
        ("1", "Acme", 1.0),
        ("2", "Oak", 1.0),
        ("3", "Oak", 1.0),
    ]
    assert links_of(shop, "likes") == [("ann", "art", 1.0), ("bob", "music", 1.0)]
    assert shop.relations["made_by"].directed
    assert not shop.relations["likes"].directed
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == [
        "customers.jsonl: column about: nothing in 2 of 3 rows",
        "customers.jsonl lacks 1 of the 3 users of orders.csv: they are kept, without "
        "text or features",
        "catalogue.csv lacks 1 of the 3 items of orders.csv: they are kept, without "
        "text or features",
        "together.csv: 2 of 6 links of bought_together left out: 1 with an unknown "
        "item as head, 2 with an unknown item as tail",
        "together.csv: 1 links of bought_together left out: of a node with itself",
        "likes.csv: 1 of 4 links of likes left out: 1 with an unknown user as head",
    ]


SMALL = """
[interactions]
file = "orders.csv"
user = "customer"
item = "sku"
"""


def test_interactions_are_enough(write: Write) -> None:
    shop = read_mapping(write(SMALL))
    assert shop.name == "shop"
    assert shop.values.tolist() == [1.0] * 4
    assert not shop.timestamps.any()
    assert shop.user_texts is None
    assert shop.interaction_texts is None
    assert shop.item_texts == ("",) * 3


def test_titles_are_the_texts_where_none_are_named(write: Write) -> None:
    items = '[items]\nfile = "catalogue.csv"\nid = "sku"\ntitle = "name"\n'
    assert read_mapping(write(SMALL + items)).item_texts == (
        *("Lamp", "Chair", "Table"),
        "",
    )


def test_the_order_of_rows_does_not_matter(write: Write) -> None:
    wanted = read_mapping(write()).content_hash()
    turned = {}
    for name, content in FILES.items():
        first, *rest = content.splitlines()
        lines = [first, *rest[::-1]] if name.endswith(".csv") else [*rest[::-1], first]
        turned[name.partition(".")[0]] = "".join(f"{line}\n" for line in lines)
    assert read_mapping(write(**turned)).content_hash() == wanted


def test_neo4j_is_read_by_its_own_source(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    dataset = synthetic()

    def read(document: dict[str, Any], *, folder: Path) -> Dataset:
        asked.append((document, folder))
        return dataset

    monkeypatch.setattr(mapping, "read_neo4j", read)
    path = write('[neo4j]\nuri = "bolt://here"\n')
    assert catalog.load(path) is dataset
    assert asked == [({"neo4j": {"uri": "bolt://here"}}, path.parent)]


def test_a_mapping_as_editors_of_windows_write_it(write: Write) -> None:
    path = write(SMALL)
    plain, read = path.read_bytes(), catalog.load(path).content_hash()
    path.write_bytes(codecs.BOM_UTF8 + plain.replace(b"\n", b"\r\n"))
    assert catalog.load(path).content_hash() == read
    path.write_bytes(plain.decode().encode("utf-16"))
    with pytest.raises(UserError, match=r"line 1: expected UTF-8 text, .* as UTF-8"):
        catalog.load(path)


RELATION = (
    '[relations.near]\nfile = "together.csv"\nhead = "sku"\ntail = "other"\n'
    'heads_of = "item"\ntails_of = "item"\n'
)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("a = ", "shop.toml: expected TOML, got"),
        (
            SMALL + RELATION.replace(".near]", ".all]"),
            "relations.all: expected another name, got one that stands for all",
        ),
        ("", "shop.toml: expected a table [interactions], got none"),
        (
            "[interaction]",
            "shop.toml: interaction: expected one of name, interactions, ",
        ),
        ("[interaction]", "got an unknown key; did you mean 'interactions'?"),
        (
            SMALL + 'tim = "x"',
            "shop.toml: interactions: tim: expected one of file, use",
        ),
        (SMALL + 'tim = "x"', "did you mean 'time'?"),
        (
            SMALL.replace("user", "# "),
            "interactions: expected a key user, got file, it",
        ),
        ("interactions = 3", "shop.toml: interactions: expected a table, got 3"),
        ("name = 3" + SMALL, "shop.toml: name: expected text in quotes, got 3"),
        (SMALL + "value = 3", "interactions.value: expected text in quotes, got 3"),
        (SMALL + "text = [3]", "interactions.text: expected a column or a list of col"),
        (
            SMALL + 'value = "star"',
            "[interactions] value: expected one column of orders.csv: customer, sku, "
            "stars, ordered_at, headline, review, got 'star'; did you mean 'stars'?",
        ),
        (SMALL + '[items]\nfile="catalogue.csv"', "items: expected a key id, got file"),
        (
            SMALL + '[users]\nfile="no.csv"\nid="a"',
            "no.csv: expected a readable file in",
        ),
        (
            SMALL + '[users]\nfile="no.xls"\nid="a"',
            "users.file: expected a file that ends in one of .parquet, .csv[.gz], ",
        ),
        (
            SMALL.replace("orders.csv", "~nobody-of-that-name/orders.csv"),
            "interactions.file: ~nobody-of-that-name/orders.csv: expected a path, got "
            "no user's home",
        ),
        (SMALL + "[entities]\nbrand = 3", "entities.brand: expected a table, got 3"),
        (SMALL + "relations = 3\n", "interactions: relations: expected one of file"),
        ("relations = 3\n" + SMALL, "relations: expected a table, got 3"),
        (
            SMALL + '[entities.item]\nfile="brands.csv"\nid="brand"',
            "entities.item: expected a kind that is neither user nor item, got 'item'; "
            "list them in [items]",
        ),
        (SMALL + RELATION + 'directed = "no"', "near.directed: expected true or false"),
        (
            SMALL + RELATION.replace('tails_of = "item"', 'tails_of = "items"'),
            "relations.near.tails_of: expected one of user, item, or another kind of "
            "entities, got 'items'; did you mean 'item'? Else list its ids in "
            "[entities.items]",
        ),
        (
            SMALL + RELATION.replace('heads_of = "item"', 'heads_of = "user"'),
            "relations.near, together.csv: expected a link of user with item that are "
            "known, got none in 6 rows",
        ),
    ],
)
def test_documents_that_are_wrong(write: Write, document: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        catalog.load(write(document))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"catalogue": FILES["catalogue.csv"] + "2,Chair,,,,\n1,Lamp,,,,\n"},
            "catalogue.csv, row 4, column sku: expected each id once, got '2' again, "
            "one of 2 such rows; merge the rows or drop all but one",
        ),
        (
            {"catalogue": FILES["catalogue.csv"] + "4,Rug,,,,cheap\n"},
            "catalogue.csv, row 4, column price: expected a number, got 'cheap'",
        ),
        (
            {"together": "sku,other,times\n1,2,1\n2,3,0\n1,3,-1\n"},
            "together.csv, row 2, column times: expected a weight above 0, got 0, one "
            "of 2 such rows; drop the rows",
        ),
        (
            {"together": "sku,other,times\n1,2,1\n2,,1\n"},
            "together.csv, row 2, column other: expected an id, got nothing",
        ),
        (
            {"brands": "brand\n"},
            "brands.csv: expected at least one",
        ),
    ],
)
def test_tables_that_are_wrong(write: Write, files: dict[str, str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        read_mapping(write(**files))
    assert said in str(caught.value)


def test_columns_are_named_in_the_mapping_alone(write: Write) -> None:
    with pytest.raises(UserError, match=r"a file \.toml names columns itself"):
        catalog.load(write(), columns=("user=customer",))
