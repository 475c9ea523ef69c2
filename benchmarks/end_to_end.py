"""LightGCN on Gowalla from raw files to metrics: the same algorithm, the same steps.

    python -m benchmarks.end_to_end --rounds 3 --json benchmarks/results/end_to_end.json

A run reads train.txt and test.txt, builds the graph, draws initial vectors, trains for
so many steps in the published setting (3 layers, width 64, batch 2048, Adam at 1e-3, L2
1e-4; He et al. 2020), ranks all items for all users and computes recall@20 and ndcg@20.
Every run starts afresh with a seed of its own, and what it compiles is compiled within
it; only imports and the start of the process are outside. One run goes before the timed
ones.

Ours is what `python train.py gowalla-lightgcn --train.steps N` does, short of its
report: it also measures which kernel suits the graph, checks each step's gradient norm,
and keeps a log and a checkpoint. The peers do none of that.

Parity comes first: losses of ten steps from one table and the same batches, and which
users and items the files give how many pairs. After the runs the means over seeds of
recall, ndcg and the loss of the last 99 steps must agree within `NOISE`, or the
benchmark fails; not so before an epoch is over, when seeds alone differ by as much.
The one difference between the algorithms: where ours has drawn a negative that the user
knows, one in a thousand, it leaves the pair out of the sum, and the peers draw again.
Initial vectors propagate to lists of their own: recall and ndcg are far above 0 before
the first step, which is why the loss is compared too.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Case, System, Unavailable, main
from benchmarks.harness.allocator import KEEPS_MEMORY
from benchmarks.harness.parity import ParityError
from benchmarks.harness.system import OURS, Inputs
from llmgnn_jax.data import catalog
from llmgnn_jax.errors import UserError

SETTING = {
    "width": 64,
    "num_layers": 3,
    "batch_size": 2048,
    "learning_rate": 1e-3,
    "l2": 1e-4,
    "k": 20,
}
EPOCH = 396
STEPS = 5 * EPOCH
QUICK_STEPS = 40
# How far means over seeds may be apart, as a share of ours.
NOISE = {"recall@20": 0.03, "ndcg@20": 0.03, "loss": 0.03}
# Variant -> options of `torch_baseline.end_to_end.Setting`: the fastest of
# `benchmarks.lightgcn_step`, by kernel.
PEERS = {
    "embedding_bag, own backward, last layer of the batch": {
        "propagation": "bags_batch_alone",
        "compiled": False,
    },
    "embedding_bag, own backward, torch.compile": {
        "propagation": "bags_own_backward",
        "compiled": True,
    },
    "CSR, own backward": {"propagation": "csr_own_backward", "compiled": False},
}
_ALLOCATORS: Mapping[str, Mapping[str, str]] = {"": {}, ", tuned malloc": KEEPS_MEMORY}


def gowalla() -> Inputs:
    """Where the files are, and the table and batches that our first steps have."""
    try:
        source = catalog.fetch("gowalla")
    except UserError as error:
        raise Unavailable(str(error)) from None
    return inputs_of(source)


def inputs_of(source: Path) -> Inputs:
    """The same of any folder with train.txt and test.txt."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "folder.npy", np.asarray(str(source)))
        # In a process of its own: this one imports neither torch nor JAX.
        module = ["-m", "benchmarks.ours.end_to_end"]
        subprocess.run([sys.executable, *module, folder], check=True)
        return {path.stem: np.load(path) for path in Path(folder).glob("*.npy")}


def about(inputs: Inputs) -> str:
    """How large it is."""
    _, _, rows = inputs["batch_nodes"].shape
    return f"{len(inputs['table']):,} users and items, batch {rows:,}."


def systems(steps: int) -> tuple[System, ...]:
    """Ours and the peers, with the default allocator and with one that keeps memory."""
    rows = [(OURS, "train.py", "benchmarks.ours.end_to_end:setup", {"steps": steps})]
    rows += [
        (
            "pytorch",
            variant,
            "benchmarks.torch_baseline.end_to_end:setup",
            {**SETTING, **options, "steps": steps},
        )
        for variant, options in PEERS.items()
    ]
    return tuple(
        System(
            system=system,
            variant=variant + suffix,
            setup=setup,
            options=options,
            environment=environment,
        )
        for suffix, environment in _ALLOCATORS.items()
        for system, variant, setup, options in rows
    )


def cases(quick: bool, *, steps: int | None = None) -> Sequence[Case]:
    """Gowalla, float32, in ms a run; `--quick` trains for a tenth of an epoch."""
    steps = steps or (QUICK_STEPS if quick else STEPS)
    return [
        Case(
            size=f"gowalla, {steps:,} steps",
            precision="float32",
            unit="ms",
            inputs=gowalla,
            systems=systems(steps),
            tolerance=2e-5,
            about=about,
        )
    ]


def check_metrics(document: dict[str, Any], _: Path | None) -> None:
    """Puts what compiling took into its column.

    Raises:
        ParityError: If a peer's metrics are not ours within `NOISE`, an epoch or more
            being trained.
    """
    rows = document["rows"]
    for row in rows:
        row["compile_s"] = row["notes"]["seconds"]["compile"]
    wanted = next(row["notes"]["metrics"] for row in rows if row["system"] == OURS)
    for row in rows:
        if row["notes"]["steps"] < EPOCH:
            continue
        for name, noise in NOISE.items():
            got = row["notes"]["metrics"][name]
            if abs(got - wanted[name]) > noise * wanted[name]:
                raise ParityError(
                    f"{row['system']} {row['variant']}: {name} is {got:.4f} after the "
                    f"runs, ours {wanted[name]:.4f}; they may differ by {noise:.0%}"
                )


def phases(document: dict[str, Any]) -> str:
    """Seconds of each part and the metrics, a row for each system."""
    lines = [
        "| system | read s | build s | train s | rank s | of these compile s "
        "| recall@20 | ndcg@20 | loss |",
        "|---|" + "---:|" * 8,
    ]
    for row in document["rows"]:
        seconds, metrics = row["notes"]["seconds"], row["notes"]["metrics"]
        cells = [f"{row['system']} {row['variant']}"]
        cells += [
            f"{seconds[part]:.2f}"
            for part in ("read", "build", "train", "rank", "compile")
        ]
        cells += [f"{metrics[name]:.4f}" for name in NOISE]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(
        "end_to_end",
        cases,
        description=__doc__ or "",
        options_of_cases={
            "steps": {
                "type": int,
                "metavar": "N",
                "help": f"of training; by default {STEPS}, five epochs",
            }
        },
        finish=check_metrics,
        more=phases,
    )
