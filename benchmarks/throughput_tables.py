"""Documents of throughput in Markdown: rows beside our best, the strongest peers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.harness.report import figure
from benchmarks.ratios import (
    Document,
    Group,
    Pair,
    Row,
    compared,
    device_of,
    name_of,
    pairs,
    strongest,
)

# Key of a row's notes -> its column, and how a value is shown.
_NOTES = {
    "padding": ("padding", ".1%"),
    "cosine_to_float32": ("cosine", ".5f"),
    "mfu": ("MFU", ".1%"),
    "gb_per_s": ("GB/s", ",.0f"),
    "of_copy": ("of copy", ".0%"),
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """A document and the file that it lies in.

    Attributes:
        file: Its name, with `.json`.
        document: What `benchmarks.harness.report` made.
    """

    file: str
    document: Document

    @property
    def name(self) -> str:
        """Of the benchmark; several documents may have it."""
        return str(self.document["name"])

    @property
    def title(self) -> str:
        """What tells it from other documents of the benchmark."""
        return self.file.removesuffix(".json")


def rows_table(group: Group) -> str:
    """All rows, the fastest first; each peer's with the ratio of our best row to it."""
    ratios = {name_of(pair.peer): pair.ratio for pair in pairs(group)}
    notes = [
        key for key in _NOTES if any(_note(row, key) is not None for row in group.rows)
    ]
    has_p99 = any("p99" in row for row in group.rows)
    header = ["system", group.unit, "p10-p90"]
    header += ["p99"] * has_p99
    header += ["peak MB", "compile s"]
    header += ["ours is faster by"] if ratios else []
    header += [_NOTES[key][0] for key in notes]
    lines = [_line(header), "|---|" + "---:|" * (len(header) - 1)]
    for row in group.rows:
        cells = [
            name_of(row),
            figure(row["median"]),
            f"{figure(row['p10'])}-{figure(row['p90'])}",
            *([figure(row["p99"]) if "p99" in row else ""] if has_p99 else []),
            f"{row['peak_mb']:,.0f}",
            f"{row['compile_s']:.2f}",
        ]
        if ratios:
            cells.append(ratio_cell(ratios.get(name_of(row))))
        for key in notes:
            value = _note(row, key)
            cells.append("" if value is None else format(value, _NOTES[key][1]))
        lines.append(_line(cells))
    return "\n".join(lines)


def strongest_line(group: Group) -> str:
    """A sentence; empty where nothing is compared."""
    pair = strongest(group)
    if pair is None:
        return ""
    return (
        f"Strongest peer: {name_of(pair.peer)}, {measured(pair.peer)}; ours, "
        f"{pair.ours['variant']}, {measured(pair.ours)}: {ratio_cell(pair.ratio)} "
        "times as fast."
    )


def summary_table(results: Sequence[Result], links: Mapping[str, str]) -> str:
    """Our best row and the strongest peer, a line for each size and precision.

    Args:
        results: In the order of the lines.
        links: Name of a benchmark -> anchor of its section.
    """
    lines = [
        "| benchmark | size, precision | ours | strongest peer | ratio | device |",
        "|---|---|---:|---|---:|---|",
    ]
    for result in results:
        for group, pair in compared(result.document):
            cells = [
                f"[{result.title}](#{links[result.name]})",
                f"{group.size}, {group.precision}",
                measured(pair.ours),
                f"{name_of(pair.peer)}, {measured(pair.peer)}",
                ratio_cell(pair.ratio),
                device_of(result.document),
            ]
            lines.append(_line(cells))
    return "\n".join(lines)


def range_table(results: Sequence[Result]) -> str:
    """Of each benchmark and device the lowest and the highest of the ratios.

    Each is to the strongest peer of a size and precision; bold where we lose.
    """
    found: dict[tuple[str, str], list[tuple[Group, Pair]]] = {}
    for result in results:
        key = (result.name, device_of(result.document))
        found.setdefault(key, []).extend(compared(result.document))
    lines = [
        "| benchmark | device | compared | lowest ratio, and where | highest |",
        "|---|---|---:|---|---:|",
    ]
    for (name, device), all_pairs in found.items():
        if not all_pairs:
            continue
        ordered = sorted(all_pairs, key=lambda one: one[1].ratio)
        (group, worst), (_, best) = ordered[0], ordered[-1]
        cells = [
            name,
            device,
            str(len(ordered)),
            f"{ratio_cell(worst.ratio)} ({group.size}, {group.precision})",
            ratio_cell(best.ratio),
        ]
        lines.append(_line(cells))
    return "\n".join(lines)


def measured(row: Row) -> str:
    """A median with its unit."""
    return f"{figure(row['median'])} {row['unit']}"


def ratio_cell(ratio: float | None) -> str:
    """Bold where we lose; empty where there is none."""
    if ratio is None:
        return ""
    told = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"
    return f"**{told}**" if ratio < 1 else told


def _note(row: Row, key: str) -> Any:
    return row.get("notes", {}).get(key)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
