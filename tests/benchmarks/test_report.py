"""What the rows and the table say, from times that are made up."""

import numpy as np
import pytest

from benchmarks.harness import Case, System, report
from benchmarks.harness.measure import CaseResult, Measured
from benchmarks.harness.system import QUICK


def documented(runs: int, unit: str = "ms") -> dict:
    systems = tuple(
        System(system=name, variant="a", setup="") for name in ("llmgnn_jax", "peer")
    )
    case = Case(
        size="small",
        precision="float32",
        unit=unit,
        inputs=dict,
        systems=systems,
        tolerance=1e-5,
    )
    seconds = (np.arange(1, runs + 1) / 1e3).tolist()
    result = CaseResult(
        case=case, measured=[Measured(system=one, seconds=seconds) for one in systems]
    )
    return report.document("name", [result], effort=QUICK, command="")


def header(document: dict) -> list[str]:
    line = next(
        line for line in report.table(document).splitlines() if "| system" in line
    )
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_latencies_have_a_p99_where_runs_are_enough() -> None:
    document = documented(101)
    for row in document["rows"]:
        assert row["p99"] == pytest.approx(100)
        assert row["p90"] < row["p99"] < 101
    assert header(document)[2:5] == ["p10-p90", "p99", "peak MB"]
    assert "| 100.0 |" in report.table(document).replace("100.00", "100.0")


@pytest.mark.parametrize(("runs", "unit"), [(99, "ms"), (200, "users/s")])
def test_others_have_none(runs: int, unit: str) -> None:
    document = documented(runs, unit)
    assert not any("p99" in row for row in document["rows"])
    assert header(document)[2:4] == ["p10-p90", "peak MB"]


def test_a_table_of_rows_some_of_which_have_none() -> None:
    document = documented(101)
    del document["rows"][1]["p99"]
    lines = report.table(document).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
