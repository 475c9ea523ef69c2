"""Numbers, ids and delimiters that are a slip: refused, with what to do about it."""

import re
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from llmgnn_jax.data import catalog
from llmgnn_jax.data.sources.table import read_blocks
from llmgnn_jax.data.sources.table_source import read_table
from llmgnn_jax.errors import UserError


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        catalog.load(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "r.csv",
            "user,item,rating\nu,i,1_000\n",
            "rating: expected a number, got '1_0",
        ),
        (
            "r.csv",
            "user,item,time\nu,i,1_000\n",
            "column time: expected a time: seconds",
        ),
        ("r.jsonl", '{"user": 1, "item": 2, "rating": "1_0"}\n', "a number, got '1_0'"),
        (
            "r.csv",
            "user,item\n  ,i\nu,j\n\u3000,k\n",
            "id, got ' ', and none in 1 other",
        ),
        (
            "r.csv",
            "user,item\nu\x07,i\n",
            "an id without control characters, got 'u\\x",
        ),
        ("r.csv", "user,item\n\tu,i\n", "an id without control characters, got '\\tu'"),
        (
            "r.csv",
            'user,item,rating\nu,i,"3,5"\n',
            "got '3,5'; write decimals with a p",
        ),
        (
            "r.tsv",
            "user\titem\trating\nu\ti\t1,000.5\n",
            "and no comma between thousands",
        ),
        (
            "r.csv",
            "user;item\nu;i\n",
            "if there are semicolons between columns, write c",
        ),
        (
            "r.csv",
            "user\titem\nu\ti\n",
            "if there are tabs between columns, name the f",
        ),
        (
            "r.tsv",
            "user,item\nu,i\n",
            "if there are commas between columns, name the fi",
        ),
        (
            "r.csv",
            "user,item\ru,i\rv,j\r",
            "no carriage return in a line, got one that",
        ),
    ],
)
@pytest.mark.parametrize("reader", ["pyarrow", "Python"])
def test_slips_in_tables(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: str,
    said: str,
    reader: str,
) -> None:
    if reader == "Python":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / name).write_bytes(content.encode())
    assert said in refused(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "u::i::1_0\n",
            "line 1, column value: expected a finite number, got '1_0'; fil",
        ),
        ("u::i::1\nu::i::3,5\n", "got '3,5'; write decimals with a point"),
        ("u::  ::1\n", "line 1, column item: expected an id, got ' '"),
        (
            "u::i::1\ru::i::2\r",
            "expected 3 fields (user, item, value), got 5; end line",
        ),
    ],
)
def test_slips_in_other_files(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "r.dat").write_text(content, "utf-8", newline="")
    columns = ("user", "item", "value")

    def read() -> None:
        for block in read_blocks(tmp_path / "r.dat", columns, delimiter="::"):
            block.ids("item")
            block.numbers("value")

    with pytest.raises(UserError, match=re.escape(said)):
        read()


def test_decimals_and_bytes_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"

    def write(**columns: object) -> Path:
        table = {"user": [1, 2], "item": [Decimal(7), Decimal(8)], **columns}
        parquet.write_table(pa.table(table), path)
        return path

    ratings, times = [Decimal("1.5"), Decimal(2)], [Decimal("60.5"), Decimal(61)]
    data = read_table(write(rating=ratings, time=times))
    assert data.item_ids == ("7", "8")
    assert data.values.tolist() == [1.5, 2]
    assert data.timestamps.tolist() == [60, 61]
    assert "an id: text or a whole number, got Decimal 1.5" in refused(
        write(item=ratings)
    )
    for column in ("item", "rating", "text", "time"):
        said = refused(write(**{column: [b"1", b"2"]}))
        assert f"row 1, column {column}: expected " in said
        assert "got bytes b'1'; write the column as text: what is binary is not" in said


def test_times_of_parquet_as_text(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"

    def write(kind: pa.DataType, time: int) -> Path:
        told = pa.array([time], kind)
        parquet.write_table(pa.table({"user": [1], "item": [2], "text": told}), path)
        return path

    data = read_table(write(pa.timestamp("ns"), 1_500_000_001))
    assert data.interaction_texts == ("1970-01-01 00:00:01.500000",)
    said = refused(write(pa.timestamp("us"), 2**62))
    assert (
        "column text: expected values of timestamp[us] that Python knows, got" in said
    )


def test_partitions_are_refused(tmp_path: Path) -> None:
    for year in (2020, 2021):
        (tmp_path / f"year={year}").mkdir()
        parquet.write_table(
            pa.table({"user": [1], "item": [2]}), tmp_path / f"year={year}/a.parquet"
        )
    said = "in one folder, got partitions: year=2020, year=2021; write them as one file"
    assert said in refused(tmp_path)
    # Beside files that could be read they would be left out without a word.
    parquet.write_table(pa.table({"user": [1], "item": [2]}), tmp_path / "b.parquet")
    assert said in refused(tmp_path)
