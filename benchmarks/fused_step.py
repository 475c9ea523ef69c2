"""A training step of the fused model, its text vectors stored, on the whole graph.

    python -m benchmarks.fused_step --json benchmarks/results/fused_step.json

LightGCN of 3 layers beside a projection of stored text vectors of width 384, both of
width 64, the fusion W_y relu(W [h_graph ; h_text] + b) + b_y, softmax, all penalties,
Adam: the recipe `ml-100k` without its filter, which steps do not read. Ours is the
program that `train.py` runs, ten steps a call: it draws batches, looks up which items a
user is known to like, and drops sides of nodes. The peers are given all of that as
arrays, which favours them.

    ml-100k     943 users, 1,682 items, 100,000 pairs; 1,024 rows against every item
    gowalla     29,858 users, 40,981 items, 810,128 pairs; 2,048 rows against one
                another's items, with logQ correction

Pairs are real, text vectors random. Parity is that of the vectors that are ranked by,
of the first step's gradients of all parameters, and of the losses of ten steps.
"""

import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import graphs
from benchmarks.bert_weights import with_prefix
from benchmarks.fused_weights import random_weights
from benchmarks.harness import Case, System, main
from benchmarks.harness.allocator import KEEPS_MEMORY
from benchmarks.harness.system import Inputs
from benchmarks.work import of_fused_step

WIDTH, TEXT_WIDTH = 64, 384
SETTING: dict[str, Any] = {
    "num_layers": 3,
    "learning_rate": 1.5e-2,
    "l2": 3e-3,
    "anchor": 1.0,
}
TOLERANCE = 1e-4
# Variant -> options of `torch_baseline.fused_step.setup`.
PEERS = {
    "CSR": {"propagation": "csr"},
    "CSR, own backward": {"propagation": "csr_own_backward"},
    "embedding_bag, own backward": {"propagation": "bags_own_backward"},
    "embedding_bag, own backward, last layer of the batch": {
        "propagation": "bags_batch_alone"
    },
    "embedding_bag, own backward, torch.compile": {
        "propagation": "bags_own_backward",
        "compiled": "all",
    },
    "embedding_bag, own backward, torch.compile of the rest": {
        "propagation": "bags_own_backward",
        "compiled": "dense",
    },
    "PyG LightGCN edge_index": {"propagation": "pyg_edge_index"},
}
# Not once more with an allocator that keeps what is freed: they are far behind.
_SLOW = ("CSR", "PyG LightGCN edge_index")
# At the small size alone: on Gowalla a step takes two seconds, twenty times as long as
# the strongest peers', and says nothing that the small size does not.
_SMALL_ALONE = ("PyG LightGCN edge_index",)


def inputs_of(
    pairs_of: Callable[[], graphs.Interactions],
    setting: dict[str, Any],
    *,
    text_width: int = TEXT_WIDTH,
    seed: int = 1,
) -> Callable[[], Inputs]:
    """Pairs, graph, texts, weights of a seed, and the batches that our program has."""

    def made() -> Inputs:
        pairs = pairs_of()
        edges = pairs.edges()
        texts = graphs.feature_table(pairs.num_items, text_width, seed=2)
        texts /= np.linalg.norm(texts, axis=1, keepdims=True)
        weights = random_weights(
            num_nodes=edges.num_nodes, text_dim=text_width, dim=WIDTH, seed=seed
        )
        inputs = {
            **edges.arrays(),
            "num_users": np.asarray(pairs.num_users),
            "num_items": np.asarray(pairs.num_items),
            "users": pairs.users,
            "items": pairs.items,
            "item_texts": texts,
            **with_prefix(weights, "weight."),
        }
        with tempfile.TemporaryDirectory() as folder:
            for name, array in inputs.items():
                np.save(Path(folder) / f"{name}.npy", array)
            # In a process of its own: this one imports neither torch nor JAX.
            command = [sys.executable, "-m", "benchmarks.ours.fused_step", folder]
            subprocess.run([*command, json.dumps(setting)], check=True)
            for path in Path(folder).glob("batch_*.npy"):
                inputs[path.stem] = np.load(path)
        return inputs

    return made


def about(inputs: Inputs) -> str:
    """The degrees, and how much a step compares."""
    degrees = graphs.skew(int(inputs["num_nodes"]), np.asarray(inputs["receivers"]))
    _, rows, items = inputs["batch_bias"].shape
    return f"{degrees} {rows:,} rows, {items:,} items each."


def systems(setting: dict[str, Any], *, small: bool = True) -> tuple[System, ...]:
    """Ours and the peers, with the default allocator and with one that keeps memory.

    Args:
        setting: Of ours.
        small: Whether rows that take seconds on a large graph are among them.
    """
    ours = [
        System(
            system="llmgnn_jax",
            variant=f"native{suffix}",
            setup="benchmarks.ours.fused_step:setup",
            options={**setting, "backend": "native"},
            environment=environment,
        )
        for suffix, environment in (("", {}), (", tuned malloc", KEEPS_MEMORY))
    ]
    peers = [
        System(
            system="pytorch",
            variant=variant + suffix,
            setup="benchmarks.torch_baseline.fused_step:setup",
            options={**SETTING, **options},
            environment=environment,
        )
        for suffix, environment in (("", {}), (", tuned malloc", KEEPS_MEMORY))
        for variant, options in PEERS.items()
        if (small or variant not in _SMALL_ALONE)
        and (not suffix or variant not in _SLOW)
    ]
    return (*ours, *peers)


# Size -> pairs, and what a row is compared with.
SIZES: dict[str, tuple[Callable[[], graphs.Interactions], dict[str, Any]]] = {
    "ml-100k, 1,024 rows, every item": (
        graphs.ml_100k,
        {"negatives": "all", "batch_size": 1024},
    ),
    "gowalla, 2,048 rows, in batch": (
        graphs.gowalla,
        {"negatives": "in_batch", "batch_size": 2048},
    ),
}


def cases(quick: bool) -> Sequence[Case]:
    """Both sizes, float32; `--quick` measures less long."""
    found = []
    for size, (pairs_of, own) in SIZES.items():
        setting = {**SETTING, **own, "width": WIDTH}
        found.append(
            Case(
                size=size,
                precision="float32",
                unit="ms",
                inputs=inputs_of(pairs_of, setting),
                systems=systems(setting, small=size.startswith("ml-100k")),
                tolerance=TOLERANCE,
                about=about,
                work=functools.partial(of_fused_step, num_layers=SETTING["num_layers"]),
            )
        )
    return found


if __name__ == "__main__":
    main("fused_step", cases, description=__doc__ or "")
