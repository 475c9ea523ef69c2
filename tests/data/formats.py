"""Small valid folders in each format that is read, for `test_fuzz`.

A new format is one more entry of `FORMATS`: its files, what reads the folder, and how
many rows its files say that there are.
"""

import codecs
import gzip
import io
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.data.sources.amazon import read_amazon
from llmgnn_jax.data.sources.amazon_2023 import read_amazon_2023
from llmgnn_jax.data.sources.amazon_splits import read_amazon_splits
from llmgnn_jax.data.sources.cane import read_cane
from llmgnn_jax.data.sources.lastfm import read_lastfm
from llmgnn_jax.data.sources.lightgcn import read_lightgcn
from llmgnn_jax.data.sources.mapping import read_mapping
from llmgnn_jax.data.sources.movielens import read_movielens_100k
from llmgnn_jax.data.sources.movielens_csv import read_movielens_csv
from llmgnn_jax.data.sources.movielens_dat import read_movielens_dat
from llmgnn_jax.data.sources.planetoid import read_planetoid
from llmgnn_jax.data.sources.recbole import read_recbole
from llmgnn_jax.data.sources.table_source import read_table
from llmgnn_jax.data.sources.texts import read_texts
from tests.data import small_folders
from tests.data.planetoid_files import graph, raw_files
from tests.data.small_folders import MAPPING, ORDERS, ROLES, json_of, text_of

Read = Dataset | NodeSplit | NodeDataset | list[str]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format that is read.

    Attributes:
        files: Name -> content of a small folder that is valid.
        read: What reads the folder.
        rows: How many interactions (or texts) the files of a folder that could be read
            hold, counted in another way than the reader does; None where that cannot
            be told.
    """

    files: Mapping[str, bytes]
    read: Callable[[Path], Read]
    rows: Callable[[Path], int | None] = lambda _: None


def lines(path: Path, *, headers: int = 0, blank: str = " \r") -> int:
    """The lines of a file that are not blank, but for so many lines of header.

    Args:
        path: The file.
        headers: How many.
        blank: What a blank line may consist of.
    """
    raw = path.read_bytes()
    raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    return sum(bool(line.strip(blank)) for line in text.split("\n")) - headers


_SPACES = string.whitespace + "\x85\xa0\u2028"


def csv_rows(path: Path) -> int | None:
    """The rows below the header; none is told where a quote may span lines."""
    quoted = b'"' in path.read_bytes()
    return None if quoted else lines(path, headers=1, blank=_SPACES)


def _without_mark(raw: bytes) -> bytes:
    return raw.removeprefix(codecs.BOM_UTF8)


def _lightgcn_rows(folder: Path) -> int:
    words = [
        line.split()
        for name in ("train.txt", "test.txt")
        for line in _without_mark((folder / name).read_bytes()).split(b"\n")
    ]
    return sum(len(line) - 1 for line in words if line)


def _lastfm_rows(folder: Path) -> int:
    path = folder / "user_artists.dat"
    return lines(path, headers=int(b"userid" in path.read_bytes()[:20].lower()))


def _table(name: str, content: bytes) -> Format:
    """A table of interactions whose columns are named."""
    return Format(
        files={name: content},
        read=lambda folder: read_table(folder / name, columns=ROLES),
        rows=lambda folder: table_rows(folder / name),
    )


def table_rows(path: Path) -> int | None:
    """The rows of a table; none is told where a quote may span lines."""
    raw = path.read_bytes()
    match path.suffix:
        case ".jsonl":
            return lines(path, blank=_SPACES)
        case ".tsv":
            blank = _SPACES.replace("\t", "")
        case ".csv" if b'"' not in raw:
            blank = _SPACES
        case _:
            return None
    # A carriage return alone ends a row too, where all rows have their columns.
    path.write_bytes(raw.replace(b"\r", b"\n"))
    return lines(path, headers=1, blank=blank)


def _shop_rows(folder: Path) -> int | None:
    """None is told where the mapping may name another table."""
    unchanged = (folder / "shop.toml").read_bytes() == MAPPING
    return table_rows(folder / "orders.tsv") if unchanged else None


def _cane_rows(folder: Path) -> int:
    raw = (folder / "data.txt").read_bytes()
    return raw.count(b"\n") + (not raw.endswith(b"\n"))


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of an npz file."""
    file = io.BytesIO()
    np.savez(file, **dict(arrays))
    return file.getvalue()


def _texts(ending: str, content: bytes) -> Format:
    name = f"texts.{ending}"

    def rows(folder: Path) -> int | None:
        path = folder / name
        raw = path.read_bytes()
        match ending:
            case "txt":
                return raw.count(b"\n") + (not raw.endswith(b"\n"))
            case "jsonl":
                return lines(path, blank=_SPACES)
            case "csv" if b'"' in raw:
                return None
        # The csv module ends a row at a carriage return too.
        path.write_bytes(raw.replace(b"\r", b"\n"))
        return lines(path, headers=1)

    return Format(
        files={name: content},
        read=lambda folder: read_texts(str(folder / name)),
        rows=rows,
    )


FORMATS: dict[str, Format] = {
    "movielens-100k": Format(
        files=small_folders.MOVIELENS_100K,
        read=read_movielens_100k,
        rows=lambda folder: lines(folder / "u.data"),
    ),
    "movielens-csv": Format(
        files=small_folders.MOVIELENS_CSV,
        read=read_movielens_csv,
        rows=lambda folder: csv_rows(folder / "ratings.csv"),
    ),
    "lastfm": Format(files=small_folders.LASTFM, read=read_lastfm, rows=_lastfm_rows),
    "lightgcn": Format(
        files=small_folders.LIGHTGCN, read=read_lightgcn, rows=_lightgcn_rows
    ),
    "amazon": Format(
        files={
            "Cards_5.json": small_folders.REVIEWS,
            "meta_Cards.json": small_folders.META,
        },
        read=read_amazon,
        rows=lambda folder: lines(folder / "Cards_5.json", blank=_SPACES),
    ),
    "amazon-gz": Format(
        files={
            "Cards_5.json.gz": gzip.compress(small_folders.REVIEWS, mtime=0),
            "meta_Cards.json.gz": gzip.compress(small_folders.META, mtime=0),
        },
        read=read_amazon,
        rows=lambda folder: lines(folder / "Cards_5.json.gz", blank=_SPACES),
    ),
    "recbole": Format(
        files=small_folders.RECBOLE,
        read=read_recbole,
        rows=lambda folder: lines(folder / "films.inter", headers=1),
    ),
    "planetoid": Format(files={"tiny.npz": npz(graph())}, read=read_planetoid),
    "planetoid-raw": Format(files=raw_files(), read=read_planetoid),
    "texts-txt": _texts("txt", text_of("one", "", "zwei, drei", "四")),
    "texts-csv": _texts("csv", text_of("id,text", "1,one", '2,"zwei, ""drei"""', "3,")),
    "texts-tsv": _texts("tsv", text_of("id\ttext", "1\tone", '2\t"zwei', "3\t")),
    "texts-jsonl": _texts("jsonl", json_of({"text": "one"}, {"id": 2, "text": "四"})),
    "table-csv": _table("orders.csv", text_of(*map(",".join, ORDERS))),
    "table-tsv": _table("orders.tsv", text_of(*map("\t".join, ORDERS))),
    "table-jsonl": _table(
        "orders.jsonl",
        json_of(*(dict(zip(ORDERS[0], row, strict=True)) for row in ORDERS[1:])),
    ),
    "mapping": Format(
        files=small_folders.SHOP,
        read=lambda folder: read_mapping(folder / "shop.toml"),
        rows=_shop_rows,
    ),
    "movielens-dat": Format(
        files=small_folders.MOVIELENS_DAT,
        read=read_movielens_dat,
        rows=lambda folder: lines(folder / "ratings.dat"),
    ),
    "amazon-2023": Format(
        files=small_folders.AMAZON_2023,
        read=read_amazon_2023,
        rows=lambda folder: lines(folder / "Beauty.jsonl", blank=_SPACES),
    ),
    "amazon-splits": Format(files=small_folders.AMAZON_SPLITS, read=read_amazon_splits),
    "cane": Format(files=small_folders.CANE, read=read_cane, rows=_cane_rows),
    # Whichever layout the files that are left make it.
    "by-its-layout": Format(files=small_folders.MOVIELENS_CSV, read=catalog.load),
    "recbole-triples": Format(
        files=small_folders.RECBOLE | small_folders.TRIPLES,
        read=read_recbole,
        rows=lambda folder: lines(folder / "films.inter", headers=1),
    ),
}
