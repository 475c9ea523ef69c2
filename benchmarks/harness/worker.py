"""The process of one system: does what it is told, one line of JSON at a time.

    python -m benchmarks.harness.worker THREADS

Requests come in on the standard input, answers go out on the standard output; what
libraries print there is sent to the standard error instead. Between requests the
process is blocked on the pipe and computes nothing.
"""

import gc
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.harness import runtime
from benchmarks.harness.system import Task, Unavailable


class Session:
    """One system, from its import to its last turn. Each method answers a request."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.task: Task
        self.build: Callable[..., Task]
        self.imported_mb = 0.0

    def load(self, setup: str) -> dict[str, Any]:
        """Imports the system: all of a case at the same time, nothing is timed."""
        module, _, function = setup.partition(":")
        try:
            self.build = getattr(importlib.import_module(module), function)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "benchmarks":
                raise
            raise Unavailable(f"{error.name} is not installed") from error
        runtime.wake_gpu()
        return {}

    def setup(self, folder: str, options: dict[str, Any]) -> dict[str, Any]:
        """Lets the system read the inputs."""
        runtime.set_numerics(self.threads)
        runtime.forget_peak()
        self.imported_mb = runtime.resident_mb()
        inputs = {
            path.stem: np.load(path, mmap_mode="r")
            for path in sorted(Path(folder).glob("*.npy"))
        }
        began = time.perf_counter()
        self.task = self.build(inputs, **options)
        return {"setup_s": time.perf_counter() - began, "notes": dict(self.task.notes)}

    def outputs(self, folder: str) -> dict[str, Any]:
        """Saves what the others must agree with."""
        outputs = self.task.outputs()
        for name, array in outputs.items():
            np.save(Path(folder) / f"{name}.npy", np.asarray(array, np.float32))
        return {"names": sorted(outputs)}

    def first(self) -> dict[str, Any]:
        """The run that compiles."""
        gc.collect()
        cold_s = self.task.cold_s
        seconds = self._timed() if cold_s is None else cold_s
        return {"seconds": seconds, "compile_s": self.task.compile_s}

    def warm_up(self, seconds: float) -> dict[str, Any]:
        """Runs that are not counted; the peak of memory is that of what follows."""
        if self.task.warms_up:
            self._for(seconds, least=2 if self.task.cold_s is None else 1)
        runtime.forget_peak()
        return {}

    def turn(self, seconds: float) -> dict[str, Any]:
        """Timed runs, after one that brings the caches back where that is cheap."""
        began = time.monotonic()
        if self.last_s < seconds / 2:
            self._timed()
        taken = self._for(seconds, least=1)
        return {"seconds": taken, "began": began, "ended": time.monotonic()}

    def finish(self) -> dict[str, Any]:
        """Memory, and what it all ran with."""
        if measured := self.task.device_peak_mb:
            peak = measured()
        else:
            peak = runtime.peak_mb() - self.imported_mb
        return {
            "peak_mb": peak,
            "units": self.task.units,
            "notes": dict(self.task.notes),
            **runtime.describe(),
        }

    def canary(self) -> dict[str, Any]:
        """Of XLA's scatter; the answer is empty where there is none yet."""
        return runtime.canary() or {}

    def _for(self, seconds: float, *, least: int) -> list[float]:
        taken: list[float] = []
        while len(taken) < least or sum(taken) < seconds:
            taken.append(self._timed())
        return taken

    def _timed(self) -> float:
        began = time.perf_counter()
        self.task.run()
        self.last_s = time.perf_counter() - began
        return self.last_s


def _claim_output() -> TextIO:
    """The pipe for the answers alone: whatever else is printed goes to the errors."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def main() -> None:
    answers = _claim_output()
    threads = int(sys.argv[1])
    runtime.pin(threads)
    session = Session(threads)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(session, request.pop("do"))(**request)
        except Unavailable as reason:
            answer = {"unavailable": str(reason)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
