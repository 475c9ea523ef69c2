"""Two pictures as SVG, for Jupyter and for pages: a graph, and vectors in a plane."""

from collections.abc import Sequence
from html import escape

import numpy as np

COLORS = ("#0b7285", "#c2410c", "#6741d9", "#2b8a3e", "#495057")


class Picture(str):
    """SVG as text, which Jupyter draws."""

    def _repr_svg_(self) -> str:
        return str(self)


def picture(width: int, height: int, parts: Sequence[str]) -> Picture:
    """Parts put on white."""
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" font-family="sans-serif" font-size="13">'
    )
    paper = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    return Picture("\n".join((start, paper, *parts, "</svg>\n")))


def label(x: float, y: float, text: str, *, anchor: str = "middle") -> str:
    """Words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def dot(x: float, y: float, color: str, *, radius: float) -> str:
    """A filled circle."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{color}"/>'


def draw_graph(
    edges: Sequence[tuple[str, str]], *, notes: dict[str, str] | None = None
) -> Picture:
    """Users at the left, items at the right, a line for each pair.

    Args:
        edges: (user, item).
        notes: Node -> what stands beside it.
    """
    columns = [list(dict.fromkeys(ends)) for ends in zip(*edges, strict=True)]
    height = 64 * max(map(len, columns)) + 16
    place = {}
    for x, names in zip((150, 350), columns, strict=True):
        for row, name in enumerate(sorted(names)):
            place[name] = (x, height * (row + 0.5) / len(names))
    parts = []
    for user, item in edges:
        (x1, y1), (x2, y2) = place[user], place[item]
        ends = f'x1="{x1}" y1="{y1:.1f}" x2="{x2}" y2="{y2:.1f}"'
        parts.append(f'<line {ends} stroke="#adb5bd" stroke-width="2"/>')
    for name, (x, y) in place.items():
        right = x > 250
        parts.append(dot(x, y, COLORS[right], radius=20))
        parts.append(f'<g fill="#ffffff">{label(x, y + 4.5, name)}</g>')
        note = (notes or {}).get(name, "")
        if note:
            side = (x + 28, "start") if right else (x - 28, "end")
            parts.append(label(side[0], y + 4.5, note, anchor=side[1]))
    return picture(500, height, parts)


def in_a_plane(vectors: np.ndarray) -> np.ndarray:
    """(N, D) -> (N, 2): the two directions in which they differ most, within [0, 1]."""
    centred = vectors - vectors.mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:2]
    # Of a direction and its opposite, the one whose largest coordinate is positive.
    largest = np.abs(directions).argmax(axis=1)
    directions *= np.sign(directions[np.arange(2), largest])[:, None]
    flat = centred @ directions.T
    return (flat - flat.min(axis=0)) / np.maximum(np.ptp(flat, axis=0), 1e-12)


def draw_vectors(
    panels: dict[str, np.ndarray], names: Sequence[str], groups: Sequence[int]
) -> Picture:
    """The same things' vectors, once a panel, coloured by group.

    Args:
        panels: Title -> (N, D).
        names: N; "" is a small dot without a name.
        groups: N colours.
    """
    size, parts = 300, []
    for number, (title, vectors) in enumerate(panels.items()):
        left = number * (size + 20)
        parts.append(label(left + size / 2 + 10, 20, title))
        frame = f'x="{left + 10}" y="30" width="{size}" height="{size}"'
        parts.append(f'<rect {frame} fill="none" stroke="#ced4da"/>')
        for (x, y), name, group in zip(in_a_plane(vectors), names, groups, strict=True):
            across = left + 30 + x * (size - 50)
            down = 50 + (1 - y) * (size - 40)
            color = COLORS[group]
            parts.append(dot(across, down, color, radius=4.5 if name else 2.5))
            if name:
                words = label(across + 6, down - 5, name, anchor="start")
                parts.append(f'<g fill="{color}">{words}</g>')
    return picture(len(panels) * (size + 20), size + 40, parts)
