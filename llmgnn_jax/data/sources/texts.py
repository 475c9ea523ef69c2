"""A file of texts: one a line, or one field of each record."""

import codecs
import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.data.sources.files import open_file
from llmgnn_jax.data.sources.json_lines import kind_of, parse_record
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError, excerpt

DEFAULT_COLUMN = "text"

_RECORDS = (".jsonl", ".csv", ".tsv")
_ACCEPTED = (".txt", *_RECORDS)


def read_texts(source: str, *, column: str | None = None) -> list[str]:
    """Reads texts, in their order, empty ones too.

    Args:
        source: A file: .txt (a text a line), .jsonl (an object a line), .csv (quoted
            where need be) or .tsv (never quoted), the last two with a header; or "-",
            standard input, a text a line. Blank lines of records are passed over, but
            those of a table of one column are empty texts.
        column: Which field holds the text; "text" if None. Not for lines.

    Raises:
        UserError: If there is no such file or no text, a byte is no UTF-8, a record is
            none or lacks the field, or a column is named where there are none.
    """
    suffix = Path(source).suffix.lower()
    if source == "-":
        name, suffix = "standard input", ".txt"
    else:
        name = source
        if suffix not in _ACCEPTED and not named_path(source).is_dir():
            raise UserError.field(
                source,
                expected=f"a file that ends in one of {', '.join(_ACCEPTED)}",
                got=suffix or "no ending",
                fix="pipe it in for a text a line: llmgnn encode - < FILE",
            )
    if column is not None and suffix not in _RECORDS:
        raise UserError.field(
            "--column",
            expected=f"a file of records ({', '.join(_RECORDS)})",
            got=f"{name}, a text a line",
        )
    content = _decoded(_bytes(source), name)
    wanted = DEFAULT_COLUMN if column is None else column
    if suffix == ".txt":
        texts = _lines(content)
    elif suffix == ".jsonl":
        texts = list(_json_lines(content, name, wanted))
    else:
        texts = list(_table(content, name, wanted, quoted=suffix == ".csv"))
    if not texts:
        raise UserError.field(name, expected="at least one text", got="0 texts")
    return texts


def _bytes(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        with open_file(named_path(source)) as file:
            return file.read()
    except IsADirectoryError:
        raise UserError.field(
            source, expected="a file of texts", got="a folder"
        ) from None
    except OSError as error:
        raise UserError.field(
            source, expected="a file of texts", got=error.strerror
        ) from error


def _decoded(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8").removeprefix(codecs.BOM_UTF8.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = 1 + raw.count(b"\n", 0, error.start)
        raise UserError.field(
            f"{name}, line {line}, byte {error.start} of the file",
            expected="UTF-8 text",
            got=f"the byte 0x{raw[error.start]:02x}",
            fix="save the file as UTF-8",
        ) from error


def _lines(content: str) -> list[str]:
    # Not splitlines(): a text may hold U+0085 or U+2028.
    lines = content.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _json_lines(content: str, name: str, column: str) -> Iterator[str]:
    for number, line in enumerate(_lines(content), start=1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        record = parse_record(line, where)
        if column not in record:
            raise _no_column(where, column, list(record))
        text = record[column]
        if not isinstance(text, str):
            raise UserError.field(
                f"{where}, field {column}", expected="a string", got=kind_of(text)
            )
        yield text


def _table(content: str, name: str, column: str, *, quoted: bool) -> Iterator[str]:
    # A limit of the whole process, put back at the end: a text may be a megabyte.
    limit = csv.field_size_limit(len(content) + 1)
    reader = csv.reader(
        io.StringIO(content, newline=""),
        delimiter="," if quoted else "\t",
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    try:
        header: list[str] | None = None
        for row in reader:
            if header is None:
                header = row
                if header.count(column) != 1:
                    raise _no_column(f"{name}, header", column, header)
                place = header.index(column)
            elif len(row) == len(header):
                yield row[place]
            elif not row and len(header) == 1:
                yield ""
            elif row:
                raise UserError.field(
                    f"{name}, line {reader.line_num}",
                    expected=f"{len(header)} fields ({excerpt(', '.join(header))})",
                    got=len(row),
                    fix="quote fields that hold a comma" if quoted else "",
                )
    except csv.Error as error:
        raise UserError.field(
            f"{name}, line {reader.line_num}",
            expected="fields, quoted where they hold a comma, a quote or a new line"
            if quoted
            else "fields with tabs between them",
            got=str(error),
        ) from error
    finally:
        csv.field_size_limit(limit)


def _no_column(where: str, column: str, there: list[str]) -> UserError:
    if there.count(column) > 1:
        return UserError.field(
            where, expected=f"one column {column!r}", got=there.count(column)
        )
    return UserError.field(
        where,
        expected=f"a field {column!r}",
        got=excerpt(", ".join(map(repr, there[:10]))) or "none",
        fix=did_you_mean(column, there) or "name it with --column",
    )
