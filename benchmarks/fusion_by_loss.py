"""Every fusion under every loss, and what may be added to them, on MovieLens-100K.

    python -m benchmarks.fusion_by_loss --seeds 0 1 2 \\
        --json docs/results/fusion-by-loss.json

The fused model of the recipe without its linear filter, which would outweigh what is
compared; with it, each fusion once more. Judged on the validation part: the test part
is never read. What a row says of itself is all that is changed; a row of the same
configuration that is in the file already is not run again. Seconds are the model's own:
compilation, steps and validations.
"""

import argparse
import datetime
import hashlib
import json
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np

from benchmarks.plot import columns
from benchmarks.quality_tables import table
from llmgnn_jax.config import Config, FusionConfig, replace, to_json
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.results import write_atomically
from llmgnn_jax.recipes import recipe
from llmgnn_jax.training.prepare import Prepared, prepare
from llmgnn_jax.training.ranking import fit_model, validate

METRICS = ("ndcg@10", "recall@10")
DEFAULT_LOSS = "softmax, all items"
NO_FILTER = {"graph.filter": "none"}
FILTER = "linear filter"
_LEVELS = ("", FILTER)
"""What may be added to every fusion."""
LOSSES: dict[str, dict[str, Any]] = {
    # One negative a row, as in its paper.
    "bpr, uniform": {
        "train.loss": "bpr",
        "train.negatives": "uniform",
        "train.num_negatives": 1,
    },
    DEFAULT_LOSS: {"train.loss": "sampled_softmax", "train.negatives": "all"},
    "softmax, in batch": {
        "train.loss": "sampled_softmax",
        "train.negatives": "in_batch",
    },
    "alignment and uniformity": {
        "train.loss": "alignment_uniformity",
        "train.negatives": "in_batch",
    },
}
OF_DEFAULT: dict[str, dict[str, Any]] = {
    "softmax, 512 items drawn uniformly": {
        "train.loss": "sampled_softmax",
        "train.negatives": "uniform",
        "train.num_negatives": 512,
    },
    "softmax, 512 items drawn by popularity": {
        "train.loss": "sampled_softmax",
        "train.negatives": "popularity",
        "train.num_negatives": 512,
    },
    "bpr, the hardest of 16": {
        "train.loss": "bpr",
        "train.negatives": "hard",
        "train.num_negatives": 16,
    },
}
"""Losses that the default fusion alone is run under."""
# Weights of a first guess, but for the contrast's: at 0.1 it costs more than it brings.
ADDED: dict[str, dict[str, Any]] = {
    "alignment of graph and text": {"fusion.alignment": 0.1},
    "contrast of two views": {"graph.contrast": 0.03},
    "spectral start": {"graph.init": "spectral"},
    "start from texts": {"graph.init": "text"},
    "pull to texts": {"graph.text_pull": 0.1},
}


def cases() -> list[tuple[str, str, str, dict[str, Any]]]:
    """Fusion, loss, what is added (or "") and the fields that are changed."""
    kinds = get_args(get_type_hints(FusionConfig)["kind"])
    default, loss = recipe("ml-100k").fusion.kind, LOSSES[DEFAULT_LOSS]
    found = [
        (kind, name, "", {**NO_FILTER, "fusion.kind": kind, **changes})
        for name, changes in LOSSES.items()
        for kind in kinds
    ]
    found += [
        (default, name, "", {**NO_FILTER, **changes})
        for name, changes in OF_DEFAULT.items()
    ]
    found += [
        (kind, DEFAULT_LOSS, FILTER, {"fusion.kind": kind, **loss}) for kind in kinds
    ]
    found += [
        (default, DEFAULT_LOSS, name, {**NO_FILTER, **loss, **changes})
        for name, changes in ADDED.items()
    ]
    return found


def configured(changes: Mapping[str, Any], *, seed: int, steps: int | None) -> Config:
    """The recipe's fused model with some fields changed."""
    limit = {} if steps is None else {"train.steps": steps}
    return replace(
        recipe("ml-100k"), seed=seed, models=("fused",), **{**changes, **limit}
    )


def identity(config: Config) -> str:
    """What tells a row from those of other configurations."""
    return hashlib.sha256(to_json(config).encode()).hexdigest()


def measured(config: Config) -> dict[str, Any]:
    """Trains the model once: its best validation, and what it took."""
    prepared = prepare(config)
    with tempfile.TemporaryDirectory() as folder:
        model = fit_model("fused", prepared, folder=Path(folder))
    return {
        "valid": _on_valid(model, prepared),
        "seconds": model.seconds,
        "steps": model.step,
        "best_step": model.best_step,
    }


def _on_valid(model: Any, prepared: Prepared) -> dict[str, float]:
    mean = validate(model.scorer, model.params, model.features, prepared).mean
    return {name: mean[name] for name in METRICS}


def averaged(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each case: means over its seeds, and each seed."""
    found: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["fusion"], row["loss"], row["added"]), []).append(row)
    return [
        {
            "fusion": fusion,
            "loss": loss,
            "added": added,
            "valid": {
                name: float(np.mean([one["valid"][name] for one in of_seeds]))
                for name in METRICS
            },
            "per_seed": {str(one["seed"]): one["valid"] for one in of_seeds},
            "seconds": float(np.mean([one["seconds"] for one in of_seeds])),
        }
        for (fusion, loss, added), of_seeds in found.items()
    ]


def markdown(means: Sequence[Mapping[str, Any]]) -> str:
    """Two tables of validation ndcg@10: losses by fusions, and what is added."""
    by_name = {(row["fusion"], row["loss"], row["added"]): row for row in means}
    kinds = list(dict.fromkeys(row["fusion"] for row in means))
    named = [(row["loss"], row["added"]) for row in means if row["added"] in _LEVELS]
    default = recipe("ml-100k").fusion.kind
    by_fusion = table(
        ["loss", *kinds],
        [
            [
                f"{loss}, and {added}" if added else loss,
                *(_number(by_name.get((kind, loss, added))) for kind in kinds),
            ]
            for loss, added in dict.fromkeys(named)
        ],
    )
    seeds = list(dict.fromkeys(seed for row in means for seed in row["per_seed"]))
    additions = table(
        [
            f"{default}, {DEFAULT_LOSS}",
            *(f"seed {seed}" for seed in seeds),
            *(f"mean {name}" for name in METRICS),
            "seconds",
        ],
        [
            [
                row["added"] or "nothing added",
                *(_number({"valid": row["per_seed"].get(seed)}) for seed in seeds),
                *(_number(row, name) for name in METRICS),
                f"{row['seconds']:.0f}",
            ]
            for row in means
            if (row["fusion"], row["loss"]) == (default, DEFAULT_LOSS)
        ],
    )
    return f"{by_fusion}\n\n{additions}"


def picture(means: Sequence[Mapping[str, Any]]) -> str:
    """Quality by fusion as an SVG document, for each loss that all are run under."""
    kinds = list(dict.fromkeys(row["fusion"] for row in means))
    levels: dict[str, dict[str, float]] = {}
    for row in means:
        if row["added"] in _LEVELS and row["loss"] in LOSSES:
            name = f"{row['loss']}, and {row['added']}" if row["added"] else row["loss"]
            levels.setdefault(name, {})[row["fusion"]] = row["valid"][METRICS[0]]
    return columns(
        kinds,
        levels,
        title=f"Validation {METRICS[0]} by fusion and loss, mean of seeds",
        y_label=METRICS[0],
    )


def _number(row: Mapping[str, Any] | None, metric: str = METRICS[0]) -> str:
    """Of a row that may be missing."""
    valid = row and row["valid"]
    return f"{valid[metric]:.4f}" if valid else ""


def _kept(file: Path, *, steps: int | None) -> dict[str, dict[str, Any]]:
    """Identity -> the row of a file that is there."""
    if not file.exists():
        return {}
    document = json.loads(file.read_text("utf-8"))
    if document["steps"] != steps:
        raise UserError.field(
            "--steps",
            expected=f"{document['steps']}, which {file} was made with",
            got=steps,
            fix="name another file",
        )
    return {row["config"]: row for row in document["rows"]}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fusion_by_loss",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="most steps of a run, to try it out")
    parser.add_argument(
        "--only",
        metavar="TEXT",
        default="",
        help="cases whose fusion, loss or addition holds TEXT",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", required=True)
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        rows = _kept(chosen.json, steps=chosen.steps)
    except UserError as error:
        parser.error(str(error))
    seeds = sorted({*chosen.seeds, *(row["seed"] for row in rows.values())})
    # What no case is of any more is left out.
    order = [
        identity(configured(changes, seed=seed, steps=chosen.steps))
        for _, _, _, changes in cases()
        for seed in seeds
    ]
    document: dict[str, Any] = {
        "name": "fusion_by_loss",
        "judged_on": "valid",
        "steps": chosen.steps,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": device(),
        "environment": environment(),
        "command": "python -m benchmarks.fusion_by_loss "
        + " ".join(sys.argv[1:] if arguments is None else arguments),
        "means": [],
        "rows": [],
    }
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    for fusion, loss, added, changes in cases():
        if not any(chosen.only in name for name in (fusion, loss, added)):
            continue
        for seed in chosen.seeds:
            config = configured(changes, seed=seed, steps=chosen.steps)
            mark = identity(config)
            rows[mark] = rows.get(mark) or {
                "fusion": fusion,
                "loss": loss,
                "added": added,
                "seed": seed,
                "changes": changes,
                "config": mark,
                **measured(config),
            }
            document["rows"] = [rows[one] for one in order if one in rows]
            document["means"] = averaged(document["rows"])
            # Whoever is ended in between goes on from there.
            text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
            write_atomically(chosen.json, text)
            print(json.dumps(rows[mark]), file=sys.stderr, flush=True)
    if document["means"]:
        write_atomically(chosen.json.with_suffix(".svg"), picture(document["means"]))
        print(markdown(document["means"]))


if __name__ == "__main__":
    main()
