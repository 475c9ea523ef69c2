"""The other end of a worker's pipes."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.harness import runtime
from benchmarks.harness.system import System, Unavailable

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

    Raises:
        Unavailable: If the system's own interpreter is not there.
    """

    def __init__(self, system: System, *, threads: int, log: Path) -> None:
        self.system = system
        self._log = log
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
                    **system.environment,
                },
            )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Sends a request and blocks until it is done.

        Raises:
            Unavailable: If the system cannot run here.
            WorkerFailed: If it raised anything else, or ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._process.wait()
            said = self._log.read_text("utf-8", "replace")[-_TAIL:]
            reason = f"its worker ended with code {code} in `{do}`"
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
