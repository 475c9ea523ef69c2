"""Small valid folders in each format that is read, for `test_fuzz`.

A new format is one more entry of `FORMATS`: its files, what reads the folder, and how
many rows its files say that there are.
"""

import codecs
import gzip
import io
import json
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.node_dataset import NodeSplit
from llmgnn_jax.data.sources.amazon import read_amazon
from llmgnn_jax.data.sources.lastfm import read_lastfm
from llmgnn_jax.data.sources.lightgcn import read_lightgcn
from llmgnn_jax.data.sources.movielens import read_movielens_100k
from llmgnn_jax.data.sources.movielens_csv import read_movielens_csv
from llmgnn_jax.data.sources.planetoid import read_planetoid
from llmgnn_jax.data.sources.recbole import read_recbole
from llmgnn_jax.data.sources.texts import read_texts
from tests.data.planetoid_files import graph, raw_files

Read = Dataset | NodeSplit | list[str]


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


_OF_JSON = string.whitespace + "\x85\xa0\u2028"


def csv_rows(path: Path) -> int | None:
    """The rows below the header; none is told where a quote may span lines."""
    return None if b'"' in path.read_bytes() else lines(path, headers=1)


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


def _text(*rows: str, encoding: str = "utf-8") -> bytes:
    return "".join(f"{row}\n" for row in rows).encode(encoding)


def _json(*records: dict[str, object]) -> bytes:
    return _text(*map(json.dumps, records))


_FILMS = ("Toy Story (1995)", "Misérables, Les (1995)", "unknown", "Two Friends (1986)")

_MOVIELENS_100K = {
    "u.genre": _text("unknown|0", "Action|1", "Sci-Fi|2", ""),
    "u.item": _text(
        *(
            f"{number}|{title}|01-Jan-1995||http://x|0|{number % 2}|1"
            for number, title in enumerate(_FILMS, start=1)
        ),
        encoding="latin-1",
    ),
    "u.user": _text("10|24|M|technician|85711", "11|53|F|other|V1G4L"),
    "u.data": _text(
        "10\t1\t5\t874965758",
        "11\t2\t3\t881250949",
        "10\t4\t1\t875000000",
        "11\t3\t2\t875000000",
        "11\t3\t4\t875000001",
    ),
}
_MOVIELENS_CSV = {
    "movies.csv": _text(
        "movieId,title,genres",
        "1,Toy Story (1995),Adventure|Children",
        '4,"Misérables, Les (1995)",Drama',
        "7,Cats (1998),(no genres listed)",
    ),
    "ratings.csv": _text(
        "userId,movieId,rating,timestamp",
        "10,4,3.5,881250949",
        "11,1,5.0,874965758",
        "10,1,0.5,881250950",
        "12,7,4.0,0",
    ),
    "tags.csv": _text(
        "userId,movieId,tag,timestamp",
        "10,4,prison break,300",
        '10,4,"long, sad",100',
        "12,1,never rated,100",
    ),
}
_LASTFM = {
    "user_artists.dat": _text(
        "userID\tartistID\tweight", "2\t51\t13883", "2\t7\t1", "3\t51\t20"
    ),
    "artists.dat": _text(
        "id\tname\turl\tpictureURL",
        "7\tSigur Rós\thttp://x\thttp://y",
        "51\tDuran  Duran\thttp://x\t",
    ),
    "user_taggedartists.dat": _text(
        "userID\tartistID\ttagID\tday\tmonth\tyear",
        "2\t51\t3\t1\t5\t2009",
        "3\t7\t1\t1\t1\t2009",
    ),
    "tags.dat": _text(
        "tagID\ttagValue", "1\tmetal", "3\trock français", encoding="latin-1"
    ),
}
_LIGHTGCN = {
    "train.txt": b"7 10 30\n2 20\n11\n",
    "test.txt": b"2 10\n7 40 20\n11 30\n",
}
_REVIEWS = _json(
    *(
        {
            "overall": stars,
            "reviewerID": user,
            "asin": item,
            "unixReviewTime": 1529193600 + stars,
            "summary": "Five &amp; more",
            "reviewText": text,
        }
        for user, item, stars, text in (
            ("A", "X", 5, "Good, fast"),
            ("B", "X", 4, None),
            ("A", "Y", 1, "Broke<br />at once"),
        )
    )
)
_META = _json(
    {
        "asin": "X",
        "title": "Gift",
        "category": ["Cards", "Food"],
        "brand": "M",
        "description": ["<p>Not valid</p>", ""],
        "price": "$1,025.50",
    },
    {"asin": "X", "title": "A second line", "price": "$1.00"},
    {"asin": "W", "title": "Nobody's review is of this"},
)
_RECBOLE = {
    "films.inter": _text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\treview:token_seq",
        "10\t1\t5\t874965758\tso good",
        "11\t2\t3\t881250949\t",
        "10\t4\t1\t875000000\tbad",
    ),
    "films.item": _text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
        "\tprice:float",
        "1\tToy Story\t1995\tAnimation Comedy\t1.5",
        "2\tMisérables, Les\t1995\t\t",
    ),
    "films.user": _text(
        "user_id:token\tage:token\tgender:token\tabout:token_seq",
        "10\t24\tM\tlikes films",
        "11\t53\tF\t",
    ),
}

_TRIPLES = {
    "films.link": _text("item_id:token\tentity_id:token", "1\tm.1", "4\tm.4"),
    "films.kg": _text(
        "head_id:token\trelation_id:token\ttail_id:token",
        "m.1\tactor\tm.a",
        "m.4\tactor\tm.a",
        "m.1\tsequel\tm.4",
        "m.x\tsequel\tm.1",
    ),
}


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
                return lines(path, blank=_OF_JSON)
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
        files=_MOVIELENS_100K,
        read=read_movielens_100k,
        rows=lambda folder: lines(folder / "u.data"),
    ),
    "movielens-csv": Format(
        files=_MOVIELENS_CSV,
        read=read_movielens_csv,
        rows=lambda folder: csv_rows(folder / "ratings.csv"),
    ),
    "lastfm": Format(files=_LASTFM, read=read_lastfm, rows=_lastfm_rows),
    "lightgcn": Format(files=_LIGHTGCN, read=read_lightgcn, rows=_lightgcn_rows),
    "amazon": Format(
        files={"Cards_5.json": _REVIEWS, "meta_Cards.json": _META},
        read=read_amazon,
        rows=lambda folder: lines(folder / "Cards_5.json", blank=_OF_JSON),
    ),
    "amazon-gz": Format(
        files={
            "Cards_5.json.gz": gzip.compress(_REVIEWS, mtime=0),
            "meta_Cards.json.gz": gzip.compress(_META, mtime=0),
        },
        read=read_amazon,
        rows=lambda folder: lines(folder / "Cards_5.json.gz", blank=_OF_JSON),
    ),
    "recbole": Format(
        files=_RECBOLE,
        read=read_recbole,
        rows=lambda folder: lines(folder / "films.inter", headers=1),
    ),
    "planetoid": Format(files={"tiny.npz": npz(graph())}, read=read_planetoid),
    "planetoid-raw": Format(files=raw_files(), read=read_planetoid),
    "texts-txt": _texts("txt", _text("one", "", "zwei, drei", "四")),
    "texts-csv": _texts("csv", _text("id,text", "1,one", '2,"zwei, ""drei"""', "3,")),
    "texts-tsv": _texts("tsv", _text("id\ttext", "1\tone", '2\t"zwei', "3\t")),
    "texts-jsonl": _texts("jsonl", _json({"text": "one"}, {"id": 2, "text": "四"})),
    # Whichever layout the files that are left make it.
    "by-its-layout": Format(files=_MOVIELENS_CSV, read=catalog.load),
    "recbole-triples": Format(
        files=_RECBOLE | _TRIPLES,
        read=read_recbole,
        rows=lambda folder: lines(folder / "films.inter", headers=1),
    ),
}
