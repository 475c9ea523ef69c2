"""Sampled GraphSAGE training: sampling, forward, backward and Adam, in seeds a second.

    python -m benchmarks.sampled_sage --json benchmarks/results/sampled_sage.json

200,000 nodes and 4 M directed edges, both ends drawn by rank ** -0.8
(`benchmarks.graphs.power_law`); 1,024 seeds a batch, fan-out 15 x 10, two layers of the
mean aggregator, width 64 throughout, mean squared error. With and without replacement
are sizes of their own. Parity is that of outputs and of all gradients on one fixed
tree. A run is a pass over 20 batches, so that a loader's workers have nothing left to
prefetch for free while others are timed. Memory of a loader's worker processes is not
counted.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import graphs
from benchmarks.harness import Case, System, main
from benchmarks.harness.allocator import KEEPS_MEMORY
from benchmarks.harness.system import Inputs

WIDTH = 64
FANOUTS = [15, 10]
BATCH, BATCHES, QUICK_BATCHES = 1024, 20, 4
SETTING = {"fanouts": FANOUTS, "learning_rate": 1e-3}
# Variant, whether the table is read in place, and by which kernel.
OURS = (
    ("native, table in place", True, "native"),
    ("csr, table in place", True, "csr"),
    ("native, rows gathered", False, "native"),
)
# Variant -> how a block is computed, workers of the loader, and who gathers vectors: a
# worker or the process that trains.
PEERS = {
    "NeighborLoader, plain SAGEConv": ("plain", 0, False),
    "NeighborLoader, plain SAGEConv, 1 worker": ("plain", 1, False),
    "NeighborLoader, plain SAGEConv, 2 workers": ("plain", 2, False),
    "NeighborLoader, trimmed SAGEConv": ("trimmed", 0, False),
    "NeighborLoader, trimmed SAGEConv, 2 workers": ("trimmed", 2, False),
    "NeighborLoader, embedding_bag": ("bags", 0, False),
    "NeighborLoader, embedding_bag, 1 worker": ("bags", 1, False),
    "NeighborLoader, embedding_bag, 2 workers": ("bags", 2, False),
    "NeighborLoader, embedding_bag, 2 workers that gather": ("bags", 2, True),
}
# Once more with an allocator that keeps what is freed.
KEEPING = (
    "NeighborLoader, plain SAGEConv, 2 workers",
    "NeighborLoader, trimmed SAGEConv, 2 workers",
    "NeighborLoader, embedding_bag, 2 workers",
)


def inputs_of(num_nodes: int, num_edges: int, *, batches: int) -> Callable[[], Inputs]:
    """The graph, vectors, batches of seeds, parameters, and a fixed tree."""

    def make() -> Inputs:
        edges = graphs.power_law(num_nodes, num_edges, seed=0)
        random = np.random.default_rng(1)
        seeds = random.permutation(num_nodes)[: batches * BATCH]
        seeds = seeds.reshape(batches, BATCH)
        parameters = {}
        for number in range(len(FANOUTS)):
            for name in ("neighbours", "root"):
                matrix = random.standard_normal((WIDTH, WIDTH), dtype=np.float32) / 8
                parameters[f"{name}_{number}"] = matrix
            bias = random.standard_normal(WIDTH, dtype=np.float32) / 8
            parameters[f"bias_{number}"] = bias
        return {
            **edges.arrays(),
            "nodes": graphs.feature_table(num_nodes, WIDTH, seed=2),
            "targets": graphs.feature_table(num_nodes, WIDTH, seed=3),
            "seeds": seeds,
            **parameters,
            **fixed_tree(edges, seeds[0], random),
        }

    return make


def fixed_tree(
    edges: graphs.Edges, seeds: np.ndarray, random: np.random.Generator
) -> dict[str, np.ndarray]:
    """`block_nodes_h` and `block_mask_h` (W, K) of each hop, uniform draws."""
    indptr, found = edges.indptr, {}
    parents, real = seeds, np.ones(len(seeds), bool)
    for number, fanout in enumerate(FANOUTS):
        counts = np.where(real, indptr[parents + 1] - indptr[parents], 0)
        draws = random.random((len(parents), fanout)) * counts[:, None]
        places = indptr[parents][:, None] + draws.astype(np.int64)
        mask = np.repeat(counts[:, None] > 0, fanout, axis=1)
        nodes = edges.senders[np.where(mask, places, 0)] * mask
        found[f"block_nodes_{number}"] = nodes.astype(np.int32)
        found[f"block_mask_{number}"] = mask
        parents, real = nodes.reshape(-1), mask.reshape(-1)
    return found


def about(inputs: Inputs) -> str:
    """The degrees."""
    return graphs.skew(int(inputs["num_nodes"]), np.asarray(inputs["receivers"]))


def systems(*, replace: bool) -> tuple[System, ...]:
    """Ours both ways, and the loaders."""
    options = {**SETTING, "replace": replace}
    peers = [_loader(variant, options) for variant in PEERS] + [
        _loader(variant, options, keeps_memory=True) for variant in KEEPING
    ]
    ours = [
        System(
            system="llmgnn_jax",
            variant=variant,
            setup="benchmarks.ours.sampled_sage:setup",
            options={**options, "in_place": in_place, "backend": backend},
        )
        for variant, in_place, backend in OURS
    ]
    return (*ours, *peers)


def _loader(
    variant: str, options: Mapping[str, Any], *, keeps_memory: bool = False
) -> System:
    forward, workers, gather = PEERS[variant]
    return System(
        system="pyg",
        variant=f"{variant}, tuned malloc" if keeps_memory else variant,
        setup="benchmarks.torch_baseline.sampled_sage:setup",
        options={
            **options,
            "forward": forward,
            "num_workers": workers,
            "workers_gather": gather,
        },
        environment=KEEPS_MEMORY if keeps_memory else {},
    )


def cases(quick: bool) -> Sequence[Case]:
    """With and without replacement; `--quick` takes fewer batches."""
    nodes, edges = 200_000, 4_000_000
    batches = QUICK_BATCHES if quick else BATCHES
    return [
        Case(
            size=f"{nodes // 1000}k nodes, {edges / 1e6:g} M edges, "
            f"{'with' if replace else 'without'} replacement",
            precision="float32",
            unit="seeds/s",
            inputs=inputs_of(nodes, edges, batches=batches),
            systems=systems(replace=replace),
            tolerance=2e-5,
            about=about,
        )
        for replace in (True, False)
    ]


if __name__ == "__main__":
    main("sampled_sage", cases, description=__doc__ or "")
