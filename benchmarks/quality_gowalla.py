"""Quality on Gowalla's published split: chosen on valid, fitted once more, tested once.

    python -m benchmarks.quality_gowalla --json docs/results/gowalla.json

A tenth of each user's published train part is held out. Hyper-parameters are chosen
there on 2,000 users (`benchmarks.gowalla_tuning`) and kept beside the results, in
`gowalla-tuned.json`; what that file holds already is not searched for again. Each model
is then fitted on all of the train part and read against the published test part, once.
`seconds` go from the files to the lists of all users; `budget` says what was tried. The
plot shows quality on the held-out tenth by seconds: filters by their rank, the trained
graph by its steps.

| row | what it is |
|---|---|
| `popularity`, `gf_cf`, `bspm` | as published |
| `linkprop` | two steps of a walk, powers of degrees chosen |
| `degree_filter` | the same, plus an ideal low-pass, then sharpened |
| `graph` | the recipe `gowalla-filtered` without its filter |
| `graph_filtered` | with it |
| `combined` | the filter that is best on valid, plus `graph` |

Published recall@20 and ndcg@20: LightGCN .1824, .1547; GF-CF .1849, .1518; BSPM-EM
.1920, .1597.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gowalla_trained import RECIPE, spectral_filter, train
from benchmarks.gowalla_tuning import METRIC, K, fitted_filter, tune
from benchmarks.plot import Line, chart
from llmgnn_jax.data import catalog
from llmgnn_jax.data.splits import Split, split_by_rule
from llmgnn_jax.evaluation.baselines import Baseline, of_vectors, with_vectors
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.judgement import Judge, comparisons
from llmgnn_jax.evaluation.ranking import rank
from llmgnn_jax.evaluation.results import (
    Protocol,
    Results,
    write_atomically,
    write_results,
)
from llmgnn_jax.graph.aggregate import Backend, checked_backend
from llmgnn_jax.training.measure import MASKING

_TICKS = (5, 10, 20, 50, 100, 200, 500, 1000)


def measure(
    tuned: Mapping[str, Any], *, runs: Path, command: str, backend: Backend
) -> Results:
    """Fits what was chosen on all of the train part, then reads test once."""
    start = time.perf_counter()
    whole = split_by_rule(
        catalog.load("gowalla"), rule="published", seed=0, valid_share=0.0
    )
    reading = time.perf_counter() - start
    num_items, seen = whole.dataset.num_items, whole.seen("test")
    judge = Judge(
        positives=whole.held_out("test"),
        history=whole.train_csr(),
        num_items=num_items,
        ks=(K,),
    )
    rows, judged = {}, {}
    for fitted, budget, learned in _fitted(whole, tuned, runs, backend):
        start = time.perf_counter()
        lists = rank(
            fitted.score_chunk,
            fitted.data,
            num_users=whole.dataset.num_users,
            num_items=num_items,
            seen=seen,
            k=K,
        )
        # What trains reads the files itself.
        seconds = fitted.seconds + time.perf_counter() - start
        judged[fitted.name] = judge(lists)
        rows[fitted.name] = judged[fitted.name].result(
            valid={METRIC: budget["value"]} if "value" in budget else {},
            seconds=seconds if learned else seconds + reading,
            baseline=not learned,
            budget=budget,
        )
    values = {name: one.per_user[METRIC] for name, one in judged.items()}
    # The best on valid: test has no say.
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
            metric=METRIC,
        ),
        models=rows,
        environment=environment(),
        command=command,
        device=device(),
        comparisons=comparisons(best, values, metric=METRIC),
    )


def _fitted(
    whole: Split, tuned: Mapping[str, Any], runs: Path, backend: Backend
) -> Iterator[tuple[Baseline, Mapping[str, Any], bool]]:
    """Each model, its budget, and whether it is trained by gradients."""
    filters, sums = tuned["filters"], tuned["sums"]
    yield fitted_filter(whole, "popularity", {}, backend), {}, False
    for name, budget in filters.items():
        fitted = fitted_filter(whole, name, budget["chosen"], backend)
        yield fitted, budget, False
    with tempfile.TemporaryDirectory(dir=runs) as folder:
        trained = train(valid_share=0.0, folder=Path(folder), backend=backend)
    about = {"recipe": RECIPE, "steps": trained.steps}
    graph = of_vectors(
        "graph", trained.users_UD, trained.items_ID, seconds=trained.seconds
    )
    yield graph, {**sums["graph"], **about}, True
    start = time.perf_counter()
    sides = trained.filtered(
        spectral_filter(whole, backend=backend),
        sums["graph_filtered"]["chosen"]["weight"],
    )
    seconds = trained.seconds + time.perf_counter() - start
    filtered = of_vectors("graph_filtered", *sides, seconds=seconds)
    yield filtered, {**sums["graph_filtered"], **about}, True
    beside = sums["combined"]["filter"]
    combined = with_vectors(
        fitted_filter(whole, beside, filters[beside]["chosen"], backend),
        graph,
        weight=sums["combined"]["chosen"]["weight"],
        name="combined",
    )
    yield combined, {**sums["combined"], **about}, True


def plot(curve: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Quality on the held-out tenth of train by seconds, as SVG."""
    lines = [
        Line(
            name=name,
            points=[(max(point["seconds"], 1.0), point[METRIC]) for point in points],
            dashed=name != "graph",
        )
        for name, points in curve.items()
    ]
    xs = [x for line in lines for x, _ in line.points]
    return chart(
        lines,
        title="Gowalla: quality on a held-out tenth of the train part",
        x_label="seconds: fit and ranking (dashed, by rank), steps of training (graph)",
        y_label=METRIC,
        x_ticks=[tick for tick in _TICKS if min(xs) <= tick <= max(xs)],
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality_gowalla",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--tuned",
        type=Path,
        metavar="FILE",
        help="what is chosen on valid; what it lacks is searched for and added "
        "(default: gowalla-tuned.json beside the results)",
    )
    parser.add_argument(
        "--only-tune", action="store_true", help="stop before test is read"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/quality-gowalla"), metavar="FOLDER"
    )
    parser.add_argument("--backend", default="native", help="of the sums over pairs")
    options = parser.parse_args(arguments)
    # Libraries have set up handlers of their own by now.
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True
    )
    words = sys.argv[1:] if arguments is None else arguments
    command = " ".join(["python", "-m", "benchmarks.quality_gowalla", *words])
    backend = checked_backend(options.backend)
    options.runs.mkdir(parents=True, exist_ok=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    tuned_file = options.tuned or options.json.with_name("gowalla-tuned.json")
    tuned = tune(tuned_file, runs=options.runs, backend=backend)
    write_atomically(options.json.with_suffix(".svg"), plot(tuned["curve"]))
    if options.only_tune:
        return
    results = measure(tuned, runs=options.runs, command=command, backend=backend)
    with tempfile.TemporaryDirectory(dir=options.json.parent) as folder:
        write_results(folder, results).replace(options.json)
    for name, row in results.models.items():
        found = {key: round(value, 4) for key, value in row.test.items()}
        print(name, round(row.seconds, 1), found)


if __name__ == "__main__":
    main()
