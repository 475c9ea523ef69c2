"""Our rows of a benchmark's document beside the peers', like allocator with like.

A ratio is how many times faster the best of our rows is than a row of a peer; below 1
we are slower. Only rows of one size, one precision and one unit are compared. A row
with the allocator that keeps what is freed ("tuned malloc") is compared with those of
ours that have it too, where there are any, and all others with those that have not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.harness.system import OURS

Row = Mapping[str, Any]
Document = Mapping[str, Any]
_TUNED = "tuned malloc"


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rows of a document that may be compared.

    Attributes:
        size: Of their inputs.
        precision: Of what is computed.
        unit: Of their medians: "ms", or units a second.
        rows: As the document has them, the fastest first.
    """

    size: str
    precision: str
    unit: str
    rows: tuple[Row, ...]

    @property
    def peers(self) -> tuple[Row, ...]:
        """Rows that are not ours, the fastest first."""
        return tuple(row for row in self.rows if row["system"] != OURS)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A row of a peer, the row of ours that it is compared with, and the ratio."""

    ours: Row
    peer: Row
    ratio: float


def groups(document: Document) -> list[Group]:
    """The groups, as their first rows come; rows without a median are left out."""
    timed = [row for row in document["rows"] if "median" in row]
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in timed:
        found.setdefault((row["size"], row["precision"], row["unit"]), []).append(row)
    return [
        Group(
            size=size,
            precision=precision,
            unit=unit,
            rows=tuple(sorted(rows, key=_cost)),
        )
        for (size, precision, unit), rows in found.items()
    ]


def name_of(row: Row) -> str:
    """System and variant: "pytorch CSR"."""
    return f"{row['system']} {row['variant']}"


def beside(group: Group, peer: Row) -> Pair | None:
    """A peer's row and our best of like allocator; None without rows of ours."""
    ours = [row for row in group.rows if row["system"] == OURS]
    like = [row for row in ours if _is_tuned(row) == _is_tuned(peer)] or ours
    if not like:
        return None
    return Pair(ours=like[0], peer=peer, ratio=_cost(peer) / _cost(like[0]))


def pairs(group: Group) -> list[Pair]:
    """Every peer's, the fastest peer first."""
    found = [beside(group, peer) for peer in group.peers]
    return [pair for pair in found if pair is not None]


def strongest(group: Group) -> Pair | None:
    """The fastest peer's; None where there is no peer, or no row of ours."""
    return next(iter(pairs(group)), None)


def compared(document: Document) -> list[tuple[Group, Pair]]:
    """Each group that has one with its strongest peer."""
    found: Sequence[tuple[Group, Pair | None]] = [
        (group, strongest(group)) for group in groups(document)
    ]
    return [(group, pair) for group, pair in found if pair is not None]


def device_of(document: Document) -> str:
    """The processor or accelerator in words: "Intel Xeon, 2 cores"."""
    device: str = document.get("device", "no device")
    cpu = document.get("environment", {}).get("cpu")
    if cpu and device.startswith("cpu"):
        return cpu.replace("(R)", "").replace(" Processor", "") + device[len("cpu") :]
    return device


def _is_tuned(row: Row) -> bool:
    return _TUNED in row["variant"]


def _cost(row: Row) -> float:
    """What grows with a row's slowness, in proportion to it."""
    median: float = row["median"]
    return median if row["unit"] == "ms" else 1 / median
