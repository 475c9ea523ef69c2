"""What became of the parts of `accelerator`: a document, and a table of it."""

import dataclasses
import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.machine import Device
from benchmarks.ratios import Document


@dataclass(kw_only=True)
class Outcome:
    """What became of a part.

    Attributes:
        name: Of the benchmark.
        file: Its document; "" if it has none.
        seconds: That it took.
        skipped: Cases that were not run, with the reason.
        failed: Errors, a line each.
        left_out: What is never measured here, and why.
    """

    name: str
    file: str = ""
    seconds: float = 0.0
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left_out: str = ""


def summary(
    outcomes: Sequence[Outcome], device: Device, *, command: str, seconds: float
) -> dict[str, Any]:
    """What the parts took, skipped and left out, as a document without rows."""
    return {
        "name": "accelerator",
        "device": device.name,
        "kind": device.kind,
        "rows": [],
        "ratios": [],
        "sizes": {},
        "command": command,
        "date": datetime.date.today().isoformat(),
        "seconds": seconds,
        "parts": [dataclasses.asdict(outcome) for outcome in outcomes],
    }


def parts_table(document: Document) -> str:
    """Seconds of each part, what was skipped or failed, and what is left out."""
    lines = ["| part | s | skipped | failed | left out |", "|---|---:|---|---|---|"]
    for part in document["parts"]:
        told = ["; ".join(part[key]) for key in ("skipped", "failed")]
        cells = [part["name"], f"{part['seconds']:.0f}", *told, part["left_out"]]
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines)
