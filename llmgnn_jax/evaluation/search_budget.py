"""What `results.json` says of a search for hyper-parameters."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

SCALES = ("log", "uniform")
"""What ends a range: (low, high, "log") is one, all else are choices."""

# Of a range's width, on its scale: what was drawn is never its very end.
_NEAR = 0.05


def search_budget(
    space: Mapping[str, Sequence[Any]],
    chosen: Mapping[str, Any],
    *,
    trials: int,
    metric: str,
    value: float,
) -> dict[str, Any]:
    """The `budget` of a model whose hyper-parameters were searched for on valid.

    Args:
        space: Name -> choices, or a range: (low, high, "log" or "uniform").
        chosen: Name -> value.
        trials: How many were made.
        metric: What they were judged by.
        value: Of the best.
    """
    return {
        "trials": trials,
        "grid": {name: list(values) for name, values in space.items()},
        "chosen": dict(chosen),
        "chosen_by": f"valid {metric}",
        "value": value,
        # A search that ends at its best value may have ended too early.
        "at_edge": [
            name for name, values in space.items() if _at_edge(values, chosen[name])
        ],
    }


def is_range(values: Sequence[Any]) -> bool:
    """Whether these are (low, high, scale) and not choices."""
    return len(values) == 3 and values[2] in SCALES


def _at_edge(values: Sequence[Any], chosen: Any) -> bool:
    if is_range(values):
        low, high, at = (
            math.log(one) if values[2] == "log" else one
            for one in (values[0], values[1], chosen)
        )
        return min(at - low, high - at) <= _NEAR * (high - low)
    ordered = all(type(one) in (int, float) for one in values)
    return ordered and len(values) > 2 and chosen in (min(values), max(values))
