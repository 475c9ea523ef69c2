"""Integrated gradients along the straight line from nothing to all there is.

    f(1) - f(0) = sum over e of A_e,   A_e = integral from 0 to 1 of df/dm_e (a 1) da

Source: Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks" (2017).
"""

import heapq
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Slopes = Callable[[float], tuple[float, Sequence[np.ndarray]]]
"""a -> f(a 1), and groups of its derivatives by every multiplier there."""


class Integral(NamedTuple):
    """The attributions of all multipliers.

    Attributes:
        start: f(0).
        end: f(1).
        attributions: A, in the groups of the derivatives, float64.
        residual: end - start - the sum of all attributions.
        evaluations: How often the derivatives were computed.
    """

    start: float
    end: float
    attributions: list[np.ndarray]
    residual: float
    evaluations: int


class _Panel(NamedTuple):
    """A piece of the line, worst first in a heap."""

    minus_error: float
    first: float
    last: float
    values: tuple[float, float]
    sums: list[np.ndarray]
    error: float


def integrate(
    slopes: Slopes, *, nodes: int, tolerance: float, most_panels: int = 48
) -> Integral:
    """Gauss-Legendre on pieces of the line, halved where they are wrong.

    How wrong a piece is, is known: what its attributions should sum to is the
    difference of f at its ends. `nodes` are exact for an f that is a polynomial of
    degree 2 `nodes`.

    Args:
        slopes: The function and its derivatives.
        nodes: Of each piece.
        tolerance: Of the sum of all errors, as a share of |f(1)|.
        most_panels: No further pieces than that; what is wrong then is told.
    """
    evaluations = 0

    def at(place: float) -> tuple[float, Sequence[np.ndarray]]:
        nonlocal evaluations
        evaluations += 1
        return slopes(place)

    places, weights = np.polynomial.legendre.leggauss(nodes)

    def panel(first: float, last: float, values: tuple[float, float]) -> _Panel:
        half, sums = (last - first) / 2, []
        for place, weight in zip(places.tolist(), weights.tolist(), strict=True):
            _, groups = at(first + half * (1 + place))
            added = [half * weight * np.asarray(group, np.float64) for group in groups]
            sums = [
                sum(both)
                for both in zip(sums or [0.0] * len(added), added, strict=True)
            ]
        error = values[1] - values[0] - sum(float(group.sum()) for group in sums)
        return _Panel(-abs(error), first, last, values, sums, error)

    start, end = at(0.0)[0], at(1.0)[0]
    # Float32 cannot tell less than this from nothing.
    allowed = max(tolerance * abs(end), 1e-6 * max(abs(start), abs(end)))
    panels = [panel(0.0, 1.0, (start, end))]
    while -sum(one.minus_error for one in panels) > allowed:
        if len(panels) >= most_panels:
            break
        worst = heapq.heappop(panels)
        middle = (worst.first + worst.last) / 2
        value = at(middle)[0]
        for first, last, values in (
            (worst.first, middle, (worst.values[0], value)),
            (middle, worst.last, (value, worst.values[1])),
        ):
            heapq.heappush(panels, panel(first, last, values))
    return Integral(
        start=start,
        end=end,
        attributions=[
            np.sum(group, axis=0)
            for group in zip(*(one.sums for one in panels), strict=True)
        ],
        residual=sum(one.error for one in panels),
        evaluations=evaluations,
    )
