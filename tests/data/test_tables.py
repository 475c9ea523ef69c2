"""Tables of interactions: what is inferred, one content of any kind of file, faults."""

import gzip
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.table_file import TableFile
from llmgnn_jax.data.sources.table_source import read_table
from llmgnn_jax.errors import UserError

ROWS = {
    "userId": [10, 11, 10, 12],
    "movieId": ["b", "a", "a", "7"],
    "rating": [3.5, 5.0, 0.5, 4.0],
    "timestamp": [881250949, 874965758, 881250950, 0],
    "review": ["good, I say", "", 'a "classic"', "two\nlines"],
}
NO_TABS = {name: column for name, column in ROWS.items() if name != "review"}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """(name, columns or text) -> the path of a file of the kind that its name says."""

    def of(name: str, content: Any) -> Path:
        path = tmp_path / name
        if name.endswith(".parquet"):
            parquet.write_table(pa.table(content), path)
            return path
        plain = name.lower().removesuffix(".gz")
        if isinstance(content, str):
            raw = content.encode()
        elif plain.endswith(".jsonl"):
            names = list(content)
            rows = zip(*content.values(), strict=True)
            lines = (json.dumps(dict(zip(names, row, strict=True))) for row in rows)
            raw = "".join(f"{line}\n" for line in lines).encode()
        else:
            sink = pa.BufferOutputStream()
            delimiter = "," if plain.endswith(".csv") else "\t"
            quoting = "needed" if delimiter == "," else "none"
            csv.write_csv(
                pa.table(content),
                sink,
                csv.WriteOptions(
                    delimiter=delimiter,
                    quoting_style=quoting,
                    quoting_header=quoting,
                ),
            )
            raw = sink.getvalue().to_pybytes()
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return of


@pytest.fixture(params=["with pyarrow", "without"])
def either_reader(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads CSV by pyarrow, and by Python alone."""
    if request.param == "without":
        monkeypatch.setitem(sys.modules, "pyarrow", None)


def refused(path: Path, *columns: str) -> str:
    with pytest.raises(UserError) as caught:
        catalog.load(path, columns=columns)
    return str(caught.value)


def test_what_is_read_and_said(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = write("ratings.parquet", {**ROWS, "device": ["a", "b", "c", "d"]})
    data = catalog.load(path)
    assert data.name == "ratings"
    assert data.user_ids == ("10", "11", "12")
    assert data.item_ids == ("b", "a", "7")
    assert data.users.tolist() == [0, 1, 0, 2]
    assert data.items.tolist() == [0, 1, 1, 2]
    assert data.values.tolist() == [3.5, 5.0, 0.5, 4.0]
    assert data.timestamps.tolist() == ROWS["timestamp"]
    assert data.interaction_texts == ("good, I say", "", 'a "classic"', "two lines")
    assert data.item_texts == data.item_titles == ("", "", "")
    assert caplog.messages == [
        "ratings.parquet: columns user=userId item=movieId value=rating "
        "time=timestamp text=review; not read: device",
        "ratings.parquet: user: whole numbers, item: text, value: numbers, time: "
        "seconds since 1970, text: text",
    ]


@pytest.mark.usefixtures("either_reader")
def test_a_long_review_is_read(tmp_path: Path) -> None:
    path, review = tmp_path / "r.csv", "so good " * 25_000
    path.write_text(f"user,item,rating,review\nu,i,5,{review.strip()}\n", "utf-8")
    assert catalog.load(path).interaction_texts == (review.strip(),)


@pytest.mark.parametrize(
    "name", ["r.csv", "R.CSV.gz", "r.tsv", "r.jsonl", "r.jsonl.gz"]
)
@pytest.mark.usefixtures("either_reader")
def test_every_kind_of_file_says_the_same(write: Write, name: str) -> None:
    rows = NO_TABS if ".tsv" in name else ROWS
    wanted = Dataset(
        name="by hand",
        user_ids=("12", "11", "10"),
        item_ids=("7", "a", "b"),
        users=np.array([2, 1, 2, 0]),
        items=np.array([2, 1, 1, 0]),
        values=np.array(ROWS["rating"]),
        timestamps=np.array(ROWS["timestamp"]),
        item_titles=("",) * 3,
        item_texts=("",) * 3,
        interaction_texts=None
        if rows is NO_TABS
        else ("good, I say", "", 'a "classic"', "two lines"),
    )
    data = catalog.load(write(name, rows))
    assert data.content_hash() == wanted.content_hash()
    assert data.name == name[0]


def test_parquet_says_it_too_in_one_file_or_several(
    write: Write, tmp_path: Path
) -> None:
    wanted = read_table(write("r.csv", ROWS)).content_hash()
    assert read_table(write("r.parquet", ROWS)).content_hash() == wanted
    (tmp_path / "parts").mkdir()
    for part in range(2):
        half = {name: column[2 * part :][:2] for name, column in ROWS.items()}
        write(f"parts/part-{part}.parquet", half)
    (tmp_path / "parts" / "_SUCCESS").touch()
    assert catalog.load(tmp_path / "parts").content_hash() == wanted
    # What is known by its own files is read as what it is.
    for name in ("u.data", "u.item", "u.user", "u.genre"):
        (tmp_path / "parts" / name).touch()
    assert "u.genre: expected at least one line" in refused(tmp_path / "parts")
    (tmp_path / "parts" / "u.data").unlink()
    write("parts/part-2.parquet", {"userId": [1]})
    assert "part-2.parquet: expected a column movieId, got userId" in refused(
        tmp_path / "parts"
    )


def test_rows_go_on_where_arrow_stops(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of spaces, which only Python's reader passes over, in a later block."""
    rows = [f"{row},{row % 7},{row % 5}\n" for row in range(900)]
    rows.insert(700, "   \n")
    monkeypatch.setattr("llmgnn_jax.data.sources.table_file._CSV_BYTES", 1000)
    path = write("r.csv", "user,item,rating\n" + "".join(rows))
    data = read_table(path)
    assert data.user_ids == tuple(map(str, range(900)))
    assert data.values.tolist() == [row % 5 for row in range(900)]


def test_parquet_needs_the_extra(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("r.parquet", ROWS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert refused(path) == (
        "r.parquet: expected pyarrow, which reads Parquet, got none; pip install "
        "'llmgnn-jax[tables]'"
    )


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        ([1, 2, 1], ("1", "2")),
        (["1", "02", "1"], ("1", "02")),
        ([1.0, 2.0, 1.0], ("1", "2")),
        (pa.array(["x", "y", "x"]).dictionary_encode(), ("x", "y")),
        (pa.array([7, 2**62, 7], pa.uint64()), ("7", str(2**62))),
        (["1.0", "2.0", "1.0"], ("1", "2")),
        (["1.0", "2.5", "1.0"], ("1.0", "2.5")),
        (pa.array(["x", "y", "x"], pa.large_string()), ("x", "y")),
    ],
)
def test_ids(write: Write, ids: Any, wanted: tuple[str, ...]) -> None:
    assert read_table(write("r.parquet", {"user": ids, "item": ids})).item_ids == wanted


@pytest.mark.usefixtures("either_reader")
def test_ids_that_pandas_wrote_as_floats(write: Write) -> None:
    data = read_table(write("r.csv", "uid,sku\n1.0,1.0\n22.0,x\n"))
    assert (data.user_ids, data.item_ids) == (("1", "22"), ("1.0", "x"))


@pytest.mark.usefixtures("either_reader")
def test_spaces_around_ids_are_counted(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    read_table(write("r.csv", "user,item\nann,b 1\n ann,b 1\nbob ,b 1\n"))
    warned = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert warned == [
        "r.csv: column user: 2 of 3 ids have spaces around them, which are a part of "
        "the id"
    ]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([1.5, 2.0], "row 1, column user: expected an id: text or a whole number, got"),
        ([True, False], "row 1, column user: expected an id: text or a whole number"),
        ([["a"], ["b"]], "row 1, column user: expected an id: text or a whole number"),
        (
            [1, None, 2, None],
            "row 2, column user: expected an id, got nothing, here and in 1 other rows",
        ),
        (["a", ""], "row 2, column user: expected an id, got nothing; fill it in or"),
        (
            [None, None],
            "row 1, column user: expected an id, got nothing, here and in 1",
        ),
    ],
)
def test_no_ids(write: Write, ids: list[Any], said: str) -> None:
    columns = {"user": ids, "item": range(len(ids))}
    for name in ("r.parquet", "r.jsonl"):
        assert f"{name}, {said}" in refused(write(name, columns))


SECOND = 1_588_615_855


@pytest.mark.parametrize(
    ("times", "wanted", "kind"),
    [
        ([SECOND, 0], [SECOND, 0], "seconds since 1970"),
        ([SECOND * 1000 + 70, 0], [SECOND, 0], "milliseconds since 1970"),
        ([SECOND * 10**6 + 1, SECOND * 10**6], [SECOND] * 2, "microseconds since 1970"),
        ([SECOND * 10**9 + 1, SECOND * 10**9], [SECOND] * 2, "nanoseconds since 1970"),
        ([SECOND + 0.75, 1.0], [SECOND, 1], "seconds since 1970"),
        ([str(SECOND), "7"], [SECOND, 7], "seconds since 1970"),
        (["2020-05-04", "1970-01-01"], [1588550400, 0], "dates"),
        (
            ["2020-05-04T20:10:55+02:00", "2020-05-04 18:10:55.9"],
            [SECOND, SECOND],
            "dates",
        ),
        (["2020-05-04T18:10:55Z", "2020-05-04T18:10"], [SECOND, SECOND - 55], "dates"),
        (pa.array([SECOND, 1], pa.timestamp("s")), [SECOND, 1], "dates"),
        (
            pa.array([SECOND * 10**9 + 5, 1], pa.timestamp("ns", "Asia/Tokyo")),
            [SECOND, 0],
            "dates",
        ),
        (pa.array([2, 1], pa.date32()), [172800, 86400], "dates"),
    ],
)
def test_times(
    write: Write,
    caplog: pytest.LogCaptureFixture,
    times: Any,
    wanted: list[int],
    kind: str,
) -> None:
    caplog.set_level(logging.INFO)
    columns = {"user": [1, 2], "item": [1, 2], "date": times}
    names = ["r.parquet", *(["r.jsonl"] if isinstance(times, list) else [])]
    for name in names:
        assert read_table(write(name, columns)).timestamps.tolist() == wanted
        assert f"time: {kind}" in caplog.messages[-1]


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (
            [5, -1],
            "row 2, column time: expected a time: seconds, milliseconds ... since",
        ),
        ([5, None], "row 2, column time: expected a time, got nothing; use 0 where"),
        (["1969-12-31", "2020-01-01"], "row 1, column time: expected a time: seconds"),
        (["01/02/2020", "x"], "row 1, column time: expected a time: seconds, milli"),
        (
            ["2020-01-01", "7"],
            "row 2, column time: expected a date as in the rows before, got '7'; write "
            "all times in one way",
        ),
        (
            ["7", "2020-01-01"],
            "row 2, column time: expected a number as in the rows before, got "
            "'2020-01-01'; write all times in one way",
        ),
        (
            [2019, 2020],
            "column time: expected a time: seconds, milliseconds ... since 1970 or ISO "
            "8601 (2026-01-31 12:00), got 2019 to 2020, which look like years; write "
            "days, 2026-01-01, or leave the column out: time=",
        ),
        ([True, False], "row 1, column time: expected a time"),
        (["12:00:00", "13:00:00"], "row 1, column time: expected a time: seconds"),
        (
            [SECOND * 1000, SECOND],
            "row 2, column time: expected milliseconds, as 1588615855000 is, got "
            "1588615855; write all times in one unit",
        ),
        (
            [20200131, 20191224],
            "column time: expected a time: seconds, milliseconds ... since 1970 or ISO "
            "8601 (2026-01-31 12:00), got 20191224 to 20200131, which look like days; "
            "write them with dashes: 2026-01-31",
        ),
    ],
)
def test_no_times(write: Write, times: list[Any], said: str) -> None:
    columns = {"user": [1, 2], "item": [1, 2], "time": times}
    names = ["r.parquet", "r.jsonl"]
    for name in names:
        message = refused(write(name, columns))
        assert said in message.replace(f"{name}, ", "", 1)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            [1.0, float("nan")],
            "row 2, column rating: expected a finite number, got nan; fill",
        ),
        (
            [1.0, float("inf")],
            "row 2, column rating: expected a finite number, got inf",
        ),
        (
            [1.0, -1e39],  # more than a float32 holds
            "row 2, column rating: expected a finite number, got -1e+39",
        ),
        (["4", "good"], "row 2, column rating: expected a number, got 'good'"),
        (
            ["", "4"],
            "row 1, column rating: expected a finite number, got nothing; fill",
        ),
        (
            [None, 4],
            "row 1, column rating: expected a finite number, got nothing; fill",
        ),
    ],
)
def test_no_ratings(write: Write, values: list[Any], said: str) -> None:
    columns = {"user": [1, 2], "item": [1, 2], "rating": values}
    for name in ("r.parquet", "r.jsonl"):
        assert f"{name}, {said}" in refused(write(name, columns))


def test_what_is_missing_is_counted_over_the_whole_file(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmgnn_jax.data.sources.table_file._PYTHON_ROWS", 2)
    columns = {"user": [1, 2, 3, 4, 5], "item": [1, 2, None, 4, None]}
    assert (
        "r.jsonl, row 3, column item: expected an id, got nothing, here and in 1 other"
        in refused(write("r.jsonl", columns))
    )


OTHER = "customer,sku,code,stars,ordered_at,note\nann,x,y,4,2020-01-01,fine\n"


def test_columns_may_be_named(write: Write) -> None:
    path = write("r.csv", OTHER)
    asked = ("item=code", "text=note", "time=")
    data = catalog.load(path, columns=asked)
    assert (data.user_ids, data.item_ids) == (("ann",), ("y",))
    assert data.values.tolist() == [4.0]
    assert data.timestamps.tolist() == [0]
    assert data.interaction_texts == ("fine",)
    assert catalog.load(path).timestamps.tolist() == [1577836800]
    assert catalog.load(path).interaction_texts is None


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        (["usr=customer"], ["--data.columns", "user, item", "did you mean 'user'"]),
        (["customer"], ["--data.columns", "NAME=COLUMN", "'customer'"]),
        (["user=custmer"], ["a column of r.csv: customer, sku", "mean 'customer'"]),
        (["user="], ["a column for user", "'user='"]),
        (["item=code", "item=sku"], ["item once", "'item=sku' again"]),
        (
            ["user=sku", "value=stars"],
            ["a column that is the item", "data.columns item=COLUMN (sku is the user)"],
        ),
        (["text=customer"], ["a column that is the user", "customer, sku, code"]),
        (["user=sku", "item=sku"], ["another column for item than for user", "'sku'"]),
    ],
)
def test_columns_named_wrongly(write: Write, said: list[str], parts: list[str]) -> None:
    message = refused(write("r.csv", OTHER), *said)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            "user,asin,parent_asin",
            "r.csv: expected one column that is the item, got 2 that may be: asin, "
            "parent_asin; name it: --data.columns item=asin (there are user, asin, "
            "parent_asin)",
        ),
        (
            "user,item,date,timestamp",
            "r.csv: expected one column that is the time, got 2 that may be: date, "
            "timestamp; name it: --data.columns time=date, or time= for none (there",
        ),
        (
            "a,item",
            "r.csv: expected a column that is the user, of a usual name such as "
            "user_id, got a, item; name it: --data.columns user=COLUMN",
        ),
        ("user,item,user", "got 2 that may be: user, user; rename all but one of them"),
        (
            "",
            "expected a header, and a row for each interaction or entry, got an empty",
        ),
    ],
)
@pytest.mark.usefixtures("either_reader")
def test_columns_that_cannot_be_told(write: Write, header: str, said: str) -> None:
    assert said in refused(write("r.csv", header + "\n"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("r.csv", "user,item\n", "r.csv: expected at least one"),
        ("r.csv", "user,item\n1,2\n1,2,3\n", "r.csv, line 3: expected 2 fields"),
        ("r.csv", 'user,item\n1,"2\n', "r.csv, line 2: expected fields, quoted"),
        ("r.tsv", "user\titem\n1\t2\t3\n", "line 2: expected 2 fields (user, item), g"),
        ("r.csv", "user,item\n1,\n", "r.csv, row 1, column item: expected an id"),
        ("r.jsonl", '{"user": 1, "item"\n', "r.jsonl, line 1: expected a JSON object"),
        ("r.jsonl", "\n", "r.jsonl: expected at least one object, got none"),
    ],
)
@pytest.mark.usefixtures("either_reader")
def test_faults_of_text_files(write: Write, name: str, content: str, said: str) -> None:
    assert said in refused(write(name, content))


@pytest.mark.usefixtures("either_reader")
def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes("user,item\n1,é\n".encode("latin-1"))
    assert "r.csv, line 2: expected UTF-8 text, got the byte 0xe9" in refused(path)


@pytest.mark.usefixtures("either_reader")
def test_a_compressed_file_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(gzip.compress(b"user,item\n1,2\n"))
    assert refused(path) == (
        "r.csv: expected a file that is not compressed, got one compressed by gzip; "
        "name it r.csv.gz"
    )


@pytest.mark.usefixtures("either_reader")
def test_a_file_that_was_cut_off(tmp_path: Path) -> None:
    whole = gzip.compress(
        b"user,item\n"
        + np.random.default_rng(0)
        .bytes(9000)
        .hex("\n", 4)
        .replace("\n", ",1\n")
        .encode()
        + b",1\n"
    )
    path = tmp_path / "r.csv.gz"
    path.write_bytes(whole)
    assert read_table(path).num_interactions == 2250
    path.write_bytes(whole[:-2000])
    assert "r.csv.gz: expected a whole file compressed by gzip" in refused(path)


def test_a_parquet_file_that_is_none(write: Write, tmp_path: Path) -> None:
    (tmp_path / "r.parquet").write_bytes(b"PAR1 no")
    assert "r.parquet: expected a whole Parquet file, got" in refused(
        tmp_path / "r.parquet"
    )
    assert "none.parquet: expected a readable file in" in refused(
        tmp_path / "none.parquet"
    )
    path = write("r.parquet", {"user": [1], "item": [2]})
    path.write_bytes(path.read_bytes()[:-9])
    assert "r.parquet: expected a whole Parquet file, got" in refused(path)


def test_hours_are_no_times(write: Write) -> None:
    times = pa.array([1, 2], pa.time32("s"))
    path = write("r.parquet", {"user": [1, 2], "item": [1, 2], "time": times})
    assert "row 1, column time: expected a time: seconds" in refused(path)


def test_categories_of_pandas_with_all_indices_of_a_byte(write: Write) -> None:
    names = pa.array([f"u{row}" for row in range(128)])
    coded = pa.DictionaryArray.from_arrays(pa.array(range(128), pa.int8()), names)
    path = write("r.parquet", {"user": coded, "item": range(128)})
    assert read_table(path).user_ids == tuple(names.to_pylist())


def test_a_number_too_long_for_python_is_told_without_its_settings(
    write: Write,
) -> None:
    line = '{"user": 1, "item": 1, "rating": ' + "9" * 5000 + "}\n"
    message = refused(write("r.jsonl", line))
    assert "r.jsonl, line 1: expected a JSON object, got no JSON (Exceeds" in message
    assert "sys." not in message


def test_columns_without_a_table_are_refused() -> None:
    assert refused(Path("synthetic"), "user=u") == (
        "--data.columns: expected none but with a table (.parquet, .csv[.gz], "
        ".tsv[.gz], .jsonl[.gz]), got user=u with synthetic"
    )


def test_the_columns_of_json_lines_are_those_of_any_line(write: Write) -> None:
    path = write(
        "r.jsonl", '{"user": 1, "item": 2}\n{"user": 1, "item": 2, "text": "a"}'
    )
    assert TableFile(path).names == ("user", "item", "text")
    assert read_table(path).interaction_texts == ("", "a")


def test_the_real_ratings_as_a_table(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("ml-latest-small")
    films = catalog.load(folder)
    table = catalog.load(folder / "ratings.csv")
    assert table.num_interactions == films.num_interactions == 100_836
    order, other = table.canonical_order, films.canonical_order
    for ids, rows, wanted_ids, wanted in (
        (table.user_ids, table.users, films.user_ids, films.users),
        (table.item_ids, table.items, films.item_ids, films.items),
    ):
        assert [ids[row] for row in rows[order]] == [
            wanted_ids[row] for row in wanted[other]
        ]
    assert np.array_equal(table.values[order], films.values[other])
    assert np.array_equal(table.timestamps[order], films.timestamps[other])
