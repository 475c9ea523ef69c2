"""A training step by the size of its batch, from 256 to 16,384 rows, one device.

    python -m benchmarks.batch_sizes --rounds 3 --json FILE

LightGCN on Gowalla, as in `lightgcn_step`: the whole graph is propagated whatever the
batch is, so that a row of a large batch costs next to nothing. The fused model on
MovieLens-100K, as in `fused_step`, every row against every item: what the batch costs
grows with it. Peers are the strongest of those benchmarks, and RecBole's own LightGCN.
"""

from collections.abc import Sequence

from benchmarks import fused_step, graphs, lightgcn_step
from benchmarks.harness import Case, System, main

ROWS = (256, 512, 1024, 2048, 4096, 8192, 16_384)
QUICK_ROWS = (256, 4096)
LIGHTGCN_PEERS = (
    "CSR, own backward",
    "embedding_bag, own backward",
    "embedding_bag, own backward, last layer of the batch",
    "LightGCN",
)
FUSED_PEERS = (
    "CSR, own backward",
    "embedding_bag, own backward",
    "embedding_bag, own backward, last layer of the batch",
    "embedding_bag, own backward, torch.compile of the rest",
)
KEEPING = ", tuned malloc"


def chosen(systems: Sequence[System], peers: Sequence[str]) -> tuple[System, ...]:
    """Our native backend and some of the peers, with both allocators."""
    names = {*peers, "native"}
    return tuple(
        system for system in systems if system.variant.removesuffix(KEEPING) in names
    )


def lightgcn(rows: int) -> Case:
    """LightGCN on Gowalla with so many rows in a batch."""
    options = {**lightgcn_step.OURS, "batch_size": rows}
    return Case(
        size=f"LightGCN on Gowalla, batch {rows:,}",
        precision="float32",
        unit="ms",
        inputs=lightgcn_step.inputs_of(graphs.gowalla, options),
        systems=chosen(lightgcn_step.systems(options), LIGHTGCN_PEERS),
        tolerance=lightgcn_step.TOLERANCE,
        about=lightgcn_step.about,
    )


def fused(rows: int) -> Case:
    """The fused model on MovieLens-100K with so many rows in a batch."""
    setting = {
        **fused_step.SETTING,
        "width": fused_step.WIDTH,
        "negatives": "all",
        "batch_size": rows,
    }
    return Case(
        # A size that has one number has a place on a curve.
        size=f"fused on MovieLens, batch {rows:,}",
        precision="float32",
        unit="ms",
        # Of seed 1 an activation lies so near to ReLU's kink that in the largest batch
        # one side takes its gradient and the other does not.
        inputs=fused_step.inputs_of(graphs.ml_100k, setting, seed=2),
        systems=chosen(fused_step.systems(setting), FUSED_PEERS),
        tolerance=fused_step.TOLERANCE,
        about=fused_step.about,
    )


def cases(quick: bool) -> list[Case]:
    """Both models by batch; `--quick` takes two batches."""
    rows = QUICK_ROWS if quick else ROWS
    return [*map(lightgcn, rows), *map(fused, rows)]


if __name__ == "__main__":
    main("batch_sizes", cases, description=__doc__ or "")
