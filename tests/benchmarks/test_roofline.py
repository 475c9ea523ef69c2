"""Ceilings out of their document, shares of them, and the picture."""

from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.ceilings import Ceilings
from benchmarks.ratios import groups
from benchmarks.roofline import Achieved, add_shares, rooflines
from benchmarks.throughput_tables import Result, rows_table


def row(system: str, median: float, **changes: Any) -> dict[str, Any]:
    return {
        "system": system,
        "variant": "a",
        "precision": "float32",
        "size": "64 nodes",
        "unit": "ms",
        "median": median,
        "p10": median,
        "p90": median,
        "peak_mb": 1.0,
        "compile_s": 0.0,
        **changes,
    }


def ceiling(size: str, unit: str, median: float, precision: str = "float32") -> dict:
    return row("jax", median, size=size, unit=unit, precision=precision)


CEILINGS = {
    "name": "ceilings",
    "device": "NVIDIA H200",
    "rows": [
        ceiling("product 8 x 8 x 8", "TFLOP/s", 40.0),
        ceiling("product 8 x 8 x 8", "TFLOP/s", 50.0),
        ceiling("product 8 x 8 x 8", "TFLOP/s", 700.0, "bfloat16"),
        ceiling("copy, 2,048 MiB", "GB/s", 4000.0),
        ceiling("random rows, 1,024 MiB", "GB/s", 2000.0),
    ],
}
# Of a millisecond: 1 TFLOP/s, and 100 GB/s.
WORK = {"flops": 1e9, "bytes": 1e8}


def measured(**changes: Any) -> dict[str, Any]:
    return {
        "name": "propagation",
        "device": "NVIDIA H200",
        "rows": [
            row("llmgnn_jax", 1.0, work=WORK),
            row("pytorch", 2.0, work=WORK),
            row("pytorch", 9.0, variant="slow", work=WORK),
        ],
        **changes,
    }


def test_the_best_of_each_kind_is_the_ceiling() -> None:
    found = Ceilings.of(CEILINGS)
    assert found is not None
    assert found.flops == {"float32": 50e12, "bfloat16": 700e12}
    assert (found.copy, found.gather) == (4e12, 2e12)
    without_copy = [one for one in CEILINGS["rows"] if "copy" not in one["size"]]
    assert Ceilings.of({**CEILINGS, "rows": without_copy}) is None


def test_milliseconds_and_rates_are_the_same_work() -> None:
    slow = Achieved.of(row("a", 2.0, work=WORK))
    rate = Achieved.of(row("a", 500.0, unit="steps/s", work=WORK))
    assert slow == rate == Achieved(flops=5e11, bytes=5e10)
    assert Achieved.of(row("a", 2.0)) is None


def test_rows_name_their_share() -> None:
    document = measured()
    ceilings = Ceilings.of(CEILINGS)
    assert ceilings is not None
    add_shares(document, ceilings)
    notes = document["rows"][0]["notes"]
    assert notes["mfu"] == pytest.approx(1 / 50)
    assert notes["gb_per_s"] == pytest.approx(100)
    assert notes["of_copy"] == pytest.approx(100 / 4000)
    (group,) = groups(document)
    assert "| 1.00 | 1.00-1.00 | 1 | 0.00 |  | 2.0% | 100 | 2% |" in rows_table(group)


def test_the_picture_has_the_ceilings_and_two_dots_a_size() -> None:
    results = [
        Result(file="gpu-ceilings.json", document=CEILINGS),
        Result(file="gpu-propagation.json", document=measured()),
        # Of another device, and without work: neither is drawn.
        Result(file="propagation.json", document=measured(device="cpu, 2 cores")),
        Result(
            file="gpu-gat.json",
            document=measured(rows=[row("llmgnn_jax", 1.0), row("pytorch", 2.0)]),
        ),
    ]
    ((device, picture),) = rooflines(results).items()
    assert device == "NVIDIA H200"
    drawn = ElementTree.fromstring(picture)
    circles = [one for one in drawn.iter() if one.tag.endswith("circle")]
    ours, peer = circles
    assert ours.get("cx") == peer.get("cx")
    # Twice as fast is higher up, which is less far down.
    assert float(str(ours.get("cy"))) < float(str(peer.get("cy")))
    told = "".join(drawn.itertext())
    for said in ("copy, 4,000 GB/s", "bfloat16, 700 TFLOP/s", "random rows, 2,000"):
        assert said in told
    assert rooflines(results[1:]) == {}
