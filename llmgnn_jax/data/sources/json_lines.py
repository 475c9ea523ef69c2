"""Files of JSON objects, one a line, plain or compressed."""

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

from llmgnn_jax.data.sources.files import decode, open_file, unreadable
from llmgnn_jax.errors import UserError

_Bytes = IO[bytes] | gzip.GzipFile
# A megabyte of a compressed file may say a gigabyte: no line of a data set does.
_LONGEST_LINE = 1 << 26


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (line from 1, object) of a UTF-8 file; blank lines are passed over.

    Args:
        path: The file; compressed by gzip if its name ends in .gz.

    Raises:
        UserError: If the file is missing, not whole or has no object, a line is no JSON
            object or longer than 64 MiB, or a byte is no UTF-8.
    """
    empty = True
    try:
        with open_file(path) as file, _unpacked(file, path) as opened:
            for line, raw in enumerate(_lines(opened, path), start=1):
                if text := decode(raw, path, first_line=line).strip():
                    empty = False
                    yield line, parse_record(text, f"{path.name}, line {line}")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError.field(
            path.name, expected="a whole file compressed by gzip", got=error
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
    if empty:
        raise UserError.field(path.name, expected="at least one object", got="none")


def _unpacked(file: IO[bytes], path: Path) -> AbstractContextManager[_Bytes]:
    # The file itself is closed by who opened it.
    return gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else nullcontext(file)


def _lines(file: _Bytes, path: Path) -> Iterator[bytes]:
    line = 1
    while raw := file.readline(_LONGEST_LINE + 1):
        if len(raw) > _LONGEST_LINE:
            raise UserError.field(
                f"{path.name}, line {line}",
                expected=f"at most {_LONGEST_LINE} bytes",
                got="more",
                fix="write one object a line",
            )
        yield raw
        line += 1


def parse_record(line: str, where: str) -> dict[str, Any]:
    """The object that a line is.

    Raises:
        UserError: If it is none; `where` names the line.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError.field(
            where, expected="a JSON object", got=f"no JSON ({error})"
        ) from error
    if not isinstance(record, dict):
        raise UserError.field(where, expected="a JSON object", got=kind_of(record))
    return record


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return "a string" if isinstance(value, str) else "a number"
