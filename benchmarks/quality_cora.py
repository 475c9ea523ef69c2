"""Accuracy of the recipe `cora-gcn` over several seeds, as one `results.json` document.

    python -m benchmarks.quality_cora --seeds 0 1 2 3 4 5 6 7 8 9 \
        --json docs/results/cora.json

The split is the published one; each seed draws its own parameters and dropout. `test`
is the mean over the seeds, and `per_seed` holds each of them.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax import config as configuration
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.results import (
    ModelResult,
    Protocol,
    Results,
    refuse_comparison,
    write_results,
)
from llmgnn_jax.recipes import recipe
from llmgnn_jax.training.run import fit

_SEEDS = list(range(10))


def measure(seeds: Sequence[int], *, command: str) -> Results:
    """Runs the recipe once a seed, evaluation and report included, and averages."""
    documents: dict[int, Mapping[str, Any]] = {}
    for seed in seeds:
        config = configuration.replace(recipe("cora-gcn"), seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            documents[seed] = fit(config, out=Path(folder) / "run").results
    first = documents[seeds[0]]
    for other in documents.values():
        refuse_comparison(first, other)
    return Results(
        protocol=Protocol(**first["protocol"]),
        models={name: _averaged(name, documents) for name in first["models"]},
        environment=environment(),
        command=command,
        device=device(),
    )


def _averaged(name: str, documents: Mapping[int, Mapping[str, Any]]) -> ModelResult:
    rows = {seed: one["models"][name] for seed, one in documents.items()}
    return ModelResult(
        valid=_means([row["valid"] for row in rows.values()]),
        test=_means([row["test"] for row in rows.values()]),
        seconds=float(np.mean([row["seconds"] for row in rows.values()])),
        per_seed={str(seed): row["test"] for seed, row in rows.items()},
        budget={str(seed): row["budget"] for seed, row in rows.items()},
    )


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _summary(document: Mapping[str, Any], seconds: float) -> str:
    lines = []
    for name, row in document["models"].items():
        for metric, mean in row["test"].items():
            values = [one[metric] for one in row["per_seed"].values()]
            lines.append(
                f"{name}: test {metric} {100 * mean:.2f} % +- "
                f"{100 * np.std(values):.2f} over {len(values)} seeds "
                f"(valid {100 * row['valid'][metric]:.2f} %)"
            )
    lines.append(f"{seconds:.1f} s in all")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=_SEEDS)
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    command = "python -m benchmarks.quality_cora --seeds " + " ".join(
        map(str, options.seeds)
    )
    began = time.perf_counter()
    results = measure(options.seeds, command=command)
    seconds = time.perf_counter() - began
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.json.parent) as folder:
        write_results(folder, results).replace(options.json)
    print(_summary(results.document(), seconds))


if __name__ == "__main__":
    main()
