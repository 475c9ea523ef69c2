"""`metrics.jsonl` as curves and typical speeds."""

import json
import logging
import math
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

Points = list[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class ModelSeries:
    """What was logged of one model.

    Attributes:
        loss: (step, loss), by step.
        valid: METRIC -> (step, value), by step.
        speeds: "examples_per_s" and so on -> the logged values.
    """

    loss: Points = field(default_factory=list)
    valid: dict[str, Points] = field(default_factory=dict)
    speeds: dict[str, list[float]] = field(default_factory=dict)

    def typical(self, name: str) -> float | None:
        """The median of a speed, None where it was never logged."""
        return statistics.median(self.speeds[name]) if name in self.speeds else None

    def highest(self, name: str) -> float | None:
        """The largest value, None where it was never logged."""
        return max(self.speeds[name]) if name in self.speeds else None


SPEEDS = ("examples_per_s", "tokens_per_s", "memory_mb")


def read_series(path: Path) -> dict[str, ModelSeries]:
    """Model -> series, in the order of appearance; empty if there is no file.

    Lines that are no JSON object (a run that was killed leaves half a line) and values
    that are not finite are left out.
    """
    series: dict[str, ModelSeries] = {}
    if not path.exists():
        return series
    unread = 0
    for line in path.read_bytes().decode("utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
            model, step = str(record["model"]), _finite(record["step"])
        except (ValueError, TypeError, KeyError):
            unread += bool(line.strip())
            continue
        if step is None:
            continue
        of_model = series.setdefault(model, ModelSeries())
        if (loss := _finite(record.get("loss"))) is not None:
            of_model.loss.append((step, loss))
        valid = record.get("valid")
        for name, value in (valid if isinstance(valid, dict) else {}).items():
            if (value := _finite(value)) is not None:
                of_model.valid.setdefault(name, []).append((step, value))
        for name in SPEEDS:
            if (value := _finite(record.get(name))) is not None:
                of_model.speeds.setdefault(name, []).append(value)
    for of_model in series.values():
        for points in (of_model.loss, *of_model.valid.values()):
            points.sort()
    if unread:
        logger.warning("%s: %d lines are no records", path, unread)
    return series


def _finite(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None
