"""Spectral filters on Gowalla's published split: tuned, fitted once more, tested once.

    python -m benchmarks.quality_gowalla --json docs/results/gowalla-spectral.json

A tenth of each user's published train part is held out, the filters' hyper-parameters
are chosen there on 2,000 users, and each filter is then fitted on all of the train part
and read against the published test part, once. `seconds` is that of the last fit and of
ranking all users, from the files on; `budget` says what was tried. Published recall@20
and ndcg@20: LightGCN .1824, .1547; GF-CF .1849, .1518; BSPM-EM .1920, .1597.
"""

import argparse
import dataclasses
import logging
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from llmgnn_jax.data import catalog
from llmgnn_jax.data.splits import Split, split_by_rule
from llmgnn_jax.evaluation.baselines import (
    Baseline,
    popularity,
    spectral,
    tuned_baselines,
)
from llmgnn_jax.evaluation.baselines.tuning import Grid
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.judgement import Judge, comparisons
from llmgnn_jax.evaluation.ranking import rank
from llmgnn_jax.evaluation.results import (
    Protocol,
    Results,
    write_results,
)
from llmgnn_jax.graph.aggregate import Backend, checked_backend
from llmgnn_jax.training.measure import MASKING

K = 20
METRIC = "ndcg@20"
GRIDS: Mapping[str, Grid] = {
    "gf_cf": {"rank": (64, 128, 256, 512), "ideal_weight": (0.05, 0.1, 0.2, 0.3)},
    "bspm": {
        "rank": (128, 256),
        "ideal_weight": (0.1, 0.2),
        "sharpening": (1.0, 1.5, 2.0, 2.5),
        "sharpening_order": (4,),
    },
}


def measure(*, command: str, backend: Backend) -> Results:
    """Tunes on the carved part, then reads test once."""
    carved = split_by_rule(
        catalog.load("gowalla"), rule="published", seed=0, valid_share=0.1
    )
    num_items = carved.dataset.num_items
    tuned = tuned_baselines(
        carved.train_csr(),
        carved.held_out("valid"),
        num_items=num_items,
        metric=METRIC,
        grids=GRIDS,
        backend=backend,
    )
    rows, judged = {}, {}
    for name, found in tuned.items():
        start = time.perf_counter()
        whole = split_by_rule(
            catalog.load("gowalla"), rule="published", seed=0, valid_share=0.0
        )
        fitted = _again(found, name, whole, backend)
        seen = whole.seen("test")
        lists = rank(
            fitted.score_chunk,
            fitted.data,
            num_users=whole.dataset.num_users,
            num_items=num_items,
            seen=seen,
            k=K,
        )
        seconds = time.perf_counter() - start
        judge = Judge(
            positives=whole.held_out("test"),
            history=whole.train_csr(),
            num_items=num_items,
            ks=(K,),
        )
        judged[name] = judge(lists)
        rows[name] = judged[name].result(
            valid={METRIC: found.budget["value"]} if "value" in found.budget else {},
            seconds=seconds,
            baseline=True,
            budget={**found.budget, "tuning_seconds": found.seconds},
        )
    values = {name: one.per_user[METRIC] for name, one in judged.items()}
    best = max(rows, key=lambda name: rows[name].valid.get(METRIC, 0.0))
    return Results(
        protocol=Protocol(
            task="ranking",
            dataset="gowalla",
            split_name=whole.name,
            filters=list(whole.dataset.filters),
            k=[K],
            masking=MASKING,
            fingerprint=whole.fingerprint(masking=MASKING, metric=METRIC),
            split_hash=whole.split_hash,
        ),
        models=rows,
        environment=environment(),
        command=command,
        device=device(),
        comparisons=comparisons(best, values, metric=METRIC),
    )


def _again(found: Baseline, name: str, whole: Split, backend: Backend) -> Baseline:
    """The same hyper-parameters on all of the train part."""
    if name == "popularity":
        return popularity(whole.train_csr(), whole.dataset.num_items)
    chosen = dict(found.budget["chosen"])
    chosen["rank"] = int(chosen["rank"])
    return spectral(
        whole.train_csr(),
        whole.dataset.num_items,
        name=name,
        backend=backend,
        **chosen,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality_gowalla",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    parser.add_argument("--backend", default="native", help="of the sums over pairs")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    words = sys.argv[1:] if arguments is None else arguments
    command = " ".join(["python", "-m", "benchmarks.quality_gowalla", *words])
    results = measure(command=command, backend=checked_backend(options.backend))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.json.parent) as folder:
        write_results(folder, results).replace(options.json)
    for name, row in results.models.items():
        found = {key: round(value, 4) for key, value in row.test.items()}
        print(name, round(row.seconds, 1), found, dataclasses.asdict(row)["budget"])


if __name__ == "__main__":
    main()
