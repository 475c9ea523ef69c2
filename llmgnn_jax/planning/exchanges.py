"""What a compiled program exchanges between devices, read off its module."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from llmgnn_jax.parallel.fsdp import GATHER
from llmgnn_jax.planning.costs import Work

_BYTES = {
    "pred": 1,
    "s8": 1,
    "u8": 1,
    "s16": 2,
    "u16": 2,
    "f16": 2,
    "bf16": 2,
    "s32": 4,
    "u32": 4,
    "f32": 4,
    "s64": 8,
    "u64": 8,
    "f64": 8,
}
KINDS = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-permute",
    "reduce-scatter",
)
_ARRAY = re.compile(r"\b(" + "|".join(_BYTES) + r")\[([\d,]*)\]")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_OPERATION = re.compile(
    r" = (?P<shape>.+?) (?P<name>" + "|".join(KINDS) + r")(?P<start>-start)?\("
)
_CALLED = re.compile(
    r"(?:body|condition|to_apply|calls|true_computation|false_computation)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r"known_trip_count[^\d]*(\d+)")
# {{0,1},{2,3}}; [2,2]<=[4]; mesh['a'=2,'b'=2] {'b'}.
_LISTED = re.compile(r"replica_groups=\{\{([\d,]+)\}")
_COUNTED = re.compile(r"replica_groups=\[\d+,(\d+)\]<=")
_BY_AXES = re.compile(r"replica_groups=mesh\[([^\]]*)\] *\{([^}]*)\}")
_AXIS = re.compile(r"'(\w+)'=(\d+)")
_CONDITION = re.compile(r"condition=%?([\w.\-]+)")
_CONSTANT = re.compile(r"^\s*%?([\w.\-]+) = s32\[\]\S* constant\((\d+)\)")
_BELOW = re.compile(r"^\s*ROOT .* compare\((.*)\), direction=LT")
# A sum of which each device keeps a piece, where a TPU fuses the two.
_SUM_IN_PIECES = "all-reduce-scatter"
# One exchange while something is computed has three computations: its start, what goes
# on meanwhile and its end; the first is counted.
_ALREADY_BEGUN = ("async_collective_fusion", "async-collective-done")


@dataclass
class Collective:
    """One kind of exchange.

    Attributes:
        count: How often it happens in a step.
        bytes: What one device sends in a step.
        largest: Bytes of the largest result that is no parameter which was asked for.
    """

    count: int = 0
    bytes: float = 0.0
    largest: int = 0


@dataclass
class _Computation:
    lines: list[str] = field(default_factory=list)
    entry: bool = False


def collectives(
    hlo: str, *, devices: int, told: Work | None = None
) -> dict[str, Collective]:
    """What a compiled program exchanges: kind -> how much.

    A device sends of an all-gather among S (S - 1) / S of the result, of an all-reduce
    twice that (a ring of reduce-scatter and all-gather), of the others what they say
    less its own part.

    Args:
        hlo: The text of a compiled module: a loop whose length it does not tell counts
            once, as that of the steps is to.
        devices: Of the program; as many take part where it does not say which.
        told: What the traced program says of its `shard_map`s, whose loops have their
            lengths there (TPUs' modules do not tell): it is counted instead.
    """
    if devices == 1:
        return {}
    computations = _computations(hlo)
    counts = _how_often(computations)
    found = {kind: Collective() for kind in KINDS}
    if told is not None:
        for kind, (count, size) in told.exchanges.items():
            found[kind].count += round(count)
            found[kind].bytes += size * _share_sent(kind, devices)
    for name, computation in computations.items():
        for line in computation.lines:
            if not (match := _OPERATION.search(line)):
                continue
            kind, arrays = match["name"], list(_arrays(match["shape"]))
            # A start gives what goes in and what comes out.
            held = max(arrays, default=0) if match["start"] else sum(arrays)
            among = _among(line, devices)
            if kind == "all-reduce" and name.startswith(_SUM_IN_PIECES):
                kind, held = "reduce-scatter", held // among
            one = found[kind]
            if GATHER not in line or len(arrays) > 1 + bool(match["start"]):
                one.largest = max(one.largest, held)
            if told is not None and "/shard_map/" in line:
                continue
            one.count += counts[name]
            one.bytes += counts[name] * held * _share_sent(kind, among)
    return {kind: one for kind, one in found.items() if one.count}


def _share_sent(kind: str, among: int) -> float:
    """What one of several devices sends, in bytes of the result."""
    away = (among - 1) / among
    return {
        "all-gather": away,
        "all-reduce": 2 * away,
        "all-to-all": away,
        "collective-permute": 1.0,
        "reduce-scatter": among - 1.0,
    }[kind]


def _among(line: str, devices: int) -> int:
    """How many devices an exchange is among."""
    if groups := _LISTED.search(line):
        return groups[1].count(",") + 1
    if groups := _COUNTED.search(line):
        return int(groups[1])
    if groups := _BY_AXES.search(line):
        sizes = dict(_AXIS.findall(groups[1]))
        named = re.findall(r"'(\w+)'", groups[2])
        if named and all(name in sizes for name in named):
            return math.prod(int(sizes[name]) for name in named)
    return devices


def _arrays(shape: str) -> Iterator[int]:
    """Bytes of each array of a result."""
    for dtype, extents in _ARRAY.findall(shape):
        count = 1
        for extent in filter(None, extents.split(",")):
            count *= int(extent)
        yield count * _BYTES[dtype]


def _computations(hlo: str) -> dict[str, _Computation]:
    found: dict[str, _Computation] = {}
    current = _Computation()
    for line in hlo.splitlines():
        if match := _COMPUTATION.match(line):
            current = _Computation(entry=bool(match[1]))
            found[match[2]] = current
        else:
            current.lines.append(line)
    return found


def _how_often(computations: dict[str, _Computation]) -> dict[str, int]:
    """How often each computation runs in a step."""
    counts = dict.fromkeys(computations, 0)

    def run(name: str, times: int) -> None:
        if name not in computations:
            return
        counts[name] += times
        for line in computations[name].lines:
            trips = 1
            if " while(" in line:
                trips = _trips(line, computations)
            called = _CALLED.findall(line)
            for branches in _BRANCHES.findall(line):
                called += [one.strip().lstrip("%") for one in branches.split(",")]
            if line.lstrip().removeprefix("%").startswith(_ALREADY_BEGUN):
                continue
            for inner in called:
                if not inner.startswith(_ALREADY_BEGUN):
                    run(inner, times * trips)

    for name, computation in computations.items():
        if computation.entry:
            run(name, 1)
    return counts


def _trips(loop: str, computations: dict[str, _Computation]) -> int:
    """How often a loop runs: as it says, or as long as its count is below a constant;
    1 where neither is known."""
    if known := _TRIPS.search(loop):
        return int(known[1])
    condition = _CONDITION.search(loop)
    if condition is None or condition[1] not in computations:
        return 1
    lines = computations[condition[1]].lines
    constants = {
        match[1]: int(match[2]) for line in lines if (match := _CONSTANT.match(line))
    }
    for line in lines:
        if below := _BELOW.match(line):
            bound = below[1].rpartition("%")[2].strip()
            return constants.get(bound, 1)
    return 1
