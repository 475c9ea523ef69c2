"""Several runs of one protocol (seeds, folds) as one `results.json` document."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from benchmarks.trained_baselines import measured
from llmgnn_jax.config import Config
from llmgnn_jax.evaluation import significance
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.judgement import comparisons, documented
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
from llmgnn_jax.training.rating import COMPARED
from llmgnn_jax.training.run import fit

Run: TypeAlias = Callable[[str, Config, Path], object]
"""(label, configuration, folder) -> nothing, but the results are in the folder."""

PAIRS = "pairs"
"""The `family` of comparisons that were asked for by themselves."""


def averaged(
    configs: Mapping[str, Config],
    *,
    command: str,
    together: str,
    trials: int = 0,
    searches: Path | None = None,
) -> Results:
    """Runs each configuration and averages; a user of several runs is one user.

    Args:
        configs: Label of a run ("0", "fold 3") -> its configuration. What differs may
            be a seed or a fold, and nothing that the protocol tells apart.
        command: For the results.
        together: What the runs are together, for example "seeds 0 1 2".
        trials: Of each trained baseline; 0 leaves them out.
        searches: Where the trials of a run are kept, in a folder each.
    """

    def run(label: str, config: Config, folder: Path) -> None:
        if not trials:
            fit(config, out=folder)
            return
        folder.mkdir()
        kept = None if searches is None else searches / label.replace(" ", "-")
        results = measured(config, trials=trials, command=command, folder=kept)
        write_results(folder, results)

    documents, per_user = _run(configs, run)
    last = next(reversed(configs.values()))
    return _averaged(
        documents,
        per_user,
        best=last.models[-1],
        # Of ratings users are compared by squared errors, whose mean is no rmse.
        metric=COMPARED if last.task == "rating" else last.evaluation.metric,
        command=command,
        together=together,
    )


def side_by_side(
    variants: Mapping[str, Mapping[str, Config]],
    *,
    command: str,
    together: str,
    run: Run | None = None,
    pairs: Sequence[tuple[str, str]] = (),
) -> Results:
    """Runs of several configurations that differ in what a model is given.

    Args:
        variants: Name of a model -> its configurations, as `averaged` takes them: one
            model each, the same labels. Baselines are those of the first; the last
            variant is compared with all others.
        command: For the results.
        together: What the runs of a variant are together.
        run: What measures a configuration; `fit` if not given.
        pairs: Names of models that are compared by themselves, a family of their own.
    """
    documents: dict[str, Any] = {}
    per_user: list[dict[str, np.ndarray]] = []
    for name, configs in variants.items():
        [model] = {config.models for config in configs.values()}
        assert len(model) == 1, "a variant is one model"
        found, values = _run(configs, run or (lambda _, one, out: fit(one, out=out)))
        if not documents:
            documents = {
                label: {**one, "models": {}, "paths": {}}
                for label, one in found.items()
            }
            per_user = [{"users": one["users"]} for one in values]
        for label, of_users, mine in zip(found, values, per_user, strict=True):
            refuse_comparison(documents[label], found[label], paired=True)
            np.testing.assert_array_equal(mine["users"], of_users["users"])
            for row, result in found[label]["models"].items():
                documents[label]["models"][name if row == model[0] else row] = result
            for row, array in of_users.items():
                label_of, _, metric = row.partition("/")
                if metric:
                    renamed = name if label_of == model[0] else label_of
                    mine[f"{renamed}/{metric}"] = array
    return _averaged(
        documents,
        per_user,
        best=name,
        metric=next(iter(configs.values())).evaluation.metric,
        command=command,
        together=together,
        pairs=pairs,
    )


def _run(
    configs: Mapping[str, Config], run: Run
) -> tuple[dict[str, Mapping[str, Any]], list[Mapping[str, np.ndarray]]]:
    """Label -> results of its run; and what they are for each user."""
    documents: dict[str, Mapping[str, Any]] = {}
    per_user: list[Mapping[str, np.ndarray]] = []
    for label, config in configs.items():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            run(label, config, out)
            documents[label] = read_results(out)
            per_user.append(read_per_user(out))
    return documents, per_user


def _averaged(
    documents: Mapping[str, Mapping[str, Any]],
    per_user: Sequence[Mapping[str, np.ndarray]],
    *,
    best: str,
    metric: str,
    command: str,
    together: str,
    pairs: Sequence[tuple[str, str]] = (),
) -> Results:
    """One document of several; `best` is compared with all others, then the pairs."""
    first = next(iter(documents.values()))
    for other in documents.values():
        refuse_comparison(first, other, paired=False)
    hashes = [one["protocol"]["split_hash"] for one in documents.values()]
    candidates = dict.fromkeys(
        one["protocol"]["candidates"] for one in documents.values()
    )
    values = _pooled(per_user, metric)
    return Results(
        protocol=Protocol(
            **{
                **first["protocol"],
                "split_name": f"{_rule(first)}, {together}",
                "split_hash": hashlib.sha256("".join(hashes).encode()).hexdigest(),
                "candidates": ", ".join(candidates),
            }
        ),
        models={
            name: _model(name, documents, values[name], metric)
            for name in first["models"]
        },
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
        comparisons=[
            *comparisons(best, values, metric=metric),
            *(
                {**one, "family": PAIRS}
                for one in documented(significance.paired(pairs, values), metric=metric)
            ),
        ],
    )


def _rule(document: Mapping[str, Any]) -> str:
    """A split's name without the seed that it ends with."""
    return str(document["protocol"]["split_name"].rpartition(",")[0])


def _pooled(
    per_user: Sequence[Mapping[str, np.ndarray]], metric: str
) -> dict[str, np.ndarray]:
    """Model -> (N,), its metric for each user, the mean of the runs that have it."""
    values = [
        {
            name.removesuffix(f"/{metric}"): array
            for name, array in one.items()
            if name != "users"
        }
        for one in per_user
    ]
    return dict(significance.pooled([one["users"] for one in per_user], values))


def _model(
    name: str,
    documents: Mapping[str, Mapping[str, Any]],
    values: np.ndarray,
    metric: str,
) -> ModelResult:
    rows = {label: one["models"][name] for label, one in documents.items()}
    first = next(iter(rows.values()))
    test = _means([row["test"] for row in rows.values()])
    (low,), (high,) = significance.mean_intervals(values[:, None])
    if metric == COMPARED:
        ci95 = {"rmse": (float(low**0.5), float(high**0.5))}
    else:
        # As it is: a user is one, however many runs it is in. Where all are in all
        # runs, it is the mean of the runs.
        test[metric] = float(values.mean())
        ci95 = {metric: (float(low), float(high))}
    kinds = dict.fromkeys(kind for row in rows.values() for kind in row["kinds"])
    return ModelResult(
        valid=_means([row["valid"] for row in rows.values()]),
        test=test,
        seconds=float(np.mean([row["seconds"] for row in rows.values()])),
        baseline=first["baseline"],
        per_seed={label: row["test"] for label, row in rows.items()},
        ci95=ci95,
        beyond_accuracy=_means([row["beyond_accuracy"] for row in rows.values()]),
        budget={label: row["budget"] for label, row in rows.items()},
        kinds={
            kind: _kind(
                [row["kinds"][kind] for row in rows.values() if kind in row["kinds"]]
            )
            for kind in kinds
        },
    )


def _kind(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "users": round(float(np.mean([row["users"] for row in rows]))),
        "alone": _means([row["alone"] for row in rows]),
        "together": _means([row["together"] for row in rows]),
    }


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
