"""Topics of papers from citations, from abstracts, and from both: ten random splits.

    python -m benchmarks.quality_cora_text --json docs/results/cora-text.json

Each model is tuned by itself with the same number of trials (the first one is the
recipe as it stands) on the validation part of the first two splits, by
`benchmarks.cora_text_tuning`. Trials are kept beside the results, in
`cora-text-tuned.json`; what that file holds already is not searched for again. Test is
read once, when all is chosen. Rows beside the models: `benchmarks.node_baselines`.

Each split is a draw of its own of the same papers, so test parts overlap. The fused
model is compared with each other row twice, both paired: by splits, one difference of
accuracies each, and by papers, a paper being the mean of the splits that test on it.
The data are the asset `cora-text`, or the folder below `LLMGNN_SHARED`.
"""

import argparse
import hashlib
import logging
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cora_text_tuning import METRIC, SPACES, TRIALS, train_one, tune
from benchmarks.node_baselines import classical
from llmgnn_jax.config import Config, ModelName, replace
from llmgnn_jax.evaluation import significance
from llmgnn_jax.evaluation.classification import evaluate_classes
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.results import (
    ModelResult,
    Protocol,
    Results,
    write_results,
)
from llmgnn_jax.recipes import recipe
from llmgnn_jax.training.node_classification import MASKING
from llmgnn_jax.training.node_data import PreparedNodes, prepare_nodes

BY_SPLITS = "paired permutation of splits"
BY_PAPERS = "paired permutation of papers"

_SEEDS = tuple(range(10))


def measure(
    config: Config, tuned: Mapping[str, Any], seeds: Sequence[int], *, command: str
) -> Results:
    """Trains what was chosen on each split, and reads its test part."""
    splits = [_measured(replace(config, seed=seed), tuned) for seed in seeds]
    first = splits[0].prepared.split
    fingerprints = {one.prepared.split.fingerprint(metric=METRIC) for one in splits}
    (fingerprint,) = fingerprints
    hashes = "".join(one.prepared.split.split_hash for one in splits)
    labels = [str(seed) for seed in seeds]
    return Results(
        protocol=Protocol(
            task=config.task,
            dataset=first.dataset.name,
            split_name=f"{first.name.rpartition(',')[0]}, seeds {' '.join(labels)}",
            filters=[],
            k=[],
            masking=MASKING,
            fingerprint=fingerprint,
            split_hash=hashlib.sha256(hashes.encode()).hexdigest(),
            metric=METRIC,
        ),
        models={
            name: _row(name, splits, labels, tuned) for name in splits[0].predicted
        },
        environment=environment(),
        command=command,
        device=device(),
        comparisons=[
            *_compared({n: _by_splits(n, splits) for n in _names(splits)}, BY_SPLITS),
            *_compared(_by_papers(splits), BY_PAPERS),
        ],
    )


class _Split:
    """One split: what every row says of its papers, and how long that took."""

    def __init__(self, prepared: PreparedNodes) -> None:
        self.prepared = prepared
        self.predicted: dict[str, np.ndarray] = {}
        self.seconds: dict[str, float] = {}
        self.budget: dict[str, Mapping[str, Any]] = {}
        self.test = prepared.split.held_out("test")

    def judged(self, name: str, part: str) -> dict[str, float]:
        nodes = self.test if part == "test" else self.prepared.valid
        return evaluate_classes(
            self.predicted[name][nodes.nodes],
            nodes.labels,
            num_classes=self.prepared.train.num_classes,
        )

    def found(self, name: str) -> np.ndarray:
        """(n,) 1 where a paper of test is of the class that was said, else 0."""
        right = self.predicted[name][self.test.nodes] == self.test.labels
        return right.astype(np.float64)


def _measured(config: Config, tuned: Mapping[str, Any]) -> _Split:
    split = _Split(prepare_nodes(config))
    prepared = split.prepared
    for name in config.models:
        model = train_one(name, prepared, tuned[name]["chosen"])
        split.predicted[name] = model.predictor.classes(
            model.params, prepared.data.graph
        )
        split.seconds[name] = model.seconds
        split.budget[name] = {"steps": model.step, "best_step": model.best_step}
    texts = prepared.data.graph.texts
    assert texts is not None, "a model reads texts"
    began = time.perf_counter()
    found = classical(prepared.train, prepared.valid, np.asarray(texts.vectors_NT))
    seconds = time.perf_counter() - began
    for name, row in found.items():
        split.predicted[name] = row.classes
        split.seconds[name] = seconds / len(found)
        split.budget[name] = row.budget
    return split


def _names(splits: Sequence[_Split]) -> list[str]:
    return list(splits[0].predicted)


def _by_splits(name: str, splits: Sequence[_Split]) -> np.ndarray:
    """(S,) accuracy on the test part of each split."""
    return np.array([one.judged(name, "test")[METRIC] for one in splits])


def _by_papers(splits: Sequence[_Split]) -> dict[str, np.ndarray]:
    """Name -> (n,), how often a paper was right in the splits that test on it."""
    return significance.pooled(
        [one.test.nodes for one in splits],
        [{name: one.found(name) for name in _names(splits)} for one in splits],
    )


def _row(
    name: str, splits: Sequence[_Split], labels: Sequence[str], tuned: Mapping[str, Any]
) -> ModelResult:
    test = [one.judged(name, "test") for one in splits]
    low_1, high_1 = significance.mean_intervals(_by_papers(splits)[name][:, None])
    budget: dict[str, Any] = {
        label: one.budget[name] for label, one in zip(labels, splits, strict=True)
    }
    if name in tuned:
        row = tuned[name]
        budget["tuning"] = {
            key: row[key] for key in ("space", "seeds", "chosen", "value")
        } | {"trials": len(row["trials"])}
    return ModelResult(
        valid=_means([one.judged(name, "valid") for one in splits]),
        test=_means(test),
        seconds=float(np.mean([one.seconds[name] for one in splits])),
        baseline=name not in tuned,
        per_seed=dict(zip(labels, test, strict=True)),
        ci95={METRIC: (float(low_1[0]), float(high_1[0]))},
        budget=budget,
    )


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _compared(values: Mapping[str, np.ndarray], method: str) -> list[dict[str, Any]]:
    return [
        {
            "a": one.a,
            "b": one.b,
            "metric": METRIC,
            "delta": one.delta,
            "ci95": list(one.ci95),
            "p": one.p,
            "method": method,
            "correction": significance.CORRECTION,
        }
        for one in significance.compared("fused", values)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality_cora_text",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(_SEEDS))
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--source", default="cora-text", help="a folder in CANE's layout instead"
    )
    parser.add_argument(
        "--trials", type=int, default=TRIALS, help="of each model; test is read after"
    )
    parser.add_argument(
        "--only-tune", action="store_true", help="stop before test is read"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True
    )
    names: tuple[ModelName, ...] = tuple(SPACES)
    config = replace(
        recipe("cora-text"), **{"models": names, "data.source": options.source}
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    tuned_file = options.json.with_name(f"{options.json.stem}-tuned.json")
    tuned = tune(tuned_file, config=config, trials=options.trials)
    if options.only_tune:
        return
    words = sys.argv[1:] if arguments is None else arguments
    command = " ".join(["python", "-m", "benchmarks.quality_cora_text", *words])
    results = measure(config, tuned, options.seeds, command=command)
    with tempfile.TemporaryDirectory(dir=options.json.parent) as folder:
        write_results(folder, results).replace(options.json)
    for name, row in results.models.items():
        values = [one[METRIC] for one in row.per_seed.values()]
        print(f"{name}: test {np.mean(values):.4f} +- {np.std(values):.4f}")


if __name__ == "__main__":
    main()
