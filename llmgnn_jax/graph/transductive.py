"""A graph of nodes with features that is known in full: labels are hidden, not edges.

Shapes: N nodes, F features, T text width, E directed edges with self-loops.
"""

import functools
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import scipy.sparse

from llmgnn_jax.data.node_dataset import Features, NodeTrainSplit
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.layers import gcn_weights
from llmgnn_jax.graph.plan import EdgePlan, sorted_graph
from llmgnn_jax.graph.sparse_features import SparseFeatures

# "rows": each node's features are divided by the sum of their magnitudes (Kipf and
# Welling 2017, section 5.1); "none": they stay as they are.
Normalisation = Literal["rows", "none"]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["vectors_NT", "known_N"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class NodeTexts:
    """What nodes say, as an encoder has it.

    Attributes:
        vectors_NT: (N, T) float32 of unit length.
        known_N: (N,) bool, whether a node has a text at all.
    """

    vectors_NT: jax.Array
    known_N: jax.Array


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["graph", "plan", "texts"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class TransductiveGraph:
    """Every node, its features and its edges; no label.

    Attributes:
        graph: `nodes`: features, (N, F) float32 or `SparseFeatures`, the identity
            (N, N) where nodes have none; `edges["weight"]`: (E,) float32, the entries
            of D^-1/2 (A + I) D^-1/2.
        plan: The edges.
        texts: None where no model reads them.
    """

    graph: jraph.GraphsTuple
    plan: EdgePlan
    texts: NodeTexts | None = None


def build_transductive(
    train: NodeTrainSplit, *, normalisation: Normalisation, backend: Backend
) -> TransductiveGraph:
    """The graph of a node task, each undirected edge both ways.

    It takes the type that holds no label but those of the train part, and reads none.

    Args:
        train: Nodes, features and edges.
        normalisation: Of the features.
        backend: Which kernel the edges will go through.
    """
    ends = train.edges
    edges = gcn_weights(
        np.concatenate([ends[:, 0], ends[:, 1]]),
        np.concatenate([ends[:, 1], ends[:, 0]]),
        train.num_nodes,
    )
    graph, plan = sorted_graph(
        edges.senders,
        edges.receivers,
        train.num_nodes,
        edges=dict(edges.edges),
        buckets=backend == "bucketed",
    )
    features = train.features
    if not features.shape[1]:
        # Which node it is is all that there is to know (Kipf and Welling 2016,
        # "Variational graph auto-encoders", section 3).
        features = scipy.sparse.csr_array(scipy.sparse.eye_array(train.num_nodes))
    features = _normalised(features, normalisation)
    if isinstance(features, np.ndarray):
        return TransductiveGraph(
            graph=graph._replace(nodes=jnp.asarray(features)), plan=plan
        )
    sparse = SparseFeatures.of(features, backend=backend)
    return TransductiveGraph(graph=graph._replace(nodes=sparse), plan=plan)


def _normalised(features: Features, normalisation: Normalisation) -> Features:
    """Rows of zeros stay."""
    if normalisation == "none":
        return features
    if isinstance(features, np.ndarray):
        sums = np.abs(features).sum(axis=1, dtype=np.float64)
        return (features / _divisors(sums)[:, None]).astype(np.float32)
    rows = np.repeat(np.arange(features.shape[0]), np.diff(features.indptr))
    sums = np.bincount(rows, np.abs(features.data), minlength=features.shape[0])
    scaled = (features.data / _divisors(sums)[rows]).astype(np.float32)
    return scipy.sparse.csr_array(
        (scaled, features.indices, features.indptr), shape=features.shape
    )


def _divisors(sums: np.ndarray) -> np.ndarray:
    return np.where(sums > 0, sums, 1.0)
