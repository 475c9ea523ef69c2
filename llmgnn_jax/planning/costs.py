"""What a compiled step takes: memory, products, and what travels between devices."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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


@dataclass
class Collective:
    """One kind of exchange.

    Attributes:
        count: How often it happens in a step.
        bytes: What one device sends in a step.
        largest: Bytes of the largest result.
    """

    count: int = 0
    bytes: float = 0.0
    largest: int = 0


@dataclass
class Work:
    """What one device computes in a step.

    Attributes:
        flops: Multiplications and additions of matrix products.
        traffic: Bytes that products, look-ups and scatters read and write; what is
            computed element by element between them is taken as fused.
        exchanges: Kind -> how often, and bytes of the results, within `shard_map`s.
    """

    flops: float = 0.0
    traffic: float = 0.0
    exchanges: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass
class _Computation:
    lines: list[str] = field(default_factory=list)
    entry: bool = False


def collectives(
    hlo: str, *, devices: int, told: Work | None = None
) -> dict[str, Collective]:
    """What a compiled program exchanges: kind -> how much.

    A device sends of an all-gather (S - 1) / S of the result, of an all-reduce twice
    that (a ring of reduce-scatter and all-gather), of the others what they say less its
    own part.

    Args:
        hlo: The text of a compiled module: a loop whose length it does not tell counts
            once, as that of the steps is to.
        devices: S.
        told: What the traced program says of its `shard_map`s, whose loops have their
            lengths there (TPUs' modules do not tell): it is counted instead.
    """
    if devices == 1:
        return {}
    computations = _computations(hlo)
    counts = _how_often(computations)
    found = {kind: Collective() for kind in KINDS}
    away = (devices - 1) / devices
    factors = {
        "all-gather": away,
        "all-reduce": 2 * away,
        "all-to-all": away,
        "collective-permute": 1.0,
        "reduce-scatter": devices - 1.0,
    }
    if told is not None:
        for kind, (count, size) in told.exchanges.items():
            found[kind].count += round(count)
            found[kind].bytes += size * factors[kind]
    for name, computation in computations.items():
        for line in computation.lines:
            if not (match := _OPERATION.search(line)):
                continue
            kind, arrays = match["name"], list(_arrays(match["shape"]))
            # A start gives what goes in and what comes out.
            held = max(arrays, default=0) if match["start"] else sum(arrays)
            one = found[kind]
            one.largest = max(one.largest, held)
            if told is not None and "/shard_map/" in line:
                continue
            one.count += counts[name]
            one.bytes += counts[name] * held * factors[kind]
    return {kind: one for kind, one in found.items() if one.count}


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
            if " while(" in line and (known := _TRIPS.search(line)):
                trips = int(known[1])
            called = _CALLED.findall(line)
            for branches in _BRANCHES.findall(line):
                called += [one.strip().lstrip("%") for one in branches.split(",")]
            for inner in called:
                run(inner, times * trips)

    for name, computation in computations.items():
        if computation.entry:
            run(name, 1)
    return counts


def work(jaxpr: Any, *, devices: int) -> Work:
    """Counts a traced program's work; what is not in a `shard_map` is taken as shared
    evenly by all devices."""
    total = Work()
    _count(jaxpr.jaxpr, 1.0 / devices, total)
    return total


# Primitives of `shard_map`s, as XLA calls them.
_EXCHANGES = {
    "psum": "all-reduce",
    "ppermute": "collective-permute",
    "all_to_all": "all-to-all",
    "all_gather": "all-gather",
    "reduce_scatter": "reduce-scatter",
}


def _count(jaxpr: Any, times: float, total: Work) -> None:
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        outputs = sum(_size(value) for value in equation.outvars)
        if name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval
            depth = float(np.prod([left.shape[axis] for axis in contracted]))
            out = equation.outvars[0].aval
            total.flops += times * 2.0 * float(np.prod(out.shape)) * depth
            read = sum(_size(value) for value in equation.invars)
            total.traffic += times * (read + outputs)
        elif name == "gather":
            total.traffic += times * (2 * outputs + _size(equation.invars[1]))
        elif name.startswith("scatter"):
            updates = _size(equation.invars[2])
            # A sum is read before it is written; the rest is cleared once.
            total.traffic += times * (3 * updates + _size(equation.invars[1]) + outputs)
        elif name in _EXCHANGES:
            kind = _EXCHANGES[name]
            count, size = total.exchanges.get(kind, (0.0, 0.0))
            total.exchanges[kind] = (count + times, size + times * outputs)
        inner_times = times
        if name == "scan":
            inner_times *= equation.params["length"]
        elif name == "shard_map":
            inner_times *= float(equation.params["mesh"].size)
        for inner in _inner(equation.params):
            _count(inner, inner_times, total)


def _inner(params: dict[str, Any]) -> Iterator[Any]:
    """The programs within one."""
    for value in params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(one, "eqns"):
                yield one
            elif hasattr(one, "jaxpr") and hasattr(one.jaxpr, "eqns"):
                yield one.jaxpr


def _size(value: Any) -> float:
    shape = getattr(value.aval, "shape", ())
    dtype = getattr(value.aval, "dtype", None)
    itemsize = getattr(dtype, "itemsize", 4)
    return float(np.prod(shape)) * itemsize
