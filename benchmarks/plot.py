"""Charts as files that any browser opens: logarithmic lines, and dots by name."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmgnn_jax.evaluation.report.markup import Markup, element
from llmgnn_jax.evaluation.report.numbers import tick, ticks

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 230, 40, 48
_COLORS = ("#1b6ca8", "#c8553d", "#3c8d2f", "#8a5aa8", "#b8860b", "#4a4a4a")
_FONT = "12px system-ui, sans-serif"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A series of points (x, y), all above 0."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[float] = (),
) -> str:
    """The chart as an SVG document; each series is named at its last point.

    The axis of x counts in millions, unless `x_ticks` are the numbers to stand there.
    """
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    x_low, x_high = min(xs), max(max(xs), min(xs) * 1.01)
    y_low, y_high = min(ys) / 1.2, max(ys) * 1.2
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across = math.log(x / x_low) / math.log(x_high / x_low)
        up = math.log(y / y_low) / math.log(y_high / y_low)
        return (
            round(_LEFT + across * (right - _LEFT), 1),
            round(bottom - up * (bottom - _TOP), 1),
        )

    parts = [_text(_LEFT, 22, title, "start")]
    for y in _round_numbers(y_low, y_high):
        down = place(x_low, y)[1]
        parts.append(_rule(_LEFT, down, right, down))
        parts.append(_text(_LEFT - 8, down + 4, f"{y:g}", "end"))
    for x in x_ticks or _round_numbers(x_low, x_high):
        across = place(x, y_low)[0]
        told = f"{x:g}" if x_ticks else f"{x / 1e6:g} M"
        parts.append(_rule(across, bottom, across, bottom + 5))
        parts.append(_text(across, bottom + 19, told, "middle"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 8, x_label, "middle"))
    parts.append(_text(_LEFT, _TOP - 5, y_label, "start"))
    places = [[place(x, y) for x, y in line.points] for line in lines]
    for line, where, color, label in zip(
        lines, places, _colors(len(lines)), _apart(places), strict=True
    ):
        parts.append(
            element(
                "polyline",
                points=" ".join(f"{across},{down}" for across, down in where),
                fill="none",
                stroke=color,
                stroke_width=2,
                stroke_dasharray="6 4" if line.dashed else None,
            )
        )
        parts += _dots(where, color)
        parts.append(_text(right + 10, label, line.name, "start", color))
    return _drawing(title, parts)


def columns(
    names: Sequence[str],
    levels: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    y_label: str,
) -> str:
    """An SVG document: a column for each name, in it a dot for each level.

    Args:
        names: From left to right.
        levels: Level -> name -> value, on a linear axis; a name may be missing.
        title: Over it.
        y_label: Of the values.
    """
    values = [value for level in levels.values() for value in level.values()]
    lines, step = ticks(min(values), max(values))
    low, high = lines[0], lines[-1]
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def height(value: float) -> float:
        return round(bottom - (value - low) / (high - low) * (bottom - _TOP), 1)

    across = {
        name: round(_LEFT + (number + 0.5) / len(names) * (right - _LEFT), 1)
        for number, name in enumerate(names)
    }
    parts = [_text(_LEFT, 22, title, "start"), _text(_LEFT, _TOP - 5, y_label, "start")]
    for value in lines:
        parts.append(_rule(_LEFT, height(value), right, height(value)))
        parts.append(_text(_LEFT - 8, height(value) + 4, tick(value, step), "end"))
    for name in names:
        parts.append(_text(across[name], bottom + 19, name, "middle"))
    places = [
        [(across[name], height(level[name])) for name in names if name in level]
        for level in levels.values()
    ]
    for name, where, color, label in zip(
        levels, places, _colors(len(levels)), _apart(places), strict=True
    ):
        parts += _dots(where, color)
        parts.append(_text(right + 10, label, name, "start", color))
    return _drawing(title, parts)


def _colors(number: int) -> list[str]:
    return [_COLORS[place % len(_COLORS)] for place in range(number)]


def _apart(places: Sequence[Sequence[tuple[float, float]]]) -> list[float]:
    """How far down each series is named: at its last point, but apart from others."""
    found = [0.0] * len(places)
    label = -math.inf
    for number in sorted(range(len(places)), key=lambda n: places[n][-1][1]):
        label = max(places[number][-1][1] + 4, label + 16)
        found[number] = label
    return found


def _dots(where: Sequence[tuple[float, float]], color: str) -> list[Markup]:
    return [
        element("circle", cx=across, cy=down, r=3, fill=color) for across, down in where
    ]


def _drawing(title: str, parts: Sequence[Markup]) -> str:
    return element(
        "svg",
        element("rect", width=_WIDTH, height=_HEIGHT, fill="white"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=title,
    )


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten in a range."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers = [digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]
    return [number for number in numbers if low * 0.999 <= number <= high * 1.001]


def _rule(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke="#ccc")


def _text(x: float, y: float, text: str, anchor: str, color: str = "#222") -> Markup:
    return element(
        "text",
        text,
        x=round(x, 1),
        y=round(y, 1),
        text_anchor=anchor,
        fill=color,
        style=f"font: {_FONT}",
    )
