"""Charts as files that any browser opens: lines, dots by name, bars about 1, roofs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from llmgnn_jax.evaluation.report.markup import Markup, element
from llmgnn_jax.evaluation.report.numbers import tick, ticks

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 230, 40, 48
_COLORS = ("#1b6ca8", "#c8553d", "#3c8d2f", "#8a5aa8", "#b8860b", "#4a4a4a")
_FONT = "12px system-ui, sans-serif"
# Pixels of a character in it, rounded up.
_CHARACTER = 7


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
    The drawing is as wide as the names need it to be.
    """
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    x_low, x_high = min(xs), max(max(xs), min(xs) * 1.01)
    y_low, y_high = min(ys) / 1.2, max(ys) * 1.2
    place, parts = _axes(
        (x_low, x_high),
        (y_low, y_high),
        x_ticks={
            x: f"{x:g}" if x_ticks else f"{x / 1e6:g} M"
            for x in x_ticks or _round_numbers(x_low, x_high)
        },
        y_ticks={y: f"{y:g}" for y in _round_numbers(y_low, y_high)},
        title=title,
        x_label=x_label,
        y_label=y_label,
    )
    right = _WIDTH - _RIGHT
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
    names = max(len(line.name) for line in lines) * _CHARACTER + 20
    return _drawing(title, parts, width=max(_WIDTH, right + names))


def bars(ratios: Sequence[tuple[str, float]], *, title: str, x_label: str) -> str:
    """An SVG document: a horizontal bar for each ratio, from 1 on a logarithmic axis.

    Args:
        ratios: Name and ratio, above 0, from top to bottom.
        title: Over it.
        x_label: Of the ratios.
    """
    row, plot = 20, 420
    y_width = max(len(name) for name, _ in ratios) * _CHARACTER + 20
    low = min(0.5, *(ratio / 1.1 for _, ratio in ratios))
    high = max(2.0, *(ratio * 1.1 for _, ratio in ratios))
    bottom = _TOP + row * len(ratios)

    def place(ratio: float) -> float:
        share = math.log(ratio / low) / math.log(high / low)
        return round(y_width + share * plot, 1)

    parts = [_text(10, 22, title, "start")]
    for ratio in _round_numbers(low, high):
        parts.append(_rule(place(ratio), _TOP, place(ratio), bottom))
        parts.append(_text(place(ratio), bottom + 17, f"{ratio:g}", "middle"))
    for number, (name, ratio) in enumerate(ratios):
        middle = _TOP + row * (number + 0.5)
        start, end = sorted((place(1.0), place(ratio)))
        parts.append(
            element(
                "rect",
                x=start,
                y=middle - 6,
                width=round(end - start, 1),
                height=12,
                fill=_COLORS[0] if ratio >= 1 else _COLORS[1],
            )
        )
        parts.append(_text(y_width - 10, middle + 4, name, "end"))
        parts.append(_text(end + 5, middle + 4, f"{ratio:.2f}", "start"))
    parts.append(_rule(place(1.0), _TOP, place(1.0), bottom, color="#222"))
    parts.append(_text(y_width + plot / 2, bottom + 36, x_label, "middle"))
    return _drawing(title, parts, width=y_width + plot + 50, height=bottom + 48)


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What no dot should be above: a level of y, or a slope of y by x."""

    name: str
    level: float = math.inf
    slope: float = math.inf


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A point by its number; those of one name have one number and color.

    Attributes:
        name: In the list beside the drawing.
        said: Shown where the pointer rests on it.
        x: Above 0.
        y: Above 0.
        filled: Whether it is a disk, or a ring.
    """

    name: str
    said: str
    x: float
    y: float
    filled: bool


def roofs(
    ceilings: Sequence[Ceiling],
    dots: Sequence[Dot],
    *,
    title: str,
    x_label: str,
    y_label: str,
) -> str:
    """An SVG document: dots below ceilings on logarithmic axes, y in thousand millions.

    A sloped ceiling ends where it meets the highest level, a level begins where it
    meets the steepest slope.
    """
    steepest = max(one.slope for one in ceilings if one.slope < math.inf)
    highest = max(one.level for one in ceilings if one.level < math.inf)
    x_low = min(dot.x for dot in dots) / 2
    x_high = max(2 * highest / steepest, *(2 * dot.x for dot in dots))
    y_low = min(*(dot.y for dot in dots), x_low * steepest) / 2
    y_high = 2 * max(highest, *(dot.y for dot in dots))
    place, parts = _axes(
        (x_low, x_high),
        (y_low, y_high),
        x_ticks={x: f"{x:g}" for x in _powers_of_ten(x_low, x_high)},
        y_ticks={y: f"{y / 1e9:g}" for y in _powers_of_ten(y_low, y_high)},
        title=title,
        x_label=x_label,
        y_label=y_label,
    )
    right = _WIDTH - _RIGHT
    for one in ceilings:
        if one.level < math.inf:
            ends = (one.level / steepest, one.level), (x_high, one.level)
        else:
            first = max(x_low, y_low / one.slope)
            ends = (first, first * one.slope), (highest / one.slope, highest)
        (x1, y1), (x2, y2) = (place(*end) for end in ends)
        parts.append(_rule(x1, y1, min(x2, right), y2, color="#222"))
        if one.level < math.inf:
            parts.append(_text(right, y2 - 4, one.name, "end"))
        else:
            parts.append(_text(x1 + 4, y1 - 12, one.name, "start"))
    names = list(dict.fromkeys(dot.name for dot in dots))
    colors = dict(zip(names, _colors(len(names)), strict=True))
    for dot in dots:
        across, down = place(dot.x, dot.y)
        color = colors[dot.name]
        parts.append(
            element(
                "circle",
                element("title", f"{dot.name}: {dot.said}, {dot.y / 1e9:,.3g}"),
                cx=across,
                cy=down,
                r=4,
                fill=color if dot.filled else "white",
                stroke=color,
            )
        )
        if dot.filled:
            number = str(names.index(dot.name) + 1)
            parts.append(_text(across + 7, down + 4, number, "start", color))
    legend = ["disk: ours, ring: the strongest peer"]
    legend += [f"{number} {name}" for number, name in enumerate(names, 1)]
    for number, name in enumerate(legend):
        color = colors[names[number - 1]] if number else "#222"
        parts.append(_text(right + 10, _TOP + 16 * number, name, "start", color))
    wide = right + max(len(name) for name in legend) * _CHARACTER + 20
    tall = max(_HEIGHT, _TOP + 16 * len(legend) + 8)
    return _drawing(title, parts, width=max(_WIDTH, wide), height=tall)


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


def _axes(
    xs: tuple[float, float],
    ys: tuple[float, float],
    *,
    x_ticks: Mapping[float, str],
    y_ticks: Mapping[float, str],
    title: str,
    x_label: str,
    y_label: str,
) -> tuple[Callable[[float, float], tuple[float, float]], list[str]]:
    """Logarithmic axes: where a point lies in the drawing, and what they look like."""
    (x_low, x_high), (y_low, y_high) = xs, ys
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across = math.log(x / x_low) / math.log(x_high / x_low)
        up = math.log(y / y_low) / math.log(y_high / y_low)
        return (
            round(_LEFT + across * (right - _LEFT), 1),
            round(bottom - up * (bottom - _TOP), 1),
        )

    parts = [_text(_LEFT, 22, title, "start")]
    for y, told in y_ticks.items():
        down = place(x_low, y)[1]
        parts.append(_rule(_LEFT, down, right, down))
        parts.append(_text(_LEFT - 8, down + 4, told, "end"))
    for x, told in x_ticks.items():
        across = place(x, y_low)[0]
        parts.append(_rule(across, bottom, across, bottom + 5))
        parts.append(_text(across, bottom + 19, told, "middle"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 8, x_label, "middle"))
    parts.append(_text(_LEFT, _TOP - 5, y_label, "start"))
    return place, parts


def _drawing(
    title: str, parts: Sequence[Markup], *, width: int = _WIDTH, height: int = _HEIGHT
) -> str:
    return element(
        "svg",
        element("rect", width=width, height=height, fill="white"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=title,
    )


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten in a range."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers = [digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]
    return [number for number in numbers if low * 0.999 <= number <= high * 1.001]


def _powers_of_ten(low: float, high: float) -> list[float]:
    exponents = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    return [10.0**exponent for exponent in exponents]


def _rule(x1: float, y1: float, x2: float, y2: float, *, color: str = "#ccc") -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=color)


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
