"""A neighbourhood of users, items and entities as an SVG document of its own."""

import math
from collections.abc import Sequence

from llmgnn_jax.data.describe.neighbourhood import Edge, Neighbourhood, Node
from llmgnn_jax.evaluation.report.markup import Markup, element

_RING = 175
_MARGIN = 150
_LEGEND = 250
_TOP = 46
_COLORS = {"user": "#1b6ca8", "item": "#c8553d"}
_ENTITIES = (
    *("#b8860b", "#8a5aa8", "#4a4a4a", "#1b6ca8", "#c8553d", "#3c8d2f", "#0b8a8a"),
)
_RELATIONS = ("#3c8d2f", "#8a5aa8", "#b8860b", "#0b8a8a", "#a83279")
_INTERACTION = "#b9c4cc"
_RADIUS = {"user": 6, "item": 8}
_LONGEST = 26


def network(picture: Neighbourhood) -> str:
    """The document: edges, nodes, their labels, a legend; needs no network."""
    rings = max(math.hypot(node.x, node.y) for node in picture.nodes)
    half = rings * _RING + _MARGIN
    width, height = round(2 * half + _LEGEND), round(2 * half + _TOP)
    kinds = list(dict.fromkeys(node.kind for node in picture.nodes))
    entities = [kind for kind in kinds if kind not in _COLORS]
    colors = _COLORS | _in_turn(entities, _ENTITIES)
    names = list(dict.fromkeys(edge.relation for edge in picture.edges))
    lines = {"": _INTERACTION}
    lines |= _in_turn([name for name in names if name], _RELATIONS)
    places = [
        (round(half + node.x * _RING, 1), round(_TOP + half + node.y * _RING, 1))
        for node in picture.nodes
    ]
    parts = [_edge(edge, places, lines[edge.relation]) for edge in picture.edges]
    for number, (node, place) in enumerate(zip(picture.nodes, places, strict=True)):
        parts += _node(node, place, colors[node.kind], middle=number == 0)
    parts += _legend(picture, kinds, names, colors, lines, left=2 * half)
    return element(
        "svg",
        element("rect", width=width, height=height, fill="white"),
        _text(16, 28, picture.title, "start", size=15),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_label=picture.title,
    )


def _in_turn(names: Sequence[str], colors: Sequence[str]) -> dict[str, str]:
    return {name: colors[at % len(colors)] for at, name in enumerate(names)}


def _edge(edge: Edge, places: Sequence[tuple[float, float]], color: str) -> Markup:
    (x1, y1), (x2, y2) = (places[end] for end in edge.ends)
    line = element(
        "line",
        element("title", edge.relation or "interaction"),
        x1=x1,
        y1=y1,
        x2=x2,
        y2=y2,
        stroke=color,
        stroke_width=2 if edge.relation else 1,
    )
    if not edge.directed:
        return line
    length = math.hypot(x2 - x1, y2 - y1) or 1.0
    # Short of the node that it leads to.
    across, down = (x2 - x1) / length, (y2 - y1) / length
    tip = x2 - 9 * across, y2 - 9 * down
    corners = [
        tip,
        (tip[0] - 8 * across - 4 * down, tip[1] - 8 * down + 4 * across),
        (tip[0] - 8 * across + 4 * down, tip[1] - 8 * down - 4 * across),
    ]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return element("g", line, element("polygon", points=points, fill=color))


def _node(
    node: Node, place: tuple[float, float], color: str, *, middle: bool
) -> list[Markup]:
    x, y = place
    radius = 10 if middle else _RADIUS.get(node.kind, 6)
    shape = element(
        "circle",
        element("title", f"{node.kind}: {node.label}"),
        cx=x,
        cy=y,
        r=radius,
        fill=color,
        stroke="#222" if middle else "white",
        stroke_width=2,
    )
    right = node.x >= 0
    label = _text(
        x + (radius + 4) * (1 if right else -1),
        y + 4,
        _short(node.label),
        "start" if right else "end",
        size=10 if node.kind == "user" and not middle else 12,
    )
    return [shape, label]


def _legend(
    picture: Neighbourhood,
    kinds: Sequence[str],
    names: Sequence[str],
    colors: dict[str, str],
    lines: dict[str, str],
    *,
    left: float,
) -> list[Markup]:
    parts = []
    down = float(_TOP + 20)
    for kind in kinds:
        parts.append(element("circle", cx=left + 12, cy=down, r=6, fill=colors[kind]))
        more = picture.left_out.get(kind, 0)
        told = f"{kind} ({more:,} more not drawn)" if more else kind
        parts.append(_text(left + 28, down + 4, told, "start"))
        down += 22
    for name in names:
        parts.append(
            element(
                "line",
                x1=left,
                y1=down,
                x2=left + 22,
                y2=down,
                stroke=lines[name],
                stroke_width=3,
            )
        )
        told = _short(name) if name else "interaction"
        parts.append(_text(left + 28, down + 4, told, "start"))
        down += 22
    return parts


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _text(x: float, y: float, text: str, anchor: str, *, size: int = 12) -> Markup:
    return element(
        "text",
        text,
        x=round(x, 1),
        y=round(y, 1),
        text_anchor=anchor,
        fill="#222",
        # A halo: words stay readable on lines.
        stroke="white",
        stroke_width=3,
        paint_order="stroke",
        font_family="system-ui, sans-serif",
        font_size=size,
    )
