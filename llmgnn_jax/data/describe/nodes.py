"""What a graph of labelled nodes is like."""

import itertools
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

from llmgnn_jax.data.describe.leaks import Check
from llmgnn_jax.data.describe.spread import Spread, degrees
from llmgnn_jax.data.node_dataset import NodeSplit

_OFTEN = 0.05


@dataclass(frozen=True, kw_only=True)
class NodeDescription:
    """What a `NodeSplit` is like.

    Attributes:
        name: Of the dataset.
        content_hash: Of its content.
        nodes: How many.
        edges: How many, undirected.
        features: How many.
        filled: Share of features that are not 0.
        degrees: Edges of a node.
        isolated: Nodes without an edge.
        components: Parts that no edge joins, isolated nodes among them.
        same_class: Share of edges, between nodes with a class, that join one class.
        classes: Class -> its nodes in train, valid and test, and in all.
        unlabelled: Nodes without a class.
        parts: Nodes of train, valid and test.
        checks: What was looked for that would flatter a model.
        warnings: What one should know before a training.
    """

    name: str
    content_hash: str
    nodes: int
    edges: int
    features: int
    filled: float
    degrees: Spread
    isolated: int
    components: int
    same_class: float | None
    classes: dict[str, tuple[int, int, int, int]]
    unlabelled: int
    parts: tuple[int, int, int]
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]


def describe_nodes(split: NodeSplit) -> NodeDescription:
    """Looks at a graph of labelled nodes."""
    data = split.dataset
    heads, tails = data.edges.T
    counts = np.bincount(data.edges.reshape(-1), minlength=data.num_nodes)
    matrix = scipy.sparse.csr_array(
        (np.ones(len(heads)), (heads, tails)), shape=(data.num_nodes, data.num_nodes)
    )
    components, _ = scipy.sparse.csgraph.connected_components(matrix, directed=False)
    ends = data.labels[heads], data.labels[tails]
    labelled = (ends[0] >= 0) & (ends[1] >= 0)
    members = [
        np.bincount(data.labels[nodes], minlength=data.num_classes).tolist()
        for nodes in (
            split.train,
            split.valid,
            split.test,
            np.flatnonzero(data.labels >= 0),
        )
    ]
    sparse = scipy.sparse.csr_array(data.features)
    checks = (_features_alike(sparse, split),)
    isolated = int((counts == 0).sum())
    told = []
    if isolated:
        told.append(f"{isolated:,} nodes have no edge: features alone tell of them")
    missing = [
        name
        for name, count in zip(data.class_names, members[0], strict=True)
        if not count
    ]
    if missing:
        told.append("no node of train is of: " + ", ".join(missing))
    told += [
        f"look at: {check.asked}: {check.found:,} of {check.of:,}"
        for check in checks
        if check.suspicious
    ]
    return NodeDescription(
        name=data.name,
        content_hash=data.content_hash(),
        nodes=data.num_nodes,
        edges=data.num_edges,
        features=data.num_features,
        # Nodes that come with texts have no features.
        filled=sparse.nnz / max(1, data.num_nodes * data.num_features),
        degrees=degrees(counts),
        isolated=isolated,
        components=int(components),
        same_class=float((ends[0] == ends[1])[labelled].mean())
        if labelled.any()
        else None,
        classes={
            name: (train, valid, test, whole)
            for name, train, valid, test, whole in zip(
                data.class_names, *members, strict=True
            )
        },
        unlabelled=int((data.labels < 0).sum()),
        parts=(len(split.train), len(split.valid), len(split.test)),
        checks=checks,
        warnings=tuple(told),
    )


def _features_alike(sparse: scipy.sparse.csr_array, split: NodeSplit) -> Check:
    """How many nodes of test have the very features of a node of train."""

    def rows(nodes: np.ndarray) -> list[bytes]:
        chosen = sparse[nodes]
        cuts = chosen.indptr
        return [
            chosen.indices[low:high].astype(np.int64).tobytes()
            + chosen.data[low:high].tobytes()
            for low, high in itertools.pairwise(cuts.tolist())
        ]

    known = set(rows(split.train))
    found = sum(row in known for row in rows(split.test) if row)
    return Check(
        asked="nodes of test with the very features of a node of train",
        found=found,
        of=len(split.test),
        suspicious=found > _OFTEN * len(split.test),
    )
