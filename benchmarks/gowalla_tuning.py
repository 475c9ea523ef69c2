"""What is chosen for Gowalla on a tenth of each user's published train part.

A file keeps what was chosen, model by model: a search that was cut off goes on after
the last one that is there. Test is never read here.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gowalla_trained import Trained, spectral_filter, train
from llmgnn_jax.data import catalog
from llmgnn_jax.data.splits import Split, split_by_rule
from llmgnn_jax.evaluation.baselines import (
    Baseline,
    of_vectors,
    popularity,
    spectral,
    trial_quality,
    tuned_baselines,
    with_vectors,
)
from llmgnn_jax.evaluation.baselines.tuning import Grid
from llmgnn_jax.evaluation.judgement import Judge
from llmgnn_jax.evaluation.ranking import rank
from llmgnn_jax.evaluation.results import write_atomically
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.spectral import Filter

logger = logging.getLogger(__name__)

K = 20
METRIC = "ndcg@20"
GRIDS: Mapping[str, Grid] = {
    "linkprop": {
        "rank": (0,),
        "ideal_weight": (0.0,),
        "user_power": (0.4, 0.5),
        "history_power": (0.5, 0.6),
        "item_power": (0.2, 0.3, 0.4, 0.5),
    },
    "gf_cf": {"rank": (128, 256, 512, 1024), "ideal_weight": (0.1, 0.2, 0.3, 0.5)},
    # Runge and Kutta's steps are stable up to 2.78.
    "bspm": {
        "rank": (512, 1024),
        "ideal_weight": (0.2, 0.4),
        "sharpening": (1.5, 2.0, 2.5, 2.75),
        "sharpening_order": (4,),
    },
}
IDEAL: Grid = {
    "rank": (512, 1024),
    "ideal_weight": (0.4, 0.6),
    "sharpening": (0.0, 0.5, 1.0, 2.0),
    "sharpening_order": (4,),
}
"""Of `degree_filter`: beside the linear filter with the powers of `linkprop`."""

FILTER_WEIGHTS = (10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
"""Of the ideal low-pass beside the trained graph."""

GRAPH_WEIGHTS = (0.0025, 0.005, 0.01, 0.02, 0.04)
"""Of the trained graph beside the filter that is best on valid."""

CURVE = {"gf_cf": (64, 256, 1024), "degree_filter": (0, 64, 256, 1024)}
"""Ranks of the points of the curve."""


def tune(file: Path, *, runs: Path, backend: Backend) -> dict[str, Any]:
    """What is chosen: `filters`, `sums` with the trained graph, and the `curve`.

    Args:
        file: JSON of what was chosen before; what it lacks is added.
        runs: Folder for the run that is validated; removed by no one.
        backend: Kernel of the sums over neighbours.
    """
    found: dict[str, Any] = {"filters": {}, "curve": {}}
    if file.exists():
        found = json.loads(file.read_text("utf-8"))
    carved = split_by_rule(
        catalog.load("gowalla"), rule="published", seed=0, valid_share=0.1
    )

    def keep(room: dict[str, Any], name: str, made: Callable[[], Any]) -> None:
        if name not in room:
            room[name] = made()
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, json.dumps(found, indent=2) + "\n")

    filters, curve = found["filters"], found["curve"]
    for name in GRIDS:
        keep(filters, name, lambda n=name: _searched(carved, n, GRIDS[n], backend))
        if name == "linkprop":
            powers = ("user_power", "history_power", "item_power")
            linear = {name: (filters["linkprop"]["chosen"][name],) for name in powers}
            grid = {**IDEAL, **linear}
            keep(
                filters,
                "degree_filter",
                lambda g=grid: _searched(carved, "degree_filter", g, backend),
            )
    for name, ranks in CURVE.items():
        keep(
            curve,
            name,
            lambda n=name, r=ranks: [
                _point(carved, filters[n]["chosen"], rank, backend) for rank in r
            ],
        )
    if "sums" not in found or "graph" not in curve:
        trained = train(valid_share=0.1, folder=runs / "valid", backend=backend)
        keep(curve, "graph", lambda: trained.curve)
        keep(
            found,
            "sums",
            lambda: _sums(carved, trained, filters, backend),
        )
    return found


def fitted_filter(
    split: Split, name: str, chosen: Mapping[str, float], backend: Backend
) -> Baseline:
    """A filter on all of a train part, or popularity."""
    history, num_items = split.train_csr(), split.dataset.num_items
    if name == "popularity":
        return popularity(history, num_items)
    values: dict[str, Any] = dict(chosen)
    width = values.pop("rank")
    return spectral(
        history,
        num_items,
        rank=width,
        chosen=Filter(**values),
        name=name,
        backend=backend,
    )


def _searched(split: Split, name: str, grid: Grid, backend: Backend) -> dict[str, Any]:
    found = tuned_baselines(
        split.train_csr(),
        split.held_out("valid"),
        num_items=split.dataset.num_items,
        metric=METRIC,
        grids={name: grid},
        backend=backend,
    )[name]
    return {**found.budget, "tuning_seconds": round(found.seconds, 1)}


def _point(
    split: Split, chosen: Mapping[str, float], width: int, backend: Backend
) -> dict[str, float]:
    """Quality on valid, and the seconds of fitting and of ranking all users."""
    start = time.perf_counter()
    told = {**chosen, "rank": width}
    if not width:
        told["ideal_weight"] = 0.0
    fitted = fitted_filter(split, "filter", told, backend)
    lists = rank(
        fitted.score_chunk,
        fitted.data,
        num_users=split.dataset.num_users,
        num_items=split.dataset.num_items,
        seen=split.train_csr(),
        k=K,
    )
    seconds = time.perf_counter() - start
    judge = Judge(
        positives=split.held_out("valid"),
        history=split.train_csr(),
        num_items=split.dataset.num_items,
        ks=(K,),
    )
    mean = judge.metrics(lists).mean
    return {
        "rank": width,
        "seconds": round(seconds, 1),
        **{name: round(mean[name], 4) for name in (f"recall@{K}", METRIC)},
    }


def _sums(
    split: Split, trained: Trained, filters: Mapping[str, Any], backend: Backend
) -> dict[str, Any]:
    """Weights of what is added to the trained graph, or it to."""
    quality = trial_quality(
        split.train_csr(),
        split.held_out("valid"),
        num_items=split.dataset.num_items,
        metric=METRIC,
    )
    vectors = spectral_filter(split, backend=backend)
    best = max(filters, key=lambda name: filters[name]["value"])
    fitted = fitted_filter(split, best, filters[best]["chosen"], backend)
    graph = of_vectors("graph", trained.users_UD, trained.items_ID)
    return {
        "graph": {"value": quality(graph), "trials": 1},
        "graph_filtered": _weighed(
            FILTER_WEIGHTS,
            lambda weight: quality(
                of_vectors("graph_filtered", *trained.filtered(vectors, weight))
            ),
        ),
        "combined": {
            "filter": best,
            **_weighed(
                GRAPH_WEIGHTS,
                lambda weight: quality(
                    with_vectors(fitted, graph, weight=weight, name="combined")
                ),
            ),
        },
    }


def _weighed(
    weights: tuple[float, ...], value_of: Callable[[float], float]
) -> dict[str, Any]:
    values = [value_of(weight) for weight in weights]
    best = int(np.argmax(values))
    return {
        "trials": len(weights),
        "grid": {"weight": list(weights)},
        "chosen": {"weight": weights[best]},
        "chosen_by": f"valid {METRIC}",
        "value": values[best],
        "at_edge": ["weight"] if best in (0, len(weights) - 1) else [],
    }
