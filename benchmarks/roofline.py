"""FLOP/s by operational intensity, beside what the device can do at most.

Williams, Waterman and Patterson 2009, https://doi.org/10.1145/1498765.1498785. The
ceilings are measured (`benchmarks.ceilings`), the work of a row is the model's
(`benchmarks.work`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.ceilings import Ceilings
from benchmarks.plot import Ceiling, Dot, roofs
from benchmarks.ratios import Document, Row, compared, device_of, name_of
from benchmarks.throughput_tables import Result

CEILINGS = "ceilings"


@dataclass(frozen=True, kw_only=True)
class Achieved:
    """What a row did a second.

    Attributes:
        flops: Operations of the model a second.
        bytes: Bytes of the model a second.
    """

    flops: float
    bytes: float

    @classmethod
    def of(cls, row: Row) -> "Achieved | None":
        """None where the row does not say what its work was."""
        if "work" not in row:
            return None
        rate = 1e3 / row["median"] if row["unit"] == "ms" else row["median"]
        return cls(flops=rate * row["work"]["flops"], bytes=rate * row["work"]["bytes"])


def add_shares(document: dict[str, Any], ceilings: Ceilings) -> None:
    """Adds to the notes of each row what it reached, and its share of the ceilings."""
    for row in document["rows"]:
        achieved = Achieved.of(row)
        if achieved is None:
            continue
        notes = row.setdefault("notes", {})
        notes["tflop_per_s"] = achieved.flops / 1e12
        notes["gb_per_s"] = achieved.bytes / 1e9
        notes["of_copy"] = achieved.bytes / ceilings.copy
        notes["of_random_rows"] = achieved.bytes / ceilings.gather
        if highest := ceilings.flops.get(row["precision"]):
            notes["mfu"] = achieved.flops / highest


def rooflines(results: Sequence[Result]) -> dict[str, str]:
    """Device -> SVG document, of each that has ceilings and rows that name their work.

    Of each size our best row and that of the strongest peer are drawn.
    """
    found = {}
    for result in results:
        device = device_of(result.document)
        ceilings = None
        if result.name == CEILINGS:
            ceilings = Ceilings.of(result.document)
        if ceilings is None or device in found:
            continue
        dots = [
            dot
            for other in results
            if device_of(other.document) == device
            for dot in _dots(other.document)
        ]
        if dots:
            found[device] = _picture(ceilings, dots, device)
    return found


def _dots(document: Document) -> list[Dot]:
    dots = []
    for group, pair in compared(document):
        for row, is_ours in ((pair.ours, True), (pair.peer, False)):
            achieved = Achieved.of(row)
            if achieved is None:
                continue
            name = f"{document['name']}: {group.size}, {group.precision}"
            dots.append(
                Dot(
                    name=name,
                    said=name_of(row),
                    x=achieved.flops / achieved.bytes,
                    y=achieved.flops,
                    filled=is_ours,
                )
            )
    return dots


def _picture(ceilings: Ceilings, dots: Sequence[Dot], device: str) -> str:
    slopes: Mapping[str, float] = {
        "copy": ceilings.copy,
        "random rows": ceilings.gather,
    }
    return roofs(
        [
            *(
                Ceiling(name=f"{name}, {rate / 1e9:,.0f} GB/s", slope=rate)
                for name, rate in slopes.items()
            ),
            *(
                Ceiling(name=f"{precision}, {flops / 1e12:.3g} TFLOP/s", level=flops)
                for precision, flops in ceilings.flops.items()
            ),
        ],
        dots,
        title=f"Roofline, {device}",
        x_label="FLOP a byte, by the model",
        y_label="GFLOP/s",
    )
