"""Faults that the fuzz of `test_fuzz` found or was meant to find, one by one."""

import gzip
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.data.sources import json_lines
from llmgnn_jax.data.sources.texts import read_texts
from llmgnn_jax.errors import UserError
from tests.data.corruptions import Content, write
from tests.data.formats import FORMATS, Read, npz
from tests.data.planetoid_files import graph

Damaged = Callable[..., Read]


@pytest.fixture
def damaged(tmp_path: Path) -> Damaged:
    """(format, {file: content, or (part, what it is replaced by)}) -> what is read."""

    def read(name: str, changed: dict[str, Content | tuple[bytes, bytes]]) -> Read:
        files: dict[str, Content] = dict(FORMATS[name].files)
        for file, change in changed.items():
            if isinstance(change, tuple):
                before = FORMATS[name].files[file]
                assert change[0] in before
                files[file] = before.replace(*change)
            else:
                files[file] = change
        write(files, tmp_path)
        return FORMATS[name].read(tmp_path)

    return read


@pytest.mark.timeout(60)
@pytest.mark.parametrize("stand_in", ["pipe", "device"])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("movielens-100k", "u.user"),
        ("movielens-csv", "tags.csv"),
        ("lastfm", "user_taggedartists.dat"),
        ("lightgcn", "train.txt"),
        ("amazon-gz", "Cards_5.json.gz"),
        ("recbole", "films.user"),
        ("planetoid", "tiny.npz"),
        ("planetoid-raw", "ind.tiny.tx"),
        ("texts-jsonl", "texts.jsonl"),
    ],
)
def test_what_may_have_no_end_is_not_opened(
    damaged: Damaged, name: str, file: str, stand_in: str
) -> None:
    with pytest.raises(UserError, match=f"{file}: expected .* got a pipe or a device"):
        damaged(name, {file: stand_in})


@pytest.mark.parametrize("link", ["link to itself", "dangling link"])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("movielens-csv", "tags.csv"),
        ("lastfm", "user_taggedartists.dat"),
        ("recbole", "films.item"),
    ],
)
def test_a_link_that_leads_nowhere_is_no_absent_file(
    damaged: Damaged, name: str, file: str, link: str
) -> None:
    with pytest.raises(UserError, match=f"^{file}: expected a readable file"):
        damaged(name, {file: link})


@pytest.mark.parametrize(
    ("name", "file", "before", "after", "said"),
    [
        # More than a float32 holds was told without file and line.
        (
            "movielens-100k",
            "u.data",
            b"\t5\t",
            b"\t1e300\t",
            r"u\.data, line 1, column r",
        ),
        (
            "recbole",
            "films.item",
            b"\t1.5",
            b"\t1e39",
            r"films\.item, line 2, column pr",
        ),
        ("amazon", "meta_Cards.json", b"1,025.50", b"9" * 400, "line 1, field price"),
        # What is left of a mangled file.
        ("recbole", "films.inter", b"11\t2", b"11\r\t2", "line 3, .* without control"),
        (
            "movielens-csv",
            "ratings.csv",
            b"11,1",
            b"11\0,1",
            "line 3, .* without contr",
        ),
        # A first row that is damaged was taken for a header and left out.
        (
            "lastfm",
            "user_artists.dat",
            b"userID\tartistID\tweight\n2\t",
            b"x2\t",
            r"user_artists\.dat, line 1: expected the header userID, artistID, weight",
        ),
        # Two users in one line would be one user with the other among its items.
        (
            "lightgcn",
            "train.txt",
            b"30\n2",
            b"30\r2",
            r"train\.txt, line 1: .* a carriage",
        ),
        (
            "lightgcn",
            "test.txt",
            b"10\n",
            b"10\r\r\n",
            r"test\.txt, line 1: .* a carriage",
        ),
        # Genres were told apart by their names, which also named other columns.
        (
            "movielens-100k",
            "u.genre",
            b"Action",
            b"Sci-Fi",
            r"u\.genre, line 3, .* once",
        ),
        (
            "movielens-100k",
            "u.genre",
            b"|2",
            b"|3",
            r"u\.genre, column number: .* 0 to 2",
        ),
        (
            "movielens-100k",
            "u.item",
            b"|0|1|1",
            b"|0|y|1",
            r"u\.item, line 1, .* 0 or 1",
        ),
        # A row of empty fields was blank where the file had blank lines too.
        (
            "movielens-100k",
            "u.data",
            b"11\t2\t3\t881250949",
            b"\n\t\t\t",
            "line 3, .* an id",
        ),
        ("movielens-100k", "u.data", b"\t5\t", b"\t1_0\t", "got '1_0'; fill the value"),
        ("amazon", "Cards_5.json", b'"A"', b'"\\u0007A"', "an id without control char"),
    ],
)
def test_a_damaged_row_is_named(
    damaged: Damaged, name: str, file: str, before: bytes, after: bytes, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        damaged(name, {file: (before, after)})


def test_a_genre_may_be_called_like_a_column(damaged: Damaged) -> None:
    films = damaged("movielens-100k", {"u.genre": (b"Action", b"movie_title")})
    assert films.item_titles[0] == "Toy Story (1995)"
    assert films.item_categorical["genre"][0] == ("movie_title", "Sci-Fi")


def test_genres_go_by_their_numbers(damaged: Damaged) -> None:
    films = damaged("movielens-100k", {"u.genre": b"Sci-Fi|2\nunknown|0\nAction|1\n"})
    assert films.item_categorical["genre"][:2] == (("Action", "Sci-Fi"), ("Sci-Fi",))


def test_ages_that_are_no_number_are_counted(
    damaged: Damaged, caplog: pytest.LogCaptureFixture
) -> None:
    people = b"user_id:token\tage:token\n10\t25-34\n11\t\n12\tinf\n13\t40\n14\t1e39\n"
    films = damaged("recbole", {"films.user": people})
    np.testing.assert_array_equal(
        films.user_numeric["age"], [np.nan, np.nan, np.nan, 40, np.nan]
    )
    assert "films.user: 3 ages are no number and count as unknown" in caplog.text


def test_two_columns_of_genres_are_two(damaged: Damaged) -> None:
    films = b"item_id:token\tclass:token_seq\tgenres:token_seq\n1\tA B\tC\n"
    read = damaged("recbole", {"films.item": films})
    assert read.item_categorical["class"][0] == ("A", "B")
    assert read.item_categorical["genres"][0] == ("C",)


def test_second_lines_on_an_item_are_counted(
    damaged: Damaged, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    damaged("amazon", {})
    assert "1 lines on items of earlier lines left out" in caplog.text


def test_a_compressed_line_without_end(
    damaged: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "_LONGEST_LINE", 1 << 16)
    bomb = gzip.compress(b"\n" + b" " * (1 << 20))
    said = r"Cards_5\.json\.gz, line 2: expected at most 65536 bytes"
    with pytest.raises(UserError, match=said):
        damaged("amazon-gz", {"Cards_5.json.gz": bomb})


@pytest.mark.parametrize("label", [600, 10**10, np.iinfo(np.int64).max])
def test_a_class_that_cannot_be(damaged: Damaged, label: int) -> None:
    arrays = graph()
    arrays["y"][3] = label
    said = r"tiny\.npz: y: expected classes below the number of nodes, 510"
    with pytest.raises(UserError, match=said):
        damaged("planetoid", {"tiny.npz": npz(arrays)})


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("edges", r"tiny\.npz: edges: expected shape \(1, 2\), got \(\)"),
        ("test_idx", r"tiny\.npz: split\.test: expected shape \(1,\), got \(\)"),
    ],
)
def test_one_number_in_place_of_an_array(damaged: Damaged, key: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        damaged("planetoid", {"tiny.npz": npz(graph() | {key: np.array(3)})})


@pytest.mark.parametrize("key", ["x_indptr", "x_indices", "x_shape"])
def test_places_that_are_no_integers(damaged: Damaged, key: str) -> None:
    arrays = graph()
    arrays[key] = arrays[key] + 0.5
    with pytest.raises(UserError, match=rf"tiny\.npz: {key}: expected integers, got"):
        damaged("planetoid", {"tiny.npz": npz(arrays)})


def test_places_that_fall_below_nothing(damaged: Damaged) -> None:
    arrays = graph()
    arrays["x_indptr"] = arrays["x_indptr"].astype(np.int8)
    assert arrays["x_indptr"][-1] < 0
    with pytest.raises(UserError, match=r"tiny\.npz: features: expected a CSR matrix"):
        damaged("planetoid", {"tiny.npz": npz(arrays)})


def test_a_shape_that_cannot_be(damaged: Damaged) -> None:
    arrays = graph() | {"x_shape": np.array([510, 2**63 + 1], np.uint64)}
    with pytest.raises(UserError, match=r"tiny\.npz: x: expected features in CSR form"):
        damaged("planetoid", {"tiny.npz": npz(arrays)})


def test_a_memo_that_would_fill_the_memory(damaged: Damaged) -> None:
    """Two thousand million places in the memo of a pickle, by four bytes."""
    pickled = b"\x80\x02]r\xff\xff\xff\x7f."
    with pytest.raises(UserError, match=r"ind\.tiny\.ty: expected the file as Planet"):
        damaged("planetoid-raw", {"ind.tiny.ty": pickled})


def test_a_blank_line_in_a_table_of_one_column_is_an_empty_text(tmp_path: Path) -> None:
    for ending in ("csv", "tsv"):
        path = tmp_path / f"texts.{ending}"
        path.write_bytes(b"text\none\n\nthree\n")
        assert read_texts(str(path)) == ["one", "", "three"]


def test_what_a_message_quotes_is_short_and_harmless(damaged: Damaged) -> None:
    long = b"\x1b[2J" + b"x" * 100_000
    with pytest.raises(UserError) as caught:
        damaged("movielens-100k", {"u.data": (b"\t5\t", b"\t" + long + b"\t")})
    message = str(caught.value)
    assert len(message) < 600
    assert "u.data, line 1, column rating: expected a finite number" in message
    assert message.endswith("(100009 characters); fill the value in or drop the line")
    assert UserError("a\x1b[2J\u200bb\nc").args == ("a\\x1b[2J\\u200bb c",)
    assert UserError("Misérables 四 \U0001f44d").args == ("Misérables 四 \U0001f44d",)
