"""What a trained text encoder costs and brings: frozen, adapters, all of it.

    python -m benchmarks.text_modes --json docs/results/text-modes.json

The fused model on MovieLens-100K, the same steps in each mode; only the encoder's step
size differs, one for each mode, chosen on the validation part. A run is a process of
its own, so that its peak memory is its own. Seconds are the model's: steps and
validations, without reading, the first encoding of all texts (frozen: from the store
after the first run) and measuring.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmgnn_jax.evaluation.environment import device, environment

# Beside `text.mode`: the encoder's step size.
MODES: dict[str, float | None] = {"frozen": None, "lora": 1e-4, "full": 1e-5}
METRICS = ("ndcg@10", "recall@10")


def options(mode: str, *, steps: int) -> list[str]:
    """Of `llmgnn train ml-100k`."""
    rate = MODES[mode]
    return [
        *("--models", "fused", "--text.mode", mode),
        *("--train.negatives", "in_batch", "--train.batch-size", "256"),
        # It knows nothing of texts, and would hide what they bring.
        *("--graph.filter", "none"),
        *("--train.steps", str(steps), "--evaluation.baselines", "False"),
        *([] if rate is None else ["--text.learning-rate", str(rate)]),
    ]


def measured(mode: str, *, seed: int, steps: int) -> dict[str, Any]:
    """One run: quality, seconds and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [
            *(sys.executable, "-m", "llmgnn_jax.cli", "train", "ml-100k"),
            *("--seed", str(seed), "--out", str(run), *options(mode, steps=steps)),
        ]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            raise SystemExit(f"error: text_modes: {mode}, seed {seed}: see above")
        results = json.loads((run / "results.json").read_text("utf-8"))
    model = results["models"]["fused"]
    return {
        "mode": mode,
        "seed": seed,
        "seconds": model["seconds"],
        "peak_mb": usage.ru_maxrss / 1024,
        "steps": model["budget"]["steps"],
        "best_step": model["budget"]["best_step"],
        "valid": {name: model["valid"][name] for name in METRICS},
        "test": {name: model["test"][name] for name in METRICS},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.text_modes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--json", type=Path, metavar="FILE", required=True)
    chosen = parser.parse_args(arguments)
    document: dict[str, Any] = {
        "name": "text_modes",
        "device": device(),
        "environment": environment(),
        "command": "python -m benchmarks.text_modes "
        + " ".join(sys.argv[1:] if arguments is None else arguments),
        "rows": [],
    }
    for mode in MODES:
        for seed in chosen.seeds:
            row = measured(mode, seed=seed, steps=chosen.steps)
            document["rows"].append(row)
            print(json.dumps(row), flush=True)
            text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
            chosen.json.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
