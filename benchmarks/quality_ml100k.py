"""Quality on MovieLens-100K over several seeds, as one `results.json` document.

    python -m benchmarks.quality_ml100k --seeds 0 1 2 --json docs/results/ml-100k.json

Each seed draws its own split and its own parameters. A model's `test` is the mean over
the seeds, and `per_seed` holds each of them. With `--trials 8 --searches FOLDER`
matrix factorisation, LightGCN and a text-only two-tower stand beside them, each tuned
on valid by so many trials.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.averaged_runs import averaged
from benchmarks.quality_tables import models_table
from llmgnn_jax import config as configuration
from llmgnn_jax.evaluation.results import Results, write_results
from llmgnn_jax.recipes import recipe


def measure(
    seeds: Sequence[int],
    *,
    command: str,
    trials: int = 0,
    searches: Path | None = None,
) -> Results:
    """Runs the recipe once a seed and averages.

    Args:
        seeds: Of the splits, the parameters and the searches.
        command: For the results.
        trials: Of each trained baseline; 0 leaves them out.
        searches: Where the trials of a seed are kept, in a folder each.
    """
    return averaged(
        {
            str(seed): configuration.replace(recipe("ml-100k"), seed=seed)
            for seed in seeds
        },
        command=command,
        together="seeds " + " ".join(map(str, seeds)),
        trials=trials,
        searches=searches,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--trials", type=int, default=0, help="of each trained baseline; 0: none"
    )
    parser.add_argument(
        "--searches", type=Path, metavar="FOLDER", help="keeps their finished trials"
    )
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    command = "python -m benchmarks.quality_ml100k --seeds " + " ".join(
        map(str, options.seeds)
    )
    if options.trials:
        command += f" --trials {options.trials}"
    command += f" --json {options.json}"
    results = measure(
        options.seeds,
        command=command,
        trials=options.trials,
        searches=options.searches,
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.json.parent) as folder:
        write_results(folder, results).replace(options.json)
    print(models_table(results.document(), "ndcg@10"))


if __name__ == "__main__":
    main()
