"""Files of word vectors: word2vec's two formats, and GloVe's.

    text     "V D\\n" (none in GloVe's), then V lines "word x_1 ... x_D\\n" in UTF-8
    binary   "V D\\n", then V times: word, " ", D little-endian float32, mostly "\\n"

gensim reads and writes the first two; `word_file_writer` writes all. Files are read in
one pass, a piece at a time, into an array that is made when the first vector and the
size of the file have told how large it can be: a header that promises too much takes no
memory.

Shapes: V words, D width.
"""

import logging
import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)

_FLOAT = np.dtype("<f4")
_PIECE = 1 << 20
# A longer header, word or line belongs to no such file.
_LONGEST = 1 << 20


class WordFile(NamedTuple):
    """Words and their vectors, in the order of the file (mostly the frequent first).

    Attributes:
        words: V different words, none of them empty.
        vectors: (V, D) float32, all finite.
    """

    words: list[str]
    vectors: np.ndarray


def read_word_file(path: Path, *, limit: int | None = None) -> WordFile:
    """Reads word vectors; of a word that stands twice the first vector, with a warning.

    Args:
        path: Binary if its name ends in ".bin", else text, with or without a header.
        limit: Words to read at most; None for all.

    Raises:
        UserError: If it cannot be opened, is empty, truncated or of another format, has
            a line of another width, a word that is no UTF-8, or numbers that are not
            finite: one line with the file and the place in it.
    """
    if limit is not None and limit < 1:
        raise UserError.field("limit", expected="1 or more words", got=limit)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise UserError.field(
                    str(path), expected="word vectors", got="an empty file"
                )
            read = _read_binary if path.suffix == ".bin" else _read_text
            return read(file, path, size, limit)
    except OSError as error:
        raise UserError.field(
            str(path), expected="a file of word vectors", got=error.strerror
        ) from error


class _Table:
    """The words and vectors read so far.

    Args:
        path: Named in errors.
        rows: Words to make room for; there may be more.
        dim: D.
    """

    def __init__(self, path: Path, rows: int, dim: int) -> None:
        self.path = path
        self.rows: dict[str, int] = {}
        self.vectors = np.empty((rows, dim), np.float32)
        self.repeated: list[str] = []

    def add(self, raw: bytes, vector: np.ndarray, place: str) -> None:
        """Adds a word; `place` is where it stands in the file."""
        try:
            word = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _wrong(self.path, place, "a word in UTF-8", _shown(raw)) from error
        if not word:
            raise _wrong(self.path, place, "a word", "none")
        if not np.isfinite(vector).all():
            raise _wrong(self.path, place, "finite numbers", f"others for {word!r}")
        if word in self.rows:
            self.repeated.append(f"{word!r} ({place})")
            return
        if len(self.rows) == len(self.vectors):
            self._make_room(len(self.vectors) * 5 // 4 + 1)
        self.vectors[len(self.rows)] = vector
        self.rows[word] = len(self.rows)

    def finished(self) -> WordFile:
        """All that was read."""
        if self.repeated:
            logger.warning(
                "%s: %d words stand twice, the first vector counts: %s",
                self.path,
                len(self.repeated),
                ", ".join(self.repeated[:3]),
            )
        self._make_room(len(self.rows))
        return WordFile(list(self.rows), self.vectors)

    def _make_room(self, rows: int) -> None:
        # In place: there is no memory for a second table where there is for one.
        self.vectors.resize((rows, self.vectors.shape[1]), refcheck=False)


def _read_text(file: BinaryIO, path: Path, size: int, limit: int | None) -> WordFile:
    line, number = _line(file, path, 1), 1
    header = _header(line)
    if header is not None:
        line, number = _line(file, path, 2), 2
    dim = header[1] if header else line.count(b" ")
    if dim < 1 or not line:
        raise _wrong(path, f"line {number}", "a word and its numbers", _shown(line))
    if header:
        # A number and what is before it take two bytes.
        _check_room(path, header[0], size, least=2 * dim + 2)
    # Without a header: as many lines as long as the first one, and more as they come.
    promised = header[0] if header else size // len(line) + 1
    wanted = promised if header else size
    wanted = min(wanted, limit or wanted)
    table, start = _Table(path, min(promised, wanted), dim), number
    while line and number - start < wanted:
        _add_line(table, line, f"line {number}", dim)
        number += 1
        line = _line(file, path, number)
    if header and (number - start < wanted or (line and wanted == promised)):
        got = "more" if line else f"{number - start}"
        raise _wrong(
            path, f"line {number}", f"the {promised} words that line 1 promises", got
        )
    return table.finished()


def _add_line(table: _Table, line: bytes, place: str, dim: int) -> None:
    # From the right: a few words of GloVe's contain a space.
    word, *numbers = line.rsplit(b" ", dim)
    too_many = b" " in word and _is_number(word.rpartition(b" ")[2])
    if len(numbers) < dim or too_many:
        got = f"{line.count(b' ')} in {_shown(line)}"
        raise _wrong(table.path, place, f"{dim} numbers", got)
    try:
        # What float32 cannot hold becomes infinite, which is refused below.
        with np.errstate(over="ignore"):
            vector = np.fromiter(map(float, numbers), np.float32, dim)
    except ValueError:
        got = _shown(line)
        raise _wrong(table.path, place, f"a word and {dim} numbers", got) from None
    table.add(word, vector, place)


def _read_binary(file: BinaryIO, path: Path, size: int, limit: int | None) -> WordFile:
    header = _header(_line(file, path, 1))
    if header is None:
        raise _wrong(
            path, "line 1", "the numbers of words and of dimensions", "neither"
        )
    promised, dim = header
    width = dim * _FLOAT.itemsize
    _check_room(path, promised, size, least=width + 2)
    wanted = min(promised, limit or promised)
    table = _Table(path, wanted, dim)
    piece, begin = b"", 0
    for number in range(1, wanted + 1):
        place = f"word {number} of {promised}"
        while (space := piece.find(b" ", begin)) < 0 or len(piece) < space + 1 + width:
            more = file.read(max(_PIECE, width))
            if not more:
                got = "the end of the file"
                raise _wrong(path, place, f"a word and {dim} float32", got)
            if space < 0 and len(piece) - begin > _LONGEST:
                raise _wrong(path, place, "a word", "no end of one")
            piece, begin = piece[begin:] + more, 0
        vector = np.frombuffer(piece, _FLOAT, dim, offset=space + 1)
        # Some writers end a vector's line and some do not.
        table.add(piece[begin:space].lstrip(b"\n"), vector, place)
        begin = space + 1 + width
    if wanted == promised and (piece[begin:] + file.read(2)).strip(b"\n"):
        raise _wrong(path, "the end", f"{promised} words", "more")
    return table.finished()


def _line(file: BinaryIO, path: Path, number: int) -> bytes:
    """A line without its end (and word2vec's space there); b"" after the last one."""
    line = file.readline(_LONGEST)
    if len(line) == _LONGEST:
        raise _wrong(path, f"line {number}", "a line of word vectors", "a longer one")
    stripped = line.rstrip(b" \r\n")
    if line and not stripped:
        raise _wrong(path, f"line {number}", "a word and its numbers", "an empty line")
    return stripped


def _header(line: bytes) -> tuple[int, int] | None:
    """(V, D) where a line is two whole numbers from 1."""
    parts = line.split()
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        return None
    words, dim = map(int, parts)
    return (words, dim) if words and dim else None


def _check_room(path: Path, words: int, size: int, *, least: int) -> None:
    if words * least > size:
        raise _wrong(
            path,
            "line 1",
            f"at most {size // least} words in {size} bytes",
            f"{words}, a truncated or another file",
        )


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", "backslashreplace"))


def _wrong(path: Path, place: str, expected: str, got: object) -> UserError:
    return UserError.field(f"{path}, {place}", expected=expected, got=got)
