"""Readers: both layouts give one content; what is malformed is named."""

from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.data import catalog
from llmgnn_jax.data.sources.movielens import read_movielens_100k
from llmgnn_jax.data.sources.recbole import read_recbole
from llmgnn_jax.data.sources.wording import catalogue_text, clean, titled, year_of
from llmgnn_jax.errors import UserError


def edit(path: Path, old: str, new: str, encoding: str = "utf-8") -> None:
    text = path.read_text(encoding)
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding)


def test_both_layouts_have_the_same_content(official: Path, atomic: Path) -> None:
    films, same = read_movielens_100k(official), read_recbole(atomic)
    assert films.content_hash() == same.content_hash()
    assert same.item_ids == films.item_ids[::-1]  # the numbering does differ


def test_what_is_read(official: Path) -> None:
    films = read_movielens_100k(official)
    assert films.item_titles == (
        "Toy Story (1995)",
        "Misérables, Les (1995)",
        "",
        "Two Friends (1986)",
        "Land III (1995) (V)",
        "Toy Story (1995)",
    )
    assert films.item_texts[0] == "Toy Story (1995). Children's."
    assert films.item_texts[1] == "Misérables, Les (1995)."
    assert films.item_texts[2] == ""
    assert films.item_texts[3] == "Two Friends (1986). Action, Film-Noir."
    assert films.item_categorical["genre"][2] == ()
    years = films.item_numeric["release_year"]
    np.testing.assert_array_equal(years, [1995, 1995, np.nan, 1986, 1995, 1995])
    np.testing.assert_array_equal(films.user_numeric["age"], [24, 53, 7])
    assert films.user_categorical["zip_code"][1] == ("V1G4L",)
    np.testing.assert_array_equal(films.users, [0, 1, 0, 2, 1])
    np.testing.assert_array_equal(films.items, [0, 1, 3, 4, 0])
    np.testing.assert_array_equal(films.values, [5, 3, 1, 4, 2])
    assert films.timestamps[0] == 874965758
    assert films.user_texts is None
    assert films.interaction_texts is None


def test_a_utf8_copy_of_the_official_layout_reads_the_same(official: Path) -> None:
    before = read_movielens_100k(official).content_hash()
    text = (official / "u.item").read_text("latin-1")
    (official / "u.item").write_text(text, "utf-8")
    assert read_movielens_100k(official).content_hash() == before


def test_line_ends_marks_and_blank_lines_do_not_matter(atomic: Path) -> None:
    before = read_recbole(atomic).content_hash()
    for suffix in ("inter", "item", "user"):
        path = atomic / f"films.{suffix}"
        text = path.read_text("utf-8").replace("\n", "\r\n") + "\r\n  \r\n"
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_recbole(atomic).content_hash() == before


def test_only_interactions(tmp_path: Path) -> None:
    (tmp_path / "plain.inter").write_text("item_id:token\tuser_id:token\ni\tu\nj\tu\n")
    dataset = read_recbole(tmp_path)
    assert (dataset.user_ids, dataset.item_ids) == (("u",), ("i", "j"))
    assert dataset.item_titles == dataset.item_texts == ("", "")
    np.testing.assert_array_equal(dataset.values, [1, 1])
    np.testing.assert_array_equal(dataset.timestamps, [0, 0])
    assert dataset.name == "plain"


def test_reviews_descriptions_and_features(tmp_path: Path) -> None:
    (tmp_path / "shop.inter").write_text(
        "user_id:token\titem_id:token\trating:float\treview:token_seq\tw:float_seq\n"
        "u\ti\t5\tvery  good tea\t1 2\n"
        "u\tj\t1\t\t1 2\n"
    )
    (tmp_path / "shop.item").write_text(
        "item_id:token\tprice:float\ttitle:token\tbrand:token\tcategories:token_seq\t"
        "description:token_seq\n"
        "i\t2.5\tGreen Tea\tAcme\tDrinks Tea\tLeaves from the hills!\n"
        "j\t\tMug\t\t\t\n"
    )
    (tmp_path / "shop.user").write_text(
        "user_id:token\tuser_name:token\tprofile:token_seq\nu\tAnn\tlikes tea\n"
    )
    shop = read_recbole(tmp_path)
    assert shop.interaction_texts == ("very good tea", "")
    assert shop.item_titles == ("Green Tea", "Mug")
    assert shop.item_texts == (
        "Green Tea. Drinks, Tea. Leaves from the hills!",
        "Mug.",
    )
    assert shop.item_categorical == {
        "brand": (("Acme",), ()),
        "categories": (("Drinks", "Tea"), ()),
    }
    np.testing.assert_array_equal(shop.item_numeric["price"], [2.5, np.nan])
    assert shop.user_texts == ("likes tea.",)
    assert shop.user_categorical == {"user_name": (("Ann",),)}


def test_an_unlisted_item_is_kept_without_text(
    atomic: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edit(atomic / "films.inter", "10\t1\t5", "10\t99\t5")
    films = read_recbole(atomic)
    assert films.num_items == 7
    assert films.item_ids[-1] == "99"
    assert films.item_titles[-1] == films.item_texts[-1] == ""
    assert films.item_categorical["genre"][-1] == ()
    assert np.isnan(films.item_numeric["release_year"][-1])
    assert "films.item lacks 1 ids of films.inter" in caplog.text


INTER, ITEM, USER = "films.inter", "films.item", "films.user"


@pytest.mark.parametrize(
    ("file", "old", "new", "parts"),
    [
        (INTER, "item_id:token", "movie:token", ["line 1", "item_id:token", "movie"]),
        (INTER, "item_id:token", "item_ids:token", ["did you mean 'item_ids'"]),
        (INTER, "user_id:token", "user_id", ["line 1", "name:type", "'user_id'"]),
        (INTER, "rating:float", "rating:int", ["'rating:int'", "float_seq"]),
        (INTER, "rating:float", "user_id:token", ["each column once"]),
        (INTER, "1\t2\t8", "1\tnan\t8", ["line 2", "rating", "finite", "'nan'"]),
        (INTER, "5\t4\t8", "5\tbad\t8", ["line 3", "rating", "finite", "'bad'"]),
        (INTER, "5\t4\t8", "5\t\t8", ["line 3", "rating", "finite", "''"]),
        (INTER, "874965758", "-1", ["line 6", "timestamp", "not negative", "'-1'"]),
        (INTER, "874965758", "1e30", ["line 6", "timestamp", "'1e30'"]),
        (INTER, "10\t4\t1", "10\t4", ["line 4", "4 fields", "got 3"]),
        (INTER, "10\t4\t1", "\t4\t1", ["line 4", "user_id", "an id", "''"]),
        (ITEM, "5\tLand", "4\tLand", ["line 4", "item_id", "each id once", "'4'"]),
        (USER, "12\t7", "10\t7", ["line 4", "user_id", "each id once", "'10'"]),
        (ITEM, "item_id:token", "id:token", ["films.item, line 1", "item_id:token"]),
    ],
)
def test_malformed_atomic_files(
    atomic: Path, file: str, old: str, new: str, parts: list[str]
) -> None:
    edit(atomic / file, old, new)
    with pytest.raises(UserError) as caught:
        read_recbole(atomic)
    message = str(caught.value)
    assert file in message
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("content", ["", "\n\n", "user_id:token\titem_id:token\n"])
def test_an_empty_file(atomic: Path, content: str) -> None:
    (atomic / "films.inter").write_text(content)
    with pytest.raises(UserError, match=r"films\.inter: expected .* one line, got"):
        read_recbole(atomic)


def test_bytes_that_are_no_text(atomic: Path) -> None:
    text = (atomic / "films.item").read_text("utf-8")
    (atomic / "films.item").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"films\.item, line 6: expected UTF-8.* 0xe9"):
        read_recbole(atomic)


def test_which_interactions_file(atomic: Path, tmp_path: Path) -> None:
    (atomic / "other.inter").write_text("user_id:token\titem_id:token\nu\ti\n")
    with pytest.raises(UserError, match=r"one \.inter file, got films.*other"):
        read_recbole(atomic)
    assert read_recbole(atomic, name="other").num_interactions == 1
    with pytest.raises(UserError, match=r"a file film\.inter, got films"):
        read_recbole(atomic, name="film")
    with pytest.raises(UserError, match="got no folder"):
        read_recbole(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "old", "new", "parts"),
    [
        ("u.data", "10\t1\t5", "99\t1\t5", ["line 1", "user_id", "u.user", "'99'"]),
        ("u.data", "10\t1\t5", "10\t99\t5", ["line 1", "movie_id", "u.item", "'99'"]),
        ("u.data", "874965758", "-874965758", ["line 1", "timestamp", "not negative"]),
        ("u.data", "881250949", "nan", ["line 2", "timestamp", "finite"]),
        ("u.data", "\t881250949", "", ["line 2", "4 fields", "got 3"]),
        ("u.item", "|01-Jan-1995|", "|", ["line 1", "10 fields", "got 9"]),
        ("u.item", "2|Mis", "1|Mis", ["line 2", "movie_id", "each id once", "'1'"]),
        ("u.user", "11|53", "10|53", ["line 2", "user_id", "each id once", "'10'"]),
        ("u.user", "11|53", "11|old", ["line 2", "age", "finite number", "'old'"]),
    ],
)
def test_malformed_official_files(
    official: Path, file: str, old: str, new: str, parts: list[str]
) -> None:
    edit(official / file, old, new, "latin-1")
    with pytest.raises(UserError) as caught:
        read_movielens_100k(official)
    for part in [file, *parts]:
        assert part in str(caught.value)


def test_a_missing_official_file(official: Path) -> None:
    (official / "u.user").unlink()
    with pytest.raises(UserError, match=r"u\.user: expected a readable file"):
        read_movielens_100k(official)
    (official / "u.user").write_text("")
    with pytest.raises(UserError, match=r"u\.user: expected at least one line"):
        read_movielens_100k(official)


def test_rows_in_many_blocks(atomic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_recbole(atomic).content_hash()
    monkeypatch.setattr("llmgnn_jax.data.sources.table._BLOCK_LINES", 2)
    assert read_recbole(atomic).content_hash() == before
    edit(atomic / "films.inter", "10\t4\t1", "10\t4\tx")
    with pytest.raises(UserError, match=r"films\.inter, line 4, column rating"):
        read_recbole(atomic)
    edit(atomic / "films.item", "\t1995", "\t1995\t")
    with pytest.raises(UserError, match=r"films\.item, line 2: expected 4 fields"):
        read_recbole(atomic)


def test_wording() -> None:
    assert clean("  Cafe\u0301  au\tLait ") == "Café au Lait"
    assert titled("Toy Story", "1995") == "Toy Story (1995)"
    assert titled("Toy Story (1995)", "1995") == "Toy Story (1995)"
    assert titled("", "1995") == ""
    assert titled("Toy Story", "") == "Toy Story"
    assert year_of("2001 (1968) (V)") == 1968
    assert np.isnan(year_of("2001: A Space Odyssey"))
    assert catalogue_text("Help!", ()) == "Help!"
    assert catalogue_text("", ("A", "B"), "Prose") == "A, B. Prose."
    assert catalogue_text("", ()) == ""


def test_load_a_folder_in_either_layout(official: Path, atomic: Path) -> None:
    assert catalog.load(str(official)).name == "official"
    films = catalog.load(atomic)
    assert films.name == "films"
    assert films.content_hash() == catalog.load(official).content_hash()


def test_load_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"got 'ml-10k'; did you mean 'ml-100k'\?"):
        catalog.load("ml-10k")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match=r"expected a file NAME\.inter.*notes\.txt"):
        catalog.load(tmp_path)
    (tmp_path / "all.csv").write_text("")
    with pytest.raises(
        UserError, match=r"if all of it is in all\.csv, give that: .*/a"
    ):
        catalog.load(tmp_path)
    with pytest.raises(
        UserError, match=r"notes\.txt', a file of another ending; .*csv"
    ):
        catalog.load(tmp_path / "notes.txt")
    with pytest.raises(UserError, match="another ending; give the folder that it lies"):
        catalog.load_nodes(tmp_path / "notes.txt")
    assert catalog.load("synthetic").name == "synthetic"
