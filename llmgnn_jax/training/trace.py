"""A profile of some steps, by `jax.profiler`."""

from pathlib import Path

import jax


class Trace:
    """A profile of `steps` steps, after a first one that compiles."""

    def __init__(self, folder: Path, *, steps: int) -> None:
        self._folder, self._left = folder, steps
        self._compiled, self._running = False, False

    def limit(self, count: int) -> int:
        """How many steps the next call may run."""
        if not self._left:
            return count
        return min(count, self._left) if self._compiled else 1

    def ran(self, count: int) -> None:
        """Starts after the first call, stops after the last traced step."""
        if self._running:
            self._left -= count
            if self._left <= 0:
                self.__exit__()
        elif self._left and not self._compiled:
            jax.profiler.start_trace(str(self._folder))
            self._running = True
        self._compiled = True

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, *_: object) -> None:
        if self._running:
            jax.profiler.stop_trace()
        self._running, self._left = False, 0
