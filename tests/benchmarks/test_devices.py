"""The step by number of devices: what is compared, its table and its plot."""

import dataclasses
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks import devices, plan_measured
from benchmarks.harness.measure import measure
from benchmarks.harness.system import Effort


def document() -> dict[str, Any]:
    def row(count: int, exchange: str, median: float) -> dict[str, Any]:
        notes = {"devices": count, "exchange": exchange}
        return {"notes": notes, "median": median}

    rows = [row(1, "all_gather", 50.0), row(2, "ring", 60.0), row(4, "ring", 75.0)]
    return {"device": "cpu, 2 cores", "rows": [*rows, row(2, "all_gather", 55.0)]}


def test_times_are_those_of_one_device() -> None:
    lines = devices.table(document()).splitlines()
    assert lines[0] == "| exchange | 1 | 2 | 4 |"
    assert lines[2] == "| all_gather | 1.00 | 1.10 |  |"
    assert lines[3] == "| ring | 1.00 | 1.20 | 1.50 |"


def test_each_exchange_begins_at_one_device() -> None:
    drawn = ElementTree.fromstring(devices.picture(document()))
    lines = [one for one in drawn.iter() if one.tag.endswith("polyline")]
    assert [len(line.attrib["points"].split()) for line in lines] == [2, 3]
    starts = {line.attrib["points"].split()[0] for line in lines}
    assert len(starts) == 1


@pytest.mark.slow
def test_two_devices_have_the_losses_and_gradients_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_measured, "NODES", 600)
    monkeypatch.setattr(plan_measured, "PAIRS", 4000)
    plan_measured.draw(tmp_path)
    (case,) = devices.cases(quick=True)
    names = ("llmgnn_jax 1 device", "llmgnn_jax 2 devices, ring")
    case = dataclasses.replace(
        case,
        inputs=lambda: {"nodes": np.asarray(600)},
        about=lambda inputs: "",
        systems=tuple(
            system
            for system in devices.systems(str(tmp_path), backend="csr")
            if system.name in names
        ),
    )
    result = measure(case, Effort(rounds=1, turn_s=0.0, warm_up_s=0.0, threads=2))
    assert not result.missing
    assert list(result.parity) == [names[1]]
    assert [m.notes["devices"] for m in result.measured] == [1, 2]
