"""What a traced step computes, and what travels within its `shard_map`s."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np


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
