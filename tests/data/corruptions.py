"""What may befall the files of a data set, as a Hypothesis strategy."""

import gzip
import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from tests.data.formats import npz
from tests.data.planetoid_files import graph

# A file's content, or what stands in its place.
Content = bytes | str
Files = dict[str, Content]

_PLACES = ("missing", "folder", "pipe", "link to itself", "dangling link", "device")

_FIELDS = (
    *(b"", b" ", b"-1", b"0", b"1", b"2", b"NaN", b"inf", b"-Infinity", b"1e400"),
    *(b"1e39", b"-1e300", b"9" * 30, b"9" * 5000, b"18446744073709551616", b"1_0"),
    *(
        b"0x10",
        b"3.7",
        b"1e5",
        "٣".encode(),
        "９９".encode(),
        "²".encode(),
        b"\0",
        b"7\0",
    ),
    *(b"\r", b"7\r", b"\n", b'"', b'"7', b'7"', b'"7"', b"'", b"\\", b"\t", b"|", b","),
    *(b"\xe9", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", "\x85".encode(), b"\x1a"),
    *("\u2028".encode(), "\u202e".encode(), b"\x1b[31m", b"x" * 200_000, b"null"),
    *(b"user_id:token", b"userId", b"item_id:float_seq", b"=1+1", b"$9,99", b"(1995)"),
    *("\U0001f44d\u200d".encode(), "e\u0301".encode(), b"unknown", b"10", b"99999999"),
)
_VALUES = (
    *("null", "true", "false", "-1", "0", "0.5", "1e400", "-1e39", "NaN", "-Infinity"),
    *(
        "9" * 30,
        "9" * 5000,
        '""',
        '" "',
        '"X"',
        '"\\ud800"',
        '"\\u0000"',
        '"\\r"',
        "[]",
    ),
    *("{}", '{"a": 1}', "[null]", "[1, 2]", '["a", ["b"]]', "[" * 100_000, "[[[[1]]]]"),
    *('"' + "x" * 200_000 + '"', '"$' + "9" * 400 + '"', '"$1.00 - $2.00"', '"<b"'),
    *(
        '"&#55296;"',
        '"&#x110000;"',
        '"<!--"',
        '"<script>' + "<" * 5000 + '"',
        "1e",
        "'a'",
    ),
)


@dataclass(frozen=True)
class Corruption:
    """One thing that befalls one file.

    Attributes:
        what: Its name, of those in `KINDS`.
        file: Which file, counted around.
        place: Where in it: a byte, a line or a key, counted around.
        other: What else has to be chosen.
        compressed: Whether it befalls the bytes of a compressed file as they are.
    """

    what: str
    file: int
    place: int
    other: int
    compressed: bool

    def befall(self, files: Files) -> None:
        """Changes the files; what it cannot befall stays as it is."""
        name = sorted(files)[self.file % len(files)]
        content = files[name]
        if isinstance(content, str):
            return
        if self.what == "another's content":
            files[name] = files[sorted(files)[self.place % len(files)]]
        elif self.what == "something else":
            files[name] = _PLACES[self.other % len(_PLACES)]
        elif name.endswith(".gz") and not self.compressed:
            try:
                inside = gzip.decompress(content)
            except (OSError, EOFError, zlib.error):
                return
            files[name] = gzip.compress(self._changed(name, inside), 1, mtime=0)
        else:
            files[name] = self._changed(name, content)

    def _changed(self, name: str, content: bytes) -> bytes:
        if name.endswith(".npz") and self.what in ("value", "field", "line"):
            return _with_another_array(self.place, self.other)
        return KINDS[self.what](content, self.place, self.other)


def write(files: Files, folder: Path) -> None:
    """Writes the files, or what stands in their places."""
    for name, content in files.items():
        path = folder / name
        match content:
            case bytes():
                path.write_bytes(content)
            case "folder":
                path.mkdir()
            case "pipe":
                os.mkfifo(path)
            case "link to itself":
                path.symlink_to(path)
            case "dangling link":
                path.symlink_to(folder / "nowhere")
            case "device":
                path.symlink_to("/dev/zero")


def _bytes(content: bytes, place: int, other: int) -> bytes:
    at = place % (len(content) + 1)
    byte = bytes([other // 4 % 256])
    after = content[at + 1 :]
    return content[:at] + (after, byte + content[at:], byte + after, b"")[other % 4]


def _line(content: bytes, place: int, other: int) -> bytes:
    found = content.splitlines(keepends=True)
    if not found:
        return b"\n"
    at, to = place % len(found), other // 8 % len(found)
    match other % 8:
        case 0:
            del found[at]
        case 1:
            found.insert(to, found[at])
        case 2:
            found[at], found[to] = found[to], found[at]
        case 3:
            found.insert(at, (b"\n", b" \n", b"\t\t\t\n", b"\r\r\n", b",,\n")[to % 5])
        case 4:
            found[at] *= 300
        case 5:
            found[at] = found[at].rstrip(b"\r\n")
        case 6:
            found[at] = found[at].rstrip(b"\n") + b"\r"
        case 7:
            del found[at:]
    return b"".join(found)


def _field(content: bytes, place: int, other: int) -> bytes:
    found = content.split(b"\n")
    at = place % len(found)
    delimiter = next((d for d in (b"\t", b"|", b",", b" ") if d in found[at]), b":")
    fields = found[at].split(delimiter)
    into = place // 8 % len(fields)
    fields[into] = _FIELDS[other % len(_FIELDS)]
    if other % 5 == 0:
        fields[into] = found[at].split(delimiter)[into] + fields[into]
    found[at] = delimiter.join(fields)
    return b"\n".join(found)


def _value(content: bytes, place: int, other: int) -> bytes:
    found = content.split(b"\n")
    at = place % len(found)
    try:
        record = json.loads(found[at])
        pairs = [(json.dumps(key), json.dumps(record[key])) for key in record]
    except (ValueError, TypeError, RecursionError):
        return _field(content, place, other)
    value = _VALUES[other % len(_VALUES)]
    into = place // 8 % max(1, len(pairs))
    match place // 64 % 4:
        case 0 | 1:
            pairs[into : into + 1] = [(pairs[into][0] if pairs else '"a"', value)]
        case 2:
            pairs.append((pairs[into][0] if pairs else '"a"', value))
        case 3:
            pairs = pairs[:into] + pairs[into + 1 :]
    record = "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
    found[at] = value.encode() if other % 7 == 0 else record.encode()
    return b"\n".join(found)


def _whole(content: bytes, place: int, other: int) -> bytes:
    text = content.decode("utf-8", "replace")
    by = re.search(rb"[\t|, ]", content)
    delimiter = by[0] if by else b"\t"
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: b"",
        lambda: b"\n" * (place % 9),
        lambda: b"\0" * (place % 99),
        lambda: b"\xef\xbb\xbf" + content,
        lambda: text.encode("utf-16"),
        lambda: content.replace(b"\n", b"\r\n"),
        lambda: content.replace(b"\n", b"\r"),
        lambda: content.replace(b"\n", b"\r\r\n"),
        lambda: gzip.compress(content, mtime=0),
        lambda: content.rstrip(b"\n"),
        lambda: content + content,
        lambda: content.replace(b"\n", delimiter + b"x\n"),
        lambda: content.replace(b"\n", delimiter + b"\n"),
        lambda: re.sub(rb"(?m)[\t|, ][^\t|, \n]*$", b"", content),
        lambda: content.replace(delimiter, (b";", b"\t", b",", b"  ")[place % 4]),
        lambda: content.upper(),
        lambda: re.sub(rb"\A[^\n]*\n", b"", content),
        lambda: b"".join(reversed(content.splitlines(keepends=True))),
        lambda: b"<!DOCTYPE html>\n<html>Not found</html>\n",
        lambda: b"[" + content.replace(b"\n", b",\n") + b"]",
    )
    return ways[other % len(ways)]()


def _with_another_array(place: int, other: int) -> bytes:
    """An npz file in which one array is not what it should be."""
    arrays = graph()
    key = sorted(arrays)[place % len(arrays)]
    array = arrays[key]
    big = np.iinfo(np.int64).max
    ways: tuple[Callable[[], np.ndarray], ...] = (
        lambda: array[:-1],
        lambda: array[:0],
        lambda: np.concatenate([array, array]),
        lambda: array[None],
        lambda: array.ravel()[0],
        lambda: array.astype(np.float64) + 0.5,
        lambda: np.full_like(array, np.nan, np.float64),
        lambda: np.full_like(array, -1),
        lambda: np.where(np.arange(len(array)) == place, 0, array.T).T,
        lambda: np.full(array.shape, big),
        lambda: np.full(array.shape, 10**10),
        lambda: np.full(array.shape, 2**63 + 1, np.uint64),
        lambda: array.astype("U8"),
        lambda: array.astype(object),
        lambda: array.astype(complex),
        lambda: array.astype(bool),
        lambda: array.astype("M8[s]") if array.dtype.kind == "i" else array,
        lambda: np.zeros(array.shape, [("a", int)]),
        lambda: array.astype(">i8"),
        lambda: array[::-1],
        lambda: array.astype(np.int8),
        lambda: np.full(array.shape, 1e300),
    )
    which = other % (len(ways) + 2)
    if which < len(ways):
        return npz({**arrays, key: ways[which]()})
    if which == len(ways):
        return npz({name: one for name, one in arrays.items() if name != key})
    return _claiming(key)


def _claiming(key: str) -> bytes:
    """An npz file in which one array says that it has 10^13 numbers."""
    file = io.BytesIO()
    header = {"descr": "<i8", "fortran_order": False, "shape": (10**13,)}
    np.lib.format.write_array_header_1_0(file, header)
    made = io.BytesIO(npz(graph()))
    with (
        zipfile.ZipFile(made) as old,
        zipfile.ZipFile(whole := io.BytesIO(), "w") as new,
    ):
        for name in old.namelist():
            claimed = file.getvalue() + b"1234567890123456"
            new.writestr(name, claimed if name == f"{key}.npy" else old.read(name))
    return whole.getvalue()


KINDS: dict[str, Callable[[bytes, int, int], bytes]] = {
    "bytes": _bytes,
    "line": _line,
    "field": _field,
    "value": _value,
    "whole file": _whole,
}

_NUMBERS = st.integers(0, 9_999)
CORRUPTIONS = st.lists(
    st.builds(
        Corruption,
        what=st.sampled_from((*KINDS, "field", "another's content", "something else")),
        file=st.integers(0, 7),
        place=_NUMBERS,
        other=_NUMBERS,
        compressed=st.booleans(),
    ),
    min_size=1,
    max_size=3,
)
