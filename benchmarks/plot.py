"""A line chart with two logarithmic axes, as a file that any browser opens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from llmgnn_jax.evaluation.report.markup import Markup, element

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
    ticks: Sequence[float] = (),
) -> str:
    """The chart as an SVG document; each series is named at its last point.

    The axis of x counts in millions, unless `ticks` are the numbers to stand there.
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
    for x in ticks or _round_numbers(x_low, x_high):
        across = place(x, y_low)[0]
        told = f"{x:g}" if ticks else f"{x / 1e6:g} M"
        parts.append(_rule(across, bottom, across, bottom + 5))
        parts.append(_text(across, bottom + 19, told, "middle"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 8, x_label, "middle"))
    parts.append(_text(_LEFT, _TOP - 5, y_label, "start"))
    ends = sorted(range(len(lines)), key=lambda n: place(*lines[n].points[-1])[1])
    label = -math.inf
    for number in ends:
        line, color = lines[number], _COLORS[number % len(_COLORS)]
        where = [place(x, y) for x, y in line.points]
        # Names are pushed apart where they would overlap.
        label = max(where[-1][1] + 4, label + 16)
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
        parts += [
            element("circle", cx=across, cy=down, r=3, fill=color)
            for across, down in where
        ]
        parts.append(_text(right + 10, label, line.name, "start", color))
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
