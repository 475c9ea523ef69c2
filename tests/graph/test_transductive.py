"""The graph of a node task: weights, features, and that no label reaches it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.sparse_features import SparseFeatures
from llmgnn_jax.graph.transductive import build_transductive

# Node 4 is alone; node 2 has no feature.
EDGES = np.array([[0, 1], [0, 3], [1, 3], [2, 3]])
FEATURES = np.array(
    [[1, 0, 3], [0, 2, 0], [0, 0, 0], [1, -1, 2], [0, 0, 5]], np.float32
)


def split(*, is_sparse: bool = True, held_out: int = 1) -> NodeSplit:
    dataset = NodeDataset(
        name="tiny",
        features=scipy.sparse.csr_array(FEATURES) if is_sparse else FEATURES,
        labels=np.array([0, 1, 0, held_out, held_out]),
        edges=EDGES,
        class_names=("a", "b"),
    )
    return NodeSplit(
        dataset=dataset,
        rule="by hand",
        train=np.array([0, 1]),
        valid=np.array([3]),
        test=np.array([4]),
    )


@pytest.mark.parametrize("backend", ["csr", "bucketed"])
def test_weights_are_the_normalised_adjacency(backend: Backend) -> None:
    built = build_transductive(
        split().training(), normalisation="rows", backend=backend
    )
    adjacency = np.eye(5)
    for left, right in EDGES:
        adjacency[left, right] = adjacency[right, left] = 1
    scale = adjacency.sum(axis=1) ** -0.5
    got = np.zeros((5, 5))
    ends = np.asarray(built.graph.receivers), np.asarray(built.graph.senders)
    np.add.at(got, ends, np.asarray(built.graph.edges["weight"]))
    expected = scale[:, None] * adjacency * scale[None, :]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert int(built.plan.num_edges) == 2 * len(EDGES) + 5
    assert (built.plan.incoming.buckets is None) == (backend == "csr")


@pytest.mark.parametrize("normalisation", ["rows", "none"])
@pytest.mark.parametrize("is_sparse", [True, False])
def test_features(is_sparse: bool, normalisation: str) -> None:
    built = build_transductive(
        split(is_sparse=is_sparse).training(),
        normalisation=normalisation,
        backend="csr",
    )
    expected = FEATURES
    if normalisation == "rows":
        sums = np.array([4, 2, 1, 4, 5], np.float32)
        expected = FEATURES / sums[:, None]
    nodes = built.graph.nodes
    assert isinstance(nodes, SparseFeatures) == is_sparse
    np.testing.assert_allclose(
        nodes @ jnp.eye(3) if is_sparse else nodes, expected, rtol=1e-6
    )


def test_no_label_reaches_it() -> None:
    one, other = (
        build_transductive(
            split(held_out=label).training(), normalisation="rows", backend="csr"
        )
        for label in (0, 1)
    )
    jax.tree.map(np.testing.assert_array_equal, one, other)
    train = split().training()
    unlabelled = dataclasses.replace(train, labels=np.full(5, -1, np.int32))
    again = build_transductive(unlabelled, normalisation="rows", backend="csr")
    jax.tree.map(np.testing.assert_array_equal, one, again)
    # What knows of held-out labels is no argument for it.
    with pytest.raises(AttributeError):
        build_transductive(split(), normalisation="rows", backend="csr")  # type: ignore[arg-type]
