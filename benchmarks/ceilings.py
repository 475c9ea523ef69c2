"""What a device can do at most, as far as JAX and PyTorch get there.

    python -m benchmarks.ceilings --json benchmarks/results/ceilings.json

A large product of square matrices in float32, in float32 with TF32 where the device has
it, and in bfloat16, in TFLOP/s; a copy of a large array, in GB/s read and written; rows
of 256 bytes that are read at random, of a table that no cache holds. Each with both
libraries: the ceiling is the best of them. The roofline on the page and the shares that
rows name are of these numbers.

`--gpu` takes the sizes for a GPU.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.graphs import feature_table
from benchmarks.harness import Case, System, main
from benchmarks.harness.runtime import TF32
from benchmarks.harness.system import Inputs, Precision
from benchmarks.scale import gathers

WIDTH = 64
FLOPS, BANDWIDTH = "TFLOP/s", "GB/s"
COPY, GATHER = "copy", "random rows"
# An entry is a sum of thousands of products of random signs.
TOLERANCES: dict[Precision, float] = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 2e-2}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What is large on a device.

    Attributes:
        matrix: Rows and columns of the matrices.
        copied: Numbers of the array.
        rows: Of the table.
        probes: Rows that are read.
    """

    matrix: int
    copied: int
    rows: int
    probes: int


CPU = Sizes(matrix=2048, copied=2**26, rows=2**20, probes=2**20)
GPU = Sizes(matrix=8192, copied=2**29, rows=2**22, probes=2**22)
QUICK = Sizes(matrix=512, copied=2**22, rows=2**16, probes=2**16)


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """Of a device.

    Attributes:
        flops: Precision -> operations a second.
        copy: Bytes a second, read and written.
        gather: Bytes a second of rows that are read at random.
    """

    flops: Mapping[str, float]
    copy: float
    gather: float

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Ceilings | None":
        """The best of each kind; None where copy, rows or products are missing."""
        best: dict[tuple[str, str], float] = {}
        for row in document["rows"]:
            kind = row["size"].split(",")[0]
            if row["unit"] == FLOPS:
                kind = row["precision"]
            key = row["unit"], kind
            best[key] = max(best.get(key, 0.0), row["median"])
        flops = {kind: 1e12 * x for (unit, kind), x in best.items() if unit == FLOPS}
        found = [best.get((BANDWIDTH, kind), 0.0) for kind in (COPY, GATHER)]
        if not flops or not all(found):
            return None
        return cls(flops=flops, copy=1e9 * found[0], gather=1e9 * found[1])


def matrix_of(size: int) -> Inputs:
    """A matrix that is multiplied with itself."""
    return {"matrix": feature_table(size, size, seed=0)}


def numbers_of(count: int) -> Inputs:
    """How many numbers are copied: each worker makes them."""
    return {"count": np.asarray(count)}


def table_of(sizes: Sizes) -> Inputs:
    """A table and numbers of its rows, at random."""
    picks = np.random.default_rng(1).integers(0, sizes.rows, sizes.probes)
    table = feature_table(sizes.rows, WIDTH, seed=0)
    return {"nodes": table, "probe": picks.astype(np.int32)}


def products(precision: Precision) -> tuple[System, ...]:
    """The product in both libraries; of bfloat16 with either type of the result."""
    environment = TF32 if precision == "tf32" else {}
    dtype = "bfloat16" if precision == "bfloat16" else "float32"
    variants = {"matmul": dtype}
    if dtype == "bfloat16":
        variants["matmul, float32 result"] = "float32"
    ours = [
        System(
            system="jax",
            variant=variant,
            setup="benchmarks.ours.ceilings:product",
            options={"dtype": dtype, "result": result},
            environment=environment,
        )
        for variant, result in variants.items()
    ]
    return (
        System(
            system="pytorch",
            variant="matmul",
            setup="benchmarks.torch_baseline.ceilings:product",
            options={"dtype": dtype},
            environment=environment,
        ),
        *ours,
    )


def copies() -> tuple[System, ...]:
    """An array that is read and written, without and with an operation between."""
    setup = "benchmarks.torch_baseline.ceilings:copy"
    return (
        *(
            System(system="pytorch", variant=how, setup=setup, options={"how": how})
            for how in ("copy_", "neg")
        ),
        System(system="jax", variant="neg", setup="benchmarks.ours.ceilings:copy"),
    )


def cases_of(sizes: Sizes, *, tf32: bool) -> list[Case]:
    """Products, copy, rows."""
    size = sizes.matrix
    precisions: list[Precision] = ["float32", "bfloat16"]
    if tf32:
        precisions.insert(1, "tf32")
    found = [
        Case(
            size=f"product {size} x {size} x {size}",
            precision=precision,
            unit=FLOPS,
            inputs=functools.partial(matrix_of, size),
            systems=products(precision),
            tolerance=TOLERANCES[precision],
        )
        for precision in precisions
    ]
    found.append(
        Case(
            size=f"{COPY}, {sizes.copied * 4 / 2**20:,.0f} MiB",
            precision="float32",
            unit=BANDWIDTH,
            inputs=functools.partial(numbers_of, sizes.copied),
            systems=copies(),
            tolerance=1e-6,
        )
    )
    table = sizes.rows * WIDTH * 4 / 2**20
    found.append(
        Case(
            size=f"{GATHER}, {table:,.0f} MiB",
            precision="float32",
            unit=BANDWIDTH,
            inputs=functools.partial(table_of, sizes),
            systems=gathers(),
            tolerance=1e-5,
        )
    )
    return found


def cases(quick: bool, *, gpu: bool = False) -> Sequence[Case]:
    """Of a CPU, unless a GPU is meant."""
    return cases_of(QUICK if quick else GPU if gpu else CPU, tf32=gpu)


if __name__ == "__main__":
    main(
        "ceilings",
        cases,
        description=__doc__ or "",
        options_of_cases={
            "gpu": {"action": "store_true", "help": "sizes for a GPU, and TF32"}
        },
    )
