"""Ten million interactions are read and split in the time and memory of a laptop."""

from pathlib import Path

import pytest

from benchmarks.load_table import IDS, ITEMS, USERS, measured_apart, write_table


@pytest.mark.slow
@pytest.mark.parametrize("ids", IDS)
def test_ten_million_interactions(tmp_path: Path, ids: str) -> None:
    path = tmp_path / "table.parquet"
    write_table(path, rows=10_000_000, users=USERS, items=ITEMS, ids=ids)
    run = measured_apart(path)
    assert run["rows"] == 10_000_000
    # Of the process's own time: other tests may have the cores.
    assert run["cpu_s"] < 60
    assert run["peak_mb"] < 3000
