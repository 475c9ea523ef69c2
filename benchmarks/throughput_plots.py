"""Documents of throughput as pictures: ratios of all of them, and curves by size."""

import re
from collections.abc import Sequence

from benchmarks.plot import Line, bars, chart
from benchmarks.ratios import Document, Row, compared, device_of, name_of
from benchmarks.throughput_tables import Result

# One number, whatever stands around it: "10,000 items", "1.6 M edges", "batch 64".
_SIZE = re.compile(r"([^\d]*)(\d[\d,]*(?:\.\d+)?)( ?[kM]\b)?([^\d]*)")
_FACTORS = {"": 1, "k": 1e3, "M": 1e6}
# Below it numbers stand on the axis as they are, above it in millions.
_SMALL = 20_000


def ratio_bars(results: Sequence[Result]) -> str:
    """Our best row beside the strongest peer, a bar for each size and precision."""
    ratios = [
        (
            f"{result.title}: {group.size}, {group.precision} "
            f"({device_of(result.document).split(',')[0]})",
            pair.ratio,
        )
        for result in results
        for group, pair in compared(result.document)
    ]
    return bars(
        ratios,
        title="How many times faster ours is than the strongest peer",
        x_label="ratio; below 1 we lose",
    )


def curves(document: Document, *, medians: bool = True) -> dict[str, str]:
    """Charts by size, where a document has sizes that differ in one number alone.

    Args:
        document: Of a benchmark.
        medians: Whether they are drawn; peak memory always is.

    Returns:
        What is shown ("items, float32, peak MB") -> SVG document. Rows with the default
        allocator alone are drawn.
    """
    found: dict[tuple[str, str, str], dict[float, Sequence[Row]]] = {}
    for group, _ in compared(document):
        parsed = number_of(group.size)
        if parsed is not None:
            words, number = parsed
            found.setdefault((words, group.precision, group.unit), {})[number] = (
                group.rows
            )
    charts = {}
    for (words, precision, unit), rows_of in found.items():
        if len(rows_of) < 2:
            continue
        shown_keys = [("peak MB", "peak_mb")]
        if medians:
            shown_keys.insert(0, (unit, "median"))
        for shown, key in shown_keys:
            lines = _lines(rows_of, key)
            if lines:
                charts[f"{words}, {precision}, {shown}"] = chart(
                    lines,
                    title=f"{document['name']}, {precision}, {device_of(document)}",
                    x_label=words,
                    y_label=shown,
                    x_ticks=sorted(rows_of) if max(rows_of) < _SMALL else (),
                )
    return charts


def number_of(size: str) -> tuple[str, float] | None:
    """The words and the number of a size: "2 M edges" is ("edges", 2e6)."""
    match = _SIZE.fullmatch(size)
    if match is None:
        return None
    before, digits, factor, after = match.groups()
    number = float(digits.replace(",", "")) * _FACTORS[(factor or "").strip()]
    return " ".join(f"{before} {after}".split()), number


def _lines(rows_of: dict[float, Sequence[Row]], key: str) -> list[Line]:
    points: dict[str, list[tuple[float, float]]] = {}
    for number in sorted(rows_of):
        for row in rows_of[number]:
            # The axis is logarithmic; of a run that holds next to nothing a peak is 0.
            if "tuned malloc" not in row["variant"] and row[key] > 0:
                points.setdefault(name_of(row), []).append((number, row[key]))
    return [Line(name=name, points=where) for name, where in points.items()]
