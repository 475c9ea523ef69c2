"""Quality on MovieLens-100K over several seeds, as one `results.json` document.

    python -m benchmarks.quality_ml100k --seeds 0 1 2 --json docs/results/ml-100k.json

Each seed draws its own split and its own parameters. A model's `test` is the mean over
the seeds, and `per_seed` holds each of them. With `--trials 8 --searches FOLDER`
matrix factorisation, LightGCN and a text-only two-tower stand beside them, each tuned
on valid by so many trials.
"""

import argparse
import hashlib
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trained_baselines import measured
from llmgnn_jax import config as configuration
from llmgnn_jax.config import Config
from llmgnn_jax.evaluation import significance
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.judgement import comparisons
from llmgnn_jax.evaluation.results import (
    ModelResult,
    PathResult,
    Protocol,
    Results,
    read_per_user,
    read_results,
    refuse_comparison,
    write_results,
)
from llmgnn_jax.recipes import recipe
from llmgnn_jax.training.run import fit


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
    documents: dict[int, Mapping[str, Any]] = {}
    per_user: list[Mapping[str, np.ndarray]] = []
    for seed in seeds:
        config = configuration.replace(recipe("ml-100k"), seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            if trials:
                run.mkdir()
                kept = None if searches is None else searches / f"seed-{seed}"
                write_results(
                    run,
                    measured(config, trials=trials, command=command, folder=kept),
                )
            else:
                fit(config, out=run)
            documents[seed] = read_results(run)
            per_user.append(read_per_user(run))
    first = documents[seeds[0]]
    for other in documents.values():
        refuse_comparison(first, other, paired=False)
    hashes = [one["protocol"]["split_hash"] for one in documents.values()]
    protocol = first["protocol"]
    return Results(
        protocol=Protocol(
            task=protocol["task"],
            dataset=protocol["dataset"],
            split_name=protocol["split_name"].rpartition(",")[0]
            + ", seeds "
            + " ".join(map(str, seeds)),
            filters=protocol["filters"],
            k=protocol["k"],
            masking=protocol["masking"],
            fingerprint=protocol["fingerprint"],
            split_hash=hashlib.sha256("".join(hashes).encode()).hexdigest(),
        ),
        models={name: _averaged(name, documents) for name in first["models"]},
        environment=environment(),
        command=command,
        device=device(),
        paths={
            name: PathResult(
                description=row["description"],
                metrics=_means(
                    [one["paths"][name]["metrics"] for one in documents.values()]
                ),
                num_users=row["num_users"],
            )
            for name, row in first["paths"].items()
        },
        comparisons=_comparisons(per_user, recipe("ml-100k")),
    )


def _comparisons(
    per_user: Sequence[Mapping[str, np.ndarray]], config: Config
) -> list[dict[str, Any]]:
    """The last model beside each of the others; a user of all seeds is one."""
    metric = config.evaluation.metric
    values = [
        {
            name.removesuffix(f"/{metric}"): array
            for name, array in one.items()
            if name != "users"
        }
        for one in per_user
    ]
    pooled = significance.pooled([one["users"] for one in per_user], values)
    return comparisons(config.models[-1], pooled, metric=metric)


def _averaged(name: str, documents: Mapping[int, Mapping[str, Any]]) -> ModelResult:
    rows = {seed: one["models"][name] for seed, one in documents.items()}
    first = next(iter(rows.values()))
    return ModelResult(
        valid=_means([row["valid"] for row in rows.values()]),
        test=_means([row["test"] for row in rows.values()]),
        seconds=float(np.mean([row["seconds"] for row in rows.values()])),
        baseline=first["baseline"],
        per_seed={str(seed): row["test"] for seed, row in rows.items()},
        budget={str(seed): row["budget"] for seed, row in rows.items()},
    )


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _markdown(document: Mapping[str, Any]) -> str:
    """The table for the documentation: test ndcg@10 a seed, their mean, recall@10."""
    models = document["models"]
    order = sorted(models, key=lambda name: -models[name]["test"]["ndcg@10"])
    seeds = list(models[order[0]]["per_seed"])
    lines = [
        "| model | "
        + " | ".join(f"seed {seed}" for seed in seeds)
        + " | mean ndcg@10 | mean recall@10 | seconds |",
        "|---|" + "---:|" * (len(seeds) + 3),
    ]
    for name in order:
        row = models[name]
        cells = [f"{row['per_seed'][seed]['ndcg@10']:.4f}" for seed in seeds]
        cells += [f"{row['test'][key]:.4f}" for key in ("ndcg@10", "recall@10")]
        label = f"{name} (baseline)" if row["baseline"] else name
        lines.append(f"| {label} | {' | '.join(cells)} | {row['seconds']:.0f} |")
    return "\n".join(lines)


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
    results = measure(
        options.seeds,
        command=command,
        trials=options.trials,
        searches=options.searches,
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.json.parent) as folder:
        write_results(folder, results).replace(options.json)
    print(_markdown(results.document()))


if __name__ == "__main__":
    main()
