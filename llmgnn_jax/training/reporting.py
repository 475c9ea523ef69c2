"""What a run tells: `metrics.jsonl` for programs, progress for people."""

import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from llmgnn_jax.errors import UserError

_PLAIN_SECONDS = 10.0


class MetricsLog:
    """Appends one JSON object a line; each line is whole or absent.

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

    def write(self, **record: Any) -> None:
        """Appends a line; numbers that are not finite become null."""
        if self._silent:
            return
        if self._events is not None:
            for name, value in _scalars(record):
                self._events.add_scalar(name, value, record["step"])
        line = json.dumps(_finite(record), ensure_ascii=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def cut_back(self, *, model: str, step: int, validated: bool = True) -> None:
        """Drops the model's lines after `step`, which a resumed run writes anew.

        Without `validated` a validation at `step` goes too: the shorter run ended
        there, and this one would not have looked.

        Other models' lines stay. A torn last line, which a killed process may leave,
        goes as well. The file is replaced at once.
        """
        if self._silent or not self._path.exists():
            return
        kept = []
        text = self._path.read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines():
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
        temporary = self._path.with_suffix(".jsonl.tmp")
        temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        os.replace(temporary, self._path)


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
