"""`NodeDataset`, `NodeSplit`, `NodeTrainSplit`: nodes with features, edges and labels.

Host side only: NumPy and SciPy, no JAX import. For tasks on the nodes of one graph that
is known in full (transductive): a split holds out labels, not edges.

Shape legend: `N` nodes, `F` features, `M` undirected edges, `C` classes.
"""

import functools
import hashlib
import json
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from llmgnn_jax.data.hashing import ContentHasher
from llmgnn_jax.data.node_validation import (
    checked_edges,
    checked_features,
    checked_labels,
    checked_nodes,
)
from llmgnn_jax.data.parts import HeldOutPart
from llmgnn_jax.data.validation import checked_ids, checked_texts, read_only
from llmgnn_jax.errors import UserError

Features = scipy.sparse.csr_array | np.ndarray

UNLABELLED = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class NodeDataset:
    """One graph, what is known of its nodes, and their classes.

    Row number is node number. The arrays are copied and set read-only.

    Attributes:
        name: A label for people; no part of the content hash.
        features: (N, F) float32, finite; sparse (indices ascending within a row, no
            zeros stored) or dense. F is 0 where there are none.
        labels: (N,) int32 class of each node, -1 where it has none.
        edges: (M, 2) int32, each undirected edge once, the smaller node first, sorted.
            Self-loops are what a layer adds, not data.
        class_names: C names, unique.
        node_texts: N strings, "" for none; None where nodes have no texts at all.

    Raises:
        UserError: For a wrong shape or type, a value that is not finite, a label or a
            node out of range, a self-loop, or an edge that repeats.
    """

    name: str
    features: Features
    labels: np.ndarray
    edges: np.ndarray
    class_names: tuple[str, ...]
    node_texts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        store = functools.partial(object.__setattr__, self)
        store("class_names", checked_ids("class_names", self.class_names))
        store("features", checked_features("features", self.features))
        store("labels", checked_labels(self.labels, self.num_nodes, self.num_classes))
        store("edges", checked_edges(self.edges, self.num_nodes))
        if self.node_texts is not None:
            texts = checked_texts("node_texts", self.node_texts, self.num_nodes)
            store("node_texts", texts)

    @property
    def num_nodes(self) -> int:
        """Number of nodes N, those without edges included."""
        return int(self.features.shape[0])

    @property
    def num_features(self) -> int:
        """Number of features F."""
        return int(self.features.shape[1])

    @property
    def num_edges(self) -> int:
        """Number of undirected edges M."""
        return len(self.edges)

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return len(self.class_names)

    def content_hash(self) -> str:
        """Sha256 (hex) of all but `name`; of texts only where there are any.

        Nodes have no ids: it goes by their numbers. Dense and sparse features of the
        same values hash the same.
        """
        return self._content_hash

    @functools.cached_property
    def _content_hash(self) -> str:
        sparse = scipy.sparse.csr_array(self.features)
        hasher = ContentHasher("nodes-1").strings(self.class_names)
        hasher.numbers(np.array(sparse.shape, np.int64))
        hasher.numbers(sparse.indptr.astype(np.int64))
        hasher.numbers(sparse.indices.astype(np.int32)).numbers(sparse.data)
        hasher.numbers(self.labels).numbers(self.edges)
        if self.node_texts is not None:
            hasher.strings(self.node_texts)
        return hasher.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class NodeTrainSplit:
    """All that training may see; the only type from which a node task is trained.

    Every node, feature, text and edge is there, and no label but those of the train
    part.

    Attributes:
        features: (N, F) float32, sparse or dense.
        edges: (M, 2) int32, each undirected edge once.
        labels: (N,) int32, -1 outside of the train part; an array of its own.
        train: (n,) int64 nodes of the train part, ascending.
        num_classes: C.
        texts: N strings, or None where there are none.
    """

    features: Features
    edges: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    num_classes: int
    texts: tuple[str, ...] | None = None

    @property
    def num_nodes(self) -> int:
        """Number of nodes N."""
        return len(self.labels)


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledNodes:
    """Some nodes and their classes.

    Attributes:
        nodes: (n,) int64, ascending.
        labels: (n,) int32.
    """

    nodes: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class NodeSplit:
    """The labelled nodes of a dataset in three parts; the others lie in none.

    Attributes:
        dataset: What was split.
        rule: How, for example "planetoid".
        train: (n,) int64 nodes, ascending.
        valid: Likewise.
        test: Likewise. No node lies in two parts.
        seed: Of the draw; None where nothing was drawn.

    Raises:
        UserError: If a node is out of range, without a label, named twice or in two
            parts, or nothing is left to train on.
    """

    dataset: NodeDataset
    rule: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    seed: int | None = None

    def __post_init__(self) -> None:
        part_of = np.full(self.dataset.num_nodes, "", "<U5")
        for name in ("train", "valid", "test"):
            nodes = checked_nodes(name, getattr(self, name), self.dataset.num_nodes)
            for wrong, expected, got in (
                (self.dataset.labels[nodes] < 0, "nodes with a label", "none"),
                (part_of[nodes] != "", "each node in one part", "it in another too"),
            ):
                if wrong.any():
                    node = int(nodes[wrong.argmax()])
                    raise UserError.field(
                        f"split.{name}, node {node}", expected=expected, got=got
                    )
            part_of[nodes] = name
            object.__setattr__(self, name, nodes)
        if not len(self.train):
            raise UserError.field(
                "split.train", expected="at least one node", got="none"
            )

    @property
    def name(self) -> str:
        """For people and `results.json`: the rule, the size of each part, the seed."""
        sizes = f"{len(self.train)}/{len(self.valid)}/{len(self.test)}"
        drawn = "" if self.seed is None else f", seed {self.seed}"
        return f"{self.rule} {sizes}{drawn}"

    def training(self) -> NodeTrainSplit:
        """The graph with the labels of the train part, and nothing else."""
        labels = np.full(self.dataset.num_nodes, UNLABELLED, np.int32)
        labels[self.train] = self.dataset.labels[self.train]
        return NodeTrainSplit(
            features=self.dataset.features,
            edges=self.dataset.edges,
            labels=read_only(labels),
            train=self.train,
            num_classes=self.dataset.num_classes,
            texts=self.dataset.node_texts,
        )

    def held_out(self, part: HeldOutPart) -> LabelledNodes:
        """The nodes of a part and what is to be found."""
        nodes = self.valid if part == "valid" else self.test
        return LabelledNodes(nodes=nodes, labels=read_only(self.dataset.labels[nodes]))

    @functools.cached_property
    def split_hash(self) -> str:
        """Sha256 (hex) of the nodes of each part and their labels."""
        hasher = ContentHasher("node-split-1")
        for nodes in (self.train, self.valid, self.test):
            hasher.numbers(nodes).numbers(self.dataset.labels[nodes])
        return hasher.hexdigest()

    def fingerprint(self, *, metric: str) -> str:
        """Sha256 (hex) of the protocol: data, rule, metric.

        Numbers may be compared only where it is equal.
        """
        protocol = {
            "content_hash": self.dataset.content_hash(),
            "rule": self.rule,
            "metric": metric,
        }
        encoded = json.dumps(protocol, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(encoded.encode("ascii")).hexdigest()
