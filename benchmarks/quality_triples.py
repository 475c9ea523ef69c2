"""MovieLens-100K with what Freebase says of its films as edges of the graph.

    python -m benchmarks.quality_triples graph --json docs/results/ml-100k-triples.json
    python -m benchmarks.quality_triples fused \\
        --json docs/results/ml-100k-triples-fused.json

RecBole ships 91,631 triples beside MovieLens-100K (asset `ml-100k-recbole`). Its .link
file numbers films as later MovieLens sets do, so that it attaches them to the wrong
films. `as shipped` takes it as it is; `triples` are linked by title: a film's number is
looked up in ml-latest-small (`LLMGNN_SHARED`), its title and year in MovieLens-100K.

    graph     the model of the graph alone, without and with the linear filter
    fused     the model that reads titles and genres too, with the filter

The recipe ml-100k, a link at the weight of an interaction, or a tenth of it (`light`).
Three seeds, every variant on the same splits. No setting was chosen.
"""

import argparse
import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.averaged_runs import side_by_side
from benchmarks.quality_tables import models_table
from benchmarks.shared_folder import shared_folder
from llmgnn_jax.config import Config, ModelName, replace
from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.evaluation.results import write_results
from llmgnn_jax.recipes import recipe

logger = logging.getLogger(__name__)

METRIC = "ndcg@10"
SEEDS = range(3)
SHIPPED = "ml-100k-recbole"
_OTHER_TITLE = re.compile(r"\s*\([^()]*\)(?=.*\(\d{4}\)$)")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What a model is given.

    Attributes:
        weight: Of a triple's link; 0 for no triples.
        shipped: Whether they are linked as RecBole has it.
        filtered: Whether there is the linear filter.
    """

    weight: float = 0.0
    shipped: bool = False
    filtered: bool = True


# Table, which is a model -> variants; the last is compared with all others.
TABLES: Mapping[ModelName, Mapping[str, Variant]] = {
    "graph": {
        "no filter": Variant(filtered=False),
        "no filter, as shipped": Variant(weight=1.0, shipped=True, filtered=False),
        "no filter, triples": Variant(weight=1.0, filtered=False),
        "no triples": Variant(),
        "as shipped": Variant(weight=1.0, shipped=True),
        "light triples": Variant(weight=0.1),
        "triples": Variant(weight=1.0),
    },
    "fused": {
        "no triples": Variant(),
        "as shipped": Variant(weight=1.0, shipped=True),
        "triples": Variant(weight=1.0),
    },
}


def mended_links(shipped: Dataset, numbered: Dataset) -> dict[str, str]:
    """Number of a film in later sets -> its number in MovieLens-100K, by title.

    Args:
        shipped: MovieLens-100K.
        numbered: Films under their later numbers.
    """
    here: dict[str, str] = {}
    for film, title in zip(shipped.item_ids, shipped.item_titles, strict=True):
        if title:
            here.setdefault(_plain(title), film)
    titled = zip(numbered.item_ids, numbered.item_titles, strict=True)
    return {
        film: here[_plain(title)] for film, title in titled if _plain(title) in here
    }


def _plain(title: str) -> str:
    """A title with its year, without what else it is called."""
    return _OTHER_TITLE.sub("", title).casefold()


def mend(folder: Path) -> Path:
    """RecBole's files in a folder, the .link file with the right numbers."""
    shipped = catalog.fetch(SHIPPED)
    shutil.copytree(shipped, folder)
    numbers = mended_links(
        catalog.load(SHIPPED), catalog.load(shared_folder("ml-latest-small"))
    )
    path = folder / "ml-100k.link"
    header, *lines = path.read_text("utf-8").splitlines()
    pairs = [line.split("\t") for line in lines]
    mended = [f"{numbers[film]}\t{what}" for film, what in pairs if film in numbers]
    path.write_text("\n".join([header, *mended, ""]), "utf-8")
    right = sum(numbers.get(film) == film for film, _ in pairs)
    logger.info(
        "%d of %d links lead to a film of MovieLens-100K by its title; %d did before",
        len(mended),
        len(lines),
        right,
    )
    return folder


def configs(model: ModelName, mended: Path) -> dict[str, dict[str, Config]]:
    """Variant -> label of a run -> its configuration."""
    base = replace(recipe("ml-100k"), models=(model,))
    found: dict[str, dict[str, Config]] = {}
    for number, (name, variant) in enumerate(TABLES[model].items()):
        changes: dict[str, Any] = {
            "data.source": SHIPPED if variant.shipped else str(mended),
            "evaluation.baselines": number == 0,
        }
        if variant.weight:
            changes["graph.relations"] = ("all",)
            changes["graph.relation_weight"] = variant.weight
        if not variant.filtered:
            changes["graph.filter"] = "none"
        found[name] = {str(seed): replace(base, seed=seed, **changes) for seed in SEEDS}
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
    with tempfile.TemporaryDirectory() as made:
        results = side_by_side(
            configs(options.model, mend(Path(made) / "ml-100k")),
            command=" ".join(["python", "-m", "benchmarks.quality_triples", *words]),
            together=f"seeds {SEEDS.start} to {SEEDS.stop - 1}",
        )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.json.parent) as folder:
        write_results(folder, results).replace(options.json)
    print(models_table(results.document(), METRIC))


if __name__ == "__main__":
    main()
