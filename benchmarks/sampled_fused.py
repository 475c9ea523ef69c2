"""A training step of the fused model on sampled neighbours, the sampling included.

    python -m benchmarks.sampled_fused --rounds 5 --json FILE

The model, the fusion and the penalties of `fused_step`, with LightGCN of 2 layers over
15 x 10 sampled neighbours: 1,024 pairs a step, so 2,048 trees of 166 places, softmax
over one another's items with logQ correction. What is summed up is an estimate of the
whole graph's layer: an edge counts d / k, where k of d neighbours were drawn.

    gowalla      29,858 users, 40,981 items, 810,128 pairs; Adam
    power law    800,000 users, 300,000 items, 8,000,000 pairs; row-wise Adagrad of the
                 node vectors, which leaves rows alone that a step does not read

Ours is the program that `train.py` runs with `--graph.fanouts 15 10`, ten steps a call:
it draws pairs, looks up which items a user is known to like, drops sides of nodes, and
draws neighbours uniformly without replacement, for each of the 2,048 nodes a tree of
its own. The peers are given all of that as arrays, but for the neighbours:

    trees                 by hand, without a loop over nodes: one `embedding_bag` of a
                          whole tree, with weights that are products along its paths
    trees, distinct rows  the same of the tree's different rows, gathered first
    NeighborLoader        a block of different nodes each of which is expanded once,
                          without replacement; layer by layer, by `LGConv` or by
                          `embedding_bag`

Each samples a node that a batch names twice once, ours twice. "With replacement" is
less work than ours: no set is drawn, and no slot is empty. Pairs of Gowalla are real,
text vectors random, of width 384, and of 64 for the power law. Parity is that of the
propagated vectors, of the first step's gradients of all parameters, and of the losses
of ten steps, on the trees that our program draws.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import fused_step, graphs
from benchmarks.harness import Case, System, main
from benchmarks.harness.allocator import KEEPS_MEMORY

SETTING = {
    **{"num_layers": 2, "fanouts": [15, 10], "width": fused_step.WIDTH},
    **{"batch_size": 1024, "negatives": "in_batch"},
    **{"learning_rate": 1.5e-2, "l2": 3e-3, "anchor": 1.0},
}
BY_ROWS = {"table_optimizer": "rowwise_adagrad", "table_learning_rate": 0.2}
# Variant -> options of `torch_baseline.sampled_fused.setup`.
PEERS: dict[str, dict[str, Any]] = {
    "trees, with replacement": {"sums": "in_place", "replacement": "with"},
    "trees, without replacement": {"sums": "in_place"},
    "trees, with replacement, distinct rows": {
        "sums": "of_distinct",
        "replacement": "with",
    },
    "trees, without replacement, distinct rows": {"sums": "of_distinct"},
    "trees, with replacement, distinct rows, torch.compile of the rest": {
        "sums": "of_distinct",
        "replacement": "with",
        "compiled": True,
    },
    "NeighborLoader, LGConv": {"sums": "plain"},
    "NeighborLoader, embedding_bag": {"sums": "bags"},
    "NeighborLoader, embedding_bag, 1 worker": {"sums": "bags", "num_workers": 1},
    "NeighborLoader, embedding_bag, 2 workers": {"sums": "bags", "num_workers": 2},
}
# Once more with an allocator that keeps what is freed.
KEEPING = (
    "trees, with replacement",
    "trees, with replacement, distinct rows",
    "trees, without replacement, distinct rows",
    "NeighborLoader, embedding_bag, 2 workers",
)
# A million nodes: no more than fits into memory side by side.
LARGE = (
    "trees, with replacement, distinct rows",
    "trees, without replacement, distinct rows",
    "NeighborLoader, embedding_bag, 2 workers",
)


@dataclass(frozen=True, kw_only=True)
class Size:
    """Pairs, and how a model of them is trained.

    Attributes:
        pairs: Who interacted with what.
        setting: Options of both sides.
        text_width: Of the stored text vectors.
        peers: Of `PEERS`; with row-wise Adagrad those that read distinct rows.
        keeping: Those that run with the other allocator too.
    """

    pairs: Callable[[], graphs.Interactions]
    setting: dict[str, Any]
    text_width: int
    peers: tuple[str, ...]
    keeping: tuple[str, ...]


def power_law() -> graphs.Interactions:
    """A million nodes, 16 M directed edges."""
    return graphs.random_pairs(800_000, 300_000, 8_000_000, seed=0, exponent=0.8)


SIZES = {
    "gowalla, 15 x 10 neighbours, Adam": Size(
        pairs=graphs.gowalla,
        setting=SETTING,
        text_width=fused_step.TEXT_WIDTH,
        peers=tuple(PEERS),
        keeping=KEEPING,
    ),
    "power law, 15 x 10 neighbours, row-wise Adagrad": Size(
        pairs=power_law,
        setting={**SETTING, **BY_ROWS},
        text_width=64,
        peers=LARGE,
        keeping=LARGE[:1],
    ),
}


def systems(size: Size) -> tuple[System, ...]:
    """Ours and the peers, with the default allocator and with one that keeps memory."""
    ours = [
        System(
            system="llmgnn_jax",
            variant=f"native{suffix}",
            setup="benchmarks.ours.fused_step:setup",
            options={**size.setting, "backend": "native"},
            environment=environment,
        )
        for suffix, environment in (("", {}), (", tuned malloc", KEEPS_MEMORY))
    ]
    peers = [
        System(
            system="pyg" if "Loader" in variant else "pytorch",
            variant=variant + suffix,
            setup="benchmarks.torch_baseline.sampled_fused:setup",
            options={**size.setting, **PEERS[variant]},
            environment=environment,
        )
        for suffix, environment, variants in (
            ("", {}, size.peers),
            (", tuned malloc", KEEPS_MEMORY, size.keeping),
        )
        for variant in variants
    ]
    return (*ours, *peers)


def cases(quick: bool) -> Sequence[Case]:
    """Both sizes, float32; `--quick` measures less long."""
    del quick
    return [
        Case(
            size=name,
            precision="float32",
            unit="ms",
            inputs=fused_step.inputs_of(
                size.pairs, size.setting, text_width=size.text_width
            ),
            systems=systems(size),
            tolerance=1e-4,
            about=fused_step.about,
        )
        for name, size in SIZES.items()
    ]


if __name__ == "__main__":
    main("sampled_fused", cases, description=__doc__ or "")
