"""One line chart as inline SVG: axes, curves, and horizontal reference lines.

Sizes are in units of the view box, drawn about one to one on a screen of any width: the
page puts two charts side by side on a desktop and one on a phone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from llmgnn_jax.evaluation.report.markup import Markup, element
from llmgnn_jax.evaluation.report.numbers import tick, ticks

_WIDTH, _HEIGHT = 440, 270
_LEFT, _TOP, _BOTTOM = 46, 12, 38
_RIGHT, _RIGHT_LABELLED = 18, 78
_LABEL_GAP = 13
_MAX_POINTS = 400
_MAX_DOTS = 40

Place = Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One series. `color` is the number of a colour of the page's style."""

    name: str
    color: int
    points: Sequence[tuple[float, float]]


def line_chart(
    curves: Sequence[Curve],
    *,
    title: str,
    x_label: str,
    references: Mapping[str, float] | None = None,
) -> Markup:
    """The chart with its title and legend; nothing where no curve has a point.

    Args:
        curves: Points (x, y), sorted by x, all finite.
        title: Says what y is.
        x_label: Under the x axis.
        references: Name -> y of dashed horizontal lines, named at the right.
    """
    curves = [curve for curve in curves if curve.points]
    if not curves:
        return Markup()
    references = dict(references or {})
    ys = [y for curve in curves for _, y in curve.points] + list(references.values())
    xs = [x for curve in curves for x, _ in curve.points]
    y_ticks, y_step = ticks(min(ys), max(ys))
    x_ticks, x_step = ticks(min(0.0, *xs), max(xs))
    x_ticks = [x for x in x_ticks if x <= max(xs) * (1 + 1e-9)]
    right = _WIDTH - (_RIGHT_LABELLED if references else _RIGHT)
    x_low, x_high = min(0.0, *xs), max(max(xs), 1.0)
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (x - x_low) / (x_high - x_low) * (right - _LEFT)
        down = _TOP + (y_high - y) / (y_high - y_low) * (_HEIGHT - _BOTTOM - _TOP)
        return round(across, 1), round(down, 1)

    bottom = _HEIGHT - _BOTTOM
    parts: list[Markup] = []
    for y in y_ticks:
        down = place(x_low, y)[1]
        parts.append(_line(_LEFT, down, right, down, "grid" if y != y_low else "axis"))
        parts.append(_text(_LEFT - 7, down + 3.5, tick(y, y_step), "end"))
    for x in x_ticks:
        across = place(x, y_low)[0]
        parts.append(_line(across, bottom, across, bottom + 4, "axis"))
        parts.append(_text(across, bottom + 17, tick(x, x_step), "middle"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 4, x_label, "middle"))
    parts.extend(_references(references, place, x_low, right))
    parts.extend(_curve(curve, place) for curve in curves)
    drawing = element(
        "svg",
        *parts,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=_summary(title, curves),
    )
    legend = element(
        "p",
        *(element("span", c.name, class_=f"key s{c.color}") for c in curves),
        class_="legend",
    )
    return element(
        "figure", element("figcaption", title), legend, drawing, class_="chart"
    )


def _curve(curve: Curve, place: Place) -> Markup:
    points = list(curve.points)
    stride = -(-len(points) // _MAX_POINTS)
    # The last point counts most: the stride is laid from the end.
    kept = points[::-1][::stride][::-1]
    where = [place(x, y) for x, y in kept]
    line = element(
        "polyline", points=" ".join(f"{x},{y}" for x, y in where), class_="curve"
    )
    dots = [
        element(
            "circle",
            element("title", f"{curve.name}: {y:.4g} at {x:g}"),
            cx=across,
            cy=down,
            r=2.6,
        )
        for (x, y), (across, down) in zip(kept, where, strict=True)
        if len(kept) <= _MAX_DOTS
    ]
    return element("g", line, *dots, class_=f"s{curve.color}")


def _references(
    references: Mapping[str, float], place: Place, x_low: float, right: float
) -> list[Markup]:
    """Dashed lines, their names pushed apart where they would overlap."""
    parts = []
    previous = -float(_LABEL_GAP)
    for name, y in sorted(references.items(), key=lambda pair: -pair[1]):
        down = place(x_low, y)[1]
        label = max(down + 3.5, previous + _LABEL_GAP)
        previous = label
        parts.append(_line(_LEFT, down, right, down, "reference"))
        parts.append(_text(right + 6, label, name, "start"))
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return element("text", text, x=round(x, 1), y=round(y, 1), text_anchor=anchor)


def _summary(title: str, curves: Sequence[Curve]) -> str:
    """What the picture shows, for those who do not see it."""
    ends = "; ".join(f"{c.name} ends at {c.points[-1][1]:.4g}" for c in curves)
    return f"{title}: {ends}"
