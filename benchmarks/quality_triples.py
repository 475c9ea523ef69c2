"""MovieLens-100K with what Freebase says of its films as edges of the graph.

    python -m benchmarks.quality_triples graph --json docs/results/ml-100k-triples.json
    python -m benchmarks.quality_triples fused \
        --json docs/results/ml-100k-triples-fused.json

The recipe ml-100k without triples, with all 72,540 links between 1,598 films and 33,030
entities at the weight of an interaction, and with the same at a tenth of it.

    graph     the model of the graph alone, without and with the linear filter
    fused     the model that reads titles and genres too, with the filter

Three seeds, every variant on the same splits. No setting was chosen: each stands in the
table.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.averaged_runs import side_by_side
from benchmarks.quality_tables import models_table
from llmgnn_jax.config import Config, ModelName, replace
from llmgnn_jax.evaluation.results import write_results
from llmgnn_jax.recipes import recipe

METRIC = "ndcg@10"
SEEDS = range(3)
NO_FILTER = {"graph.filter": "none"}
TRIPLES = {"graph.relations": ("all",)}
LIGHT = {**TRIPLES, "graph.relation_weight": 0.1}
# Table, which is a model -> variant -> what it changes; the last is compared with all.
TABLES: Mapping[ModelName, Mapping[str, Mapping[str, Any]]] = {
    "graph": {
        "no filter": NO_FILTER,
        "no filter, triples": {**NO_FILTER, **TRIPLES},
        "no filter, light triples": {**NO_FILTER, **LIGHT},
        "graph": {},
        "graph, light triples": LIGHT,
        "graph, triples": TRIPLES,
    },
    "fused": {"fused": {}, "fused, light triples": LIGHT, "fused, triples": TRIPLES},
}


def configs(model: ModelName) -> dict[str, dict[str, Config]]:
    """Variant -> label of a run -> its configuration."""
    base = replace(
        recipe("ml-100k"), models=(model,), **{"data.source": "ml-100k-triples"}
    )
    found: dict[str, dict[str, Config]] = {}
    for number, (variant, changes) in enumerate(TABLES[model].items()):
        own = {**changes, "evaluation.baselines": number == 0}
        found[variant] = {str(seed): replace(base, seed=seed, **own) for seed in SEEDS}
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality_triples",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", choices=TABLES)
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    words = sys.argv[1:] if arguments is None else arguments
    results = side_by_side(
        configs(options.model),
        command=" ".join(["python", "-m", "benchmarks.quality_triples", *words]),
        together=f"seeds {SEEDS.start} to {SEEDS.stop - 1}",
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.json.parent) as folder:
        write_results(folder, results).replace(options.json)
    print(models_table(results.document(), METRIC))


if __name__ == "__main__":
    main()
