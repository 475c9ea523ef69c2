"""Every fusion under every loss, and what may be added to them, on MovieLens-100K.

    python -m benchmarks.fusion_by_loss --seeds 0 1 2 \\
        --json docs/results/fusion-by-loss.json

The fused model of the recipe, judged on the validation part: the test part is never
read. What a row says of itself is all that is changed; a row of the same configuration
that is in the file already is not run again. Seconds are the model's own: compilation,
steps and validations.
"""

import argparse
import hashlib
import json
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np

from llmgnn_jax.config import Config, FusionConfig, replace, to_json
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.recipes import recipe
from llmgnn_jax.training.prepare import Prepared, prepare
from llmgnn_jax.training.ranking import fit_model, validate

METRICS = ("ndcg@10", "recall@10")
DEFAULT_LOSS = "softmax, all items"
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
    found = [
        (kind, loss, "", {"fusion.kind": kind, **changes})
        for loss, changes in LOSSES.items()
        for kind in kinds
    ]
    default = recipe("ml-100k").fusion.kind
    found += [
        (default, DEFAULT_LOSS, name, {**LOSSES[DEFAULT_LOSS], **changes})
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
    losses = list(dict.fromkeys(row["loss"] for row in means))
    lines = ["| loss | " + " | ".join(kinds) + " |", "|---|" + "---:|" * len(kinds)]
    for loss in losses:
        cells = [_cell(by_name.get((kind, loss, ""))) for kind in kinds]
        lines.append(f"| {loss} | " + " | ".join(cells) + " |")
    seeds = list(dict.fromkeys(seed for row in means for seed in row["per_seed"]))
    lines += [
        "",
        "| added | "
        + " | ".join(f"seed {seed}" for seed in seeds)
        + " | mean ndcg@10 | mean recall@10 | seconds |",
        "|---|" + "---:|" * (len(seeds) + 3),
    ]
    default = recipe("ml-100k").fusion.kind
    for row in means:
        if (row["fusion"], row["loss"]) != (default, DEFAULT_LOSS):
            continue
        of_seeds = row["per_seed"]
        cells = [_number(of_seeds.get(seed, {}).get("ndcg@10")) for seed in seeds]
        cells += [_number(row["valid"][name]) for name in METRICS]
        label = row["added"] or "nothing"
        lines.append(f"| {label} | {' | '.join(cells)} | {row['seconds']:.0f} |")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any] | None) -> str:
    return _number(None if row is None else row["valid"]["ndcg@10"])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _kept(file: Path) -> dict[str, dict[str, Any]]:
    """Identity -> the row of a file that is there."""
    if not file.exists():
        return {}
    rows = json.loads(file.read_text("utf-8"))["rows"]
    return {row["config"]: row for row in rows}


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
    kept = _kept(chosen.json)
    document: dict[str, Any] = {
        "name": "fusion_by_loss",
        "judged_on": "valid",
        "device": device(),
        "environment": environment(),
        "command": "python -m benchmarks.fusion_by_loss "
        + " ".join(sys.argv[1:] if arguments is None else arguments),
        "means": [],
        "rows": [],
    }
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    done: dict[str, dict[str, Any]] = {}
    for fusion, loss, added, changes in cases():
        if not any(chosen.only in name for name in (fusion, loss, added)):
            continue
        for seed in chosen.seeds:
            config = configured(changes, seed=seed, steps=chosen.steps)
            mark = identity(config)
            row = kept.get(mark) or {
                "fusion": fusion,
                "loss": loss,
                "added": added,
                "seed": seed,
                "changes": changes,
                "config": mark,
                **measured(config),
            }
            done[mark] = row
            # Those that are still to come are kept until then.
            document["rows"] = [*done.values()] + [
                row for mark, row in kept.items() if mark not in done
            ]
            document["means"] = averaged([*done.values()])
            _write(chosen.json, document)
            print(json.dumps(row), file=sys.stderr, flush=True)
    print(markdown(document["means"]))


def _write(file: Path, document: Mapping[str, Any]) -> None:
    """All of it or nothing: whoever is ended in between goes on from there."""
    partial = file.with_name(file.name + ".part")
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    partial.write_text(text, "utf-8")
    partial.replace(file)


if __name__ == "__main__":
    main()
