"""Damaged files: a valid data set or one clear error, whatever befell them.

Each example damages a small valid folder (`formats`) in one to three ways
(`corruptions`) and reads it. There must be no traceback, no hang, no memory that only a
number in a file asked for, and no row that is left out without being counted.
"""

import contextlib
import dataclasses
import logging
import re
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given, settings

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.node_dataset import NodeSplit
from llmgnn_jax.errors import UserError
from tests.data.corruptions import CORRUPTIONS, Corruption, Files, write
from tests.data.formats import FORMATS, Format, Read

# Of one example, which takes milliseconds.
_MOST_SECONDS = 20
_MOST_BYTES = 1 << 28
_LONGEST_LINE = 2_000

# What Hypothesis keeps between runs stays out of the working tree.
hypothesis.configuration.set_hypothesis_home_dir(
    Path(__file__).resolve().parents[2] / "build" / "tests" / "hypothesis"
)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_not_damaged_is_read(name: str) -> None:
    check_example(FORMATS[name], [])
    with tempfile.TemporaryDirectory() as made:
        write(dict(FORMATS[name].files), Path(made))
        assert _size(FORMATS[name].read(Path(made))) > 0


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files(name: str) -> None:
    check(FORMATS[name], examples=60)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_at_length(name: str) -> None:
    check(FORMATS[name], examples=2_000)


def check(of: Format, *, examples: int) -> None:
    """Many examples, the same ones each time."""

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,  # `_limits` counts what the process did, not what it waited.
        print_blob=False,
    )
    @given(CORRUPTIONS)
    def example(corruptions: list[Corruption]) -> None:
        check_example(of, corruptions)

    example()


def check_example(of: Format, corruptions: list[Corruption]) -> None:
    files: Files = dict(of.files)
    for corruption in corruptions:
        corruption.befall(files)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write(files, folder)
        try:
            with _limits(), _warnings() as said:
                read = of.read(folder)
        except UserError as error:
            _check_error(str(error), [*files, folder.name])
            return
        _check_strings(read)
        rows = of.rows(folder)
        if rows is not None and rows != _size(read):
            assert _says_what_is_left_out(said, rows - _size(read)), (
                f"{rows} rows in the files, {_size(read)} were read; said: {said}"
            )


def _says_what_is_left_out(said: list[str], count: int) -> bool:
    return any(
        str(count) in line.split() and re.search("dropped|left out", line)
        for line in said
    )


def _size(read: Read) -> int:
    if isinstance(read, Dataset):
        return read.num_interactions
    if isinstance(read, list):
        return len(read)
    return (read.dataset if isinstance(read, NodeSplit) else read).num_nodes


def _check_error(message: str, names: list[str]) -> None:
    assert message.isprintable(), message
    assert len(message) < _LONGEST_LINE, message
    assert ": expected " in message, message
    assert any(name in message for name in names), f"it names no file: {message}"


def _check_strings(read: Read) -> None:
    """All that is a text can be written as UTF-8."""
    if not isinstance(read, Dataset):
        return
    for texts in (
        read.user_ids,
        read.item_ids,
        read.item_titles,
        read.item_texts,
        read.user_texts or (),
        read.interaction_texts or (),
        *read.user_categorical.values(),
        *read.item_categorical.values(),
    ):
        for text in texts:
            "".join(text).encode("utf-8")
    read.content_hash()


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    """What is logged meanwhile."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("llmgnn_jax")
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """Seconds of work and bytes of memory; who waits is stopped by pytest-timeout."""

    def stop(*_: object) -> None:
        raise AssertionError(f"{_MOST_SECONDS} seconds of work on one example")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, _MOST_SECONDS)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    held = _peak_bytes()
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        room = pages * resource.getpagesize() + 8 * _MOST_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    taken = _peak_bytes() - held
    assert taken < _MOST_BYTES, f"{taken} bytes for a few hundred"


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def test_what_the_check_is_for_fails_it() -> None:
    """A row that is left out, a traceback, an error without a file, memory."""
    good = FORMATS["lightgcn"]

    def leaves_out(folder: Path) -> Read:
        text = (folder / "train.txt").read_text()
        (folder / "train.txt").write_text(text.replace(" 30", ""))
        try:
            return good.read(folder)
        finally:
            (folder / "train.txt").write_text(text)

    def takes_memory(folder: Path) -> Read:
        assert b"x" * (2 * _MOST_BYTES)
        return good.read(folder)

    def refuses(folder: Path) -> Read:
        raise UserError.field("a row", expected="another", got="this")

    for read, said in (
        (leaves_out, "7 rows in the files, 6 were read"),
        (takes_memory, "bytes for a few hundred"),
        (refuses, "it names no file"),
    ):
        with pytest.raises(AssertionError, match=said):
            check_example(dataclasses.replace(good, read=read), [])

    def fails(folder: Path) -> Read:
        raise KeyError("7")

    with pytest.raises(KeyError):
        check_example(dataclasses.replace(good, read=fails), [])
