"""Predicted ratings over several seeds, as one `results.json` document.

    python -m benchmarks.quality_ratings ml-100k --json docs/results/ml-100k-rating.json
    python -m benchmarks.quality_ratings ml-latest-small \\
        --json docs/results/ml-latest-small-rating.json

The recipe `ml-100k-rating`; ml-latest-small is a folder below `LLMGNN_SHARED`, or
`../shared/data`. Each seed draws its own split and its own parameters. A model's `test`
is the mean over the seeds, and `per_seed` holds each of them. What a data set has of
its own was chosen on the validation part of seed 0.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.averaged_runs import averaged
from benchmarks.quality_tables import ratings_table
from benchmarks.shared_folder import shared_folder
from llmgnn_jax.config import Config, replace
from llmgnn_jax.evaluation.results import write_results
from llmgnn_jax.recipes import recipe

# Data set -> field -> value, beside the recipe.
SETS: Mapping[str, Mapping[str, Any]] = {"ml-100k": {}, "ml-latest-small": {}}


def config_of(name: str, seed: int) -> Config:
    """The run of a data set and a seed."""
    base = replace(recipe("ml-100k-rating"), seed=seed, **SETS[name])
    if name == "ml-100k":
        return base
    return replace(base, recipe=name, **{"data.source": str(shared_folder(name))})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality_ratings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=SETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    words = sys.argv[1:] if arguments is None else arguments
    results = averaged(
        {str(seed): config_of(options.name, seed) for seed in options.seeds},
        command=" ".join(["python", "-m", "benchmarks.quality_ratings", *words]),
        together="seeds " + " ".join(map(str, options.seeds)),
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.json.parent) as folder:
        write_results(folder, results).replace(options.json)
    print(ratings_table(results.document()))


if __name__ == "__main__":
    main()
