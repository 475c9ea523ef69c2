"""One GAT layer at the size of Gowalla, forward and backward: 4 heads of width 16.

    python -m benchmarks.gat --json benchmarks/results/gat.json

Self-loops are among the edges beforehand on every side, and edges are sorted by
receiver. Gradients are those of the node vectors and of all four parameters.
"""

from collections.abc import Sequence

import numpy as np

from benchmarks import graphs
from benchmarks.harness import Case, System, main
from benchmarks.harness.allocator import KEEPS_MEMORY
from benchmarks.harness.system import Inputs

HEADS, HEAD_WIDTH = 4, 16
WIDTH = HEADS * HEAD_WIDTH
OUR_ROWS = (
    ("native", "", {}),
    ("native", ", tuned malloc", KEEPS_MEMORY),
    ("csr", "", {}),
    ("segment", "", {}),
)
# Path of `torch_baseline.gat` -> system and variant.
PEERS = {
    "edge_index": ("pyg", "GATConv edge_index"),
    "sorted_edge_index": ("pyg", "GATConv EdgeIndex, sorted"),
    "sparse_tensor": ("pyg", "GATConv SparseTensor"),
    "by_hand": ("pytorch", "embedding_bag, own backward"),
}


def gowalla() -> Inputs:
    """Gowalla with self-loops, node vectors and the layer's parameters."""
    edges = graphs.gowalla().edges()
    loops = np.arange(edges.num_nodes)
    edges = graphs.normalised(
        np.concatenate([edges.senders, loops]),
        np.concatenate([edges.receivers, loops]),
        edges.num_nodes,
    )
    random = np.random.default_rng(3)

    def draw(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, dtype=np.float32) / 8

    return {
        **edges.arrays(),
        "nodes": graphs.feature_table(edges.num_nodes, WIDTH, seed=1),
        "cotangent": graphs.feature_table(edges.num_nodes, WIDTH, seed=2),
        "kernel": draw(WIDTH, WIDTH),
        "sender_attention": draw(HEADS, HEAD_WIDTH),
        "receiver_attention": draw(HEADS, HEAD_WIDTH),
        "bias": draw(WIDTH),
    }


def about(inputs: Inputs) -> str:
    """The degrees."""
    return graphs.skew(int(inputs["num_nodes"]), np.asarray(inputs["receivers"]))


def systems() -> tuple[System, ...]:
    """Our backends; the peers and stock jraph, each with both allocators."""
    ours = [
        System(
            system="llmgnn_jax",
            variant=backend + suffix,
            setup="benchmarks.ours.gat:setup",
            options={"backend": backend},
            environment=environment,
        )
        for backend, suffix, environment in OUR_ROWS
    ]
    peers = [
        System(
            system=system,
            variant=variant + suffix,
            setup="benchmarks.torch_baseline.gat:setup",
            options={"path": path},
            environment=environment,
        )
        for path, (system, variant) in PEERS.items()
        for suffix, environment in (("", {}), (", tuned malloc", KEEPS_MEMORY))
    ]
    jraph = [
        System(
            system="jraph",
            variant=f"GAT{suffix}",
            setup="benchmarks.jraph_baseline.gat:setup",
            environment=environment,
        )
        for suffix, environment in (("", {}), (", tuned malloc", KEEPS_MEMORY))
    ]
    return (*ours, *peers, *jraph)


def cases(quick: bool) -> Sequence[Case]:
    """Gowalla, float32; `--quick` measures less long."""
    return [
        Case(
            size="gowalla with self-loops",
            precision="float32",
            unit="ms",
            inputs=gowalla,
            systems=systems(),
            # Gradients of parameters are sums over 70,839 nodes.
            tolerance=1e-4,
            about=about,
        )
    ]


if __name__ == "__main__":
    main("gat", cases, description=__doc__ or "")
