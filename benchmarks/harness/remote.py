"""The other end of a worker's pipes."""

import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.harness import mkl, runtime
from benchmarks.harness.system import OURS, System, Unavailable

_ROOT = Path(__file__).resolve().parents[2]
_TAIL = 4000


class WorkerFailed(RuntimeError):
    """A worker raised or died.

    The message holds its traceback or its last words.

    Attributes:
        reason: The same in a line: the error, or how it ended.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Worker:
    """A process that works only while `ask` waits for its answer.

    Args:
        system: What it runs.
        threads: How many it may use.
        log: Where what it prints goes.
        until: When it is ended if it has not answered, by `time.monotonic`.

    Raises:
        Unavailable: If the system's own interpreter is not there.
    """

    def __init__(
        self, system: System, *, threads: int, log: Path, until: float = math.inf
    ) -> None:
        self.system = system
        self._log = log
        self._until = until
        python = system.python or sys.executable
        if shutil.which(python) is None:
            raise Unavailable(
                f"no interpreter at {python}; benchmarks/README.md says how to make it"
            )
        paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [python, "-m", "benchmarks.harness.worker", str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                env={
                    **os.environ,
                    **runtime.environment_for(threads),
                    "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                    **({} if system.system == OURS else mkl.all_kernels()),
                    **system.environment,
                },
            )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Sends a request and blocks until it is done.

        Raises:
            Unavailable: If the system cannot run here.
            WorkerFailed: If it raised anything else, or ended.
        """
        self.tell(do, **arguments)
        return self.answer(do)

    def tell(self, do: str, **arguments: Any) -> None:
        """Sends a request; `answer` has to be called for it."""
        assert self._process.stdin is not None
        # One that is dead has no answer either.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()

    def answer(self, do: str, *, until: float = math.inf) -> dict[str, Any]:
        """Blocks until a request is done. Raises what `ask` raises.

        Args:
            do: What was asked.
            until: When the process is ended if it has not answered, by
                `time.monotonic`; the worker's own limit holds too.
        """
        assert self._process.stdout is not None
        with self._limited(min(until, self._until)) as ran_out:
            line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            said = self._log.read_text("utf-8", "replace")[-_TAIL:]
            reason = f"its worker ended with code {code} in `{do}`"
            if ran_out.is_set():
                reason = f"its time was over in `{do}`"
            raise WorkerFailed(f"{self.system.name}: {reason}\n{said}", reason=reason)
        answer = json.loads(line)
        if reason := answer.get("unavailable"):
            raise Unavailable(reason)
        if error := answer.get("error"):
            raise WorkerFailed(
                f"{self.system.name}: failed in `{do}`\n{error}",
                reason=error.strip().splitlines()[-1],
            )
        return answer

    @contextlib.contextmanager
    def _limited(self, until: float) -> Iterator[threading.Event]:
        """Ends the process then; whether it did."""
        ran_out = threading.Event()

        def end() -> None:
            ran_out.set()
            self._process.kill()

        if until == math.inf:
            yield ran_out
            return
        timer = threading.Timer(max(0.0, until - time.monotonic()), end)
        timer.start()
        try:
            yield ran_out
        finally:
            timer.cancel()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if kind is not None:
            self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            # The end of its input ends it.
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
