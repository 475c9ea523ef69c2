"""How long a large table takes from its file to a random split, and how much memory.

    python -m benchmarks.load_table --json docs/results/load-table.json

A Parquet file of 10 M interactions of 200,000 users with 100,000 items is written, with
ids of whole numbers and once more with ids of text. Each is read by `catalog.load` and
split by `split_random` in a process of its own, three times. Seconds of each part, and
the process's peak memory, imports included. pandas and other readers are no peers: they
make no dataset. What is checked is what splits have to be: every row in one part.
"""

import argparse
import datetime
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.runtime import cpu_model, usable_cores

ROWS, USERS, ITEMS = 10_000_000, 200_000, 100_000
IDS = ("whole numbers", "text")


def write_table(path: Path, *, rows: int, users: int, items: int, ids: str) -> None:
    """Writes interactions to a Parquet file, items by a power law, in random order."""
    import pyarrow as pa
    from pyarrow import compute, parquet

    rng = np.random.default_rng(0)
    # All of them occur, and their numbers have gaps as those of a shop.
    user_ids = 7 * rng.permutation(np.arange(rows) % users)
    item_ids = 3 * (items * rng.random(rows) ** 2).astype(np.int64)
    columns: dict[str, Any] = {"user_id": pa.array(user_ids), "item_id": item_ids}
    if ids == "text":
        columns = {
            name: compute.binary_join_element_wise(
                name[0].upper(), pa.array(column).cast(pa.string()), "-"
            )
            for name, column in columns.items()
        }
    columns["rating"] = rng.integers(1, 11, rows) / 2
    columns["timestamp"] = rng.integers(1_000_000_000, 1_700_000_000, rows)
    parquet.write_table(pa.table(columns), path)


def measured(path: Path) -> dict[str, float]:
    """Seconds and peak memory of one load and split, in this process.

    `cpu_s` is of all its threads, and nearly the same on a machine that is not idle.
    """
    from llmgnn_jax.data import catalog
    from llmgnn_jax.data.splits import split_random

    begun, cpu = time.perf_counter(), time.process_time()
    dataset = catalog.load(path)
    loaded = time.perf_counter()
    split = split_random(dataset, seed=0)
    done = time.perf_counter()
    train = split.train_csr()
    graphed = time.perf_counter()
    sizes = [len(part) for part in (split.train, split.valid, split.test)]
    assert sum(sizes) == dataset.num_interactions, "each row lies in one part"
    assert train.nnz <= sizes[0]
    return {
        "cpu_s": time.process_time() - cpu,
        "rows": dataset.num_interactions,
        "load_s": loaded - begun,
        "split_s": done - loaded,
        "csr_s": graphed - done,
        # Of Linux, in KiB.
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measured_apart(path: Path) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.load_table", "--measure", str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    numbers: dict[str, float] = json.loads(done.stdout)
    return numbers


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="where the document goes")
    parser.add_argument("--rows", type=int, default=ROWS, help="interactions")
    parser.add_argument("--rounds", type=int, default=3, help="of each file")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measured(options.measure)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for ids in IDS:
            path = Path(folder) / "table.parquet"
            write_table(path, rows=options.rows, users=USERS, items=ITEMS, ids=ids)
            runs = [measured_apart(path) for _ in range(options.rounds)]
            rates = sorted(
                run["rows"] / (run["load_s"] + run["split_s"]) for run in runs
            )
            row = {
                "system": "llmgnn_jax",
                "variant": f"Parquet, ids of {ids}",
                "precision": "float32",
                "size": f"{options.rows:,} interactions",
                "unit": "interactions/s",
                "median": statistics.median(rates),
                "p10": rates[0],
                "p90": rates[-1],
                "peak_mb": max(run["peak_mb"] for run in runs),
                "compile_s": 0.0,
                "seconds": {
                    part: statistics.median(run[f"{part}_s"] for run in runs)
                    for part in ("load", "split", "csr", "cpu")
                },
            }
            rows.append(row)
            print(json.dumps(row), file=sys.stderr)
    document = {
        "name": "load_table",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "command": f"python -m benchmarks.load_table --rows {options.rows} "
        f"--rounds {options.rounds}",
        "device": f"{cpu_model()}, {len(usable_cores())} cores",
        "versions": {name: version(name) for name in ("numpy", "pyarrow", "scipy")},
        "rows": rows,
        "ratios": [],
    }
    text = json.dumps(document, indent=2) + "\n"
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text, "utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
