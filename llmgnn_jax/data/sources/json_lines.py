"""Files of JSON objects, one a line, plain or compressed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from llmgnn_jax.data.sources.compressed import opened
from llmgnn_jax.data.sources.files import decode
from llmgnn_jax.errors import UserError

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
    with opened(path) as file:
        for line, raw in enumerate(_lines(file, path), start=1):
            if text := decode(raw, path, first_line=line).strip():
                empty = False
                yield line, parse_record(text, f"{path.name}, line {line}")
    if empty:
        raise UserError.field(path.name, expected="at least one object", got="none")


def _lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
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
