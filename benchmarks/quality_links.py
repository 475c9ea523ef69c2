"""Amazon gift cards without and with the shop's links between them.

    python -m benchmarks.quality_links --json docs/results/gift-cards-links.json

What else was bought or looked at (`also_buy`, `also_view`) are edges of the graph, or
they are not: of the graph's model and of the fused one.

The graph's model is tuned with links and without, by as many trials, and a trial's
number draws the same value for both of what both have. A trial's value is the mean of
its best ndcg@10 on valid over seeds 0 and 1; searches hold no test part. The fused
model takes what was chosen for the graph's, its fusion is the recipe's. Trials are kept
beside the results, in `gift-cards-links-tuned.json`, and not made again. Then seeds
are trained as chosen, and test is read.
"""

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.averaged_runs import side_by_side
from benchmarks.quality_tables import models_table, pairs_table
from benchmarks.shared_folder import shared_folder
from llmgnn_jax.config import Config, ModelName, replace, typed_value
from llmgnn_jax.evaluation.results import write_atomically, write_results
from llmgnn_jax.recipes import recipe
from llmgnn_jax.tuning.random_search import search
from llmgnn_jax.tuning.space import Space

logger = logging.getLogger(__name__)

METRIC = "ndcg@10"
SEEDS = range(3)
TUNED_ON = range(2)
TRIALS = 6

_GRAPH: Space = {
    "train.learning_rate": (1e-3, 3e-2, "log"),
    "train.l2": (1e-4, 1e-1, "log"),
    "graph.num_layers": (1, 2, 3),
    "graph.filter_weight": (5.0, 15.0, 40.0),
    "graph.filter_l2": (10.0, 300.0, "log"),
}
# Of the graph's model: name -> what is chosen on valid.
SEARCHES: Mapping[str, Space] = {
    "no links": _GRAPH,
    "links": {
        **_GRAPH,
        "graph.relations": (("also_buy",), ("also_view",), ("also_buy", "also_view")),
        "graph.relation_weight": (0.1, 3.0, "log"),
    },
}
# Name -> its model and the search that it goes by. The first has the baselines beside
# it, the last is compared with all others.
VARIANTS: Mapping[str, tuple[ModelName, str]] = {
    "fused": ("fused", "no links"),
    "graph": ("graph", "no links"),
    "graph, links": ("graph", "links"),
    "fused, links": ("fused", "links"),
}
PAIRS = (("graph, links", "graph"), ("fused, links", "fused"))


def base_config(seed: int) -> Config:
    """What no variant changes: the recipe, without links."""
    base = recipe("gift-cards")
    source = str(shared_folder(base.data.source))
    return replace(base, seed=seed, **{"data.source": source, "graph.relations": ()})


def configs(tuned: Mapping[str, Any]) -> dict[str, dict[str, Config]]:
    """Variant -> label of a run -> its configuration, as was chosen."""
    found: dict[str, dict[str, Config]] = {}
    for number, (name, (model, chosen)) in enumerate(VARIANTS.items()):
        changes = {
            "models": (model,),
            "evaluation.baselines": number == 0,
            **{
                field: typed_value(field, value)
                for field, value in tuned[chosen]["chosen"].items()
            },
        }
        found[name] = {
            str(seed): replace(base_config(seed), **changes) for seed in SEEDS
        }
    return found


def tune(file: Path, *, trials: int, folder: Path) -> dict[str, Any]:
    """Search -> its trials and what was chosen; goes on where the file ends.

    Args:
        file: Finished searches are kept in it.
        trials: Of each search.
        folder: Where the finished trials of a search are kept.
    """
    tuned: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, space in SEARCHES.items():
        if len(tuned.get(name, {}).get("trials", ())) == trials:
            continue
        searches = [
            search(
                base_config(seed),
                space=space,
                model="graph",
                trials=trials,
                file=folder / f"{name.replace(' ', '-')}-{seed}.jsonl",
            )
            for seed in TUNED_ON
        ]
        rows: list[dict[str, Any]] = []
        for of_seeds in zip(*(one.trials for one in searches), strict=True):
            # What diverged on a split is not chosen.
            values = [one.value or 0.0 for one in of_seeds]
            rows.append(
                {
                    "values": dict(of_seeds[0].values),
                    "valid": values,
                    "mean": float(np.mean(values)),
                }
            )
        best = max(rows, key=lambda row: row["mean"])
        logger.info("%s: valid %s %.4f, %s", name, METRIC, best["mean"], best["values"])
        tuned[name] = {
            "space": space,
            "seeds": list(TUNED_ON),
            "trials": rows,
            "chosen": best["values"],
            "value": best["mean"],
        }
        write_atomically(file, json.dumps(tuned, indent=1) + "\n")
    return tuned


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality_links",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--trials", type=int, default=TRIALS, help="of each search; test is read after"
    )
    parser.add_argument(
        "--searches",
        type=Path,
        default=Path("build") / "gift-cards-links",
        metavar="FOLDER",
        help="keeps the trials of a search that is not finished",
    )
    parser.add_argument(
        "--only-tune", action="store_true", help="stop before test is read"
    )
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    tuned = tune(
        options.json.with_name(f"{options.json.stem}-tuned.json"),
        trials=options.trials,
        folder=options.searches,
    )
    if options.only_tune:
        return
    words = sys.argv[1:] if arguments is None else arguments
    results = side_by_side(
        configs(tuned),
        command=" ".join(["python", "-m", "benchmarks.quality_links", *words]),
        together=f"seeds {SEEDS.start} to {SEEDS.stop - 1}",
        pairs=PAIRS,
    )
    with tempfile.TemporaryDirectory(dir=options.json.parent) as folder:
        write_results(folder, results).replace(options.json)
    document = results.document()
    print(models_table(document, METRIC), pairs_table(document), sep="\n\n")


if __name__ == "__main__":
    main()
