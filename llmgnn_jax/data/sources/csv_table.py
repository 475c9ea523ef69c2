"""CSV files with a header, in blocks.

Fields are quoted where need be (RFC 4180), or never, as in files with tabs.
"""

import csv
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from llmgnn_jax.data.sources.compressed import opened
from llmgnn_jax.data.sources.files import LINE_FEEDS, decode
from llmgnn_jax.data.sources.table import Block
from llmgnn_jax.errors import UserError, excerpt

# Enough to spread the cost of NumPy calls; small enough to keep Python strings few.
_BLOCK_ROWS = 65_536
# Bytes of a field: a review may be longer than the module's own limit.
_LONGEST = 2**30
DELIMITERS = {".csv": ",", ".tsv": "\t"}
"""What ends a field, by what the name of a file ends in."""
_CALLED = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def read_csv(
    path: Path, columns: Sequence[str], *, delimiter: str = ",", quoted: bool = True
) -> Iterator[Block]:
    """Yields the rows of a UTF-8 file in blocks; blank lines are passed over.

    Args:
        path: The file, unpacked if its name ends in .gz; its first line names the
            columns, in any order.
        columns: Those that are wanted.
        delimiter: One character.
        quoted: Whether quotes are marks of a field that holds a delimiter, or letters.

    Raises:
        UserError: If the file is missing, has no rows or lacks a column, a line has
            another number of fields than the header or quotes that do not match, or a
            byte is no UTF-8.
    """
    empty = True
    with opened(path) as file:
        rows = _numbered_rows(file, path, delimiter=delimiter, quoted=quoted)
        _, header = next(rows, (1, []))
        places = _places(path, header, columns)
        while block := list(itertools.islice(rows, _BLOCK_ROWS)):
            empty = False
            lines, fields = zip(*block, strict=True)
            _check_lengths(path, header, lines, fields, delimiter=delimiter)
            by_column = list(zip(*fields, strict=True))
            yield Block(
                path=path,
                columns={
                    column: by_column[place]
                    for column, place in zip(columns, places, strict=True)
                },
                lines=lines,
            )
    if empty:
        raise UserError.field(
            path.name, expected="at least one line below the header", got="none"
        )


def csv_header(path: Path, *, delimiter: str = ",", quoted: bool = True) -> list[str]:
    """The names of the columns, as `read_csv` takes them; none of an empty file.

    Raises:
        UserError: If the file cannot be read, or has other delimiters.
    """
    with opened(path) as file:
        rows = _numbered_rows(file, path, delimiter=delimiter, quoted=quoted)
        header = next(rows, (1, []))[1]
    _check_delimiter(path, header, delimiter)
    return header


def _check_delimiter(path: Path, header: Sequence[str], delimiter: str) -> None:
    """Passes only if a header is not one name with other delimiters in it."""
    if len(header) != 1:
        return
    other = next(
        (one for one in _CALLED if one in header[0] and one != delimiter), None
    )
    if other is not None:
        usual = next((end for end, one in DELIMITERS.items() if one == other), None)
        raise UserError.field(
            f"{path.name}, line 1",
            expected=f"columns with {_CALLED[delimiter]} between them",
            got=f"one, {excerpt(repr(header[0]))}",
            fix=f"if there are {_CALLED[other]} between columns, "
            + (f"name the file {usual}" if usual else "write commas in their place"),
        )


def _numbered_rows(
    file: Iterable[bytes], path: Path, *, delimiter: str, quoted: bool
) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each row; a row may be several lines long."""
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST))
    lines = (decode(raw, path, first_line=n) for n, raw in enumerate(file, start=1))
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            if "new-line" in str(error):
                raise UserError.field(
                    f"{path.name}, line {line}",
                    expected="no carriage return in a line",
                    got="one that ends it alone, or is not in quotes",
                    fix=LINE_FEEDS,
                ) from error
            raise UserError.field(
                f"{path.name}, line {line}",
                expected="fields, quoted where they hold a comma, a quote or a new "
                "line",
                got=error,
                fix='double each quote within quotes: ""',
            ) from error
        if row is None:
            return
        if row and (len(row) > 1 or row[0].strip()):
            yield line, row


def _places(path: Path, header: list[str], columns: Sequence[str]) -> list[int]:
    for column in columns:
        if header.count(column) != 1:
            raise UserError.field(
                f"{path.name}, line 1",
                expected=f"one column {column} in the header",
                got=excerpt(", ".join(header)) or "an empty file",
            )
    return [header.index(column) for column in columns]


def _check_lengths(
    path: Path,
    header: list[str],
    lines: Sequence[int],
    rows: Sequence[list[str]],
    *,
    delimiter: str,
) -> None:
    if set(map(len, rows)) == {len(header)}:
        return
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            raise UserError.field(
                f"{path.name}, line {line}",
                expected=f"{len(header)} fields ({excerpt(', '.join(header))})",
                got=len(row),
                fix="quote fields that hold a comma"
                if delimiter == ","
                else f"fields end at {delimiter!r}",
            )
