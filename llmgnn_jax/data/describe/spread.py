"""How numbers are spread: a summary, and bins."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

_MOST_VALUES = 12
_BINS = 10
_WIDE = 100.0


@dataclass(frozen=True, kw_only=True)
class Bin:
    """How many numbers lie between two, both included where they are equal."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Of at least one number."""

    min: float
    median: float
    mean: float
    p90: float
    max: float
    bins: tuple[Bin, ...]


def spread(values: np.ndarray, *, scale: Literal["auto", "even"] = "auto") -> Spread:
    """Of (n,) finite numbers.

    A bin for each value where there are few, else by powers of ten where the largest
    is 100 times the smallest or more, unless the scale is "even", else of one width. A
    bin holds what is at least `low` and less than `high`, the last one `high` too.
    """
    values = np.asarray(values, np.float64)
    different, counts = np.unique(values, return_counts=True)
    low, high = different[0], different[-1]
    if len(different) <= _MOST_VALUES:
        pairs = zip(different.tolist(), counts.tolist(), strict=True)
        bins = tuple(Bin(low=one, high=one, count=count) for one, count in pairs)
        return _summary(values, bins)
    if scale == "auto" and low > 0 and high / low >= _WIDE:
        first, last = np.floor(np.log10(low)), np.ceil(np.log10(high))
        edges = 10.0 ** np.arange(first, last + 1)
        # Powers of ten are rounded, and nothing may fall out at the ends.
        edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)
    else:
        edges = np.linspace(low, high, _BINS + 1)
    return _summary(values, _binned(values, edges))


def degrees(counts: np.ndarray) -> Spread:
    """Of (n,) whole numbers from 0 on, by powers of two: 0, 1, 2-3, 4-7, ...

    Here both ends of a bin are included.
    """
    powers = 2 ** np.arange(max(1, int(counts.max())).bit_length() + 1)
    edges = np.concatenate([[0], powers])
    bins = tuple(
        Bin(low=bin_.low, high=bin_.high - 1, count=bin_.count)
        for bin_ in _binned(counts, edges.astype(np.float64))
    )
    return _summary(counts, bins)


def gini(counts: np.ndarray) -> float:
    """How unevenly counts are spread: 0 for all alike, near 1 for all at one.

    G = 2 sum_i i x_i / (n sum_i x_i) - (n + 1) / n for x ascending (Damgaard and
    Weiner, "Describing inequality in plant size or fecundity", 2000).

    Args:
        counts: (n,) not negative, not all 0.
    """
    ordered, size = np.sort(np.asarray(counts, np.float64)), len(counts)
    ranks = np.arange(1, size + 1)
    share = (ranks * ordered).sum() / ordered.sum()
    return float(2 * share / size - (size + 1) / size)


def _binned(values: np.ndarray, edges: np.ndarray) -> tuple[Bin, ...]:
    counts = np.histogram(values, edges)[0]
    return tuple(
        Bin(low=low, high=high, count=count)
        for low, high, count in zip(
            edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True
        )
    )


def _summary(values: np.ndarray, bins: tuple[Bin, ...]) -> Spread:
    return Spread(
        min=float(values.min()),
        median=float(np.median(values)),
        mean=float(values.mean()),
        p90=float(np.quantile(values, 0.9)),
        max=float(values.max()),
        bins=bins,
    )
