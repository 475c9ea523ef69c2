"""Files of JSON objects, one a line, plain or compressed."""

import itertools
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from llmgnn_jax.data.sources.compressed import opened
from llmgnn_jax.data.sources.files import decode, return_hint
from llmgnn_jax.errors import UserError, excerpt

logger = logging.getLogger(__name__)

# A megabyte of a compressed file may say a gigabyte: no line of a data set does.
_LONGEST_LINE = 1 << 26
# Escapes of one character in two halves, and of either half.
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (line from 1, object) of a UTF-8 file; blank lines are passed over.

    Lines that hold half of a surrogate pair are counted in a warning at the end.

    Args:
        path: The file; compressed by gzip if its name ends in .gz.

    Raises:
        UserError: If the file is missing, not whole or has no object, a line is longer
            than 64 MiB, a byte is no UTF-8, and as `parse_record`.
    """
    count = first = 0
    for line, text in _texts(path):
        yield line, parse_record(text, f"{path.name}, line {line}")
        if _holds_half(text):
            first, count = first or line, count + 1
    if count:
        logger.warning(
            "%s: lines with half of a surrogate pair, which is read as ?: %d, the "
            "first of them line %d",
            path.name,
            count,
            first,
        )


def keys_of(path: Path, *, lines: int | None = None) -> list[str]:
    """The different keys of the objects of a file, or of so many of the first.

    Raises:
        UserError: As `read_json_lines`.
    """
    keys: dict[str, None] = {}
    for line, text in itertools.islice(_texts(path), lines):
        keys |= dict.fromkeys(parse_record(text, f"{path.name}, line {line}"))
    return list(keys)


def without_halves(text: str) -> str:
    """A text with "?" for each half of a surrogate pair.

    JSON may hold one, as of a text that was cut, and UTF-8 may not.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """(line from 1, what stands there) of the lines that are not blank, one at least.

    Raises:
        UserError: As `read_json_lines`.
    """
    empty = True
    with opened(path) as file:
        for line, raw in enumerate(_lines(file, path), start=1):
            if text := decode(raw, path, first_line=line).strip():
                empty = False
                yield line, text
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


class _Repeating(dict[str, Any]):
    """An object of JSON that has a key several times, of which the last is kept.

    Attributes:
        key: It.
        times: How often it is there.
    """

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(key for key, _ in pairs)
        self.key, self.times = counts.most_common(1)[0]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Repeating(pairs)


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def parse_record(line: str, where: str) -> dict[str, Any]:
    """The object that a line is.

    Raises:
        UserError: If it is none, or has a key twice or one that no file of UTF-8 can
            hold; `where` names the line.
    """
    try:
        record = _DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        raise UserError.field(
            where,
            expected="a JSON object",
            # Behind a semicolon Python says which setting of its own to change.
            got=f"no JSON ({str(error).partition(';')[0]})",
            fix=return_hint(line),
        ) from error
    if not isinstance(record, dict):
        raise UserError.field(where, expected="a JSON object", got=kind_of(record))
    # Of objects within it nothing is read that one key could say twice.
    if isinstance(record, _Repeating):
        raise UserError.field(
            where,
            expected="each key once",
            got=f"{excerpt(repr(record.key))} {record.times} times",
            fix="keep one of them",
        )
    if _holds_half(line):
        for key in record:
            if without_halves(key) != key:
                raise UserError.field(
                    where,
                    expected="keys without half of a surrogate pair",
                    got=excerpt(repr(key)),
                )
    return record


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return "a string" if isinstance(value, str) else "a number"


def _holds_half(text: str) -> bool:
    if "\\ud" not in text and "\\uD" not in text:
        return False
    # Where a backslash is itself escaped, what follows is no escape.
    return _HALF.search(_PAIR.sub("", text.replace("\\\\", ""))) is not None
