"""A node of middling degree and what lies around it, in a graph of labelled nodes."""

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.data.describe.neighbourhood import Edge, Neighbourhood, Node, placed
from llmgnn_jax.data.node_dataset import NodeSplit

_MOST = (14, 44)
"""Neighbours, and neighbours of these; the smaller numbers first."""


def node_neighbourhood(split: NodeSplit) -> Neighbourhood:
    """Chooses the node, and lays out two rings; a node's kind is its class."""
    data = split.dataset
    heads, tails = data.edges.T
    table = Csr.from_pairs(
        np.concatenate([heads, tails]), np.concatenate([tails, heads]), data.num_nodes
    )
    counts = table.counts()
    median = np.median(counts[counts > 0]) if counts.any() else 0
    middle = int(np.abs(counts - median).argmin())
    rings = [[middle]]
    left_out = 0
    for most in _MOST:
        inner = [node for ring in rings for node in ring]
        outer = np.unique(np.concatenate([table.row(node) for node in rings[-1]]))
        reached = [node for node in outer.tolist() if node not in inner]
        rings.append(reached[:most])
        left_out += len(reached[most:])
        if not reached:
            break
    number = {node: at for at, node in enumerate(n for ring in rings for n in ring)}
    edges = [
        Edge(ends=(number[head], number[tail]), relation="")
        for head in number
        for tail in table.row(head).tolist()
        if tail in number and head < tail
    ]
    places = placed([at for at, ring in enumerate(rings) for _ in ring], edges)
    names = (*data.class_names, "without a class")
    return Neighbourhood(
        title=f"{data.name}: node {middle}, which has as many edges as the median node"
        + (f" ({left_out:,} nodes not drawn)" if left_out else ""),
        nodes=tuple(
            Node(kind=f"class {names[data.labels[node]]}", label=str(node), x=x, y=y)
            for node, (x, y) in zip(number, places, strict=True)
        ),
        edges=tuple(edges),
        left_out={},
    )
