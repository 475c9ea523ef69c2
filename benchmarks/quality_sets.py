"""Quality on data sets with texts: warm, cold, and both in one list.

    python -m benchmarks.quality_sets ml-latest-small cold \\
        --json docs/results/ml-latest-small-cold.json

Data sets are folders below `LLMGNN_SHARED`, or `../shared/data`. Tables:

    warm    interactions held out at random, 8:1:1 within each user; three seeds
    cold    a tenth of the items hidden from training, ranked among themselves: three
            seeds, or ten folds where items are few, so that each is cold once
    joint   the same, and a tenth of each user's other interactions held out: all items
            are ranked together, some places of each list kept for the cold ones

A model's `test` is the mean over seeds or folds, `per_seed` holds each. What a
configuration has of its own was chosen on the validation parts.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.averaged_runs import averaged
from benchmarks.quality_tables import kinds_table, models_table
from benchmarks.shared_folder import shared_folder
from llmgnn_jax.config import Config, replace
from llmgnn_jax.evaluation.results import write_results
from llmgnn_jax.recipes import recipe

TABLES = ("warm", "cold", "joint")


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set, and how it is measured.

    Attributes:
        folder: Its name below the shared folder.
        metric: Of early stopping and comparisons.
        ks: Cut-offs.
        changes: Table -> field -> value, beside the recipe ml-100k; chosen on valid.
            What rebuilds best what is there is not what is best guessed of what is not.
        folds: 10 where each item is cold once, 0 where seeds draw a tenth.
        new_places: Of the table `joint`.
    """

    folder: str
    metric: str
    ks: tuple[int, ...]
    changes: Mapping[str, Mapping[str, Any]]
    folds: int = 0
    new_places: tuple[int, ...] = ()


_FILMS_COLD = {
    "graph.filter_weight": 40.0,
    "graph.filter_l2": 50.0,
    "graph.filter_text_sharpness": 4.0,
}
# Some 150 cards: a gate is less to learn than a matrix over both sides.
_CARDS = {"fusion.kind": "gate", "train.learning_rate": 0.003}
_CARDS_COLD = {
    "graph.filter_l2": 20.0,
    "graph.filter_text_sharpness": 1.0,
    # There is little but text: the fusion is to manage without a graph.
    "fusion.modality_dropout": 0.5,
}
_ARTISTS = {
    # Most have one listener or two.
    "data.min_per_item": 5,
    # Of play counts, which go from one to a third of a million.
    "graph.rating_power": 0.2,
}
_ARTISTS_COLD = {
    **_ARTISTS,
    "graph.filter_l2": 50.0,
    "graph.filter_text_l2": 3.0,
    "graph.filter_text_sharpness": 8.0,
    # What is sharp is small: few artists' texts are near.
    "graph.filter_weight": 1e4,
}
_LAST_PLACES = tuple(range(11, 21))

SETS: Mapping[str, DataSet] = {
    "ml-latest-small": DataSet(
        folder="ml-latest-small",
        metric="ndcg@10",
        ks=(10, 20),
        changes={
            "warm": {"graph.filter_weight": 40.0},
            "cold": _FILMS_COLD,
            "joint": _FILMS_COLD,
        },
        new_places=_LAST_PLACES,
    ),
    "gift-cards": DataSet(
        folder="amazon-giftcards-5core",
        metric="ndcg@3",
        ks=(3, 10, 20),
        changes={
            "warm": _CARDS,
            "cold": _CARDS_COLD,
            "joint": {**_CARDS, **_CARDS_COLD},
        },
        folds=10,
        new_places=_LAST_PLACES,
    ),
    "lastfm": DataSet(
        folder="lastfm-hetrec2011",
        metric="ndcg@3",
        ks=(3, 10, 20),
        changes={
            "warm": {**_ARTISTS, "graph.filter_l2": 100.0},
            "cold": _ARTISTS_COLD,
            "joint": _ARTISTS_COLD,
        },
        folds=10,
        new_places=_LAST_PLACES,
    ),
}


def configs(name: str, table: str, changes: Mapping[str, Any]) -> dict[str, Config]:
    """Label of a run -> its configuration."""
    chosen = SETS[name]
    base = replace(
        recipe("ml-100k"),
        **{
            "recipe": name,
            "data.source": str(shared_folder(chosen.folder)),
            "evaluation.ks": chosen.ks,
            "evaluation.metric": chosen.metric,
            **chosen.changes[table],
            "data.split": "random" if table == "warm" else "cold_items",
            **changes,
        },
    )
    if table == "joint":
        base = replace(
            base,
            **{"data.warm_share": 0.1, "evaluation.new_places": chosen.new_places},
        )
    if table == "warm" or not chosen.folds:
        return {str(seed): replace(base, seed=seed) for seed in range(3)}
    base = replace(base, **{"data.folds": chosen.folds})
    return {
        f"fold {fold}": replace(base, **{"data.fold": fold})
        for fold in range(chosen.folds)
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality_sets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=SETS)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--no-baselines", action="store_true", help="the models alone")
    parser.add_argument(
        "--trials", type=int, default=0, help="of each trained baseline; 0: none"
    )
    parser.add_argument(
        "--searches", type=Path, metavar="FOLDER", help="keeps their finished trials"
    )
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    words = sys.argv[1:] if arguments is None else arguments
    changes = {"evaluation.baselines": False} if options.no_baselines else {}
    runs = configs(options.name, options.table, changes)
    kind = "folds" if SETS[options.name].folds and options.table != "warm" else "seeds"
    results = averaged(
        runs,
        command=" ".join(["python", "-m", "benchmarks.quality_sets", *words]),
        together=f"{kind} 0 to {len(runs) - 1}",
        trials=options.trials,
        searches=options.searches,
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.json.parent) as folder:
        write_results(folder, results).replace(options.json)
    document, metric = results.document(), SETS[options.name].metric
    print(models_table(document, metric))
    if options.table == "joint":
        print(kinds_table(document, metric))


if __name__ == "__main__":
    main()
