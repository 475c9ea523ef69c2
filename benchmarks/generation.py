"""Greedy text generation with SmolLM2-135M, in new tokens a second.

    python -m benchmarks.generation --json results.json

64 tokens after prompts of 32, one row and eight rows at once, prompts included. Weights
are those of the asset, made float32 or bfloat16 once; both sides have the same. In
bfloat16 ours keeps matrices in it and all else in float32; the peers' models are
bfloat16 throughout. Each step reads all matrices, so that the time is the memory's:
the rows in GB/s, which have no ratio, say how fast this machine reads, and below the
table stands which share of that a row reaches.

The peers are transformers' `generate` with its dynamic and its static cache, compiled
and not, and loops written by hand for this model: matrices that are read together are
one, caches are written in place, nothing is masked; as they are, compiled, and compiled
with packed matrices (`freezing`).

Parity is that of the logits after the prompts and after eight given tokens, one step
each; in float32 that of the 64 tokens too.
"""

import functools
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Case, System, Unavailable, main
from benchmarks.harness.system import Inputs, Precision
from llmgnn_jax import assets
from llmgnn_jax.errors import UserError

DECODER = "smollm2-135m"
BATCHES = (1, 8)
NEW = 64
# Weights in the layout of Hugging Face, made once; and the prompts.
FOLDER = Path(__file__).resolve().parents[1] / "build" / "generation"
TOLERANCES: dict[Precision, float] = {"float32": 1e-4, "bfloat16": 0.1}
# Variant -> options of `torch_baseline.generation`.
GENERATE: dict[str, dict[str, Any]] = {
    "generate": {},
    "generate, static cache": {"cache": "static"},
    "generate, static cache, torch.compile": {"cache": "static", "compiled": True},
}
LOOPS: dict[str, dict[str, Any]] = {
    "own loop": {},
    "own loop, torch.compile": {"compiled": "plain"},
    "own loop, torch.compile, packed": {"compiled": "packed"},
}


@functools.cache
def prepared() -> Path:
    """The folder with weights and prompts.

    Raises:
        Unavailable: If the weights cannot be had.
    """
    try:
        assets.fetch(DECODER)
    except UserError as error:
        raise Unavailable(str(error)) from None
    if not (FOLDER / "prompts.npy").exists():
        # In a process of its own: this one imports neither torch nor JAX.
        module = ["-m", "benchmarks.ours.generation"]
        subprocess.run([sys.executable, *module, DECODER, str(FOLDER)], check=True)
    return FOLDER


def inputs_of(batch: int) -> Callable[[], Inputs]:
    """`ids` (B, 32) tokens of prompts, and `forced` (B, 8) to read after them."""

    def make() -> Inputs:
        prompts = np.load(prepared() / "prompts.npy")[:batch]
        return {"ids": prompts[:, :32], "forced": prompts[:, 32:40]}

    return make


def systems(precision: Precision) -> tuple[System, ...]:
    """Ours, the peers of one precision, and how fast memory is read."""
    setting = {"new": NEW, "precision": precision}
    ours = System(
        system="llmgnn_jax",
        variant="decode",
        setup="benchmarks.ours.generation:setup",
        options={**setting, "decoder": DECODER},
    )

    def peer(system: str, setup: str, variant: str, options: dict[str, Any]) -> System:
        return System(
            system=system,
            variant=variant,
            setup=f"benchmarks.torch_baseline.generation:{setup}",
            options={**setting, "folder": str(FOLDER), **options},
        )

    reads = System(
        system="pytorch",
        variant="sum of as many numbers",
        setup="benchmarks.torch_baseline.generation:setup_reads",
        options={},
        unit="GB/s",
    )
    return (
        ours,
        *(peer("transformers", "setup", *one) for one in GENERATE.items()),
        *(peer("pytorch", "setup_loop", *one) for one in LOOPS.items()),
        reads,
    )


def cases(quick: bool) -> Sequence[Case]:
    """One row and eight, in both precisions."""
    return [
        Case(
            size=f"batch {batch}",
            precision=precision,
            unit="tokens/s",
            inputs=inputs_of(batch),
            systems=systems(precision),
            tolerance=TOLERANCES[precision],
            about=lambda inputs: f"{NEW} tokens after {inputs['ids'].shape}.",
        )
        for precision in ("float32", "bfloat16")
        for batch in BATCHES
    ]


def add_shares(document: dict[str, Any], _: Path | None) -> None:
    """Adds `gb_per_s` and `share_of_reads` to the rows of tokens: of weights alone."""
    for row in document["rows"]:
        of_case = [
            one
            for one in document["rows"]
            if (one["size"], one["precision"]) == (row["size"], row["precision"])
        ]
        reads = [one["median"] for one in of_case if one["unit"] == "GB/s"]
        sizes = [
            one["notes"]["bytes_a_step"]
            for one in of_case
            if "bytes_a_step" in one.get("notes", ())
        ]
        if row["unit"] == "tokens/s" and reads and sizes:
            steps_per_s = row["median"] / int(row["size"].split()[-1])
            row["gb_per_s"] = steps_per_s * sizes[0] / 1e9
            row["share_of_reads"] = row["gb_per_s"] / max(reads)


def extra(document: dict[str, Any]) -> str:
    """How fast weights were read, a line for each row."""
    return "\n".join(
        f"{row['size']}, {row['precision']}, {row['system']} {row['variant']}: "
        f"{row['gb_per_s']:.1f} GB/s of weights, {row['share_of_reads']:.0%} of reads"
        for row in document["rows"]
        if "gb_per_s" in row
    )


if __name__ == "__main__":
    main(
        "generation",
        cases,
        description=__doc__ or "",
        finish=add_shares,
        more=extra,
    )
