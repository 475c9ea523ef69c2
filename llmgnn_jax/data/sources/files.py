"""Opening a data file and reading its bytes as text, with errors that name the file."""

import codecs
import stat
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path

from llmgnn_jax.errors import UserError

LINE_FEEDS = "end lines with a line feed: tr '\\r' '\\n' < FILE > NEW"
"""What to do about lines that end in a carriage return alone."""


def open_file(path: Path) -> BufferedReader:
    """Opens a file for its bytes.

    Raises:
        UserError: If it is a pipe or a device: one would wait for a writer that may
            never come, the other has no end.
        OSError: If it is missing, a folder, or may not be read.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError.field(
            path.name,
            expected=f"a readable file in {path.parent}",
            got="a pipe or a device",
            fix="write what comes from it into a file",
        )
    return path.open("rb")


def stands_there(path: Path) -> bool:
    """Whether a file that may be absent is there, be it a link that leads nowhere.

    `Path.exists` takes such a link for an absent file, and what it was to lead to
    would be left out without a word.
    """
    return path.is_symlink() or path.exists()


def return_hint(line: str) -> str:
    """What to do about a line that holds several, with carriage returns; else ""."""
    return LINE_FEEDS if "\r" in line.removesuffix("\r") else ""


def unreadable(path: Path, error: OSError) -> UserError:
    """The standard sentence for a file that is missing or may not be read."""
    return UserError.field(
        path.name,
        expected=f"a readable file in {path.parent}",
        got=error.strerror or error,
    )


def decode(
    raw: bytes, path: Path, *, first_line: int, encodings: Sequence[str] = ("utf-8",)
) -> str:
    """The text of some lines, without a byte order mark.

    Raises:
        UserError: If a byte is in none of the encodings, which are tried in order.
    """
    if first_line == 1:
        raw = raw.removeprefix(codecs.BOM_UTF8)
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError as error:
            position = error.start
    line = first_line + raw.count(b"\n", 0, position)
    raise UserError.field(
        f"{path.name}, line {line}",
        expected="UTF-8 text",
        got=f"the byte 0x{raw[position]:02x}",
        fix="save the file as UTF-8",
    )
