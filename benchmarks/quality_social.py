"""Last.fm as a social network: music with friends, friends, groups of taste.

    python -m benchmarks.quality_social content --json docs/results/lastfm-content.json
    python -m benchmarks.quality_social friends --json docs/results/lastfm-friends.json
    python -m benchmarks.quality_social groups --json docs/results/lastfm-groups.json

    content   artists for people: without and with friendships as edges of the graph
    friends   people for people: a tenth of the friendships is to be found; without and
              with the artists that people play, without and with the linear filter,
              beside common neighbours and the index of Adamic and Adar
    groups    groups for people, who are in that of each tag that they used: as nodes,
              without and with the artists that people play, and as what their members
              come to together; the most popular groups are `popularity`

Three seeds each, every variant on the same splits. Settings were chosen on the
validation part.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.averaged_runs import side_by_side
from benchmarks.quality_tables import models_table
from benchmarks.shared_folder import shared_folder
from llmgnn_jax.config import Config, replace
from llmgnn_jax.evaluation.results import write_results
from llmgnn_jax.recipes import recipe
from llmgnn_jax.training.lists import model_vectors
from llmgnn_jax.training.measure import measure
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.ranking import fit_model

METRIC = "ndcg@10"
# Of the last variant: the members' vectors together, over their number to a power.
OF_MEMBERS = {
    "sum of members": 0.0,
    "sum of members over the root": 0.5,
    "mean of members": 1.0,
}
SEEDS = range(3)
NO_FILTER = {"graph.filter": "none"}
ALONE: Mapping[str, Any] = {"graph.relations": ()}
FRIENDS = {"graph.relations": ("friends",)}
# Table -> its recipe, and variant -> what it changes; the last is compared with all.
TABLES: Mapping[str, tuple[str, Mapping[str, Mapping[str, Any]]]] = {
    "content": (
        "lastfm",
        {
            "no filter": {**NO_FILTER, **ALONE},
            "no filter, friends": {**NO_FILTER, **FRIENDS},
            "no friends": ALONE,
            "friends": FRIENDS,
        },
    ),
    "friends": (
        "lastfm-friends",
        {
            "links, no filter": {**NO_FILTER, **ALONE},
            "links, plays, no filter": NO_FILTER,
            "links": ALONE,
            "links, plays": {},
        },
    ),
    "groups": ("lastfm-groups", {"members": ALONE, "members, plays": {}}),
}


def configs(table: str) -> dict[str, dict[str, Config]]:
    """Variant -> label of a run -> its configuration."""
    name, variants = TABLES[table]
    base = recipe(name)
    source = str(shared_folder(base.data.source))
    base = replace(base, models=("graph",), **{"data.source": source})
    found: dict[str, dict[str, Config]] = {}
    for number, (variant, changes) in enumerate(variants.items()):
        own = {**changes, "evaluation.baselines": number == 0}
        found[variant] = {str(seed): replace(base, seed=seed, **own) for seed in SEEDS}
    return found


def with_members(_: str, config: Config, folder: Path) -> None:
    """A run, and beside its groups' own vectors the sums of their members'.

    Divided by nothing, by the root of their number as a graph's layer does, and by
    their number.
    """
    folder.mkdir()
    prepared = prepare(config)
    [name] = config.models
    model = fit_model(name, prepared, folder=folder)
    users_UD, _ = model_vectors(model, prepared)
    members = prepared.history
    groups, counts = (
        members.indices,
        np.bincount(members.indices, minlength=prepared.dataset.num_items),
    )
    people = np.repeat(np.arange(members.num_rows), members.counts())
    sums_ID = np.zeros((len(counts), users_UD.shape[1]), np.float32)
    np.add.at(sums_ID, groups, users_UD[people])
    sizes_I1 = np.maximum(counts, 1).astype(np.float32)[:, None]
    vectors = {
        name: (users_UD, sums_ID / sizes_I1**power)
        for name, power in OF_MEMBERS.items()
    }
    results = measure(prepared, [model], command="", vectors=vectors)
    write_results(folder, results)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality_social",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    words = sys.argv[1:] if arguments is None else arguments
    results = side_by_side(
        configs(options.table),
        command=" ".join(["python", "-m", "benchmarks.quality_social", *words]),
        run=with_members if options.table == "groups" else None,
        together=f"seeds {SEEDS.start} to {SEEDS.stop - 1}",
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.json.parent) as folder:
        write_results(folder, results).replace(options.json)
    print(models_table(results.document(), METRIC))


if __name__ == "__main__":
    main()
