"""One propagation over a graph: out = A X, forward, width 64.

    python -m benchmarks.propagation --json benchmarks/results/propagation.json

Gowalla is the bipartite graph of the published LightGCN split, both directions,
normalised by 1 / sqrt(d_u d_v); `power law` is a graph of the same size whose ends are
drawn by rank ** -0.8 (`benchmarks.graphs.power_law`). The peers' matrices are made and
normalised beforehand, but for PyG's LGConv on an edge_index, which normalises in each
call as it does in a model.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import graphs
from benchmarks.harness import Case, System, main
from benchmarks.harness.allocator import KEEPS_MEMORY
from benchmarks.harness.system import Inputs, Precision
from benchmarks.work import of_propagation

WIDTH = 64
# A hub's sum of 50,000 float32 terms depends on their order to more than 1e-5.
HUB_TOLERANCE = 1e-4
BACKENDS = ("native", "csr", "segment", "bucketed")
# Layer of `jraph_baseline.graphs`; each makes an array of E x 64.
JRAPH_LAYERS = (
    "GraphNetwork",
    "GraphConvolution",
    "GraphConvolution, scaled beforehand, sorted",
)
# Product of `torch_baseline.products` -> system and variant.
PEERS = {
    "coo": ("pytorch", "COO"),
    "csr": ("pytorch", "CSR"),
    "csr_reduce": ("pytorch", "CSR, sparse.mm sum"),
    "bags": ("pytorch", "embedding_bag"),
    "edge_list_compiled": ("pytorch", "edge list, torch.compile"),
    "segment_reduce": ("pytorch", "gather, segment_reduce"),
    "torch_sparse": ("pyg", "torch-sparse matmul"),
    "lgconv_sparse_tensor": ("pyg", "LGConv SparseTensor"),
    "edge_index_matmul": ("pyg", "EdgeIndex matmul"),
    "lgconv_edge_index": ("pyg", "LGConv edge_index"),
}
# What makes large temporaries: once more with an allocator that keeps what is freed.
KEEPING = ("edge_list_compiled", "lgconv_edge_index")
# torch-sparse's own kernel accumulates in bfloat16: it fails parity, and takes 20 times
# as long as the others.
BFLOAT16_PEERS = ("csr", "csr_reduce", "bags", "lgconv_sparse_tensor")


def gowalla() -> Inputs:
    """Gowalla with random node vectors."""
    return with_nodes(graphs.gowalla().edges())


def power_law(num_nodes: int, num_edges: int) -> Callable[[], Inputs]:
    """A power-law graph with random node vectors."""
    return lambda: with_nodes(graphs.power_law(num_nodes, num_edges, seed=0))


def with_nodes(edges: graphs.Edges) -> Inputs:
    """The graph, node vectors, and the gradient that parity sends back."""
    return {
        **edges.arrays(),
        "nodes": graphs.feature_table(edges.num_nodes, WIDTH, seed=1),
        "cotangent": graphs.feature_table(edges.num_nodes, WIDTH, seed=2),
    }


def about(inputs: Inputs) -> str:
    """The degrees."""
    return graphs.skew(int(inputs["num_nodes"]), np.asarray(inputs["receivers"]))


def systems(
    precision: Precision,
    *,
    backends: Sequence[str] = BACKENDS,
    peers: Sequence[str] = tuple(PEERS),
    jraph: bool = True,
) -> tuple[System, ...]:
    """Our backends, stock jraph and the peers."""
    options = {"precision": precision}
    found = [
        System(
            system="llmgnn_jax",
            variant=backend,
            setup="benchmarks.ours.propagation:setup",
            options={"backend": backend, **options},
        )
        for backend in backends
    ]
    if jraph:
        found += [
            System(
                system="jraph",
                variant=layer + suffix,
                setup="benchmarks.jraph_baseline.propagation:setup",
                options={"layer": layer},
                environment=environment,
            )
            for layer in JRAPH_LAYERS
            for suffix, environment in (("", {}), (", tuned malloc", KEEPS_MEMORY))
        ]
    for product in peers:
        system, variant = PEERS[product]
        environments = {variant: {}}
        if product in KEEPING:
            environments[f"{variant}, tuned malloc"] = KEEPS_MEMORY
        found += [
            System(
                system=system,
                variant=name,
                setup="benchmarks.torch_baseline.propagation:setup",
                options={"product": product, **options},
                environment=environment,
            )
            for name, environment in environments.items()
        ]
    return tuple(found)


def cases(quick: bool) -> list[Case]:
    """Gowalla in both precisions; the power law in float32."""
    first = Case(
        size="gowalla",
        precision="float32",
        unit="ms",
        inputs=gowalla,
        systems=systems("float32"),
        tolerance=1e-5,
        about=about,
        work=of_propagation,
    )
    half = Case(
        size="gowalla",
        precision="bfloat16",
        unit="ms",
        inputs=gowalla,
        systems=systems("bfloat16", peers=BFLOAT16_PEERS, jraph=False),
        tolerance=2e-2,
        about=about,
        work=functools.partial(of_propagation, precision="bfloat16"),
    )
    nodes, edges = (7_000, 160_000) if quick else (70_839, 1_620_256)
    synthetic = Case(
        size=f"power law, {edges / 1e6:.2g} M edges",
        precision="float32",
        unit="ms",
        inputs=power_law(nodes, edges),
        systems=systems("float32"),
        tolerance=HUB_TOLERANCE,
        about=about,
        work=of_propagation,
    )
    return [first, half, synthetic]


if __name__ == "__main__":
    main("propagation", cases, description=__doc__ or "")
