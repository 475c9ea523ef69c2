"""What a run tells: `metrics.jsonl` for programs, progress for people."""

import json
import math
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from llmgnn_jax.assets.bucket import is_url, reaching
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.results import write_atomically
from llmgnn_jax.training.closing import close_after

_PLAIN_SECONDS = 10.0


class MetricsLog:
    """Appends one JSON object a line; each line is whole or absent.

    To an object in a bucket nothing can be appended: there all lines are kept, and
    `flush` writes it anew. As a context it flushes at the end.

    Args:
        path: `metrics.jsonl` of the run.
        events: A folder for TensorBoard events, or None; see `require_tensorboard`.
        silent: Nothing is written: another process of the run does.
    """

    def __init__(
        self, path: Path, *, events: Path | None = None, silent: bool = False
    ) -> None:
        self._path, self._silent = path, silent
        self._events = None
        if events is not None and not silent:
            self._events = require_tensorboard()(str(events))
        self._kept: list[str] | None = None
        if is_url(path) and not silent:
            with reaching(path):
                self._kept = _lines(path)

    def write(self, **record: Any) -> None:
        """Appends a line; numbers that are not finite become null."""
        if self._silent:
            return
        if self._events is not None:
            for name, value in _scalars(record):
                self._events.add_scalar(name, value, record["step"])
        line = json.dumps(_finite(record), ensure_ascii=False)
        if self._kept is not None:
            self._kept.append(line)
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def flush(self) -> None:
        """All lines are where others can read them.

        Raises:
            UserError: If a bucket cannot be written to.
        """
        if self._kept is not None:
            with reaching(self._path):
                write_atomically(self._path, _text(self._kept))

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        close_after(self.flush, error)

    def cut_back(self, *, model: str, step: int, validated: bool = True) -> None:
        """Drops the model's lines after `step`, which a resumed run writes anew.

        Without `validated` a validation at `step` goes too: the shorter run ended
        there, and this one would not have looked.

        Other models' lines stay. A torn last line, which a killed process may leave,
        goes as well. The file is replaced at once.
        """
        if self._silent:
            return
        kept = []
        for line in _lines(self._path) if self._kept is None else self._kept:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if not isinstance(record, dict):
                continue
            if record.get("model") == model:
                last = step if validated or "valid" not in record else step - 1
                if record.get("step", 0) > last:
                    continue
            kept.append(line)
        if self._kept is not None:
            self._kept = kept
        elif self._path.exists():
            write_atomically(self._path, _text(kept))


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _lines(path: Path) -> list[str]:
    """What is there so far; the last one may be torn."""
    if not path.exists():
        return []
    return path.read_bytes().decode("utf-8", errors="replace").splitlines()


def require_tensorboard() -> Callable[[str], Any]:
    """The writer of event files, made with a folder.

    Raises:
        UserError: If it is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UserError.field(
            "--tensorboard",
            expected="the package tensorboardX",
            got="none",
            fix="pip install 'llmgnn-jax[tensorboard]'",
        ) from None
    return SummaryWriter


def _scalars(record: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """("fused/valid/ndcg@10", 0.25): what of a record can be drawn as a curve."""
    for key, value in record.items():
        if isinstance(value, dict):
            for name, number in value.items():
                yield f"{record['model']}/{key}/{name}", number
        elif isinstance(value, float):
            yield f"{record['model']}/{key}", value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def peak_memory_mb() -> float:
    """Peak resident memory of this process, in 2**20 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes on Linux, bytes on macOS.
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


@contextmanager
def progress(
    label: str, *, total: int, stream: TextIO | None = None
) -> Iterator[Callable[[int, str], None]]:
    """Shows how far something is: a bar on a terminal, plain lines elsewhere.

    Yields:
        `update(done, note)`: how many of `total` are done, and what to say of it.
    """
    console = Console(file=stream or sys.stderr)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description:<12}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(label, total=total, note="")
            yield lambda done, note: bar.update(task, completed=done, note=note)
        return
    last = time.monotonic()

    def plain(done: int, note: str) -> None:
        nonlocal last
        if done >= total or time.monotonic() - last >= _PLAIN_SECONDS:
            last = time.monotonic()
            # `out`: one line in a log file, neither wrapped nor read as markup.
            console.out(f"{label}: {done}/{total} {note}", highlight=False)

    yield plain
