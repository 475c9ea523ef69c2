"""What whole runs took and came to, for either side of a benchmark."""

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np


class Phases:
    """Seconds of the parts of one run.

    Attributes:
        seconds: Part -> seconds. "compile" is within other parts.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Times a part; what it starts on a device must end within it."""
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began


class WholeRuns:
    """The runs of a system so far; each is given a seed of its own.

    Args:
        steps: Of training, in each run.

    Attributes:
        notes: "steps"; and after the first run "seconds": part -> median over
            runs; "metrics": name -> mean over runs; "of_runs": name -> list over runs.
    """

    def __init__(self, *, steps: int) -> None:
        self.notes: dict[str, Any] = {"steps": steps}
        self._seconds: list[Mapping[str, float]] = []
        self._metrics: list[Mapping[str, float]] = []

    @property
    def seed(self) -> int:
        """Of the next run."""
        return len(self._metrics)

    def add(self, phases: Phases, metrics: Mapping[str, float]) -> None:
        """A run is over.

        Raises:
            ValueError: If a metric is not finite.
        """
        if not np.isfinite(list(metrics.values())).all():
            raise ValueError(f"run {self.seed}: expected finite metrics, got {metrics}")
        self._seconds.append(phases.seconds)
        self._metrics.append(metrics)
        of_runs = {name: [one[name] for one in self._metrics] for name in metrics}
        self.notes |= {
            "seconds": {
                name: statistics.median(one[name] for one in self._seconds)
                for name in phases.seconds
            },
            "metrics": {
                name: statistics.fmean(values) for name, values in of_runs.items()
            },
            "of_runs": of_runs,
        }
